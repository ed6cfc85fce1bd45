"""Batch normalisation (Ioffe & Szegedy 2015). x is (N, C, ...); statistics are over all axes but axis 1."""

from __future__ import annotations

import math
from typing import Any

from deepcore.backends.base.array import accumulator


def along_channels(x, vector):
    """Return vector (C,) in the shape that broadcasts over axis 1 of x."""
    return vector.reshape((1, vector.shape[0]) + (1,) * (x.ndim - 2))


def other_axes(x) -> tuple[int, ...]:
    """Return all axes of x but axis 1."""
    return (0, *range(2, x.ndim))


def count(x) -> int:
    """Return how many elements a channel has, at least 1 so that an empty batch divides cleanly."""
    return max(1, math.prod(x.shape[axis] for axis in other_axes(x)))


class Norm:
    """Batch normalisation in three steps, and the steps together with a ReLU; a mixin of Backend."""

    xp: Any
    relu: Any
    relu_grad: Any

    def batch_norm_stats(self, x):
        """Return (mean, biased variance), each (C,), in two passes; float16 is summed and returned in float32."""
        wide = accumulator(x.dtype)
        mean = x.sum(axis=other_axes(x), dtype=wide) / count(x)
        centred = x - along_channels(x, mean)
        var = (centred * centred).sum(axis=other_axes(x), dtype=wide) / count(x)
        return mean, var

    def batch_norm_apply(self, x, mean, rstd, w, b):
        """Return (x - mean) * rstd * w + b, all vectors (C,); w and b may be None."""
        y = (x - along_channels(x, mean)) * along_channels(x, rstd)
        if w is not None:
            y = y * along_channels(x, w)
        if b is not None:
            y = y + along_channels(x, b)
        return y.astype(x.dtype, copy=False)

    def batch_norm_grad(self, gy, x, mean, rstd, w):
        """Return (gx, gw, gb) of the training mode, where mean and rstd come from x itself.

        gx = w * rstd * (gy - mean(gy) - xhat * mean(gy * xhat)); gw and gb are (C,).
        """
        wide = accumulator(x.dtype)
        xhat = (x - along_channels(x, mean)) * along_channels(x, rstd)
        gb = gy.sum(axis=other_axes(x), dtype=wide)
        gw = (gy * xhat).sum(axis=other_axes(x), dtype=wide)
        scale = rstd if w is None else rstd * w
        m = count(x)
        gx = along_channels(x, scale) * (gy - along_channels(x, gb / m) - xhat * along_channels(x, gw / m))
        narrow = wide if w is None else w.dtype
        return gx.astype(x.dtype, copy=False), gw.astype(narrow, copy=False), gb.astype(narrow, copy=False)

    def batch_norm_train(self, x, w, b, eps):
        """Return (y, mean, biased variance, rstd): x normalised by its own statistics, then scaled and shifted.

        rstd is 1 / sqrt(variance + eps); all but y are (C,). w and b may be None.
        """
        mean, var = self.batch_norm_stats(x)
        rstd = 1 / self.xp.sqrt(var + eps)
        return self.batch_norm_apply(x, mean, rstd, w, b), mean, var, rstd

    def batch_norm_relu_train(self, x, w, b, eps, residual):
        """Return (relu(y + residual), mean, biased variance, rstd) of batch_norm_train; residual like x, or None."""
        y, mean, var, rstd = self.batch_norm_train(x, w, b, eps)
        return self.relu(y if residual is None else y + residual), mean, var, rstd

    def batch_norm_relu_apply(self, x, mean, rstd, w, b, residual):
        """Return relu((x - mean) * rstd * w + b + residual), all vectors (C,); w, b and residual may be None."""
        y = self.batch_norm_apply(x, mean, rstd, w, b)
        return self.relu(y if residual is None else y + residual)

    def batch_norm_relu_grad(self, gy, y, x, mean, rstd, w, b, residual):
        """Return (gx, gw, gb, gradient of the residual) of batch_norm_relu_train, whose output is y.

        residual: whether there was one; without it its gradient is None.
        """
        g = self.relu_grad(gy, y)
        return *self.batch_norm_grad(g, x, mean, rstd, w), (g if residual else None)
