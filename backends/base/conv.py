"""Convolution as the book has it: im2col, one matrix product, col2im.

Sizes are pairs (height, width). With dilation d a kernel of size k covers d * (k - 1) + 1 pixels, so
OH = (H + 2 * ph - dh * (KH - 1) - 1) // sh + 1, and OW likewise.
"""

from __future__ import annotations

from deepcore.backends.base.array import accumulator


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Return the number of kernel positions along one axis.

    >>> output_size(28, 5, 1, 2, 1), output_size(7, 3, 2, 0, 2)
    (28, 2)
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def window(start: int, step: int, count: int) -> slice:
    """Return the slice of `count` positions from `start`, `step` apart."""
    return slice(start, start + step * count, step)


class Conv:
    """Convolution, its two gradients, and the im2col pair; a mixin of Backend."""

    def im2col(self, x, kernel_size, stride, padding, dilation, constant_value=0):
        """Copy the pixels under every kernel position: x (N, C, H, W) -> (N, C, KH, KW, OH, OW).

        Pixels outside the image have `constant_value`.
        """
        n, c, h, w = x.shape
        (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel_size, stride, padding, dilation
        out_h = output_size(h, kh, sh, ph, dh)
        out_w = output_size(w, kw, sw, pw, dw)
        image = self.xp.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=constant_value)
        cols = self.xp.empty((n, c, kh, kw, out_h, out_w), dtype=x.dtype)
        for j in range(kh):
            for i in range(kw):
                cols[:, :, j, i] = image[:, :, window(j * dh, sh, out_h), window(i * dw, sw, out_w)]
        return cols

    def col2im(self, cols, x_shape, kernel_size, stride, padding, dilation):
        """Add every column back to its pixels, the transpose of im2col.

        cols (N, C, KH, KW, OH, OW) -> x_shape (N, C, H, W).
        """
        n, c, h, w = x_shape
        (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel_size, stride, padding, dilation
        out_h, out_w = cols.shape[4:]
        image = self.xp.zeros((n, c, h + 2 * ph, w + 2 * pw), dtype=accumulator(cols.dtype))
        for j in range(kh):
            for i in range(kw):
                image[:, :, window(j * dh, sh, out_h), window(i * dw, sw, out_w)] += cols[:, :, j, i]
        return self.contiguous(image[:, :, ph : ph + h, pw : pw + w]).astype(cols.dtype, copy=False)

    def conv2d(self, x, w, b, stride, padding, dilation, groups):
        """Cross-correlate: x (N, C, H, W), w (O, C // G, KH, KW), b (O,) or None -> (N, O, OH, OW)."""
        o, _, kh, kw = w.shape
        n, c = x.shape[:2]
        cols = self.im2col(x, (kh, kw), stride, padding, dilation)
        out_h, out_w = cols.shape[4:]
        k = c // groups * kh * kw
        y = self.matmul(w.reshape(groups, o // groups, k), cols.reshape(n, groups, k, out_h * out_w))
        y = y.reshape(n, o, out_h, out_w)
        return y if b is None else y + b.reshape(1, o, 1, 1)

    def conv2d_relu(self, x, w, b, stride, padding, dilation, groups):
        """Return relu(conv2d(...)); shapes as in conv2d."""
        return self.relu(self.conv2d(x, w, b, stride, padding, dilation, groups))

    def conv2d_input(self, gy, w, x_shape, stride, padding, dilation, groups):
        """Return the gradient with respect to x, which is also the transposed convolution of gy.

        gy (N, O, OH, OW), w (O, C // G, KH, KW) -> x_shape (N, C, H, W).
        """
        n, o, out_h, out_w = gy.shape
        kh, kw = w.shape[2:]
        c = x_shape[1]
        k = c // groups * kh * kw
        w_t = w.reshape(groups, o // groups, k).swapaxes(1, 2)
        cols = self.matmul(w_t, gy.reshape(n, groups, o // groups, out_h * out_w))
        return self.col2im(cols.reshape(n, c, kh, kw, out_h, out_w), x_shape, (kh, kw), stride, padding, dilation)

    def conv2d_weight(self, gy, x, w_shape, stride, padding, dilation, groups):
        """Return the gradient with respect to w: gy (N, O, OH, OW), x (N, C, H, W) -> w_shape (O, C // G, KH, KW)."""
        n, o, out_h, out_w = gy.shape
        kh, kw = w_shape[2:]
        c = x.shape[1]
        k = c // groups * kh * kw
        # a transposed convolution may ask for a larger image than its kernel positions cover
        cols = self.im2col(x, (kh, kw), stride, padding, dilation)[..., :out_h, :out_w]
        cols = cols.reshape(n, groups, k, out_h * out_w)
        each = self.matmul(gy.reshape(n, groups, o // groups, out_h * out_w), cols.swapaxes(2, 3))
        return each.sum(axis=0, dtype=accumulator(gy.dtype)).astype(gy.dtype, copy=False).reshape(w_shape)
