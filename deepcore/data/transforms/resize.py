"""Images resampled to another size."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.data.transforms.base import Transform, check_images, pair, take_pixels, tensor_like, to_float
from deepcore.errors import ConfigError, message
from deepcore.tensor import Tensor

MODES = ("nearest", "bilinear")


def resample_matrix(size: int, new_size: int, antialias: bool = True) -> np.ndarray:
    """(new_size, size) float64: rows that resample a line of pixels linearly, pixel centres at i + 0.5, edges held.

    With `antialias` the triangle of weights is as wide as the step where the line gets shorter, as in Pillow.
    """
    step = size / new_size
    width = max(step, 1.0) if antialias else 1.0
    centre = (np.arange(new_size) + 0.5) * step
    if not antialias:
        centre = np.clip(centre, 0.5, size - 0.5)
    weights = np.maximum(0, 1 - np.abs(np.arange(size) + 0.5 - centre[:, None]) / width)
    return weights / weights.sum(axis=1, keepdims=True)


class Resize(Transform):
    """Images of another size. size: (height, width), or one number for the shorter side, the other in proportion.

    interpolation: "bilinear" (floating result; antialias: wider weights where the image shrinks) or "nearest" (the
    dtype stays).

    >>> import deepcore as dc
    >>> Resize(16)(dc.zeros(4, 3, 32, 48)).shape
    (4, 3, 16, 24)
    """

    def __init__(self, size: int | tuple[int, int], interpolation: str = "bilinear", antialias: bool = True):
        self.shorter = isinstance(size, int)
        self.size = pair("Resize", "size", size)
        if interpolation not in MODES:
            expected = f"interpolation as one of {', '.join(MODES)}"
            raise ConfigError(message("Resize", expected, f"interpolation={interpolation!r}"))
        self.interpolation, self.antialias = interpolation, antialias

    def __call__(self, x: Tensor) -> Tensor:
        check_images("Resize", x)
        h, w = x.shape[2:]
        oh, ow = self.target(h, w)
        if (oh, ow) == (h, w):
            return x if self.interpolation == "nearest" else to_float(x)
        if self.interpolation == "nearest":
            rows, cols = (np.arange(new) * size // new for size, new in ((h, oh), (w, ow)))
            n = x.shape[0]
            return tensor_like(take_pixels(x, np.broadcast_to(rows, (n, oh)), np.broadcast_to(cols, (n, ow))), x)
        x = to_float(x)
        backend = x.backend
        down, along = (self._matrix(size, new, x) for size, new in ((h, oh), (w, ow)))
        return tensor_like(backend.matmul(backend.matmul(down, x.array), along.swapaxes(0, 1)), x)

    def target(self, h: int, w: int) -> tuple[int, int]:
        """The new (height, width) of an image of h x w."""
        if not self.shorter:
            return self.size
        short = self.size[0]
        return (short, int(short * w / h)) if h <= w else (int(short * h / w), short)

    def _matrix(self, size: int, new: int, x: Tensor) -> Any:
        return x.backend.from_host(resample_matrix(size, new, self.antialias).astype(x.dtype))
