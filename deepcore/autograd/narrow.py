"""bfloat16 in an op: computed in float32, and each result rounded once.

A bfloat16 is the upper half of a float32, so a float32 stand-in has the same value; PyTorch's kernels compute so too.
A formula that ran on ml_dtypes' bfloat16 itself would round after every step and add up in 8 bits; beside Python floats
NumPy makes it float32 (and `where` makes it float64), and beside 64-bit integers there is no common dtype at all. With
stand-ins a formula needs no line for bfloat16, float32 kernels compute it, and of an array library nothing is asked but
to convert, index and copy it (CuPy 14 has more of it, through ml_dtypes, with NumPy 2.1 and CUDA 12.2 or newer).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

WIDE = "float32"


def is_narrow(x: Any) -> bool:
    """Whether x is an array of bfloat16, the only dtype of kind "V" that a backend lets in."""
    dtype = getattr(x, "dtype", None)
    return dtype is not None and dtype.kind == "V"


def any_narrow(values: Iterable[Any]) -> bool:
    """Whether one of the values is an array of bfloat16."""
    return any(map(is_narrow, values))


def widened(values: Iterable[Any]) -> list[Any]:
    """The values with every bfloat16 array as float32; the same array twice has the same stand-in."""
    made: dict[int, Any] = {}
    found = []
    for x in values:
        if is_narrow(x):
            if id(x) not in made:
                made[id(x)] = x.astype(WIDE)
            x = made[id(x)]
        found.append(x)
    return found


def rounded(values: Any, dtype: Any) -> Any:
    """A float32 array, or those of a tuple, as `dtype` (bfloat16); all else as it is."""
    if type(values) is tuple:
        return tuple([rounded(y, dtype) for y in values])
    return values.astype(dtype) if getattr(values, "dtype", None) == WIDE else values


def keep(saved: tuple[Any, ...], pairs: Iterable[tuple[Any, Any]]) -> tuple[Any, ...]:
    """What an op saved, with the second of a pair in place of the first: bfloat16 takes half of the memory."""
    instead = {id(wide): narrow for wide, narrow in pairs}
    return tuple([instead.get(id(s), s) for s in saved])
