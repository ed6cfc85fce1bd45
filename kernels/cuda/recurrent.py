"""The gates of one time step, forward and backward, in one launch between two matrix products.

A thread takes one unit of one row. `first`: where the step's rows begin in the arrays of all steps, which lie one after
the other; layouts and formulas are those of backends/base/recurrent.py. H = size.
"""

from __future__ import annotations

import math

from numba import cuda

from deepcore.kernels.cuda.declare import kernel
from deepcore.kernels.cuda.gates import sigmoid_of
from deepcore.kernels.cuda.helpers import quotient

__all__ = ["gru_gates", "gru_gates_grad", "gru_new", "gru_new_grad", "lstm_step", "lstm_step_grad"]


@kernel(
    "gx: T*, sums: T*, p: T*, h: T*, c: T*, y: T*, cells: T*, gates: T*, "
    "first: i32, rows: i32, size: i32, peephole: i32"
)
def lstm_step(gx, sums, p, h, c, y, cells, gates, first, rows, size, peephole):
    """The new h and c (N, H) of a step from sums (n, 4 H) = h W^T; also written to y, cells and gates."""
    i = cuda.grid(1)
    while i < rows * size:
        row = quotient(i, size)
        j = i - row * size
        here, there = row * 4 * size + j, (first + row) * 4 * size + j
        real = type(c[i])
        old = c[i]
        a_i = gx[there] + sums[here]
        a_f = gx[there + size] + sums[here + size]
        a_g = gx[there + 2 * size] + sums[here + 2 * size]
        a_o = gx[there + 3 * size] + sums[here + 3 * size]
        if peephole:
            a_i += p[j] * old
            a_f += p[size + j] * old
        g_i, g_f, g_g = sigmoid_of(a_i), sigmoid_of(a_f), real(math.tanh(a_g))
        new = g_f * old + g_i * g_g
        if peephole:
            a_o += p[2 * size + j] * new
        g_o = sigmoid_of(a_o)
        state = g_o * real(math.tanh(new))
        h[i], c[i] = state, new
        y[first * size + i], cells[first * size + i] = state, new
        gates[there], gates[there + size], gates[there + 2 * size], gates[there + 3 * size] = g_i, g_f, g_g, g_o
        i += cuda.gridsize(1)


@kernel(
    "dy: T*, dh: T*, dc: T*, gates: T*, cells: T*, olds: T*, p: T*, dgx: T*, "
    "first: i32, rows: i32, size: i32, peephole: i32"
)
def lstm_step_grad(dy, dh, dc, gates, cells, olds, p, dgx, first, rows, size, peephole):
    """The step's dgx, and dc (N, H) of the step before; dh (N, H) is read. olds (M, H): the cells before each step."""
    i = cuda.grid(1)
    while i < rows * size:
        row = quotient(i, size)
        j = i - row * size
        there, at = (first + row) * 4 * size + j, first * size + i
        g_i, g_f, g_g, g_o = gates[there], gates[there + size], gates[there + 2 * size], gates[there + 3 * size]
        real = type(g_i)
        one = real(1)
        t = real(math.tanh(cells[at]))
        gh = dh[i] + dy[at]
        d_o = gh * t * g_o * (one - g_o)
        gc = dc[i] + gh * g_o * (one - t * t)
        if peephole:
            gc += d_o * p[2 * size + j]
        d_i, d_f = gc * g_g * g_i * (one - g_i), gc * olds[at] * g_f * (one - g_f)
        back = gc * g_f
        if peephole:
            back += d_i * p[j] + d_f * p[size + j]
        dc[i] = back
        dgx[there], dgx[there + size], dgx[there + 2 * size] = d_i, d_f, gc * g_i * (one - g_g * g_g)
        dgx[there + 3 * size] = d_o
        i += cuda.gridsize(1)


@kernel("gx: T*, sums: T*, bias: T*, h: T*, gates: T*, first: i32, rows: i32, size: i32, biased: i32, reset_after: i32")
def gru_gates(gx, sums, bias, h, gates, first, rows, size, biased, reset_after):
    """r and z of a step and the fourth part of `gates`; sums = h W^T is (n, 3 H) with reset_after, else (n, 2 H)."""
    i = cuda.grid(1)
    while i < rows * size:
        row = quotient(i, size)
        j = i - row * size
        here = row * (3 if reset_after else 2) * size + j
        there, out = (first + row) * 3 * size + j, (first + row) * 4 * size + j
        a_r, a_z = gx[there] + sums[here], gx[there + size] + sums[here + size]
        if biased:
            a_r += bias[j]
            a_z += bias[size + j]
        r = sigmoid_of(a_r)
        extra = r * h[i]
        if reset_after:
            extra = sums[here + 2 * size]
            if biased:
                extra += bias[2 * size + j]
        gates[out], gates[out + size], gates[out + 3 * size] = r, sigmoid_of(a_z), extra
        i += cuda.gridsize(1)


@kernel(
    "gx: T*, inner: T*, bias: T*, h: T*, y: T*, gates: T*, first: i32, rows: i32, size: i32, biased: i32, "
    "reset_after: i32"
)
def gru_new(gx, inner, bias, h, y, gates, first, rows, size, biased, reset_after):
    """The third part of `gates` and the new h (N, H) of a step; inner (n, H) = (r h) W_n^T, unread with reset_after."""
    i = cuda.grid(1)
    while i < rows * size:
        row = quotient(i, size)
        j = i - row * size
        there, out = (first + row) * 3 * size + j, (first + row) * 4 * size + j
        real = type(h[i])
        r, z = gates[out], gates[out + size]
        a = gx[there + 2 * size]
        if reset_after:
            a += r * gates[out + 3 * size]
        else:
            a += inner[i]
            if biased:
                a += bias[2 * size + j]
        n = real(math.tanh(a))
        state = (real(1) - z) * n + z * h[i]
        gates[out + 2 * size] = n
        h[i], y[first * size + i] = state, state
        i += cuda.gridsize(1)


@kernel("dy: T*, dh: T*, gates: T*, olds: T*, dgx: T*, dn: T*, first: i32, rows: i32, size: i32")
def gru_new_grad(dy, dh, gates, olds, dgx, dn, first, rows, size):
    """The step's dgx of z and n, dn (n, H) once more, and in dh (N, H) the part that passes through z."""
    i = cuda.grid(1)
    while i < rows * size:
        row = quotient(i, size)
        j = i - row * size
        there, out, at = (first + row) * 3 * size + j, (first + row) * 4 * size + j, first * size + i
        z, n = gates[out + size], gates[out + 2 * size]
        one = type(z)(1)
        g = dh[i] + dy[at]
        d = g * (one - z) * (one - n * n)
        dgx[there + size], dgx[there + 2 * size] = g * (olds[at] - n) * z * (one - z), d
        dn[i] = d
        dh[i] = g * z
        i += cuda.gridsize(1)


@kernel(
    "inner: T*, dh: T*, gates: T*, olds: T*, dgx: T*, hidden: T*, first: i32, rows: i32, size: i32, reset_after: i32"
)
def gru_gates_grad(inner, dh, gates, olds, dgx, hidden, first, rows, size, reset_after):
    """The step's dgx of r, and `hidden`, what goes into the product with W: (n, 3 H) with reset_after, else (n, 2 H).

    inner (n, H) = dn W_n, unread with reset_after.
    """
    i = cuda.grid(1)
    while i < rows * size:
        row = quotient(i, size)
        j = i - row * size
        here = row * (3 if reset_after else 2) * size + j
        there, out = (first + row) * 3 * size + j, (first + row) * 4 * size + j
        r = gates[out]
        if reset_after:
            dn = dgx[there + 2 * size]
            d = dn * gates[out + 3 * size]
            hidden[here + 2 * size] = dn * r
        else:
            d = inner[i] * olds[first * size + i]
            dh[i] += inner[i] * r
        d *= r * (type(r)(1) - r)
        dgx[there] = d
        hidden[here], hidden[here + size] = d, dgx[there + size]
        i += cuda.gridsize(1)
