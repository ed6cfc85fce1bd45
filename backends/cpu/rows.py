"""Softmax and normalisation by rows on device "cpu"."""

from __future__ import annotations

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import pieces, team

LONGEST_SUM = 512  # rows that are added to one partial sum
COST = 8  # operations of one exponential and what goes with it


class CpuRows(Backend):
    """The row-wise methods of CpuBackend."""

    @override()
    def softmax(self, x, axis):
        """Return exp(x) / sum(exp(x)) along axis; see Activation.softmax."""
        if axis % x.ndim != x.ndim - 1:
            return super().softmax(x, axis)
        return _by_rows(kernels.rows.softmax, COST, x)

    @override()
    def log_softmax(self, x, axis):
        """Return log(softmax(x)) along axis; see Activation.log_softmax."""
        if axis % x.ndim != x.ndim - 1:
            return super().log_softmax(x, axis)
        return _by_rows(kernels.rows.log_softmax, COST, x)

    @override()
    def softmax_grad(self, gy, y, axis):
        """Return y (gy - sum(gy y)); see Activation.softmax_grad."""
        if axis % y.ndim != y.ndim - 1 or gy.shape != y.shape:
            return super().softmax_grad(gy, y, axis)
        return _by_rows(kernels.rows.softmax_grad, 4, gy, y)

    @override()
    def log_softmax_grad(self, gy, y, axis):
        """Return gy - exp(y) sum(gy); see Activation.log_softmax_grad."""
        if axis % y.ndim != y.ndim - 1 or gy.shape != y.shape:
            return super().log_softmax_grad(gy, y, axis)
        return _by_rows(kernels.rows.log_softmax_grad, COST, gy, y)

    @override()
    def layer_norm(self, x, w, b, eps):
        """Return (y, mean, rstd); see RowNorm.layer_norm."""
        r, d = x.shape
        y, mean, rstd = np.empty_like(x), np.empty((r, 1), x.dtype), np.empty((r, 1), x.dtype)
        w = np.ones(d, x.dtype) if w is None else w
        b = np.zeros(d, x.dtype) if b is None else b
        team.run(kernels.rows.layer_norm, r, 4 * d, y, mean, rstd, x, w, b, x.dtype.type(eps))
        return y, mean, rstd

    @override()
    def layer_norm_grad(self, gy, x, mean, rstd, w):
        """Return (gx, gw, gb); see RowNorm.layer_norm_grad."""
        return _norm_grad(gy, x, mean, rstd, w)

    @override()
    def rms_norm(self, x, w, eps):
        """Return (y, rrms); see RowNorm.rms_norm."""
        r, d = x.shape
        y, rrms = np.empty_like(x), np.empty((r, 1), x.dtype)
        w = np.ones(d, x.dtype) if w is None else w
        team.run(kernels.rows.rms_norm, r, 3 * d, y, rrms, x, w, x.dtype.type(eps))
        return y, rrms

    @override()
    def rms_norm_grad(self, gy, x, rrms, w):
        """Return (gx, gw); see RowNorm.rms_norm_grad."""
        return _norm_grad(gy, x, np.empty((0, 1), x.dtype), rrms, w)[:2]


def _by_rows(kernel, cost, x, *more):
    """Return what kernel(first, last, y, x, *more) writes to y, all arrays as rows along their last axis."""
    y, d = np.empty_like(x), x.shape[-1]
    rows = (a.reshape(-1, d) for a in (y, x, *more))
    team.run(kernel, x.size // d, cost * d, *rows)
    return y


def _norm_grad(gy, x, mean, rstd, w):
    r, d = x.shape
    parts = max(min(team.size, r), pieces(r, LONGEST_SUM))
    gx, gw, gb = np.empty_like(x), np.empty((parts, d), x.dtype), np.empty((parts, d), x.dtype)
    w = np.ones(d, x.dtype) if w is None else w
    team.run(kernels.rows.layer_norm_grad, parts, 8 * d * (r // parts), gx, gw, gb, gy, x, mean, rstd, w)
    return gx, gw.sum(axis=0), gb.sum(axis=0)
