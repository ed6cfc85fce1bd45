"""Attention on device "cpu": a thread takes whole heads, so that their scores never leave its cache."""

from __future__ import annotations

import functools
import math
import operator

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import ALL, team


class CpuAttention(Backend):
    """Attention of CpuBackend; arrays may lie as a transposition left them."""

    @override(strided=True)
    def attention(self, q, k, v, mask, causal, scale):
        """Return (y, lse); see Attention.attention."""
        y, lse = _room(q, v.shape[-1]), np.empty(q.shape[:-1], q.dtype)
        _heads(kernels.attention.attention, lse, [y, q, k, v], q, k, v, mask, causal, scale)
        return y, lse

    @override(strided=True)
    def attention_grad(self, gy, q, k, v, y, lse, mask, causal, scale):
        """Return (gq, gk, gv); see Attention.attention_grad."""
        grads = [_room(a, a.shape[-1]) for a in (q, k, v)]
        if causal:  # the kernel adds up what the blocks of queries that see a key give it
            grads[1].fill(0)
            grads[2].fill(0)
        arrays = [*grads, gy, y, q, k, v]
        _heads(kernels.attention.attention_grad, np.ascontiguousarray(lse), arrays, q, k, v, mask, causal, scale)
        return tuple(grads)


def _heads(kernel, lse, arrays, q, k, v, mask, causal, scale) -> None:
    """Run a kernel over the heads of arrays (..., rows, columns)."""
    sizes = q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1]
    arrays = [a if _by_rows(a) else np.ascontiguousarray(a) for a in arrays]
    places = np.array([_addresses(a) for a in arrays])
    plan = *(a.strides[-2] // a.itemsize for a in arrays), *sizes, int(causal)
    constants = np.zeros(2 + max(sizes), q.dtype)
    constants[:2] = -math.inf, scale
    lse = lse.reshape(-1, sizes[0])
    team.run(kernel, len(lse), ALL, lse, constants, places, _masks(mask, q, k), plan)


def _room(like, columns):
    """Return an empty array (..., columns) whose axes lie in memory as those of `like`, if its rows have no gaps."""
    a = np.empty_like(like, shape=(*like.shape[:-1], columns))
    return a if _by_rows(a) else np.empty(a.shape, a.dtype)


def _by_rows(a) -> bool:
    """Tell whether rows lie without gaps."""
    return a.strides[-1] == a.itemsize and not any(step % a.itemsize for step in a.strides)


def _addresses(a):
    """Return the addresses (B,) of the matrices in (..., rows, columns)."""
    steps = (step * np.arange(n) for n, step in zip(a.shape[:-2], a.strides[:-2], strict=True))
    first = np.array(a.__array_interface__["data"][0])
    return functools.reduce(operator.add, np.ix_(*steps), first).reshape(-1)


def _masks(mask, q, k):
    """Return the mask as (1 or B, L, S), (1, 0, S) where there is none."""
    inner = q.shape[-2], k.shape[-2]
    if mask is None:
        return np.empty((1, 0, inner[1]), np.bool_)
    if math.prod(mask.shape[:-2]) == 1:
        return np.ascontiguousarray(np.broadcast_to(mask.reshape(mask.shape[-2:]), inner)[None])
    return np.ascontiguousarray(np.broadcast_to(mask, (*q.shape[:-2], *inner)).reshape(-1, *inner))
