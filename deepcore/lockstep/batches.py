"""What batch_fn returns, on the host, checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore.errors import ConfigError, DataError, message
from deepcore.tensor import Tensor


def fetch(batch_fn: Callable[[int], Any], step: int, coarsest: np.dtype) -> tuple[np.ndarray, ...]:
    """The arrays of a step: inputs, then targets. Floating ones are rounded to the coarsest dtype that is compared."""
    batch = batch_fn(step)
    if not isinstance(batch, list | tuple) or len(batch) < 2:
        found = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, list | tuple) else type(batch).__name__
        raise ConfigError(message("compare", "batch_fn(step) to return (inputs..., targets)", f"a {found}"))
    return tuple(_array(value, i, coarsest) for i, value in enumerate(batch))


def _array(value: Any, i: int, coarsest: np.dtype) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().numpy()  # raises for a tensor that does not lie on the host
    array = np.array(value)
    if array.dtype.kind not in "biuf":
        hint = "return NumPy arrays, or tensors on a host device"
        raise ConfigError(message("compare", f"batch_fn to return numbers (part {i})", f"dtype {array.dtype}", hint))
    return array.astype(coarsest) if array.dtype.kind == "f" else array


def check_repeats(batch_fn: Callable[[int], Any], step: int, batch: tuple[np.ndarray, ...], coarsest: np.dtype) -> None:
    """Raise DataError unless batch_fn returns the same arrays for the same step again."""
    again = fetch(batch_fn, step, coarsest)
    same = len(again) == len(batch) and all(
        a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(batch, again, strict=True)
    )
    if not same:
        found = "other arrays at a second call"
        hint = "make it a function of the step alone: seed what is random with the step, and keep no iterator"
        raise DataError(message("compare", f"batch_fn({step}) to return the same arrays each time", found, hint))
