"""Samples stacked to a batch on the host, and a batch of arrays as tensors on a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deepcore.creation import tensor
from deepcore.errors import DataError
from deepcore.tensor import Tensor


def default_collate(samples: Sequence[Any]) -> Any:
    """Samples as one batch of arrays: numbers and arrays are stacked, tuples and dicts are stacked part by part.

    Text and None become a list. Raises DataError where samples differ in shape or in structure.

    >>> default_collate([(1, {"x": 0.5}), (2, {"x": 1.5})])
    (array([1, 2]), {'x': array([0.5, 1.5])})
    """
    first = samples[0]
    if isinstance(first, str | bytes) or first is None:
        return list(samples)
    if isinstance(first, Mapping):
        if any(not isinstance(s, Mapping) or s.keys() != first.keys() for s in samples):
            raise DataError(f"DataLoader: expected dicts with the keys {list(first)} in every sample of a batch.")
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        if any(not isinstance(s, tuple | list) or len(s) != len(first) for s in samples):
            raise DataError(f"DataLoader: expected {len(first)} parts in every sample of a batch. {_WAY_OUT}")
        return tuple(default_collate(column) for column in zip(*samples, strict=True))
    arrays = [np.asarray(on_host(sample)) for sample in samples]
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        found = " and ".join(map(str, sorted(shapes)[:3]))
        raise DataError(f"DataLoader: expected samples of one shape in a batch; got {found}. {_WAY_OUT}")
    return np.stack(arrays)


_WAY_OUT = "Hint: make them equal in the data set, or pass a collate_fn."


def on_host(value: Any) -> Any:
    """A tensor as a NumPy array; anything else as it is."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def mapped(batch: Any, change: Callable[[Any], Any]) -> Any:
    """The batch with every part changed that is no tuple, list or dict."""
    if isinstance(batch, Mapping):
        return {key: mapped(value, change) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [mapped(value, change) for value in batch]
        return parts if isinstance(batch, list) else tuple(parts)
    return change(batch)


def to_tensors(batch: Any, device: str | None) -> Any:
    """The batch with all numeric arrays and tensors as new tensors on the device; text and the like stay."""

    def moved(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value if device is None else value.to(device)
        if isinstance(value, np.ndarray) and (value.dtype.kind in "biuf" or value.dtype.name == "bfloat16"):
            return tensor(value, device=device)
        return value

    return mapped(batch, moved)
