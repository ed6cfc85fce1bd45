"""Rectangles of images painted over: Cutout (DeVries & Taylor 2017) and random erasing (Zhong et al. 2017)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore.data.transforms.base import RandomTransform, check_images, pair, probability, span, tensor_like
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.random import Generator
from deepcore.tensor import Tensor

ATTEMPTS = 10
"""How often a rectangle is drawn until one fits into the image; torchvision tries as often."""


def erase(x: Tensor, top: Any, bottom: Any, left: Any, right: Any, value: Any) -> Tensor:
    """Each image with `value` in the rows top <= i < bottom and columns left <= j < right, each (N,) on the host."""
    backend = x.backend
    marks = [
        (np.arange(size) >= low[:, None]) & (np.arange(size) < high[:, None])
        for size, low, high in ((x.shape[2], top, bottom), (x.shape[3], left, right))
    ]
    inside = backend.from_host(marks[0])[:, None, :, None] & backend.from_host(marks[1])[:, None, None, :]
    paint = backend.from_host(np.asarray(value, np.float64).astype(x.dtype).reshape(-1, 1, 1))
    return tensor_like(backend.xp.where(inside, paint, x.array), x)


class Cutout(RandomTransform):
    """A square of `size` pixels (or height, width) painted with `value`, around a random pixel of each image.

    The square may reach over the edge, as in the paper; what is outside is left away.
    """

    def __init__(self, size: int | tuple[int, int], value: float = 0.0, generator: Generator | None = None):
        super().__init__(generator)
        self.size, self.value = pair("Cutout", "size", size), value

    def __call__(self, x: Tensor) -> Tensor:
        check_images("Cutout", x)
        n, _, h, w = x.shape
        top = self.integers(h, n) - self.size[0] // 2
        left = self.integers(w, n) - self.size[1] // 2
        return erase(x, top, top + self.size[0], left, left + self.size[1], self.value)


class RandomErasing(RandomTransform):
    """With probability p a rectangle of each image painted with `value` (one number, or one for every channel).

    scale: its share of the image's area; ratio: its height by its width, uniform in its logarithm. A rectangle that
    does not fit is drawn again, ten times at most; then the image stays as it is.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: Any = 0.0,
        generator: Generator | None = None,
    ):
        super().__init__(generator)
        self.p, self.value = probability("RandomErasing", p), value
        self.scale, self.ratio = span("RandomErasing", "scale", scale), span("RandomErasing", "ratio", ratio)
        if not (self.scale[0] >= 0 and self.scale[1] <= 1 and self.ratio[0] > 0):
            found = f"scale={scale!r}, ratio={ratio!r}"
            raise ConfigError(message("RandomErasing", "scale in [0, 1] and ratio above 0", found))

    def __call__(self, x: Tensor) -> Tensor:
        check_images("RandomErasing", x)
        if np.size(self.value) not in (1, x.shape[1]):
            found = got(x=x, value=self.value)
            raise ShapeError(message("RandomErasing", "one value, or one for every channel", found))
        n, _, h, w = x.shape
        top, bottom, left, right = self.rectangles(n, h, w)
        return erase(x, top, bottom, left, right, self.value)

    def rectangles(self, n: int, h: int, w: int) -> tuple[np.ndarray, ...]:
        """(top, bottom, left, right), each (n,); an image that is left as it is has an empty one."""
        chosen = self.uniform(n) < self.p
        area = h * w * self.between(*self.scale, n, ATTEMPTS)
        ratio = np.exp(self.between(math.log(self.ratio[0]), math.log(self.ratio[1]), n, ATTEMPTS))
        high, wide = np.rint(np.sqrt(area * ratio)).astype(int), np.rint(np.sqrt(area / ratio)).astype(int)
        place = self.uniform(2, n)
        fits = (high < h) & (wide < w)
        first = fits.argmax(axis=1)
        rows = np.arange(n)
        done = chosen & fits[rows, first]
        high, wide = np.where(done, high[rows, first], 0), np.where(done, wide[rows, first], 0)
        top, left = (place[0] * (h - high + 1)).astype(int), (place[1] * (w - wide + 1)).astype(int)
        return top, top + high, left, left + wide
