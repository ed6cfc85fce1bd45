"""Max and average pooling. The caller gives the output size, which also settles ceil_mode."""

from __future__ import annotations

import numpy

from deepcore.backends.base.array import accumulator
from deepcore.backends.base.conv import window


def lowest(dtype):
    """Return the Python number that no value of dtype is below."""
    dtype = numpy.dtype(dtype)
    if dtype.kind in "fV":
        return -float("inf")
    return False if dtype.kind == "b" else int(numpy.iinfo(dtype).min)


def after(size: int, kernel: int, stride: int, padding: int, dilation: int, out: int) -> int:
    """Return the padding behind the last pixel that `out` windows reach (ceil_mode windows may reach further)."""
    return max(0, (out - 1) * stride + dilation * (kernel - 1) + 1 - size - padding)


class Pool:
    """Pooling and its gradients; a mixin of Backend."""

    def max_pool2d(self, x, kernel_size, stride, padding, dilation, output_size):
        """Return (maxima, their places): x (N, C, H, W) -> y and indices (N, C, OH, OW).

        An index is int64, h * W + w in its image. The first of equal maxima wins and NaN beats all (of several NaN the
        last, as in PyTorch). A window that holds no pixel gives the lowest value and index -1.
        """
        xp = self.xp
        h, w = x.shape[2:]
        (kh, kw), (sh, sw), (ph, pw), (dh, dw), (out_h, out_w) = kernel_size, stride, padding, dilation, output_size
        low = lowest(x.dtype)
        tail_h, tail_w = after(h, kh, sh, ph, dh, out_h), after(w, kw, sw, pw, dw, out_w)
        image = xp.pad(x, ((0, 0), (0, 0), (ph, tail_h), (pw, tail_w)), constant_values=low)
        y = xp.full((*x.shape[:2], out_h, out_w), low, dtype=x.dtype)
        indices = xp.full(y.shape, -1, dtype="int64")
        for j in range(kh):
            for i in range(kw):
                value = image[:, :, window(j * dh, sh, out_h), window(i * dw, sw, out_w)]
                row = (xp.arange(out_h) * sh - ph + j * dh).reshape(out_h, 1)
                col = (xp.arange(out_w) * sw - pw + i * dw).reshape(1, out_w)
                inside = (row >= 0) & (row < h) & (col >= 0) & (col < w)
                better = inside & ((indices < 0) | (value > y) | (value != value))
                y = xp.where(better, value, y)
                indices = xp.where(better, row * w + col, indices)
        return y, indices

    def max_pool2d_marked(self, x, kernel_size, stride, padding, dilation, output_size):
        """Return (maxima, marks): max_pool2d for callers that want no indices but for its gradient.

        Marks say where the maxima lie in a form of the backend's own, which max_pool2d_grad takes too;
        max_pool2d_places makes indices of them. Here they are the indices.
        """
        return self.max_pool2d(x, kernel_size, stride, padding, dilation, output_size)

    def max_pool2d_places(self, marks, x_shape, output_size):
        """Return the indices, as max_pool2d gives them, for the marks of images x_shape (N, C, H, W)."""
        return marks

    def max_pool2d_grad(self, gy, indices, x_shape, kernel_size, stride, padding, dilation):
        """Give every gradient to the place of its maximum: gy, indices (N, C, OH, OW) -> x_shape (N, C, H, W)."""
        n, c, h, w = x_shape
        image = (self.xp.arange(n * c) * (h * w)).reshape(n, c, 1, 1)
        empty = indices < 0
        place = self.xp.where(empty, 0, indices + image)
        values = self.xp.where(empty, 0, gy)
        return self.index_add((n * c * h * w,), gy.dtype, place, values).reshape(x_shape)

    def avg_pool2d(self, x, kernel_size, stride, padding, output_size, count_include_pad, divisor_override):
        """Average each window: x (N, C, H, W) -> (N, C, OH, OW).

        Divides by divisor_override if given, else by the pixels of the window inside the image or, with
        count_include_pad, inside the image and its padding (a ceil_mode window is cut there first), as in PyTorch.
        """
        (kh, kw), (sh, sw), (ph, pw), (out_h, out_w) = kernel_size, stride, padding, output_size
        h, w = x.shape[2:]
        wide = accumulator(x.dtype)
        tail_h, tail_w = after(h, kh, sh, ph, 1, out_h), after(w, kw, sw, pw, 1, out_w)
        image = self.xp.pad(x, ((0, 0), (0, 0), (ph, tail_h), (pw, tail_w)))
        total = self.xp.zeros((*x.shape[:2], out_h, out_w), dtype=wide)
        for j in range(kh):
            for i in range(kw):
                total += image[:, :, window(j, sh, out_h), window(i, sw, out_w)]
        divisor = self._divisor(
            (h, w), kernel_size, stride, padding, output_size, count_include_pad, divisor_override, wide
        )
        return (total / divisor).astype(x.dtype, copy=False)

    def avg_pool2d_grad(self, gy, x_shape, kernel_size, stride, padding, count_include_pad, divisor_override):
        """Spread every gradient evenly over its window: gy (N, C, OH, OW) -> x_shape (N, C, H, W)."""
        (kh, kw), (sh, sw), (ph, pw) = kernel_size, stride, padding
        n, c, h, w = x_shape
        out_h, out_w = gy.shape[2:]
        wide = accumulator(gy.dtype)
        divisor = self._divisor(
            (h, w), kernel_size, stride, padding, (out_h, out_w), count_include_pad, divisor_override, wide
        )
        share = gy / divisor
        tail_h, tail_w = after(h, kh, sh, ph, 1, out_h), after(w, kw, sw, pw, 1, out_w)
        image = self.xp.zeros((n, c, ph + h + tail_h, pw + w + tail_w), dtype=wide)
        for j in range(kh):
            for i in range(kw):
                image[:, :, window(j, sh, out_h), window(i, sw, out_w)] += share
        return self.contiguous(image[:, :, ph : ph + h, pw : pw + w]).astype(gy.dtype, copy=False)

    def _divisor(self, size, kernel_size, stride, padding, output_size, count_include_pad, divisor_override, dtype):
        """Return what each window's sum is divided by: (OH, OW) or (1, 1)."""
        if divisor_override is not None:
            return self.xp.full((1, 1), divisor_override, dtype=dtype)
        counts = []
        for axis in range(2):
            first = self.xp.arange(output_size[axis]) * stride[axis] - padding[axis]
            last = self.xp.minimum(first + kernel_size[axis], size[axis] + padding[axis])
            if not count_include_pad:
                first, last = self.xp.maximum(first, 0), self.xp.minimum(last, size[axis])
            counts.append(self.xp.maximum(last - first, 1))  # a window without pixels has sum 0
        rows, columns = counts
        return (rows.reshape(output_size[0], 1) * columns.reshape(1, output_size[1])).astype(dtype)
