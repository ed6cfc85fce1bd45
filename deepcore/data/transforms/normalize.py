"""Images with a mean of 0 and a deviation of 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepcore.creation import tensor
from deepcore.data.transforms.base import Transform, check_images, to_float
from deepcore.errors import ConfigError
from deepcore.tensor import Tensor


class Normalize(Transform):
    """(x - mean) / std on images (N, C, H, W), uint8 or floating; `mean` and `std` are on the scale 0 to 1.

    Each is one number, or one for every channel.

    >>> import deepcore as dc
    >>> Normalize([0.5, 0.0], [0.5, 2.0])(dc.ones(1, 2, 1, 1)).flatten()
    tensor([1. , 0.5])
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]):
        self.mean, self.std = _numbers(mean), _numbers(std)
        lengths = {len(v) for v in (self.mean, self.std) if isinstance(v, tuple)}
        means, stds = np.ravel(self.mean), np.ravel(self.std)
        if not (means.size and stds.size and np.isfinite([*means, *stds]).all() and (stds > 0).all()):
            raise ConfigError(f"Normalize: expected a finite mean and std > 0; got mean={mean!r}, std={std!r}.")
        if len(lengths) > 1:
            raise ConfigError(
                f"Normalize: expected as many means as deviations; got mean={mean!r}, std={std!r}. "
                "Hint: one for every channel, or a single number."
            )
        self.channels = lengths.pop() if lengths else 0

    def __call__(self, x: Tensor) -> Tensor:
        if not self.channels:
            return (to_float(x) - self.mean) * (1 / self.std)
        check_images("Normalize", x, (self.channels,))
        x = to_float(x)
        mean, scale = (
            tensor(np.broadcast_to(v, self.channels).reshape(-1, 1, 1), x.dtype, x.device)
            for v in (np.asarray(self.mean), 1 / np.asarray(self.std))
        )
        return (x - mean) * scale


def _numbers(value: Any) -> Any:
    """A float, or a tuple of floats; NaN, which is refused later, for what is neither."""
    try:
        return float(value) if np.ndim(value) == 0 else tuple(float(v) for v in value)
    except (TypeError, ValueError):
        return math.nan
