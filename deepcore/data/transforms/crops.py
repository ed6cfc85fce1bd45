"""Parts of images: at a random place, or in the middle."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.data.transforms.base import RandomTransform, Transform, check_images, pair, take_pixels, tensor_like
from deepcore.errors import ConfigError, ShapeError, got, message, nearest
from deepcore.functions.pad import pad
from deepcore.random import Generator
from deepcore.tensor import Tensor

MODES = ("constant", "edge", "reflect", "symmetric")


class RandomCrop(RandomTransform):
    """A window of `size` out of each image, at a place of its own, after `padding` on the four sides.

    size: one number or (height, width). padding: one number, (left and right, top and bottom), or (left, top, right,
    bottom). padding_mode: "constant" (the value `fill`), "edge", "reflect" (without repeating the edge) or "symmetric".
    Raises ShapeError where the padded image is smaller than the window.

    >>> import deepcore as dc
    >>> RandomCrop(32, padding=4)(dc.zeros(8, 3, 32, 32)).shape
    (8, 3, 32, 32)
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        padding: int | tuple[int, ...] | None = None,
        fill: float = 0,
        padding_mode: str = "constant",
        generator: Generator | None = None,
    ):
        super().__init__(generator)
        self.size = pair("RandomCrop", "size", size)
        self.padding = _four_sides(padding)
        self.fill, self.padding_mode = fill, padding_mode
        if padding_mode not in MODES:
            found = f"padding_mode={padding_mode!r}.{nearest(str(padding_mode), MODES)}"
            raise ConfigError(message("RandomCrop", f"padding_mode as one of {', '.join(MODES)}", found))

    def __call__(self, x: Tensor) -> Tensor:
        check_images("RandomCrop", x)
        left, top, right, bottom = self.padding
        n, _, h, w = x.shape
        rows, row_inside = self._indices(n, self.size[0], h, top, bottom, x)
        cols, col_inside = self._indices(n, self.size[1], w, left, right, x)
        y = take_pixels(x, rows, cols)
        if row_inside.all() and col_inside.all():
            return tensor_like(y, x)
        backend = x.backend
        inside = backend.from_host(row_inside)[:, None, :, None] & backend.from_host(col_inside)[:, None, None, :]
        fill = backend.xp.full((), self.fill, dtype=y.dtype)
        return tensor_like(backend.xp.where(inside, y, fill), x)

    def _indices(self, n: int, size: int, length: int, before: int, after: int, x: Tensor) -> tuple[Any, Any]:
        """(n, size) indices along an axis for windows at random places, and whether each lies in the image."""
        places = before + length + after - size + 1
        if places < 1:
            found = got(x=x, size=self.size, padding=self.padding)
            raise ShapeError(message("RandomCrop", "images at least as large as the window, with padding", found))
        if self.padding_mode == "reflect" and max(before, after) >= length:
            found = got(x=x, padding=self.padding)
            raise ShapeError(message("RandomCrop", "padding smaller than the image where it is reflected", found))
        index = self.integers(places, n)[:, None] + (np.arange(size) - before)
        if self.padding_mode == "constant":
            return np.clip(index, 0, length - 1), (index >= 0) & (index < length)
        return folded(index, length, self.padding_mode), np.ones((), bool)


def folded(index: np.ndarray, length: int, mode: str) -> np.ndarray:
    """Indices outside of 0 .. length - 1 led back inside, as numpy.pad's mode of that name does."""
    if mode == "edge":
        return np.clip(index, 0, length - 1)
    period = 2 * length if mode == "symmetric" else max(2 * length - 2, 1)
    index = index % period
    return np.minimum(index, (period - 1 if mode == "symmetric" else period) - index)


def _four_sides(padding: Any) -> tuple[int, int, int, int]:
    sides = (padding or 0,) if isinstance(padding, int | None) else tuple(padding)
    if len(sides) not in (1, 2, 4) or not all(type(side) is int and side >= 0 for side in sides):
        expected = "padding as one, two or four whole numbers of at least 0"
        raise ConfigError(message("RandomCrop", expected, f"padding={padding!r}"))
    left, top, right, bottom = sides * (4 // len(sides))
    return left, top, right, bottom


class CenterCrop(Transform):
    """The middle of each image; where the image is smaller, zeros around it."""

    def __init__(self, size: int | tuple[int, int]):
        self.size = pair("CenterCrop", "size", size)

    def __call__(self, x: Tensor) -> Tensor:
        check_images("CenterCrop", x)
        (oh, ow), (h, w) = self.size, x.shape[2:]
        if oh > h or ow > w:
            high, wide = max(oh - h, 0), max(ow - w, 0)
            x = pad(x, (wide // 2, (wide + 1) // 2, high // 2, (high + 1) // 2))
            h, w = x.shape[2:]
        # torchvision rounds half to even: the middle of 5 in 8 starts at 2
        top, left = round((h - oh) / 2), round((w - ow) / 2)
        return x[:, :, top : top + oh, left : left + ow]
