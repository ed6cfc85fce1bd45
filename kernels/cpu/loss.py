"""Softmax and cross-entropy by rows: logits (N, C), target (N,), weight (C,)."""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel


@kernel()
def softmax_cross_entropy(first, last, losses, lse, logits, target, weight, ignore_index, smoothing):
    """Write the loss and log(sum(exp(logits))) of rows first..last; sums in float64."""
    c_ = logits.shape[1]
    for n in range(first, last):
        top = logits[n, 0]
        for c in range(c_):
            if logits[n, c] > top or logits[n, c] != logits[n, c]:
                top = logits[n, c]
        total = 0.0
        for c in range(c_):
            total += np.exp(logits[n, c] - top)
        log_sum = np.float64(top) + np.log(total)
        lse[n] = log_sum
        t = target[n]
        if t == ignore_index:
            losses[n] = 0
        elif t < 0 or t >= c_:
            losses[n] = np.nan
        else:
            loss = (log_sum - logits[n, t]) * weight[t]
            if smoothing != 0:
                spread = 0.0
                for c in range(c_):
                    spread += (log_sum - logits[n, c]) * weight[c]
                loss = (1 - smoothing) * loss + smoothing / c_ * spread
            losses[n] = loss


@kernel()
def softmax_cross_entropy_grad(first, last, out, g, logits, target, lse, weight, ignore_index, smoothing):
    """Write the gradient of rows first..last to out (N, C)."""
    c_ = logits.shape[1]
    mass = 0.0
    for c in range(c_):
        mass += weight[c]
    for n in range(first, last):
        t = target[n]
        if t == ignore_index:
            for c in range(c_):
                out[n, c] = 0
            continue
        own = np.float64(weight[min(max(t, 0), c_ - 1)])
        for c in range(c_):
            p = np.float64(np.exp(logits[n, c] - lse[n]))
            grad = (1 - smoothing) * own * (p - (1.0 if c == t else 0.0))
            if smoothing != 0:
                grad += smoothing / c_ * (p * mass - weight[c])
            out[n, c] = g[n] * grad
