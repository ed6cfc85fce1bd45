"""LSTM and GRU on CUDA: a matrix product and one launch (a GRU two) for each time step."""

from __future__ import annotations

from deepcore.backends.base.recurrent import previous, spans
from deepcore.backends.cuda.core import KernelBackend, on_kernels


class CudaRecurrent(KernelBackend):
    """The recurrent layers of CudaFamilies."""

    @on_kernels()
    def lstm(self, gx, h0, c0, w_hh, peephole, steps, reverse):
        """Return (y, h_n, c_n, gates, cells); see Recurrent.lstm."""
        size, h, c = h0.shape[1], h0.copy(), c0.copy()
        y, cells = (self.xp.empty((gx.shape[0], size), dtype=gx.dtype) for _ in range(2))
        gates, p = self.xp.empty(gx.shape, dtype=gx.dtype), h if peephole is None else peephole
        for first, last in spans(steps, reverse):
            n = last - first
            sums = self.matmul(h[:n], w_hh.T)
            shape, sizes = self.launch.flat(n * size), (first, n, size, peephole is not None)
            self.launch(self.kernels.recurrent.lstm_step, shape, gx, sums, p, h, c, y, cells, gates, *sizes)
        return y, h, c, gates, cells

    @on_kernels()
    def lstm_grad(self, dy, dh_n, dc_n, gates, cells, c0, w_hh, peephole, steps, reverse):
        """Return (dgx, dh0, dc0); see Recurrent.lstm_grad."""
        size, dh, dc = dh_n.shape[1], dh_n.copy(), dc_n.copy()
        olds = previous(self.xp, cells, c0, steps, reverse)
        dgx, p = self.xp.empty(gates.shape, dtype=gates.dtype), dh if peephole is None else peephole
        for first, last in reversed(spans(steps, reverse)):
            n = last - first
            shape, sizes = self.launch.flat(n * size), (first, n, size, peephole is not None)
            self.launch(self.kernels.recurrent.lstm_step_grad, shape, dy, dh, dc, gates, cells, olds, p, dgx, *sizes)
            dh[:n] = self.matmul(dgx[first:last], w_hh)
        return dgx, dh, dc

    @on_kernels()
    def gru(self, gx, h0, w_hh, b_hh, steps, reverse, reset_after):
        """Return (y, h_n, gates); see Recurrent.gru."""
        size, h = h0.shape[1], h0.copy()
        y = self.xp.empty((gx.shape[0], size), dtype=gx.dtype)
        gates = self.xp.empty((gx.shape[0], 4 * size), dtype=gx.dtype)
        together = (w_hh if reset_after else w_hh[: 2 * size]).T
        bias, flags = h if b_hh is None else b_hh, (b_hh is not None, bool(reset_after))
        for first, last in spans(steps, reverse):
            n = last - first
            shape, sizes = self.launch.flat(n * size), (first, n, size)
            sums = inner = self.matmul(h[:n], together)
            self.launch(self.kernels.recurrent.gru_gates, shape, gx, sums, bias, h, gates, *sizes, *flags)
            if not reset_after:
                inner = self.matmul(gates[first:last, 3 * size :], w_hh[2 * size :].T)
            self.launch(self.kernels.recurrent.gru_new, shape, gx, inner, bias, h, y, gates, *sizes, *flags)
        return y, h, gates

    @on_kernels()
    def gru_grad(self, dy, dh_n, gates, y, h0, w_hh, steps, reverse, reset_after):
        """Return (dgx, dh0); see Recurrent.gru_grad."""
        size, dh, kernels = h0.shape[1], dh_n.copy(), self.kernels.recurrent
        olds = previous(self.xp, y, h0, steps, reverse)
        dgx = self.xp.empty((y.shape[0], 3 * size), dtype=y.dtype)
        dn, together = self.xp.empty(h0.shape, dtype=y.dtype), w_hh if reset_after else w_hh[: 2 * size]
        for first, last in reversed(spans(steps, reverse)):
            n = last - first
            shape, sizes = self.launch.flat(n * size), (first, n, size)
            self.launch(kernels.gru_new_grad, shape, dy, dh, gates, olds, dgx, dn, *sizes)
            inner = dn if reset_after else self.matmul(dn[:n], w_hh[2 * size :])
            hidden = self.xp.empty((n, together.shape[0]), dtype=y.dtype)
            self.launch(kernels.gru_gates_grad, shape, inner, dh, gates, olds, dgx, hidden, *sizes, bool(reset_after))
            dh[:n] += self.matmul(hidden, together)
        return dgx, dh
