"""Recurrent layers on device "cpu": a thread takes its share of the batch through all time steps."""

from __future__ import annotations

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import pieces, team

MOST_ROWS = 64  # the gates of this many rows stay in the cache
COST = 20  # operations of one exponential and what goes with it


class CpuRecurrent(Backend):
    """The recurrent layers of CpuBackend."""

    @override()
    def rnn(self, gx, h0, w_hh, steps, reverse, nonlinearity):
        """Return (y, h_n); see Recurrent.rnn."""
        y, h = np.empty((gx.shape[0], h0.shape[1]), gx.dtype), h0.copy()
        _run(
            kernels.recurrent.rnn,
            h.shape[1],
            h,
            steps,
            reverse,
            (y, h, gx, _packed(w_hh, turned=True)),
            nonlinearity == "relu",
        )
        return y, h

    @override()
    def rnn_grad(self, dy, dh_n, y, w_hh, steps, reverse, nonlinearity):
        """Return (dgx, dh0); see Recurrent.rnn_grad."""
        dgx, dh = np.empty_like(y), dh_n.copy()
        arrays, relu = (dgx, dh, dy, y, _packed(w_hh)), nonlinearity == "relu"
        _run(kernels.recurrent.rnn_grad, dh.shape[1], dh, steps, reverse, arrays, relu)
        return dgx, dh

    @override()
    def lstm(self, gx, h0, c0, w_hh, peephole, steps, reverse):
        """Return (y, h_n, c_n, gates, cells); see Recurrent.lstm."""
        h, c = h0.copy(), c0.copy()
        y, cells = (np.empty((gx.shape[0], h.shape[1]), gx.dtype) for _ in range(2))
        gates = np.empty_like(gx)
        arrays = y, h, c, gates, cells, gx, _packed(w_hh, turned=True), h if peephole is None else peephole
        _run(kernels.recurrent.lstm, gx.shape[1], h, steps, reverse, arrays, peephole is not None)
        return y, h, c, gates, cells

    @override()
    def lstm_grad(self, dy, dh_n, dc_n, gates, cells, c0, w_hh, peephole, steps, reverse):
        """Return (dgx, dh0, dc0); see Recurrent.lstm_grad."""
        dgx, dh, dc = np.empty_like(gates), dh_n.copy(), dc_n.copy()
        arrays = dgx, dh, dc, dy, gates, cells, c0, _packed(w_hh), dh if peephole is None else peephole
        _run(kernels.recurrent.lstm_grad, gates.shape[1], dh, steps, reverse, arrays, peephole is not None)
        return dgx, dh, dc

    @override()
    def gru(self, gx, h0, w_hh, b_hh, steps, reverse, reset_after):
        """Return (y, h_n, gates); see Recurrent.gru."""
        size, h = h0.shape[1], h0.copy()
        y, gates = np.empty((gx.shape[0], size), gx.dtype), np.empty((gx.shape[0], 4 * size), gx.dtype)
        bias = np.zeros(3 * size, gx.dtype) if b_hh is None else b_hh
        together = w_hh if reset_after else w_hh[: 2 * size]
        arrays = y, h, gates, gx, _packed(together, turned=True), _packed(w_hh[2 * size :], turned=True), bias
        _run(kernels.recurrent.gru, 3 * size, h, steps, reverse, arrays, bool(reset_after))
        return y, h, gates

    @override()
    def gru_grad(self, dy, dh_n, gates, y, h0, w_hh, steps, reverse, reset_after):
        """Return (dgx, dh0); see Recurrent.gru_grad."""
        size, dh = h0.shape[1], dh_n.copy()
        dgx = np.empty((y.shape[0], 3 * size), y.dtype)
        together = w_hh if reset_after else w_hh[: 2 * size]
        arrays = dgx, dh, dy, gates, y, h0, _packed(together), _packed(w_hh[2 * size :])
        _run(kernels.recurrent.gru_grad, 3 * size, dh, steps, reverse, arrays, bool(reset_after))
        return dgx, dh


def _packed(w, turned=False):
    """Return w, or with `turned` w^T, as the kernels' products read it."""
    k, columns = w.shape[::-1] if turned else w.shape
    width = kernels.recurrent.lanes(w.itemsize)
    panels = pieces(columns, width)
    out = np.empty(panels * width * k, w.dtype)
    team.run(kernels.recurrent.pack, panels, 2 * width * k, out, w, turned)
    return out


def _run(kernel, width, state, steps, reverse, arrays, flag) -> None:
    """Call a kernel for blocks of the rows of state (N, H), which do not depend on each other.

    width: columns of the widest weight.
    """
    n, size = state.shape
    starts = np.concatenate(([0], np.cumsum(steps)))
    blocks = pieces(n, min(pieces(n, team.size), MOST_ROWS))
    bounds = np.array([n * i // blocks for i in range(blocks + 1)])
    cost = len(steps) * size * (width + COST) * n // blocks
    team.run(kernel, blocks, cost, *arrays, starts, bounds, bool(reverse), flag)
