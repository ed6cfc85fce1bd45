"""CTC on device "cpu"."""

from __future__ import annotations

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.base.ctc import states_of
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import team

COST = 60  # operations of a state at a time step: three exponentials and a logarithm


class CpuCtc(Backend):
    """The CTC loss of CpuBackend."""

    @override()
    def ctc_loss(self, log_probs, targets, input_lengths, target_lengths, blank):
        """Return (losses, alpha); see Ctc.ctc_loss."""
        steps, n, classes = log_probs.shape
        states, known, skips = states_of(np, targets, target_lengths, classes, blank)
        count = states.shape[1]
        losses, alpha = np.empty(n, log_probs.dtype), np.empty((steps, n, count), log_probs.dtype)
        arrays = losses, log_probs, states, known, skips, input_lengths, 2 * target_lengths
        team.run(kernels.ctc.alpha, n, COST * steps * count, alpha, *arrays)
        valid = (input_lengths >= 0) & (input_lengths <= steps) & (target_lengths >= 0)
        return np.where(valid & (2 * target_lengths < count), losses, np.nan).astype(losses.dtype), alpha

    @override()
    def ctc_loss_grad(self, g, log_probs, targets, input_lengths, target_lengths, blank, losses, alpha):
        """Return the gradient with respect to log_probs; see Ctc.ctc_loss_grad."""
        steps, n, classes = log_probs.shape
        states, _, skips = states_of(np, targets, target_lengths, classes, blank)
        grad = np.zeros_like(log_probs)
        arrays = log_probs, states, skips, input_lengths, 2 * target_lengths, losses, alpha
        team.run(kernels.ctc.gradient, n, COST * steps * states.shape[1], grad, g, *arrays)
        return grad
