"""Batch normalisation on device "cpu", alone and with the ReLU behind it."""

from __future__ import annotations

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.cpu.shapes import rows
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import team

STRETCH = 8192  # numbers of one image that are read in a row: shorter stretches leave the memory waiting


class CpuNorm(Backend):
    """The batch normalisation of CpuBackend."""

    @override()
    def batch_norm_stats(self, x):
        """Return (mean, biased variance); see Norm.batch_norm_stats."""
        x3 = rows(x, 1)
        mean, var = np.empty(x3.shape[1]), np.empty(x3.shape[1])
        if x3.shape[2] == 1:
            team.run(kernels.norm.moments_rows, mean.size, 4 * len(x3), mean, var, x3.reshape(x3.shape[:2]))
        else:
            team.run(kernels.norm.moments, mean.size, x3[:, 0].size, mean, var, x3)
        return mean.astype(x.dtype, copy=False), var.astype(x.dtype, copy=False)

    @override()
    def batch_norm_apply(self, x, mean, rstd, w, b):
        """Return (x - mean) * rstd * w + b; see Norm.batch_norm_apply."""
        return _apply(x, mean, rstd, w, b, None, kernels.norm.NOTHING)

    @override()
    def batch_norm_relu_apply(self, x, mean, rstd, w, b, residual):
        """Return relu((x - mean) * rstd * w + b + residual); see Norm.batch_norm_relu_apply."""
        return _apply(x, mean, rstd, w, b, residual, _kind(residual is not None))

    @override()
    def batch_norm_train(self, x, w, b, eps):
        """Return (y, mean, biased variance, rstd); see Norm.batch_norm_train."""
        return _train(x, w, b, eps, None, kernels.norm.NOTHING)

    @override()
    def batch_norm_relu_train(self, x, w, b, eps, residual):
        """Return (y, mean, biased variance, rstd); see Norm.batch_norm_relu_train."""
        return _train(x, w, b, eps, residual, _kind(residual is not None))

    @override()
    def batch_norm_grad(self, gy, x, mean, rstd, w):
        """Return (gx, gw, gb) of the training mode; see Norm.batch_norm_grad."""
        return _gradient(gy, gy, x, mean, rstd, w, None, None, kernels.norm.NOTHING)

    @override()
    def batch_norm_relu_grad(self, gy, y, x, mean, rstd, w, b, residual):
        """Return (gx, gw, gb, gradient of the residual); see Norm.batch_norm_relu_grad."""
        g = np.empty_like(gy) if residual else None
        return *_gradient(gy, y, x, mean, rstd, w, b, g, _kind(residual)), g


def _kind(residual: bool) -> int:
    return kernels.norm.ADD_RELU if residual else kernels.norm.RELU


def _group(pixels: int) -> int:
    """Return how many channels are done together."""
    return max(1, STRETCH // pixels)


def _apply(x, mean, rstd, w, b, residual, kind):
    y, x3 = np.empty_like(x), rows(x, 1)
    scale = rstd if w is None else rstd * w
    shift = np.zeros_like(mean) if b is None else b
    n, c, s = x3.shape
    arrays = y.reshape(n, c, s), x3, x3 if residual is None else residual.reshape(n, c, s)
    if s == 1:
        flat = (a.reshape(n, c) for a in arrays)
        team.run(kernels.norm.apply_rows, n, c, *flat, mean, scale, shift, kind)
    else:
        team.run(kernels.norm.apply, n * c, s, *arrays, mean, scale, shift, kind)
    return y


def _train(x, w, b, eps, residual, kind):
    n, c, s = rows(x, 1).shape
    mean, var = np.empty(c), np.empty(c)
    w = np.ones(c, x.dtype) if w is None else w
    b = np.zeros(c, x.dtype) if b is None else b
    if s == 1:
        team.run(kernels.norm.moments_rows, c, 4 * n, mean, var, x.reshape(n, c))
        rstd = (1 / np.sqrt(var + eps)).astype(x.dtype, copy=False)
        mean, var = mean.astype(x.dtype, copy=False), var.astype(x.dtype, copy=False)
        return _apply(x, mean, rstd, w, b, residual, kind), mean, var, rstd
    y, rstd = np.empty_like(x), np.empty(c, x.dtype)
    arrays = x.reshape(n, c, s), (x if residual is None else residual).reshape(n, c, s)
    more = w, b, float(eps), _group(s), kind
    team.run(kernels.norm.train, c, 2 * n * s, y.reshape(n, c, s), mean, var, rstd, *arrays, *more)
    return y, mean.astype(x.dtype, copy=False), var.astype(x.dtype, copy=False), rstd


def _gradient(gy, y, x, mean, rstd, w, b, g, kind):
    n, c, s = rows(x, 1).shape
    gx, gw, gb = np.empty_like(x), np.empty_like(mean), np.empty_like(mean)
    scale = rstd if w is None else rstd * w
    shift = np.zeros_like(mean) if b is None else b
    shape = (n, c) if s == 1 else (n, c, s)
    arrays = (a.reshape(shape) for a in (gx if g is None else g, gy, y, x))
    if s == 1:
        run, more = kernels.norm.gradient_rows, (mean, rstd, scale, kind)
    else:
        run, more = kernels.norm.gradient, (mean, rstd, scale, shift, _group(s), kind)
    team.run(run, c, 3 * n * s, gx.reshape(shape), gw, gb, *arrays, *more)
    return gx, gw, gb
