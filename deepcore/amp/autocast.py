"""`autocast`: inside of it every op runs in the precision that deepcore.amp.table gives it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore.amp.table import HALF, INSIDE, RULES, WIDEST
from deepcore.autograd.mode import state
from deepcore.autograd.precision import as_recorded
from deepcore.autograd.variable import Variable
from deepcore.backends import Backend, get_backend
from deepcore.dtypes import as_dtype, float32
from deepcore.errors import DTypeError, message
from deepcore.functions.shape import Cast

HALVES = ("bfloat16", "float16")
DEFAULT = object()
_MATRICES = 2  # tensors with fewer axes are the vectors of a normalisation


class autocast(contextlib.ContextDecorator):
    """Run matrix products in 16 bits, losses, norms and long sums in float32, all else as it comes.

    device_type: "cpu", "cuda", ... or one device, "cuda:1"; None means all of them. dtype: float16 or bfloat16; None
    is that of the context around, else float16 on CUDA and bfloat16 elsewhere. enabled=False switches it off inside
    another one. A context manager and a decorator, for the current thread. Parameters stay as they are, and their casts
    are kept until the outermost context ends (cache_enabled=False: made each time). Call backward() outside of it: a
    backward pass runs in the dtypes of the forward in any case.

    Raises DTypeError for another dtype, DeviceError for a device that is unknown or cannot be used here.

    >>> import deepcore as dc
    >>> from deepcore import nn
    >>> model, x = nn.Linear(4, 2), dc.ones(3, 4)
    >>> with dc.amp.autocast():
    ...     y = model(x)
    ...     loss = (y * y).sum()
    >>> y.dtype, loss.dtype, model.weight.dtype
    (dtype(bfloat16), dtype('float32'), dtype('float32'))
    """

    def __init__(
        self, device_type: str | None = None, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        self.device_type, self.enabled = device_type, bool(enabled)
        self.cache_enabled = True if cache_enabled is None else bool(cache_enabled)
        self.dtype = None if dtype is None else _half("autocast", dtype)
        if device_type is not None and self.enabled:
            get_backend(device_type)
        self._previous: list[Any] = []

    def _recreate_cm(self) -> autocast:
        return type(self)(self.device_type, self.dtype, self.enabled, self.cache_enabled)

    def __enter__(self) -> autocast:
        self._previous.append(state.autocast)
        state.autocast = _Caster.within(state.autocast, self)
        return self

    def __exit__(self, *exc: object) -> None:
        state.autocast = self._previous.pop()


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether ops on this device (None: on any) are being cast in this thread."""
    if state.autocast is None:
        return False
    if device_type is None:
        return any(dtype is not None for dtype in state.autocast.dtypes.values())
    return state.autocast.half(get_backend(device_type)) is not None


def get_autocast_dtype(device_type: str) -> np.dtype:
    """The 16-bit dtype that `autocast` uses on this device: of the context around, else the device's default."""
    backend = get_backend(device_type)
    within = None if state.autocast is None else state.autocast.half(backend)
    return as_dtype(backend.autocast_dtype) if within is None else within


def _half(op: str, dtype: Any) -> np.dtype:
    found = as_dtype(dtype)
    if found.name not in HALVES:
        raise DTypeError(message(op, "dtype float16 or bfloat16", f"{found}", "float32 is what runs without autocast"))
    return found


class _Caster:
    """What is cast to what in one context, for the hooks of deepcore.autograd.precision.

    dtypes: device type or device -> the 16-bit dtype, DEFAULT for that of the device, None for off. The key None
    stands for every device. Casts of parameters are in `casts`, shared with the contexts around.
    """

    def __init__(self, dtypes: dict[str | None, Any], casts: dict[Any, Any], cache: bool) -> None:
        self.dtypes, self.casts, self.cache = dtypes, casts, cache
        self.halves: dict[Backend, np.dtype | None] = {}

    @classmethod
    def within(cls, outer: _Caster | None, context: autocast) -> _Caster:
        """The caster of a context inside of another, or of none."""
        around = {} if outer is None else outer.dtypes
        device = context.device_type
        inherited = around.get(device, around.get(None))
        dtype = context.dtype if context.dtype is not None else DEFAULT if inherited is None else inherited
        kept = around if device is not None else {}  # None decides about all of them
        dtypes = {**kept, device: dtype if context.enabled else None}
        return cls(dtypes, {} if outer is None else outer.casts, context.cache_enabled)

    def half(self, backend: Backend) -> np.dtype | None:
        """The 16-bit dtype for a device, None where nothing is cast."""
        if backend not in self.halves:
            found = None
            for key in (None, backend.name, backend.device):  # the most exact one is last
                found = self.dtypes.get(key, found)
            self.halves[backend] = as_dtype(backend.autocast_dtype) if found is DEFAULT else found
        return self.halves[backend]

    # ---- the hooks

    def inputs(self, name: str, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The inputs of the Function `name`, cast by its rule."""
        rule = RULES.get(name)
        if rule is None or rule == INSIDE or (rule == WIDEST and not self._mixed(inputs)):
            return inputs
        return tuple([self.cast(x, rule) for x in inputs])

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A marked function on tensors cast by its rule; nothing is cast inside."""
        rule = RULES.get(function.__name__)
        given = [*args, *kwargs.values()]
        if rule is None:
            return function(*args, **kwargs)
        first = next((x for x in given if isinstance(x, Variable)), None)
        if rule not in (WIDEST, INSIDE) or self._mixed(given):
            args = tuple([self._argument(x, rule) for x in args])
            kwargs = {key: self._argument(x, rule) for key, x in kwargs.items()}
        with as_recorded():
            y = function(*args, **kwargs)
            return Cast(first.dtype)(y) if rule == INSIDE and first is not None and y.dtype != first.dtype else y

    def _argument(self, x: Any, rule: str) -> Any:
        if type(x) in (tuple, list):
            return type(x)([self._argument(each, rule) for each in x])
        if rule == INSIDE and isinstance(x, Variable) and len(x.shape) < _MATRICES:
            return x
        return self.cast(x, rule)

    def _mixed(self, values: Any) -> bool:
        """Whether tensors of several dtypes of at most 32 bits are among the values."""
        return len({x.dtype for x in values if isinstance(x, Variable) and _castable(x.dtype)}) > 1

    def cast(self, x: Any, rule: str) -> Any:
        """A tensor in the dtype of the rule; numbers, integers, float64 and tensors of other devices as they are."""
        if not isinstance(x, Variable) or not _castable(x.dtype):
            return x
        half = self.half(x.backend)
        dtype = half if rule == HALF else float32
        if half is None or x.dtype == dtype:
            return x
        if rule != HALF or not (self.cache and x.requires_grad and x.grad_fn is None):
            return Cast(dtype)(x)
        return self._cached(x, dtype)

    def _cached(self, x: Any, dtype: Any) -> Any:
        """The cast of a parameter, made once: again after it was written, and apart with and without a graph."""
        key = (id(x), dtype, state.grad_enabled)
        source, array, version, cast = self.casts.get(key, (None, None, None, None))
        if source is not x or array is not x.array or version != x._version_cell[0]:
            cast = Cast(dtype)(x)
            self.casts[key] = (x, x.array, x._version_cell[0], cast)
        return cast


def _castable(dtype: Any) -> bool:
    return dtype.kind in "fV" and dtype.itemsize <= 4  # V: bfloat16
