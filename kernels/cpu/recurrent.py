"""Recurrent layers, whole sequences at a time; layouts as in backends/base/recurrent.py.

The rows of a batch do not depend on each other, so a range is over blocks of rows and a thread takes its rows through
all time steps without waiting for another: one product and one pass over the gates a step. Weights are packed (see
recurrent_product.py), W_hh^T forward and W_hh in the gradients. starts (T + 1,): the
first row of each step, in time; the steps' rows are the first ones of the batch. bounds: the first row of each block.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.elementary import FMA, sigmoid, tanh
from deepcore.kernels.cpu.recurrent_product import pack, product
from deepcore.kernels.cpu.vector import lanes

__all__ = ["gru", "gru_grad", "lanes", "lstm", "lstm_grad", "pack", "rnn", "rnn_grad"]


@kernel(inlined=True)
def rows_at(starts, step, low, high):
    """Return (first, last) of a block's rows low..high at a step: places in the arrays of all steps."""
    count = starts[step + 1] - starts[step]
    return starts[step] + min(low, count), starts[step] + min(high, count)


@kernel(inlined=True)
def quarters(row):
    """Return the four parts of a row of gates; views, because LLVM vectorises no loop with places like j + size."""
    size = row.size // 4
    return row[:size], row[size : 2 * size], row[2 * size : 3 * size], row[3 * size :]


@kernel(fastmath=FMA, inlined=True)
def activate(x):
    """Put sigmoid(x) in the place of x."""
    for j in range(x.size):
        x[j] = sigmoid(x[j])


@kernel(fastmath=FMA, inlined=True)
def peep(sums, p, cell):
    """Add the peepholes' part p * cell to the gates' sums, several gates (H each) one after the other."""
    size = cell.size
    for k in range(sums.size // size):
        part, weight = sums[k * size : (k + 1) * size], p[k]
        for j in range(size):
            part[j] += weight[j] * cell[j]


@kernel(fastmath=FMA)
def rnn(first, last, y, h, gx, w, starts, bounds, reverse, relu):
    """Write y (M, H), and to h (N, H), at first the start, the last states."""
    steps, size = starts.size - 1, h.shape[1]
    for block in range(first, last):
        low, high = bounds[block], bounds[block + 1]
        for i in range(steps):
            a, b = rows_at(starts, steps - 1 - i if reverse else i, low, high)
            product(y, a, gx, a, h, low, b - a, w, True, i % 2 == 1)
            for r in range(b - a):
                state, out = h[low + r], y[a + r]
                for j in range(size):
                    v = out[j]
                    v = (h.dtype.type(0) if v <= 0 else v) if relu else tanh(v)
                    state[j] = v
                    out[j] = v


@kernel(fastmath=FMA)
def rnn_grad(first, last, dgx, dh, dy, y, w, starts, bounds, reverse, relu):
    """Write dgx (M, H), and to dh (N, H), at first that of the last states, the gradient of the start."""
    steps, size = starts.size - 1, dh.shape[1]
    one, zero = dh.dtype.type(1), dh.dtype.type(0)
    for block in range(first, last):
        low, high = bounds[block], bounds[block + 1]
        for i in range(steps):
            a, b = rows_at(starts, i if reverse else steps - 1 - i, low, high)
            for r in range(b - a):
                state, add, out, target = dh[low + r], dy[a + r], y[a + r], dgx[a + r]
                for j in range(size):
                    g = state[j] + add[j]
                    target[j] = (zero if out[j] <= 0 else g) if relu else g * (one - out[j] * out[j])
            product(dh, low, dh, low, dgx, a, b - a, w, False, i % 2 == 1)


@kernel(fastmath=FMA)
def lstm(first, last, y, h, c, gates, cells, gx, w, p, starts, bounds, reverse, peephole):
    """Write y, gates, cells, and to h and c (N, H), at first the start, the last states; p (3, H)."""
    steps, size = starts.size - 1, h.shape[1]
    for block in range(first, last):
        low, high = bounds[block], bounds[block + 1]
        for step in range(steps):
            a, b = rows_at(starts, steps - 1 - step if reverse else step, low, high)
            product(gates, a, gx, a, h, low, b - a, w, True, step % 2 == 1)
            for r in range(b - a):
                out = gates[a + r]
                state, cell, hidden, kept = h[low + r], c[low + r], y[a + r], cells[a + r]
                if peephole:
                    peep(out[: 2 * size], p, cell)
                activate(out[: 2 * size])
                gate_i, gate_f, gate_g, gate_o = quarters(out)
                for j in range(size):
                    g = tanh(gate_g[j])
                    v = gate_f[j] * cell[j] + gate_i[j] * g
                    gate_g[j] = g
                    cell[j] = v
                    kept[j] = v
                if peephole:
                    peep(gate_o, p[2:], cell)
                activate(gate_o)
                for j in range(size):
                    v = gate_o[j] * tanh(cell[j])
                    state[j] = v
                    hidden[j] = v


@kernel(fastmath=FMA)
def lstm_grad(first, last, dgx, dh, dc, dy, gates, cells, c0, w, p, starts, bounds, reverse, peephole):
    """Write dgx (M, 4 H), and to dh and dc, at first those of the last states, those of the start."""
    steps, size = starts.size - 1, dh.shape[1]
    one = dh.dtype.type(1)
    for block in range(first, last):
        low, high = bounds[block], bounds[block + 1]
        for i in range(steps):
            step = i if reverse else steps - 1 - i
            a, b = rows_at(starts, step, low, high)
            before = step + 1 if reverse else step - 1  # the step that was computed before this one
            a_before, b_before = a, a
            if 0 <= before < steps:
                a_before, b_before = rows_at(starts, before, low, high)
            for r in range(b - a):
                old = cells[a_before + r] if a_before + r < b_before else c0[low + r]
                gate, cell, add, target = gates[a + r], cells[a + r], dy[a + r], dgx[a + r]
                state, memory = dh[low + r], dc[low + r]
                gate_i, gate_f, gate_g, gate_o = quarters(gate)
                to_i, to_f, to_g, to_o = quarters(target)
                for j in range(size):
                    f, o = gate_f[j], gate_o[j]
                    t = tanh(cell[j])
                    g = state[j] + add[j]
                    d_o = g * t * o * (one - o)
                    d_c = memory[j] + g * o * (one - t * t)
                    if peephole:
                        d_c += d_o * p[2, j]
                    d_i = d_c * gate_g[j] * gate_i[j] * (one - gate_i[j])
                    d_f = d_c * old[j] * f * (one - f)
                    to_i[j] = d_i
                    to_f[j] = d_f
                    to_g[j] = d_c * gate_i[j] * (one - gate_g[j] * gate_g[j])
                    to_o[j] = d_o
                    back = d_c * f
                    if peephole:
                        back += d_i * p[0, j] + d_f * p[1, j]
                    memory[j] = back
            product(dh, low, dh, low, dgx, a, b - a, w, False, i % 2 == 1)


@kernel(fastmath=FMA)
def gru(first, last, y, h, gates, gx, w, w_new, bias, starts, bounds, reverse, reset_after):
    """Write y, gates (M, 4 H), and to h, at first the start, the last states.

    w: all three gates with reset_after, else the first two, and w_new the last. bias (3 H,).
    """
    steps, size = starts.size - 1, h.shape[1]
    one = h.dtype.type(1)
    for block in range(first, last):
        low, high = bounds[block], bounds[block + 1]
        hidden = np.empty((high - low, 3 * size if reset_after else 2 * size), h.dtype)
        inner = np.empty((high - low, size), h.dtype)
        extra = np.empty((high - low, size), h.dtype)
        for step in range(steps):
            a, b = rows_at(starts, steps - 1 - step if reverse else step, low, high)
            product(hidden, 0, hidden, 0, h, low, b - a, w, False, step % 2 == 1)
            for r in range(b - a):
                source, add, out, state, more = hidden[r], gx[a + r], gates[a + r], h[low + r], extra[r]
                for j in range(2 * size):
                    out[j] = source[j] + bias[j] + add[j]
                activate(out[: 2 * size])
                if reset_after:
                    part, shift = source[2 * size :], bias[2 * size :]
                    for j in range(size):
                        more[j] = part[j] + shift[j]
                else:
                    for j in range(size):
                        more[j] = out[j] * state[j]
                out[3 * size :] = more
            if not reset_after:
                product(inner, 0, inner, 0, extra, 0, b - a, w_new, False, step % 2 == 1)
            for r in range(b - a):
                gate_r, gate_z, gate_n, _ = quarters(gates[a + r])
                add, state, result = gx[a + r, 2 * size :], h[low + r], y[a + r]
                part, more, shift = inner[r], extra[r], bias[2 * size :]
                for j in range(size):
                    v = gate_r[j] * more[j] if reset_after else part[j] + shift[j]
                    n, z = tanh(add[j] + v), gate_z[j]
                    v = (one - z) * n + z * state[j]
                    gate_n[j] = n
                    state[j] = v
                    result[j] = v


@kernel(fastmath=FMA)
def gru_grad(first, last, dgx, dh, dy, gates, y, h0, w, w_new, starts, bounds, reverse, reset_after):
    """Write dgx (M, 3 H), and to dh, at first that of the last states, that of the start.

    w: all three gates with reset_after, else the first two, and w_new the last.
    """
    steps, size = starts.size - 1, dh.shape[1]
    one = dh.dtype.type(1)
    for block in range(first, last):
        low, high = bounds[block], bounds[block + 1]
        hidden = np.empty(
            (high - low, 3 * size if reset_after else 2 * size), dh.dtype
        )  # what reaches the product with h
        new = np.empty((high - low, size), dh.dtype)
        inner = np.empty((high - low, size), dh.dtype)
        for i in range(steps):
            step = i if reverse else steps - 1 - i
            a, b = rows_at(starts, step, low, high)
            before = step + 1 if reverse else step - 1
            a_before, b_before = a, a
            if 0 <= before < steps:
                a_before, b_before = rows_at(starts, before, low, high)
            for r in range(b - a):
                old = y[a_before + r] if a_before + r < b_before else h0[low + r]
                _, gate_z, gate_n, _ = quarters(gates[a + r])
                to_z, to_n = dgx[a + r, size : 2 * size], dgx[a + r, 2 * size :]
                add, state, to_new = dy[a + r], dh[low + r], new[r]
                for j in range(size):
                    z, n = gate_z[j], gate_n[j]
                    g = state[j] + add[j]
                    d = g * (one - z) * (one - n * n)
                    to_new[j] = d
                    to_n[j] = d
                    to_z[j] = g * (old[j] - n) * z * (one - z)
                    state[j] = g * z
            if not reset_after:
                product(inner, 0, inner, 0, new, 0, b - a, w_new, False, i % 2 == 1)
            for r in range(b - a):
                old = y[a_before + r] if a_before + r < b_before else h0[low + r]
                gate_r, _, _, more = quarters(gates[a + r])
                target, state, part, to_hidden = dgx[a + r], dh[low + r], inner[r], hidden[r]
                to_n = target[2 * size :]
                for j in range(size):
                    d = to_n[j] * more[j] if reset_after else part[j] * old[j]
                    target[j] = d * gate_r[j] * (one - gate_r[j])
                to_hidden[: 2 * size] = target[: 2 * size]
                if reset_after:
                    last_part = to_hidden[2 * size :]
                    for j in range(size):
                        last_part[j] = to_n[j] * gate_r[j]
                else:
                    for j in range(size):
                        state[j] += part[j] * gate_r[j]
            product(dh, low, dh, low, hidden, 0, b - a, w, True, i % 2 == 1)
