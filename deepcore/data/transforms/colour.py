"""Colours changed at random: brightness, contrast, saturation, hue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore.data.transforms.base import RandomTransform, Transform, check_images, per_image, tensor_like, to_float
from deepcore.errors import ConfigError, message
from deepcore.random import Generator
from deepcore.tensor import Tensor

# --- on arrays: x (N, 3 or 1, H, W) in [0, 1], factor (N, 1, 1, 1) ----------------------------------------------------


def gray(x: Any) -> Any:
    """The brightness (N, 1, H, W) of colours, weighted as in ITU-R 601-2."""
    return x if x.shape[1] == 1 else x[:, 0:1] * 0.2989 + x[:, 1:2] * 0.587 + x[:, 2:3] * 0.114


def blend(xp: Any, x: Any, other: Any, factor: Any) -> Any:
    """`other` at factor 0, x at 1, beyond x above 1; cut to [0, 1]."""
    return xp.clip(x * factor + other * (1 - factor), 0, 1)


def brightness(xp: Any, x: Any, factor: Any) -> Any:
    """Blended with black."""
    return xp.clip(x * factor, 0, 1)


def contrast(xp: Any, x: Any, factor: Any) -> Any:
    """Blended with the mean brightness of the image."""
    return blend(xp, x, gray(x).mean(axis=(1, 2, 3), keepdims=True), factor)


def saturation(xp: Any, x: Any, factor: Any) -> Any:
    """Blended with the image in gray."""
    return x if x.shape[1] == 1 else blend(xp, x, gray(x), factor)


def hue(xp: Any, x: Any, shift: Any) -> Any:
    """The hue moved along the circle of colours by `shift` of its circumference (Smith 1978, the HSV cone)."""
    if x.shape[1] == 1:
        return x
    r, g, b = x[:, 0:1], x[:, 1:2], x[:, 2:3]
    value = x.max(axis=1, keepdims=True)
    spread = value - x.min(axis=1, keepdims=True)
    divisor = xp.where(spread > 0, spread, 1)
    sixths = xp.where(value == r, (g - b) / divisor, xp.where(value == g, 2 + (b - r) / divisor, 4 + (r - g) / divisor))
    turned = sixths + 6 * shift
    # Back to RGB: each channel falls from `value` by `spread` over two sixths of the circle, in another place.
    channels = []
    for start in (5, 3, 1):
        k = start + turned
        k = k - 6 * xp.floor(k / 6)
        channels.append(value - spread * xp.clip(xp.minimum(k, 4 - k), 0, 1))
    return xp.concatenate(channels, axis=1).astype(x.dtype, copy=False)


# --- transforms -------------------------------------------------------------------------------------------------------


class Grayscale(Transform):
    """Colour images (N, 3, H, W) in gray, as one channel or as three equal ones; floating, uint8 scaled to [0, 1]."""

    def __init__(self, num_output_channels: int = 1):
        if num_output_channels not in (1, 3):
            found = f"num_output_channels={num_output_channels!r}"
            raise ConfigError(message("Grayscale", "num_output_channels as 1 or 3", found))
        self.num_output_channels = num_output_channels

    def __call__(self, x: Tensor) -> Tensor:
        check_images("Grayscale", x, (1, 3))
        x = to_float(x)
        y = gray(x.array)
        return tensor_like(x.backend.xp.repeat(y, self.num_output_channels, axis=1), x)


class ColorJitter(RandomTransform):
    """Brightness, contrast, saturation and hue of each image changed by amounts of its own.

    brightness, contrast, saturation: a number v for factors in [max(0, 1 - v), 1 + v], or (low, high). hue: a number of
    at most 0.5 for shifts in [-hue, hue] of the circle of colours, or (low, high). The four come in an order that is
    drawn for each batch. Images have 1 or 3 channels, floats lie in [0, 1]; the result is floating.
    Factors and shifts of all images are drawn first, so that the numbers used do not hang on what is switched off.
    """

    def __init__(
        self,
        brightness: Any = 0,
        contrast: Any = 0,
        saturation: Any = 0,
        hue: Any = 0,
        generator: Generator | None = None,
    ):
        super().__init__(generator)
        self.brightness = _range("brightness", brightness, centre=1.0, low=0.0)
        self.contrast = _range("contrast", contrast, centre=1.0, low=0.0)
        self.saturation = _range("saturation", saturation, centre=1.0, low=0.0)
        self.hue = _range("hue", hue, centre=0.0, low=-0.5, high=0.5)

    def __call__(self, x: Tensor) -> Tensor:
        check_images("ColorJitter", x, (1, 3))
        x, xp = to_float(x), x.backend.xp
        order, y = self.generator.permutation(4), x.array
        draws = self.uniform(4, x.shape[0])
        changes: tuple[tuple[Callable[..., Any], tuple[float, float], float], ...] = (
            (brightness, self.brightness, 1.0),
            (contrast, self.contrast, 1.0),
            (saturation, self.saturation, 1.0),
            (hue, self.hue, 0.0),
        )
        for i in order:
            change, (low, high), nothing = changes[i]
            if not low == high == nothing:
                y = change(xp, y, per_image(low + (high - low) * draws[i], x))
        return tensor_like(y, x)


def _range(name: str, value: Any, centre: float, low: float, high: float = np.inf) -> tuple[float, float]:
    if isinstance(value, int | float) and value >= 0:
        ends = (max(low, centre - value) if centre else -value, centre + value)
    else:
        ends = tuple(value) if isinstance(value, list | tuple) and len(value) == 2 else (np.nan, np.nan)
    if not all(isinstance(v, int | float) for v in ends) or not low <= ends[0] <= ends[1] <= high:
        limits = f"between {low:g} and {high:g}" if np.isfinite(high) else f"of at least {low:g}"
        raise ConfigError(
            message("ColorJitter", f"{name} as a number of at least 0, or (low, high) {limits}", f"{name}={value!r}")
        )
    return float(ends[0]), float(ends[1])
