"""Scaled dot-product attention, one head of one example at a time: its scores stay in the cache.

q (B, L, E), k (B, S, E), v (B, S, EV); masks (1 or B, L, S), with L = 0 where there is none. A range is over B.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.elementary import FMA, decay
from deepcore.kernels.cpu.rows import LANES, exponentials, largest


@kernel(fastmath=FMA)
def scores_of(scores, q, k, mask, causal, scale):
    """Write q k^T * scale (L, S), -inf where a key takes no part."""
    np.dot(q, k.T, scores)
    least = scores.dtype.type(-np.inf)
    for i in range(scores.shape[0]):
        row = scores[i]
        for j in range(row.size):
            row[j] *= scale
        if mask.shape[0] > 0:
            allowed = mask[i]
            for j in range(row.size):
                row[j] = row[j] if allowed[j] else least
        if causal:
            row[i + 1 :] = least


@kernel(fastmath=FMA)
def attention(first, last, y, lse, q, k, v, masks, causal, scale):
    """Write y (B, L, EV) and lse (B, L)."""
    scores = np.empty((q.shape[1], k.shape[1]), q.dtype)
    lanes = np.empty(LANES, q.dtype)
    zero, one = q.dtype.type(0), q.dtype.type(1)
    for b in range(first, last):
        scores_of(scores, q[b], k[b], masks[b % masks.shape[0]], causal, scale)
        for i in range(scores.shape[0]):
            row = scores[i]
            top = largest(row, lanes)
            top = zero if top == -np.inf else top
            total = exponentials(row, row, top)
            nothing = total == 0
            share = one / (one if nothing else total)
            for j in range(row.size):
                row[j] *= share
            lse[b, i] = np.inf if nothing else top + np.log(total)
        np.dot(scores, v[b], y[b])


@kernel(fastmath=FMA)
def attention_grad(first, last, gq, gk, gv, gy, q, k, v, y, lse, masks, causal, scale):
    """Write gq, gk, gv; the weights are computed once more."""
    weights = np.empty((q.shape[1], k.shape[1]), q.dtype)
    slopes = np.empty_like(weights)
    for b in range(first, last):
        scores_of(weights, q[b], k[b], masks[b % masks.shape[0]], causal, scale)
        np.dot(gy[b], v[b].T, slopes)
        for i in range(weights.shape[0]):
            row, slope, out, back = weights[i], slopes[i], y[b, i], gy[b, i]
            along = q.dtype.type(0)
            for j in range(out.size):
                along += out[j] * back[j]
            level = lse[b, i]
            for j in range(row.size):
                weight = decay(row[j] - level)
                row[j] = weight
                slope[j] = weight * (slope[j] - along) * scale
        np.dot(weights.T, gy[b], gv[b])
        np.dot(slopes, k[b], gq[b])
        np.dot(slopes.T, q[b], gk[b])
