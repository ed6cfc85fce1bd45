"""Softmax and cross entropy in one pass on device "cpu"."""

from __future__ import annotations

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import team


class CpuLoss(Backend):
    """The losses of CpuBackend."""

    @override()
    def softmax_cross_entropy(self, logits, target, weight, ignore_index, label_smoothing):
        """Return (losses, lse) of every row; see Loss.softmax_cross_entropy."""
        n, c = logits.shape
        losses, lse = np.empty(n, logits.dtype), np.empty(n, logits.dtype)
        weight = np.ones(c, logits.dtype) if weight is None else weight
        team.run(
            kernels.loss.softmax_cross_entropy,
            n,
            8 * c,  # operations
            losses,
            lse,
            logits,
            target,
            weight,
            int(ignore_index),
            float(label_smoothing),
        )
        return losses, lse

    @override()
    def softmax_cross_entropy_grad(self, g, logits, target, lse, weight, ignore_index, label_smoothing):
        """Return the gradient with respect to logits; see Loss.softmax_cross_entropy_grad."""
        n, c = logits.shape
        out = np.empty_like(logits)
        weight = np.ones(c, logits.dtype) if weight is None else weight
        team.run(
            kernels.loss.softmax_cross_entropy_grad,
            n,
            8 * c,  # operations
            out,
            g,
            logits,
            target,
            lse,
            weight,
            int(ignore_index),
            float(label_smoothing),
        )
        return out
