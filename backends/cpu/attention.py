"""Attention on device "cpu": a thread takes whole heads, so that their scores never leave its cache."""

from __future__ import annotations

import math

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.cpu.conv import ALL
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import team


class CpuAttention(Backend):
    """Attention of CpuBackend."""

    @override()
    def attention(self, q, k, v, mask, causal, scale):
        """Return (y, lse); see Attention.attention."""
        y, lse = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype), np.empty(q.shape[:-1], q.dtype)
        arrays = _heads(y), lse.reshape(-1, q.shape[-2]), *(_heads(a) for a in (q, k, v)), _masks(mask, q, k)
        with kernels.blas.one_thread:
            team.run(kernels.attention.attention, len(arrays[0]), ALL, *arrays, bool(causal), q.dtype.type(scale))
        return y, lse

    @override()
    def attention_grad(self, gy, q, k, v, y, lse, mask, causal, scale):
        """Return (gq, gk, gv); see Attention.attention_grad."""
        grads = tuple(np.empty_like(a) for a in (q, k, v))
        arrays = *(_heads(a) for a in (*grads, gy, q, k, v, y)), lse.reshape(-1, q.shape[-2]), _masks(mask, q, k)
        with kernels.blas.one_thread:
            team.run(kernels.attention.attention_grad, len(arrays[0]), ALL, *arrays, bool(causal), q.dtype.type(scale))
        return grads


def _heads(x):
    """Return (..., L, E) as (B, L, E)."""
    return x.reshape(-1, *x.shape[-2:])


def _masks(mask, q, k):
    """Return the mask as (1 or B, L, S), (1, 0, S) where there is none."""
    inner = q.shape[-2], k.shape[-2]
    if mask is None:
        return np.empty((1, 0, inner[1]), np.bool_)
    if math.prod(mask.shape[:-2]) == 1:
        return np.ascontiguousarray(np.broadcast_to(mask.reshape(mask.shape[-2:]), inner)[None])
    return np.ascontiguousarray(_heads(np.broadcast_to(mask, (*q.shape[:-2], *inner))))
