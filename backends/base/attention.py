"""Scaled dot-product attention (Vaswani et al. 2017), in the form that keeps no (L, S) array for backward."""

from __future__ import annotations

import math

from deepcore.backends.base.array import accumulator


class Attention:
    """Attention and its gradient; a mixin of Backend.

    q (..., L, E), k (..., S, E), v (..., S, EV) with equal leading axes. mask: bool, broadcasts to (..., L, S), True
    takes part; or None. causal: query i sees the keys 0..i. float16 is computed in float32.
    """

    def _attention_scores(self, q, k, mask, causal, scale):
        """Return q k^T * scale (..., L, S) in the accumulator's dtype, -inf where a key takes no part."""
        xp, wide = self.xp, accumulator(q.dtype)
        scores = self.matmul(q.astype(wide, copy=False) * scale, xp.swapaxes(k.astype(wide, copy=False), -1, -2))
        if causal:
            seen = xp.arange(q.shape[-2]).reshape(-1, 1) >= xp.arange(k.shape[-2])
            mask = seen if mask is None else mask & seen
        return scores if mask is None else xp.where(mask, scores, -math.inf)

    def attention(self, q, k, v, mask, causal, scale):
        """Return (y (..., L, EV), lse (..., L)), where lse = log(sum(exp(scores))) in the accumulator's dtype.

        Where no key takes part y is 0 and lse is inf, so that exp(scores - lse) is 0 too.
        """
        xp, wide = self.xp, accumulator(q.dtype)
        scores = self._attention_scores(q, k, mask, causal, scale)
        if not scores.size:
            y = xp.zeros((*q.shape[:-1], v.shape[-1]), dtype=q.dtype)
            return y, xp.full(q.shape[:-1], math.inf, dtype=wide)
        top = scores.max(axis=-1, keepdims=True)
        top = xp.where(top == -math.inf, 0, top).astype(wide, copy=False)
        e = xp.exp(scores - top)
        total = e.sum(axis=-1, keepdims=True)
        nothing = total == 0
        total = xp.where(nothing, 1, total).astype(wide, copy=False)
        y = self.matmul(e / total, v.astype(wide, copy=False))
        lse = xp.where(nothing, math.inf, top + xp.log(total)).astype(wide, copy=False)
        return y.astype(q.dtype, copy=False), lse[..., 0]

    def attention_grad(self, gy, q, k, v, y, lse, mask, causal, scale):
        """Return (gq, gk, gv) of attention from its outputs; the weights are computed once more (Dao et al. 2022)."""
        xp, wide = self.xp, accumulator(q.dtype)
        weights = xp.exp(self._attention_scores(q, k, mask, causal, scale) - lse.astype(wide, copy=False)[..., None])
        wide_gy = gy.astype(wide, copy=False)
        gv = self.matmul(xp.swapaxes(weights, -1, -2), wide_gy)
        # Softmax's gradient: weights * (g - sum(weights * g)), where the sum is gy . y.
        g = self.matmul(wide_gy, xp.swapaxes(v.astype(wide, copy=False), -1, -2))
        g = weights * (g - (wide_gy * y).sum(axis=-1, keepdims=True)) * scale
        gq = self.matmul(g, k.astype(wide, copy=False))
        gk = self.matmul(xp.swapaxes(g, -1, -2), q.astype(wide, copy=False))
        return tuple(grad.astype(q.dtype, copy=False) for grad in (gq, gk, gv))
