"""New tensors: from data, filled, counted, random. `device=None` is the default device, `dtype=None` the usual one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore import dtypes, random
from deepcore.autograd.memory import allocates
from deepcore.autograd.variable import Variable, wrap
from deepcore.devices import backend_for
from deepcore.errors import ArgumentError, ConfigError, DTypeError, ShapeError, got, message
from deepcore.functions.axes import flat_ints
from deepcore.functions.shape import cast, stack
from deepcore.tensor import Tensor


def _finish(array: Any, backend: Any, requires_grad: bool) -> Tensor:
    out = wrap(array, backend)
    return out.requires_grad_() if requires_grad else out


def _floating(dtype: Any) -> np.dtype:
    return dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)


@allocates()
def tensor(data: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `data`: numbers, nested sequences, NumPy arrays, tensors.

    dtype None: an array keeps its dtype; Python floats become float32, ints int64, bools bool.
    Raises ShapeError for ragged lists and DTypeError for what is not numeric.

    >>> tensor([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    if isinstance(data, Variable):
        source = data.detach() if isinstance(data, Tensor) else data
        out = source.to(device or data.backend.device, dtype or data.dtype)  # type: ignore[attr-defined]
        return _finish(out.array.copy(), out.backend, requires_grad)
    backend = backend_for(device)
    if backend.is_array(data):
        _check_numeric("tensor", data)
        array = data.copy() if dtype is None else data.astype(dtypes.as_dtype(dtype))
    else:
        array = backend.from_host(_host_array(data, dtype))
    return _finish(array, backend, requires_grad)


def _check_numeric(op: str, array: Any) -> None:
    """Refuse an array of text, of Python objects, and of dtypes that NumPy does not have, but for bfloat16."""
    dtype = array.dtype
    if (dtype.kind not in "biufc" or dtype.isbuiltin == 2) and dtype.name != "bfloat16":
        raise DTypeError(message(op, "numbers", f"data of type {type(array).__name__}, dtype {array.dtype}"))


def _host_array(data: Any, dtype: Any) -> np.ndarray:
    """Data as a new NumPy array in the dtype that PyTorch would choose."""
    if isinstance(data, list | tuple) and _holds_tensors(data):
        data = [d.tolist() if isinstance(d, Variable) else d for d in data]  # type: ignore[attr-defined]
    try:
        array = np.array(data, dtype=None if dtype is None else dtypes.as_dtype(dtype))
    except (ValueError, TypeError) as error:
        hint = "rows must be of equal length and hold numbers"
        raise ShapeError(
            message("tensor", "a number or a regular nested sequence of numbers", str(error), hint)
        ) from None
    if array.dtype.kind not in "biufV":
        raise DTypeError(message("tensor", "numbers", f"data of type {type(data).__name__}, dtype {array.dtype}"))
    if dtype is None and array.dtype.kind == "f" and not isinstance(data, np.ndarray | np.generic):
        array = array.astype(dtypes.get_default_dtype(), copy=False)  # Python floats, and the empty list
    return array


def _holds_tensors(data: Any) -> bool:
    return any(isinstance(d, Variable) for d in data)


@allocates()
def as_tensor(data: Any, dtype: Any = None, device: str | None = None) -> Tensor:
    """As `tensor`, without a copy where the data already lies on the device in the dtype."""
    if isinstance(data, Tensor):
        return data.to(device or data.backend.device, data.dtype if dtype is None else dtype)
    backend = backend_for(device)
    if backend.is_array(data):
        _check_numeric("as_tensor", data)
        return cast(wrap(data, backend), data.dtype if dtype is None else dtypes.as_dtype(dtype))
    if isinstance(data, np.ndarray):
        return wrap(backend.from_host(data if dtype is None else data.astype(dtype, copy=False)), backend)
    return tensor(data, dtype, device)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor on the device "cpu" that shares the memory of a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise ArgumentError(message("from_numpy", "a numpy.ndarray", type(array).__name__))
    return as_tensor(array, device="cpu")


def _shape(op: str, size: tuple[Any, ...]) -> tuple[int, ...]:
    shape = flat_ints(op, size)
    if any(n < 0 for n in shape):
        raise ShapeError(message(op, "sizes of at least 0", f"{shape}"))
    return shape


@allocates()
def zeros(*size: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Filled with 0: zeros(2, 3) or zeros((2, 3))."""
    backend = backend_for(device)
    return _finish(backend.xp.zeros(_shape("zeros", size), dtype=_floating(dtype)), backend, requires_grad)


@allocates()
def ones(*size: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Filled with 1."""
    backend = backend_for(device)
    return _finish(backend.xp.ones(_shape("ones", size), dtype=_floating(dtype)), backend, requires_grad)


@allocates()
def empty(*size: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False) -> Tensor:
    """Not filled: any values."""
    backend = backend_for(device)
    return _finish(backend.xp.empty(_shape("empty", size), dtype=_floating(dtype)), backend, requires_grad)


@allocates()
def full(
    size: Any, fill_value: Any, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Filled with a number, in the dtype of that number unless told."""
    backend = backend_for(device)
    if dtype is None:
        kind = type(fill_value)
        dtype = dtypes.bool_ if kind is bool else dtypes.int64 if kind is int else dtypes.get_default_dtype()
    shape = _shape("full", (size,) if isinstance(size, int) else tuple(size))
    return _finish(backend.xp.full(shape, fill_value, dtype=dtypes.as_dtype(dtype)), backend, requires_grad)


def zeros_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Filled with 0, like x in shape, dtype and device."""
    return zeros(x.shape, dtype=dtype or x.dtype, device=x.backend.device, requires_grad=requires_grad)


def ones_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Filled with 1, like x in shape, dtype and device."""
    return ones(x.shape, dtype=dtype or x.dtype, device=x.backend.device, requires_grad=requires_grad)


def empty_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Not filled, like x in shape, dtype and device."""
    return empty(x.shape, dtype=dtype or x.dtype, device=x.backend.device, requires_grad=requires_grad)


def full_like(x: Tensor, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Filled with a number, like x in shape, dtype and device."""
    return full(x.shape, fill_value, dtype or x.dtype, x.backend.device, requires_grad)


@allocates()
def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below end; arange(n) counts from 0. int64 for ints, else the default floating dtype.

    >>> arange(3)
    tensor([0, 1, 2])
    """
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ConfigError(message("arange", "step other than 0", "step=0"))
    if dtype is None:
        integral = all(isinstance(v, int | np.integer) for v in (start, end, step))
        dtype = dtypes.int64 if integral else dtypes.get_default_dtype()
    backend = backend_for(device)
    return _finish(backend.from_host(np.arange(start, end, step).astype(dtype)), backend, requires_grad)


@allocates()
def linspace(
    start: float, end: float, steps: int, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers from start to end, both included, evenly spaced."""
    backend = backend_for(device)
    host = np.linspace(start, end, steps, dtype=np.float64).astype(_floating(dtype))
    return _finish(backend.from_host(host), backend, requires_grad)


@allocates()
def eye(
    n: int, m: int | None = None, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """The identity matrix (n, m)."""
    backend = backend_for(device)
    return _finish(backend.xp.eye(n, m, dtype=_floating(dtype)), backend, requires_grad)


@allocates(repeats=False)
def rand(
    *size: Any,
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1), from the framework's stream: the same seed gives the same bits on every device."""
    backend = backend_for(device)
    stream = generator or random.default_generator
    return _finish(_random(stream.uniform, "rand", _shape("rand", size), dtype, backend), backend, requires_grad)


@allocates(repeats=False)
def randn(
    *size: Any,
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal, from the framework's stream: the same seed gives the same bits on every device."""
    backend = backend_for(device)
    stream = generator or random.default_generator
    return _finish(_random(stream.normal, "randn", _shape("randn", size), dtype, backend), backend, requires_grad)


def _random(draw: Any, op: str, shape: tuple[int, ...], dtype: Any, backend: Any) -> Any:
    dtype = _floating(dtype)
    if not dtypes.is_floating(dtype):
        raise DTypeError(message(op, "a floating dtype", str(dtype)))
    return draw(shape, dtype, backend)


@allocates(repeats=False)
def randint(
    low: int,
    high: Any = None,
    size: Any = (),
    generator: random.Generator | None = None,
    dtype: Any = None,
    device: str | None = None,
) -> Tensor:
    """Integers from low to high - 1, int64: randint(0, 10, (2, 3)); randint(10, size) counts from 0."""
    if high is None or isinstance(high, tuple | list):
        low, high, size = 0, low, size if high is None else high
    if high <= low:
        raise ConfigError(message("randint", "low < high", f"low={low}, high={high}"))
    backend = backend_for(device)
    shape = _shape("randint", (size,) if isinstance(size, int) else tuple(size))
    array = (generator or random.default_generator).integers(low, high, shape, backend)
    return cast(wrap(array, backend), dtypes.int64 if dtype is None else dtypes.as_dtype(dtype))


@allocates(repeats=False)
def randperm(n: int, generator: random.Generator | None = None, device: str | None = None) -> Tensor:
    """A random order of 0 .. n - 1, int64."""
    backend = backend_for(device)
    return wrap(backend.from_host((generator or random.default_generator).permutation(n)), backend)


def rand_like(x: Tensor, generator: random.Generator | None = None) -> Tensor:
    """Uniform on [0, 1), like x in shape, dtype and device."""
    return rand(x.shape, generator=generator, dtype=x.dtype, device=x.backend.device)


def randn_like(x: Tensor, generator: random.Generator | None = None) -> Tensor:
    """Standard normal, like x in shape, dtype and device."""
    return randn(x.shape, generator=generator, dtype=x.dtype, device=x.backend.device)


def bernoulli(p: Tensor, generator: random.Generator | None = None) -> Tensor:
    """1 with the probability that each element of p states, else 0; like p in shape, dtype and device."""
    host_like = wrap((generator or random.default_generator).uniform(p.shape, dtypes.float32, p.backend), p.backend)
    return cast(host_like < p, p.dtype)


def allclose(x: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |x - other| <= atol + rtol * |other| everywhere; waits for the device."""
    if x.shape != other.shape:
        raise ShapeError(message("allclose", "equal shapes", got(x=x, other=other)))
    a, b = x.backend.to_host(x.array), other.backend.to_host(other.array)
    return bool(np.allclose(a, b, rtol, atol, equal_nan))


def equal(x: Tensor, other: Tensor) -> bool:
    """Whether shape and all values are the same; waits for the device."""
    return x.shape == other.shape and bool(math.prod(x.shape) == 0 or (x == other).all().item())


def meshgrid(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Coordinate grids of 1-d tensors, in the order of the arguments ('ij')."""
    from deepcore.functions.shape import expand, reshape

    shape = tuple(len(t) for t in tensors)
    views = []
    for i, t in enumerate(tensors):
        views.append(expand(reshape(t, (1,) * i + (-1,) + (1,) * (len(tensors) - 1 - i)), shape))
    return tuple(views)


__all__ = [
    "allclose",
    "arange",
    "as_tensor",
    "bernoulli",
    "empty",
    "empty_like",
    "equal",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "stack",
    "tensor",
    "zeros",
    "zeros_like",
]
