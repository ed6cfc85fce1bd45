"""dtypes are NumPy's; the rules by which they mix are PyTorch's.

Where NumPy turns int64 with float32 into float64, PyTorch keeps float32: the kind (bool < integer < floating) decides
first, the width only among equals. A Python number never widens a tensor of its kind.

`bfloat16`, the range of float32 with 8 bits of precision, is ml_dtypes' dtype for NumPy (kind "V"); it is loaded when
it is first asked for. Ops compute it in float32, see deepcore.autograd.narrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.errors import ArgumentError, DTypeError, message

if TYPE_CHECKING:
    bfloat16: np.dtype

float16 = half = np.dtype(np.float16)
float32 = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = long = np.dtype(np.int64)
uint8 = np.dtype(np.uint8)
bool_ = np.dtype(np.bool_)

_default = [float32]


def __getattr__(name: str) -> Any:
    if name != "bfloat16":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import ml_dtypes

    return globals().setdefault(name, np.dtype(ml_dtypes.bfloat16))


def as_dtype(dtype: Any) -> np.dtype:
    """A NumPy dtype from its name, a scalar type or a dtype; raises DTypeError for what is none.

    >>> as_dtype("bfloat16")
    dtype(bfloat16)
    """
    try:
        found = np.dtype(__getattr__("bfloat16") if isinstance(dtype, str) and dtype == "bfloat16" else dtype)
    except TypeError:
        found = None
    ours = found is not None and found.kind != "V" and found.isbuiltin != 2  # 2: of another library, as float8 is
    if found is None or not (ours or found.name == "bfloat16"):
        known = "bfloat16, float16, float32, float64, int8, int16, int32, int64, uint8 or bool"
        raise DTypeError(message("dtype", known, repr(dtype)))
    return found


def finfo(dtype: Any) -> Any:
    """`eps`, `max`, `tiny` and so on of a floating dtype, as numpy.finfo gives them, of bfloat16 too.

    >>> float(finfo("bfloat16").eps)
    0.0078125
    """
    dtype = as_dtype(dtype)
    if dtype.kind != "V":
        return np.finfo(dtype)
    import ml_dtypes

    return ml_dtypes.finfo(dtype)


def get_default_dtype() -> np.dtype:
    """The dtype of tensors made from Python floats (float32)."""
    return _default[0]


def set_default_dtype(dtype: Any) -> None:
    """Make new tensors from Python floats with this floating dtype."""
    dtype = as_dtype(dtype)
    if not is_floating(dtype):
        raise DTypeError(message("set_default_dtype", "a floating dtype", f"{dtype}"))
    _default[0] = dtype


def is_floating(dtype: Any) -> bool:
    """Whether values of this dtype can carry a gradient (bfloat16, the only dtype let in of kind "V", too)."""
    return dtype.kind in "fV"


def _rank(dtype: np.dtype) -> Any:
    return {"b": 0, "u": 1, "i": 1}.get(dtype.kind, 2)


def result_type(a: Any, b: Any) -> np.dtype:
    """The dtype of an operation on two values; each an array or a Python number (at least one array)."""
    dtype_a, dtype_b = getattr(a, "dtype", None), getattr(b, "dtype", None)
    if dtype_a is None or dtype_b is None:
        array, number = (b, a) if dtype_a is None else (a, b)
        number_rank = 0 if isinstance(number, bool) else 1 if isinstance(number, int) else 2
        if number_rank <= _rank(array.dtype):
            return array.dtype
        return int64 if number_rank == 1 else _default[0]
    if dtype_a == dtype_b:
        return dtype_a
    rank_a, rank_b = _rank(dtype_a), _rank(dtype_b)
    if rank_a != rank_b:
        return dtype_a if rank_a > rank_b else dtype_b
    if (a.ndim == 0) != (b.ndim == 0):  # among equal kinds a 0-d tensor does not widen
        return dtype_b if a.ndim == 0 else dtype_a
    if {dtype_a.kind, dtype_b.kind} == {"V", "f"} and float16 in (dtype_a, dtype_b):
        return float32  # neither bfloat16 nor float16 holds the other's numbers
    return np.promote_types(dtype_a, dtype_b)


def promote(a: Any, b: Any) -> tuple[Any, Any]:
    """Two values (arrays or Python numbers) with arrays cast to their common dtype."""
    dtype_a, dtype_b = getattr(a, "dtype", None), getattr(b, "dtype", None)
    if dtype_a is dtype_b and dtype_a is not None:
        return a, b
    number = b if dtype_b is None else a if dtype_a is None else 0
    if not isinstance(number, int | float):
        raise ArgumentError(message("promotion", "tensors and real numbers", repr(number)))
    if dtype_b is None and dtype_a is not None and dtype_a.kind == "f":  # the common case: a floating tensor, a number
        return a, b
    dtype = result_type(a, b)
    if dtype_a is not None and dtype_a != dtype:
        a = a.astype(dtype)
    if dtype_b is not None and dtype_b != dtype:
        b = b.astype(dtype)
    return a, b


def promote_floating(a: Any, b: Any) -> tuple[Any, Any]:
    """As `promote`, and integers become the default floating dtype (true division, pow, exp, ...)."""
    a, b = promote(a, b)
    return (floating(a) if hasattr(a, "dtype") else a), (floating(b) if hasattr(b, "dtype") else b)


def floating(x: Any) -> Any:
    """An array as it is when floating, else cast to the default floating dtype."""
    return x if is_floating(x.dtype) else x.astype(_default[0])
