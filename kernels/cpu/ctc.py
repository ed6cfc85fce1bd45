"""Forward-backward of CTC, one label sequence after the other; the formulas are those of backends/base/ctc.py.

log_probs (T, N, C), states and skips (N, K) with K = 2 S + 1. A range is over N.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel


@kernel(inlined=True)
def sum_of_three(a, b, c):
    """Return log(exp(a) + exp(b) + exp(c)), -inf where all are."""
    top = max(a, max(b, c))
    if top == -np.inf:
        return a + b + c  # or NaN where one is NaN
    return np.log(np.exp(a - top) + np.exp(b - top) + np.exp(c - top)) + top


@kernel()
def alpha(first, last, found, losses, log_probs, states, known, skips, lengths, endings):
    """Write alpha to found (T, N, K) and the losses (N,)."""
    steps, count = log_probs.shape[0], states.shape[1]
    least = found.dtype.type(-np.inf)
    for n in range(first, last):
        now = np.full(count, least, found.dtype)
        now[0] = 0
        for t in range(steps):
            if t < lengths[n]:
                for k in range(count - 1, -1, -1):  # from the back: what a state reads is still that of the step before
                    one = now[k - 1] if k > 0 else least
                    two = now[k - 2] if skips[n, k] else least
                    emitted = log_probs[t, n, states[n, k]] if known[n, k] else found.dtype.type(np.nan)
                    now[k] = sum_of_three(now[k], one, two) + emitted
            found[t, n] = now
        one = now[endings[n]] if 0 <= endings[n] < count else least
        two = now[endings[n] - 1] if 0 <= endings[n] - 1 < count else least
        losses[n] = -sum_of_three(one, two, least)


@kernel()
def gradient(first, last, grad, g, log_probs, states, skips, lengths, endings, losses, found):
    """Add to grad (T, N, C), zero at first; found is alpha."""
    steps, count = log_probs.shape[0], states.shape[1]
    least = found.dtype.type(-np.inf)
    for n in range(first, last):
        now = np.full(count, least, found.dtype)
        for k in range(max(endings[n] - 1, 0), min(endings[n] + 1, count)):
            now[k] = 0
        for t in range(min(steps, lengths[n]) - 1, -1, -1):
            for k in range(count):
                grad[t, n, states[n, k]] -= g[n] * np.exp(found[t, n, k] + now[k] + losses[n])
                now[k] += log_probs[t, n, states[n, k]]
            for k in range(count):  # from the front: what a state reads is still that of the step behind
                one = now[k + 1] if k + 1 < count else least
                two = now[k + 2] if k + 2 < count and skips[n, k + 2] else least
                now[k] = sum_of_three(now[k], one, two)
