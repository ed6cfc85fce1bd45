"""Normalisation of each row by its own statistics: layer norm (Ba et al. 2016) and RMS norm (Zhang & Sennrich 2019)."""

from __future__ import annotations

from deepcore.backends.base.array import accumulator


def count(x) -> int:
    """Return how many elements a row of x (R, D) has, at least 1 so that empty rows divide cleanly."""
    return max(1, x.shape[1])


class RowNorm:
    """Rows x (R, D) with vectors w, b (D,) or None; a mixin of Backend. float16 is computed in float32."""

    def layer_norm(self, x, w, b, eps):
        """Return (y, mean, rstd): y = (x - mean) * rstd * w + b (R, D), rstd = 1 / sqrt(biased var + eps) (R, 1)."""
        wide = accumulator(x.dtype)
        mean = x.sum(axis=1, dtype=wide, keepdims=True) / count(x)
        centred = x - mean
        rstd = 1 / self.xp.sqrt((centred * centred).sum(axis=1, keepdims=True) / count(x) + eps)
        y = centred * rstd
        if w is not None:
            y = y * w
        if b is not None:
            y = y + b
        return y.astype(x.dtype, copy=False), mean, rstd

    def layer_norm_grad(self, gy, x, mean, rstd, w):
        """Return (gx (R, D), gw (D,), gb (D,)).

        With g = gy * w and xhat = (x - mean) * rstd: gx = rstd * (g - mean(g) - xhat * mean(g * xhat)) in each row.
        """
        wide = accumulator(x.dtype)
        gy = gy.astype(wide, copy=False)
        xhat = (x - mean) * rstd
        g = gy if w is None else gy * w
        along = (g * xhat).sum(axis=1, keepdims=True) / count(x)
        gx = rstd * (g - g.sum(axis=1, keepdims=True) / count(x) - xhat * along)
        gw, gb = (gy * xhat).sum(axis=0), gy.sum(axis=0)
        return gx.astype(x.dtype, copy=False), gw.astype(x.dtype, copy=False), gb.astype(x.dtype, copy=False)

    def rms_norm(self, x, w, eps):
        """Return (y, rrms): y = x * rrms * w (R, D), rrms = 1 / sqrt(mean(x ** 2) + eps) (R, 1)."""
        wide = x.astype(accumulator(x.dtype), copy=False)
        rrms = 1 / self.xp.sqrt((wide * wide).sum(axis=1, keepdims=True) / count(x) + eps)
        y = wide * rrms
        if w is not None:
            y = y * w
        return y.astype(x.dtype, copy=False), rrms

    def rms_norm_grad(self, gy, x, rrms, w):
        """Return (gx (R, D), gw (D,)); with g = gy * w and xhat = x * rrms, gx = rrms * (g - xhat * mean(g * xhat))."""
        gy = gy.astype(accumulator(x.dtype), copy=False)
        xhat = x * rrms
        g = gy if w is None else gy * w
        gx = rrms * (g - xhat * ((g * xhat).sum(axis=1, keepdims=True) / count(x)))
        return gx.astype(x.dtype, copy=False), (gy * xhat).sum(axis=0).astype(x.dtype, copy=False)

    def channel_window_sum(self, x, before, after):
        """Return y[:, c] = sum of x[:, c - before] .. x[:, c + after], channels outside left out: x (N, C, ...)."""
        channels = x.shape[1]
        y = self.xp.zeros(x.shape, dtype=accumulator(x.dtype))
        for offset in range(-min(before, channels - 1), min(after, channels - 1) + 1):
            first, last = max(0, -offset), min(channels, channels - offset)
            y[:, first:last] += x[:, first + offset : last + offset]
        return y.astype(x.dtype, copy=False)
