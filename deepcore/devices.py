"""Device names, and the default device of creation functions.

The default decides only where *new* tensors are made; an existing tensor always computes on its own device.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from deepcore.backends import get_backend
from deepcore.errors import ConfigError, message, nearest
from deepcore.kernels.precision import FLOAT32_PRODUCTS

if TYPE_CHECKING:
    from deepcore.backends.base import Backend


class device(str):
    """A device name such as "cpu", "numpy", "cuda" or "cuda:1"; as a context manager, the device of new tensors.

    >>> import deepcore as dc
    >>> with dc.device("numpy"):
    ...     x = dc.zeros(2)
    >>> x.device
    device('numpy')
    >>> x.device == "numpy", x.device.type, x.device.index
    (True, 'numpy', None)
    """

    __slots__ = ("_previous",)

    def __new__(cls, name: str) -> device:
        return super().__new__(cls, name)

    @property
    def type(self) -> str:
        """The kind: "cuda" for "cuda:1"."""
        return str(self).partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """The number after the colon, or None."""
        number = self.partition(":")[2]
        return int(number) if number else None

    def __repr__(self) -> str:
        return f"device({str(self)!r})"

    def __enter__(self) -> device:
        backend = get_backend(self)
        _default.stack.append(backend)
        return self

    def __exit__(self, *exc: object) -> None:
        _default.stack.pop()


class _Default(threading.local):
    def __init__(self) -> None:
        self.stack: list[Backend] = []


_default = _Default()
_process_default = ["cpu"]


def set_default_device(name: str) -> None:
    """Make new tensors on this device from now on. Raises DeviceError for a device that cannot be used here."""
    get_backend(name)
    _process_default[0] = str(name)


def get_default_device() -> device:
    """The device of new tensors: the innermost `with dc.device(...)`, else the default ("cpu")."""
    return device(backend_for(None).device)


def backend_for(name: str | None) -> Backend:
    """The backend of a device name; None means the default device."""
    if name is not None:
        return get_backend(name)
    return _default.stack[-1] if _default.stack else get_backend(_process_default[0])


PRECISIONS = {"highest": "highest", "ieee": "highest", "high": "high", "tf32": "high", "medium": "medium"}


def set_float32_matmul_precision(precision: str) -> None:
    """How exactly a GPU multiplies float32 matrices, in products and in convolutions alike, from now on.

    "highest", or "ieee": in float32, the default. "high", or "tf32": tensor cores, which keep 10 bits of the fraction
    of each factor; "medium" is the same here. Processors always compute in float32. Raises ConfigError.
    """
    if precision not in PRECISIONS:
        found = f"{precision!r}.{nearest(str(precision), PRECISIONS)}"
        names = ", ".join(map(repr, PRECISIONS))
        raise ConfigError(message("set_float32_matmul_precision", f"one of {names}", found))
    FLOAT32_PRODUCTS[0] = PRECISIONS[precision]


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` set: "highest", "high" or "medium"."""
    return FLOAT32_PRODUCTS[0]
