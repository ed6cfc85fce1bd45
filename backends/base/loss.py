"""Softmax and cross-entropy in one step, from integer classes."""

from __future__ import annotations

from deepcore.backends.base.array import accumulator


class Loss:
    """The classification loss; a mixin of Backend. logits (N, C), target (N,) integers, weight (C,) or None."""

    def softmax_cross_entropy(self, logits, target, weight, ignore_index, label_smoothing):
        """Return (losses, lse), each (N,): the loss of every row, not reduced, and log(sum(exp(logits))).

        With e = label_smoothing and the log-probability lp: (1 - e) * w[t] * -lp[t] + e / C * sum_c w[c] * -lp[c].
        A row with target == ignore_index has loss 0. A target outside 0..C-1 gives NaN, because a device cannot raise.
        """
        xp = self.xp
        n, c = logits.shape
        z = logits.astype(accumulator(logits.dtype), copy=False)
        top = z.max(axis=1, keepdims=True) if z.size else z.sum(axis=1, keepdims=True)
        z = z - top  # losses come from these, not from lse: at logits of 1e4 its last digit is 1e-3
        log_sum = xp.log(xp.exp(z).sum(axis=1, keepdims=True))
        lse = (log_sum + top).reshape(n)
        place = xp.clip(target, 0, max(c - 1, 0))
        losses = log_sum.reshape(n) - z[xp.arange(n), place] if z.size else lse
        if weight is not None:
            losses = losses * weight[place]
        if label_smoothing:
            surprise = log_sum - z
            surprise = surprise if weight is None else surprise * weight
            losses = (1 - label_smoothing) * losses + (label_smoothing / c) * surprise.sum(axis=1)
        losses = xp.where(place == target, losses, float("nan"))
        losses = xp.where(target == ignore_index, 0, losses)
        return losses.astype(logits.dtype, copy=False), lse

    def softmax_cross_entropy_grad(self, g, logits, target, lse, weight, ignore_index, label_smoothing):
        """Return the gradient (N, C) with respect to logits: g (N,) is the gradient of each row's loss."""
        xp = self.xp
        n, c = logits.shape
        p = xp.exp(logits - lse.reshape(n, 1))
        hit = target.reshape(n, 1) == xp.arange(c)
        grad = p - hit
        if weight is not None:
            grad = grad * weight[xp.clip(target, 0, max(c - 1, 0))].reshape(n, 1)
        if label_smoothing:
            smooth = p * c - 1 if weight is None else p * weight.sum() - weight
            grad = (1 - label_smoothing) * grad + (label_smoothing / c) * smooth
        grad = xp.where((target == ignore_index).reshape(n, 1), 0, grad * g.reshape(n, 1))
        return grad.astype(logits.dtype, copy=False)
