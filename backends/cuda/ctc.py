"""CTC on CUDA kernels: one launch for all time steps, where array expressions would be fifteen for each."""

from __future__ import annotations

import math

from deepcore.backends.base.ctc import states_of
from deepcore.backends.cuda.core import LIMIT, KernelBackend, on_kernels


class CudaCtc(KernelBackend):
    """The CTC loss of CudaFamilies."""

    @on_kernels()
    def ctc_loss(self, log_probs, targets, input_lengths, target_lengths, blank):
        """Return (losses, alpha); see Ctc.ctc_loss."""
        xp, (steps, n, classes) = self.xp, log_probs.shape
        states, known, skips = states_of(xp, targets, target_lengths, classes, blank)
        count = states.shape[1]
        if steps * n * count > LIMIT:
            return super().ctc_loss(log_probs, targets, input_lengths, target_lengths, blank)
        alpha, losses = xp.empty((steps, n, count), dtype=log_probs.dtype), xp.empty((n,), dtype=log_probs.dtype)
        flags = (a.astype("int32") for a in (known, skips))
        lengths = (a.astype("int64", copy=False) for a in (input_lengths, 2 * target_lengths))
        arrays = log_probs, states, *flags, *lengths, alpha, losses
        kernel, shape = self.kernels.ctc.ctc_alpha, self.launch.rows(n, count)
        self.launch(kernel, shape, *arrays, -math.inf, steps, n, classes, count)
        valid = (input_lengths >= 0) & (input_lengths <= steps) & (target_lengths >= 0)
        return xp.where(valid & (2 * target_lengths < count), losses, math.nan).astype(losses.dtype), alpha

    @on_kernels()
    def ctc_loss_grad(self, g, log_probs, targets, input_lengths, target_lengths, blank, losses, alpha):
        """Return the gradient with respect to log_probs; see Ctc.ctc_loss_grad."""
        xp, (steps, n, classes) = self.xp, log_probs.shape
        states, _, skips = states_of(xp, targets, target_lengths, classes, blank)
        count = states.shape[1]
        grad = xp.zeros(log_probs.shape, dtype=log_probs.dtype)
        beta, shares = xp.empty((2, n, count), dtype=grad.dtype), xp.empty((n, count), dtype=grad.dtype)
        lengths = (a.astype("int64", copy=False) for a in (input_lengths, 2 * target_lengths))
        arrays = g, log_probs, states, skips.astype("int32"), *lengths, losses, alpha, beta, shares
        kernel, shape = self.kernels.ctc.ctc_grad, self.launch.rows(n, count)
        firsts = xp.empty((n, count), dtype="int32")
        self.launch(kernel, shape, *arrays, firsts, grad, -math.inf, steps, n, classes, count)
        return grad
