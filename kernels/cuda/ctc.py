"""Forward-backward of CTC in one launch each: one block a label sequence, its threads walk over the states.

The formulas are those of backends/base/ctc.py. log_probs (T, N, C), states, known and skips (N, K), alpha (T, N, K).
"""

from __future__ import annotations

import math

from numba import cuda

from deepcore.kernels.cuda.compiler import device
from deepcore.kernels.cuda.declare import kernel

__all__ = ["ctc_alpha", "ctc_grad"]


@device
def _sum_of_three(a, b, c):
    """log(exp(a) + exp(b) + exp(c)); -inf where all are, NaN where one is."""
    real = type(a)
    top = max(a, max(b, c))
    if not top > real(-math.inf):
        return a + b + c
    return real(math.log(real(math.exp(a - top)) + real(math.exp(b - top)) + real(math.exp(c - top)))) + top


@kernel(
    "log_probs: T*, states: i64*, known: i32*, skips: i32*, lengths: i64*, endings: i64*, alpha: T*, losses: T*, "
    "least: T, steps: i32, batch: i32, classes: i32, count: i32"
)
def ctc_alpha(log_probs, states, known, skips, lengths, endings, alpha, losses, least, steps, batch, classes, count):
    """alpha, and the losses (N,); least = -inf. A step reads what the step before wrote to alpha."""
    real = type(least)
    n = cuda.blockIdx.x
    for t in range(steps):
        here = (t * batch + n) * count
        before = here - batch * count
        for k in range(cuda.threadIdx.x, count, cuda.blockDim.x):
            if t > 0:
                value = alpha[before + k]
                one = alpha[before + k - 1] if k > 0 else least
                two = alpha[before + k - 2] if skips[n * count + k] else least
            else:
                value = real(0) if k == 0 else least
                one = real(0) if k == 1 else least
                two = least
            if t < lengths[n]:
                value = _sum_of_three(value, one, two)
                if known[n * count + k]:
                    value += log_probs[(t * batch + n) * classes + states[n * count + k]]
                else:
                    value = real(math.nan)
            alpha[here + k] = value
        cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        end, base = endings[n], ((steps - 1) * batch + n) * count
        one = alpha[base + end] if end >= 0 and end < count else least
        two = alpha[base + end - 1] if end >= 1 and end <= count else least
        losses[n] = -_sum_of_three(one, two, least)


@kernel(
    "g: T*, log_probs: T*, states: i64*, skips: i32*, lengths: i64*, endings: i64*, losses: T*, alpha: T*, "
    "beta: T*, shares: T*, firsts: i32*, grad: T*, least: T, steps: i32, batch: i32, classes: i32, count: i32"
)
def ctc_grad(
    g, log_probs, states, skips, lengths, endings, losses, alpha, beta, shares, firsts, grad, least, steps, batch,
    classes, count,
):  # fmt: skip
    """grad (T, N, C), zero at first; beta (2, N, K), shares and firsts (N, K) are scratch.

    The thread of a class's first state adds up what all its states share, in order: no atomics.
    """
    real = type(least)
    n = cuda.blockIdx.x
    row = n * count
    end = endings[n]
    for k in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        beta[row + k] = real(0) if k == end or k == end - 1 else least
        first = 1
        for other in range(k):
            if states[row + other] == states[row + k]:
                first = 0
        firsts[row + k] = first
    cuda.syncthreads()
    side = batch * count  # where the other half of beta begins
    now = row
    for back in range(steps):
        t = steps - 1 - back
        if t < lengths[n]:
            there, line = (t * batch + n) * count, (t * batch + n) * classes
            for k in range(cuda.threadIdx.x, count, cuda.blockDim.x):
                shares[row + k] = -g[n] * real(math.exp(alpha[there + k] + beta[now + k] + losses[n]))
                go = beta[now + k] + log_probs[line + states[row + k]]
                one = two = least
                if k + 1 < count:
                    one = beta[now + k + 1] + log_probs[line + states[row + k + 1]]
                if k + 2 < count and skips[row + k + 2]:
                    two = beta[now + k + 2] + log_probs[line + states[row + k + 2]]
                beta[side + row - (now - row) + k] = _sum_of_three(go, one, two)
            cuda.syncthreads()
            for k in range(cuda.threadIdx.x, count, cuda.blockDim.x):
                if firsts[row + k]:
                    total = real(0)
                    for other in range(k, count):
                        if states[row + other] == states[row + k]:
                            total += shares[row + other]
                    grad[line + states[row + k]] = total
            now = side + row - (now - row)
            cuda.syncthreads()
