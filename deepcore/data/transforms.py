"""Changes to whole batches of images on their device: scale to [0, 1], normalise, random affine maps."""

from __future__ import annotations

import math

import numpy as np

from deepcore import functional as F
from deepcore.backends import get_backend
from deepcore.creation import tensor
from deepcore.errors import ConfigError
from deepcore.random import Generator, default_generator
from deepcore.tensor import Tensor


def to_float(x: Tensor) -> Tensor:
    """Images (N, C, H, W) as float32: uint8 is scaled from 0..255 to [0, 1], floating images pass unchanged."""
    return x.to("float32") * np.float32(1 / 255) if x.dtype == np.uint8 else x


class Normalize:
    """(x - mean) / std on images (N, C, H, W), uint8 or floating; `mean` and `std` are on the scale 0 to 1."""

    def __init__(self, mean: float, std: float):
        if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
            raise ConfigError(f"Normalize: expected a finite mean and std > 0; got mean={mean!r}, std={std!r}.")
        self.mean, self.std = float(mean), float(std)

    def __call__(self, x: Tensor) -> Tensor:
        return (to_float(x) - self.mean) * (1 / self.std)


class RandomAffine:
    """Each image of a batch turned, scaled and shifted at random, resampled bilinearly; what comes in is black.

    `degrees`: turned by up to this many degrees either way. `scale`: its size changed by up to this fraction.
    `translate`: shifted by up to this fraction of the side, along both axes. Each amount is uniform in its range.
    """

    def __init__(self, degrees: float, scale: float, translate: float, generator: Generator | None = None):
        if not (0 <= degrees <= 180 and 0 <= scale < 1 and 0 <= translate <= 1):
            raise ConfigError(
                "RandomAffine: expected degrees in [0, 180], scale in [0, 1), translate in [0, 1]; "
                f"got degrees={degrees!r}, scale={scale!r}, translate={translate!r}."
            )
        self.degrees, self.scale, self.translate = degrees, scale, translate
        self.generator = generator or default_generator

    def theta(self, n: int) -> np.ndarray:
        """(n, 2, 3) float32 matrices for `F.affine_grid`; drawn on the host, so every device gets the same bits."""
        draw = self.generator.uniform((n, 4), np.float64, get_backend("numpy")) * 2 - 1
        angle = np.deg2rad(self.degrees) * draw[:, 0]
        # The grid maps output to input, so an image grows where the grid shrinks.
        zoom = 1 / (1 + self.scale * draw[:, 1])
        cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
        shift = 2 * self.translate * draw[:, 2:]  # in the grid's units a whole side is 2
        return np.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], axis=1).reshape(n, 2, 3).astype(np.float32)

    def __call__(self, x: Tensor) -> Tensor:
        x = to_float(x)
        theta = tensor(self.theta(x.shape[0]), device=x.device)
        grid = F.affine_grid(theta, x.shape, align_corners=False)
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
