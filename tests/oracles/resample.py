"""Oracles in float64 for interpolate and the pixel shuffles: one output pixel after the other."""

from __future__ import annotations

import itertools
import math

import numpy as np


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
    """y at each place is the sum of the pixels that it reads along each axis, times the products of their weights."""
    lengths = x.shape[2:]
    count = len(lengths)
    if size is not None:
        sizes, scales = ((size,) * count if isinstance(size, int) else size), [None] * count
    else:
        scales = scale_factor if isinstance(scale_factor, tuple) else (scale_factor,) * count
        sizes = [math.floor(n * s) for n, s in zip(lengths, scales, strict=True)]
        scales = [None] * count if recompute_scale_factor else scales
    y = np.zeros((*x.shape[:2], *sizes))
    axes = [
        [_taps(mode, i, n, out, s, align_corners, count) for i in range(out)]
        for n, out, s in zip(lengths, sizes, scales, strict=True)
    ]
    for place in itertools.product(*map(range, sizes)):
        for taps in itertools.product(*(axis[i] for axis, i in zip(axes, place, strict=True))):
            weight = math.prod(w for _, w in taps)
            y[(..., *place)] += weight * x[(..., *(pixel for pixel, _ in taps))]
    return y


def _taps(mode, i, n, out, scale, align_corners, count):
    """[(pixel, weight), ...] of output i along one axis of n pixels."""
    step = n / out if scale is None else 1 / scale
    if mode == "nearest" and count == 2 and out in (n, 2 * n):
        return [(i * n // out, 1.0)]  # as in PyTorch, whatever the scale
    if mode == "nearest":
        return [(min(int(i * step), n - 1), 1.0)]
    if mode == "nearest-exact":
        return [(min(int((i + 0.5) * step), n - 1), 1.0)]
    if mode == "area":
        first, last = i * n // out, -(-(i + 1) * n // out)
        return [(pixel, 1 / (last - first)) for pixel in range(first, last)]
    centre = (i * (n - 1) / (out - 1) if out > 1 else 0.0) if align_corners else (i + 0.5) * step - 0.5
    if mode == "bicubic":
        first = math.floor(centre)
        return [(min(max(p, 0), n - 1), _cubic(abs(centre - p))) for p in range(first - 1, first + 3)]
    if n == out:  # as in PyTorch, whatever the scale
        return [(i, 1.0)]
    centre = min(max(centre, 0), n - 1)
    return [(p, max(0.0, 1 - abs(centre - p))) for p in range(n)]


def _cubic(d, a=-0.75):
    """Keys' kernel: (a + 2) d^3 - (a + 3) d^2 + 1 up to 1, a (d^3 - 5 d^2 + 8 d - 4) up to 2."""
    return (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * (d**3 - 5 * d**2 + 8 * d - 4)


def pixel_shuffle(x, r):
    """y[c, i, j] = x[c r^2 + (i mod r) r + j mod r, i // r, j // r]."""
    *lead, c, h, w = x.shape
    y = np.zeros((*lead, c // r**2, h * r, w * r))
    for k, i, j in np.ndindex(*y.shape[-3:]):
        y[..., k, i, j] = x[..., k * r * r + i % r * r + j % r, i // r, j // r]
    return y


def pixel_unshuffle(x, r):
    """The inverse of pixel_shuffle."""
    *lead, c, h, w = x.shape
    y = np.zeros((*lead, c * r**2, h // r, w // r))
    for k, i, j in np.ndindex(*x.shape[-3:]):
        y[..., k * r * r + i % r * r + j % r, i // r, j // r] = x[..., k, i, j]
    return y
