"""Activations, written so that no finite input overflows."""

from __future__ import annotations

from deepcore.backends.base.array import accumulator


def along(vector, ndim: int, axis: int):
    """Return vector (D,) in the shape that broadcasts along `axis` of an array with ndim axes."""
    shape = [1] * ndim
    shape[axis] = vector.shape[0]
    return vector.reshape(shape)


def all_but(ndim: int, axis: int) -> tuple[int, ...]:
    """Return every axis but one."""
    return tuple(a for a in range(ndim) if a != axis % ndim)


class Activation:
    """Elementwise activations and softmax; a mixin of Backend. Arrays of any shape, 0-d included."""

    def relu(self, x):
        """Return max(x, 0); NaN stays NaN."""
        return self.xp.asarray(self.xp.maximum(x, 0))

    def relu_grad(self, gy, y):
        """Return gy where the output y was positive, else 0."""
        return self.xp.where(y <= 0, 0, gy)

    def sigmoid(self, x):
        """Return 1 / (1 + exp(-x)); exp is taken of -|x| only."""
        z = self.xp.exp(-self.xp.abs(x))
        return self.xp.where(x >= 0, 1, z) / (1 + z) if x.ndim else self.sigmoid(x.reshape(1)).reshape(())

    def softmax(self, x, axis):
        """Return exp(x) / sum(exp(x)) along axis, after taking the maximum off."""
        if not x.size:
            return x.copy()
        z = x.astype(accumulator(x.dtype), copy=False)
        e = self.xp.exp(z - z.max(axis=axis, keepdims=True))
        return (e / e.sum(axis=axis, keepdims=True)).astype(x.dtype, copy=False)

    def log_softmax(self, x, axis):
        """Return log(softmax(x)) along axis as x - max - log(sum(exp(x - max)))."""
        if not x.size:
            return x.copy()
        z = x.astype(accumulator(x.dtype), copy=False)
        z = z - z.max(axis=axis, keepdims=True)
        return (z - self.xp.log(self.xp.exp(z).sum(axis=axis, keepdims=True))).astype(x.dtype, copy=False)

    def softmax_grad(self, gy, y, axis):
        """Return the gradient of softmax from its output y: y gy - y sum(y gy) along axis."""
        g = y * gy
        return g - y * g.sum(axis=axis, keepdims=True, dtype=accumulator(g.dtype)).astype(g.dtype, copy=False)

    def log_softmax_grad(self, gy, y, axis):
        """Return the gradient of log_softmax from its output y: gy - exp(y) sum(gy) along axis."""
        total = gy.sum(axis=axis, keepdims=True, dtype=accumulator(gy.dtype)).astype(gy.dtype, copy=False)
        return gy - self.xp.exp(y) * total

    def bias_relu(self, x, b, axis):
        """Return relu(x + b) with b (D,) along `axis` of x."""
        return self.xp.maximum(x + along(b, x.ndim, axis), 0)

    def bias_grad(self, gy, axis):
        """Return the gradient (D,) of a bias along `axis`: gy summed over every other axis."""
        return gy.sum(axis=all_but(gy.ndim, axis), dtype=accumulator(gy.dtype)).astype(gy.dtype, copy=False)

    def bias_relu_grad(self, gy, y, axis):
        """Return (gx, gb) of bias_relu from its output y: gx like y, gb (D,)."""
        gx = self.relu_grad(gy, y)
        gb = gx.sum(axis=all_but(y.ndim, axis), dtype=accumulator(gy.dtype))
        return gx, gb.astype(gy.dtype, copy=False)
