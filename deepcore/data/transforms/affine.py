"""Images turned, scaled and shifted at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore import functional as F
from deepcore.creation import tensor
from deepcore.data.transforms.base import RandomTransform, check_images, span, to_float
from deepcore.errors import ConfigError, message
from deepcore.random import Generator
from deepcore.tensor import Tensor

MODES = ("nearest", "bilinear")


def sampled(x: Tensor, theta: np.ndarray, mode: str) -> Tensor:
    """Floating images read at theta (N, 2, 3) float32, in the units of `F.affine_grid`; outside of them is 0."""
    grid = F.affine_grid(tensor(theta, device=x.device), x.shape, align_corners=False)
    # Sixteen bits are too few to name a place between the pixels.
    wide = x if x.dtype.itemsize >= 4 else x.to("float32")
    y = F.grid_sample(wide, grid.to(wide.dtype), mode=mode, padding_mode="zeros", align_corners=False)
    return y.to(x.dtype)


def warp(x: Tensor, theta: np.ndarray, mode: str = "bilinear", fill: float = 0.0) -> Tensor:
    """Floating images read at an affine map of their own pixels; outside of them is `fill`.

    theta (N, 2, 3) float64 maps the output's pixels to the input's: (x, y) from the middle of the image, in pixels.
    """
    h, w = x.shape[2:]
    # `affine_grid` counts a whole side as 2, whatever its length.
    theta = (theta * np.array([[1, h / w, 2 / w], [w / h, 1, 2 / h]])).astype(np.float32)
    return sampled(x - fill, theta, mode) + fill if fill else sampled(x, theta, mode)


def turn(angle: np.ndarray) -> np.ndarray:
    """(N, 2, 3) maps for `warp` that turn by `angle` (N,) in degrees, counter-clockwise."""
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    zero = np.zeros_like(cos)
    return np.stack([cos, -sin, zero, sin, cos, zero], axis=1).reshape(-1, 2, 3)


class RandomAffine(RandomTransform):
    """Each image of a batch turned, scaled and shifted at random, resampled bilinearly; what comes in is black.

    `degrees`: turned by up to this many degrees either way. `scale`: its size changed by up to this fraction.
    `translate`: shifted by up to this fraction of the side, along both axes. Each amount is uniform in its range.
    """

    def __init__(self, degrees: float, scale: float, translate: float, generator: Generator | None = None):
        super().__init__(generator)
        if not (0 <= degrees <= 180 and 0 <= scale < 1 and 0 <= translate <= 1):
            raise ConfigError(
                "RandomAffine: expected degrees in [0, 180], scale in [0, 1), translate in [0, 1]; "
                f"got degrees={degrees!r}, scale={scale!r}, translate={translate!r}."
            )
        self.degrees, self.scale, self.translate = degrees, scale, translate

    def theta(self, n: int, ratio: float = 1.0) -> np.ndarray:
        """(n, 2, 3) float32 matrices for `F.affine_grid` on images whose height is `ratio` times their width."""
        draw = self.uniform(n, 4) * 2 - 1
        angle = np.deg2rad(self.degrees) * draw[:, 0]
        # The grid maps output to input, so an image grows where the grid shrinks.
        zoom = 1 / (1 + self.scale * draw[:, 1])
        cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
        shift = 2 * self.translate * draw[:, 2:]  # in the grid's units a whole side is 2
        rows = [cos, -sin * ratio, shift[:, 0], sin / ratio, cos, shift[:, 1]]
        return np.stack(rows, axis=1).reshape(n, 2, 3).astype(np.float32)

    def __call__(self, x: Tensor) -> Tensor:
        check_images("RandomAffine", x)
        x = to_float(x)
        return sampled(x, self.theta(x.shape[0], x.shape[2] / x.shape[3]), "bilinear")


class RandomRotation(RandomTransform):
    """Each image turned about its middle by an angle of its own; counter-clockwise is positive.

    degrees: a number d for angles in [-d, d], or (low, high). interpolation: "nearest" or "bilinear". The size stays;
    what comes in from outside is `fill`. The result is floating, uint8 images are scaled to [0, 1].

    >>> import deepcore as dc
    >>> RandomRotation((90, 90))(dc.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    tensor([[[[2., 4.],
              [1., 3.]]]])
    """

    def __init__(
        self, degrees: Any, interpolation: str = "nearest", fill: float = 0.0, generator: Generator | None = None
    ):
        super().__init__(generator)
        self.degrees = span("RandomRotation", "degrees", degrees)
        if interpolation not in MODES:
            expected = f"interpolation as one of {', '.join(MODES)}"
            raise ConfigError(message("RandomRotation", expected, f"interpolation={interpolation!r}"))
        self.interpolation, self.fill = interpolation, float(fill)

    def __call__(self, x: Tensor) -> Tensor:
        check_images("RandomRotation", x)
        return warp(to_float(x), turn(self.between(*self.degrees, x.shape[0])), self.interpolation, self.fill)
