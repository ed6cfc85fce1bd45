"""The devices of a comparison: what a user may write for one, and the backend and precision that it means.

"cpu"                       the device, in the dtype that the model has
"cpu@float16"               the same device in another precision: float16, bfloat16, float32, float64, tf32
"kernels.py:MyBackend"      a class of a file: a Backend that is no registered device, another version of a kernel
MyBackend, MyBackend()      the same, from a program
"""

from __future__ import annotations

import importlib.util
import inspect
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepcore.backends import Backend, get_backend, register
from deepcore.dtypes import as_dtype, finfo
from deepcore.errors import ConfigError, DeviceError, message, nearest
from deepcore.lockstep.result import Device

PRECISIONS = ("float16", "bfloat16", "float32", "float64", "tf32")
TF32_EPS = 2.0**-10
"""tf32 keeps 10 bits of the fraction of what goes into a product."""


@dataclass(frozen=True)
class Place:
    """Where one copy of the model runs."""

    name: str
    backend: Any
    dtype: np.dtype | None
    """None: as model_fn makes it."""
    tf32: bool = False

    def describe(self, dtype: np.dtype) -> Device:
        """The device for the result, once the dtype of the model is known."""
        eps = float(finfo(dtype).eps)
        kind = type(self.backend).__name__
        return Device(self.name, self.backend.device, kind, str(dtype), eps, max(eps, TF32_EPS) if self.tf32 else eps)


def find(specs: Any) -> list[Place]:
    """The places that `devices=` names, each with a name of its own. Raises ConfigError and DeviceError."""
    if isinstance(specs, str):
        specs = [part.strip() for part in specs.split(",") if part.strip()]
    specs = list(specs)
    if len(specs) < 2:
        found = "none" if not specs else repr(specs[0])
        hint = 'write two, such as ("numpy", "cpu") or ("cpu", "cpu@float16")'
        raise ConfigError(message("compare", "at least two devices", found, hint))
    places = [_find(spec) for spec in specs]
    names = [place.name for place in places]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        hint = "the same device differs from itself in another precision only: " + f'"{twice[0]}@float16"'
        raise ConfigError(message("compare", "every device once", f"{', '.join(twice)} twice", hint))
    return places


def _find(spec: Any) -> Place:
    if isinstance(spec, Backend) or (inspect.isclass(spec) and issubclass(spec, Backend)):
        backend = _adopt(spec) if inspect.isclass(spec) else _adopt(type(spec), spec)
        return Place(backend.device, backend, None)
    if not isinstance(spec, str):
        found = f"{spec!r} of type {type(spec).__name__}"
        raise ConfigError(message("compare", "a device's name, or a Backend class", found))
    base, at, precision = spec.rpartition("@")
    if not at:
        base, precision = spec, ""
    elif precision not in PRECISIONS:
        found = f"{spec!r}.{nearest(precision, PRECISIONS)}"
        raise ConfigError(message("compare", f"a precision among {', '.join(PRECISIONS)} after the @", found))
    backend = _from_file(base) if ".py:" in base else _registered(base)
    name = backend.device + (f"@{precision}" if precision else "")
    if precision == "tf32":
        if not hasattr(getattr(backend, "gemm", None), "tf32"):
            hint = "tf32 is a mode of matrix products on NVIDIA GPUs"
            raise DeviceError(message("compare", "a device whose matrix products can be switched to tf32", spec, hint))
        return Place(name, backend, np.dtype(np.float32), tf32=True)
    return Place(name, backend, as_dtype(precision) if precision else None)


def _registered(name: str) -> Any:
    backend = get_backend(name)
    if backend.device.partition(":")[0] != name.partition(":")[0]:
        found = f"{name!r}, which answers with the device {backend.device!r}"
        hint = f'give the class its own name: `name = device = "{name}"`, or hand the class itself to compare'
        raise DeviceError(message("compare", "a backend whose device is the name it is registered under", found, hint))
    return backend


def _from_file(spec: str) -> Any:
    path, _, name = spec.rpartition(":")
    if not os.path.isfile(path):
        raise DeviceError(message("compare", "a file with a Backend class, as in kernels.py:MyBackend", spec))
    module_spec = importlib.util.spec_from_file_location(f"_compared_{abs(hash(os.path.abspath(path)))}", path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        raise DeviceError(message("compare", f"{path} to be a Python file that can be imported", found)) from error
    cls = getattr(module, name, None)
    if not (inspect.isclass(cls) and issubclass(cls, Backend)):
        backends = [key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, Backend)]
        found = f"{name!r}.{nearest(name, backends)}"
        raise DeviceError(message("compare", f"a subclass of Backend in {path}", found))
    stem = os.path.splitext(os.path.basename(path))[0]
    return _adopt(cls, name=f"{stem}.{name}")


def _adopt(cls: type, instance: Any = None, name: str = "") -> Any:
    """A backend of that class as a device with a name of its own, known to the whole process from now on.

    A subclass of another backend that does not say otherwise has that one's device string; under it, tensors that are
    made in a forward would land on the other.
    """
    backend = cls() if instance is None else instance
    known = _known(backend.device)
    if known is backend or (instance is None and not name and type(known) is cls):
        return known
    if name or known is not None:
        backend.name = backend.device = name or cls.__name__
    register(backend.device.partition(":")[0], lambda *_: backend)
    return get_backend(backend.device)


def _known(device: str) -> Any:
    """The backend that a device string has already, or None."""
    try:
        return get_backend(device)
    except DeviceError:
        return None
