"""Changes to the levels of images: posterize, autocontrast, equalize, sharpness. On arrays (N, C, H, W) in [0, 1]."""

from __future__ import annotations

from typing import Any

from deepcore.data.transforms.colour import blend

LEVELS = 256


def as_levels(xp: Any, x: Any) -> Any:
    """The pixels as whole numbers 0 to 255, int64."""
    return xp.clip(xp.floor(x * 255 + 0.5), 0, 255).astype("int64")


def posterize(xp: Any, x: Any, bits: int) -> Any:
    """Only the upper `bits` of the 8 bits of each pixel."""
    step = 2 ** (8 - bits)
    return (as_levels(xp, x) // step * step).astype(x.dtype) * (1 / 255)


def autocontrast(xp: Any, x: Any) -> Any:
    """Each channel stretched to reach from 0 to 1; one of a single value stays as it is."""
    low, high = x.min(axis=(2, 3), keepdims=True), x.max(axis=(2, 3), keepdims=True)
    spread = high - low
    return xp.where(spread > 0, (x - low) / xp.where(spread > 0, spread, 1), x)


def equalize(xp: Any, x: Any) -> Any:
    """Each channel with its levels spread so that all are about equally frequent, as Pillow's ImageOps.equalize."""
    n, c, h, w = x.shape
    level = as_levels(xp, x).reshape(n * c, h * w)
    place = level + xp.arange(n * c).reshape(n * c, 1) * LEVELS
    counts = xp.bincount(place.reshape(-1), minlength=n * c * LEVELS).reshape(n * c, LEVELS)
    highest = level.max(axis=1).reshape(n * c, 1)
    last = (counts * (xp.arange(LEVELS) == highest)).sum(axis=1).reshape(n * c, 1)
    step = (h * w - last) // 255
    before = xp.cumsum(counts, axis=1) - counts
    table = xp.minimum((before + step // 2) // xp.where(step > 0, step, 1), 255)
    table = xp.where(step > 0, table, xp.arange(LEVELS))
    return (table.reshape(-1)[place].reshape(x.shape)).astype(x.dtype) * (1 / 255)


def sharpness(xp: Any, x: Any, factor: Any) -> Any:
    """Blended with the image smoothed by [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13; the outermost pixels stay."""
    h, w = x.shape[2:]
    if h < 3 or w < 3:
        return x
    total = 4 * x[:, :, 1:-1, 1:-1]
    for i in range(3):
        for j in range(3):
            total = total + x[:, :, i : h - 2 + i, j : w - 2 + j]
    smooth = x.copy()
    smooth[:, :, 1:-1, 1:-1] = total * (1 / 13)
    return blend(xp, x, smooth, factor)
