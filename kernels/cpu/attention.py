"""Scaled dot-product attention, one head of one example at a time: a block of its scores stays in the cache.

A range is over the B heads. places (n, B): the addresses of each head's arrays; plan: their strides of rows, in
elements, and the sizes. Rows lie without gaps. masks (1 or B, L, S), with L = 0 where there is none. constants: -inf,
the scale, then as many zeros as the largest size.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from deepcore.kernels.cpu import vector_math
from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.gemm import multiply, room
from deepcore.kernels.cpu.vector import vectorised

SCORES = 1 << 17  # in a block of queries, so that they stay in the cache


@vectorised
def scale_row(v, row, by, count):
    """Multiply a row by by[0]."""
    factor = v.broadcast(by)
    vector_math.by_vectors(v, count, lambda at, rest=None: v.store(row + at, v.load(row + at, rest) * factor, rest))


@vectorised
def exponential_row(v, row, parts, count):
    """Write exp(row - top) to the row, its maximum `top` (0 instead of -inf) to parts[0] and the sum to parts[1]."""
    top = v.highest(vector_math.largest(v, row, count))
    nobody = v.builder.fcmp_ordered("==", top, ir.Constant(v.real, float("-inf")))
    top = v.builder.select(nobody, ir.Constant(v.real, 0.0), top)
    sums = vector_math.exponentials(v, row, row, v.splat(top), count)
    v.put(parts, top)
    v.put(parts + 1, v.narrow(v.sum(sums.vector)))


@vectorised
def slope_row(v, row, slope, by, level, out, back, width, count):
    """Write the weights exp(row - level) and, from gy v^T in `slope`, the gradient of what the scale was applied to.

    out, back: the addresses of this row of y and gy, `width` long.
    """
    out, back = v.pointer(out), v.pointer(back)
    total = v.variable(v.zero())

    def add(at, rest=None):
        total.set(v.fma(v.load(out + at, rest), v.load(back + at, rest), total.vector))

    vector_math.by_vectors(v, width, add)
    along, factor, top = v.splat(v.sum(total.vector)), v.broadcast(by), v.broadcast(level)

    def write(at, rest=None):
        weight = vector_math.decay(v, v.load(row + at, rest) - top)
        v.store(row + at, weight, rest)
        v.store(slope + at, weight * (v.load(slope + at, rest) - along) * factor, rest)

    vector_math.by_vectors(v, count, write)


@kernel()
def scale_and_hide(row, scale, masks, b, i):
    """Multiply a row of scores by the scale; -inf where query i of head b does not see a key."""
    scale_row(row, scale, row.size)
    if masks.shape[1] > 0:
        allowed = masks[b % masks.shape[0], i]
        for j in range(row.size):
            if not allowed[j]:
                row[j] = -np.inf


@kernel()
def attention(first, last, lse, constants, places, masks, plan):
    """Write y (B, L, EV) and lse (B, L); places and plan are for y, q, k, v."""
    y_row, q_row, k_row, v_row, length, keys, e, ev, causal = plan
    size = lse.itemsize
    low, scale, zeros = constants[:1], constants[1:2], (np.int64(constants.ctypes.data) + 2 * size, 0, 1)
    memory = room(lse, max(keys, ev))
    block = min(length, max(SCORES // keys, 1))
    scores, parts = np.empty((block, keys), lse.dtype), np.empty(2, lse.dtype)
    at = (np.int64(scores.ctypes.data), keys)
    for b in range(first, last):
        y, q, k, v = places[0, b], places[1, b], places[2, b], places[3, b]
        for i0 in range(0, length, block):
            rows = min(block, length - i0)
            seen = min(keys, i0 + rows) if causal else keys
            y_at = y + i0 * y_row * size
            multiply(low, memory, at, zeros, (q + i0 * q_row * size, q_row, 1), (k, 1, k_row), rows, seen, e)
            for r in range(rows):
                i = i0 + r
                count = min(i + 1, seen) if causal else seen
                scale_and_hide(scores[r, :count], scale, masks, b, i)
                exponential_row(scores[r], parts, count)
                scores[r, count:seen] = 0
                nobody = parts[1] == 0
                lse[b, i] = np.inf if nobody else parts[0] + np.log(parts[1])
                parts[1] = 1 if nobody else 1 / parts[1]
                scale_row(scores[r], parts[1:], count)
            multiply(low, memory, (y_at, y_row), zeros, (at[0], keys, 1), (v, v_row, 1), rows, ev, seen)


@kernel()
def attention_grad(first, last, lse, constants, places, masks, plan):
    """Write gq, gk, gv; places and plan are for them, then gy, y, q, k, v. The weights are computed once more.

    Where attention is causal, gk and gv are zeros beforehand.
    """
    gq_row, gk_row, gv_row, gy_row, y_row, q_row, k_row, v_row, length, keys, e, ev, causal = plan
    size = lse.itemsize
    low, scale, zeros = constants[:1], constants[1:2], (np.int64(constants.ctypes.data) + 2 * size, 0, 1)
    memory = room(lse, max(keys, e, ev))
    block = min(length, max(SCORES // keys, 1))
    weights, slopes = np.empty((block, keys), lse.dtype), np.empty((block, keys), lse.dtype)
    w, s = np.int64(weights.ctypes.data), np.int64(slopes.ctypes.data)
    for b in range(first, last):
        for i0 in range(0, length, block):
            gq, gk, gv, gy = places[0, b], places[1, b], places[2, b], places[3, b]
            y, q, k, v = places[4, b], places[5, b], places[6, b], places[7, b]
            gq, gy, y = gq + i0 * gq_row * size, gy + i0 * gy_row * size, y + i0 * y_row * size
            q += i0 * q_row * size
            rows = min(block, length - i0)
            seen = min(keys, i0 + rows) if causal else keys
            multiply(low, memory, (w, keys), zeros, (q, q_row, 1), (k, 1, k_row), rows, seen, e)
            multiply(low, memory, (s, keys), zeros, (gy, gy_row, 1), (v, 1, v_row), rows, seen, ev)
            for r in range(rows):
                i = i0 + r
                count = min(i + 1, seen) if causal else seen
                row, slope = weights[r], slopes[r]
                scale_and_hide(row[:count], scale, masks, b, i)
                out, back = y + r * y_row * size, gy + r * gy_row * size
                slope_row(row, slope, scale, lse[b, i:], out, back, ev, count)
                row[count:seen] = 0
                slope[count:seen] = 0
            more = causal or i0
            gv_start, gk_start = (gv, gv_row, 1) if more else zeros, (gk, gk_row, 1) if more else zeros
            multiply(low, memory, (gv, gv_row), gv_start, (w, 1, keys), (gy, gy_row, 1), seen, ev, rows)
            multiply(low, memory, (gq, gq_row), zeros, (s, keys, 1), (k, k_row, 1), rows, e, seen)
            multiply(low, memory, (gk, gk_row), gk_start, (s, 1, keys), (q, q_row, 1), seen, e, rows)
