"""Softmax cross-entropy: one block a row, sums in a fixed order. The block size is a power of two."""

from __future__ import annotations

import math

from numba import cuda

from deepcore.kernels.cuda.declare import kernel
from deepcore.kernels.cuda.helpers import block_max, block_sum

__all__ = ["softmax_cross_entropy", "softmax_cross_entropy_grad"]


@kernel(
    "logits: T*, target: i64*, weight: T*, losses: T*, lse: T*, classes: i32, weighted: i32, "
    "ignore_index: i64, keep: T, share: T"
)
def softmax_cross_entropy(logits, target, weight, losses, lse, classes, weighted, ignore_index, keep, share):
    """losses (N,) and lse (N,); with label smoothing e, keep = 1 - e and share = e / C."""
    real = type(keep)
    shared = cuda.shared.array(256, real)
    row = cuda.blockIdx.x
    base = row * classes
    top = logits[base]
    for c in range(cuda.threadIdx.x, classes, cuda.blockDim.x):
        value = logits[base + c]
        if value > top:
            top = value
    top = block_max(shared, top)
    total = real(0)
    for c in range(cuda.threadIdx.x, classes, cuda.blockDim.x):
        total += math.exp(logits[base + c] - top)
    log_sum = top + math.log(block_sum(shared, total))
    surprise = real(0)
    if share != real(0):
        for c in range(cuda.threadIdx.x, classes, cuda.blockDim.x):
            one = log_sum - logits[base + c]
            surprise += one * weight[c] if weighted else one
        surprise = block_sum(shared, surprise)
    if cuda.threadIdx.x == 0:
        hit = target[row]
        loss = real(math.nan)
        if hit >= 0 and hit < classes:
            loss = log_sum - logits[base + hit]
            if weighted:
                loss *= weight[hit]
            if share != real(0):
                loss = keep * loss + share * surprise
        losses[row] = real(0) if hit == ignore_index else loss
        lse[row] = log_sum


@kernel(
    "g: T*, logits: T*, target: i64*, lse: T*, weight: T*, weight_sum: T*, gx: T*, classes: i32, weighted: i32, "
    "ignore_index: i64, keep: T, share: T"
)
def softmax_cross_entropy_grad(
    g, logits, target, lse, weight, weight_sum, gx, classes, weighted, ignore_index, keep, share
):
    """gx (N, C) from g (N,), the gradient of each loss; weight_sum holds sum(weight)."""
    real = type(keep)
    row = cuda.blockIdx.x
    hit = target[row]
    scale = real(0) if hit == ignore_index else g[row]
    hit_weight = weight[min(max(hit, 0), classes - 1)] if weighted else real(1)
    c = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while c < classes:
        p = math.exp(logits[row * classes + c] - lse[row])
        grad = (p - real(1) if c == hit else p) * hit_weight
        if share != real(0):
            smooth = p * weight_sum[0] - weight[c] if weighted else p * real(classes) - real(1)
            grad = keep * grad + share * smooth
        gx[row * classes + c] = real(0) if hit == ignore_index else grad * scale
        c += cuda.gridDim.y * cuda.blockDim.x
