"""Softmax and cross-entropy by rows: logits (N, C), target (N,), weight (C,)."""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu import vector_math
from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.rows import logarithm_parts
from deepcore.kernels.cpu.vector import vectorised


@kernel()
def softmax_cross_entropy(first, last, losses, lse, logits, target, weight, ignore_index, smoothing):
    """Write the loss and log(sum(exp(logits))) of rows first..last; sums in float64."""
    c_ = logits.shape[1]
    place, room = np.empty(2), np.empty(c_, logits.dtype)
    for n in range(first, last):
        row = logits[n]
        logarithm_parts(room, row, place, c_)
        log_sum = place[0] + np.log(place[1])
        lse[n] = log_sum
        t = target[n]
        if t == ignore_index:
            losses[n] = 0
        elif t < 0 or t >= c_:
            losses[n] = np.nan
        else:
            loss = (log_sum - row[t]) * weight[t]
            if smoothing != 0:
                spread = 0.0
                for c in range(c_):
                    spread += (log_sum - row[c]) * weight[c]
                loss = (1 - smoothing) * loss + smoothing / c_ * spread
            losses[n] = loss


@vectorised
def slopes(v, out, logits, weight, numbers, count):
    """Write numbers[1] * exp(logits - numbers[0]) - numbers[2] * weight of a row."""
    lse, factor, share = (v.broadcast(numbers + i) for i in range(3))

    def body(at, rest=None):
        p = vector_math.decay(v, v.load(logits + at, rest) - lse)
        v.store(out + at, factor * p - share * v.load(weight + at, rest), rest)

    vector_math.by_vectors(v, count, body)


@kernel()
def softmax_cross_entropy_grad(first, last, out, g, logits, target, lse, weight, ignore_index, smoothing):
    """Write the gradient of rows first..last to out (N, C)."""
    c_ = logits.shape[1]
    mass = 0.0
    for c in range(c_):
        mass += weight[c]
    numbers = np.empty(3, logits.dtype)
    for n in range(first, last):
        t, row = target[n], out[n]
        if t == ignore_index:
            for k in range(row.size):
                row[k] = 0
            continue
        at = min(max(t, 0), c_ - 1)
        own, spread, scale = (1 - smoothing) * np.float64(weight[at]), smoothing / c_, np.float64(g[n])
        numbers[0], numbers[1], numbers[2] = lse[n], scale * (own + spread * mass), scale * spread
        slopes(row, logits[n], weight, numbers, c_)
        if t == at:
            p = np.exp(np.float64(logits[n, t] - lse[n]))
            row[t] = scale * (own * (p - 1) + spread * (p * mass - weight[t]))
