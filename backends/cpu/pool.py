"""Pooling on device "cpu"."""

from __future__ import annotations

import math

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import pieces, team


class CpuPool(Backend):
    """The pooling of CpuBackend."""

    @override()
    def max_pool2d(self, x, kernel_size, stride, padding, dilation, output_size):
        """Return (maxima, their places); see Pool.max_pool2d."""
        n, c, h, w = x.shape
        y = np.empty((n, c, *output_size), x.dtype)
        indices = np.empty(y.shape, np.int64)
        planes = y.reshape(n * c, *output_size), indices.reshape(n * c, *output_size), x.reshape(n * c, h, w)
        cost = 2 * math.prod(output_size) * math.prod(kernel_size)
        reach = [(output_size[i] - 1) * stride[i] + 2 for i in range(2)]
        if (*kernel_size, *padding, *dilation) == (2, 2, 0, 0, 1, 1) and reach[0] <= h and reach[1] <= w:
            team.run(kernels.pool.max_pool_2x2, n * c, cost, *planes, *stride)
        else:
            team.run(kernels.pool.max_pool, n * c, cost, *planes, (*kernel_size, *stride, *padding, *dilation))
        return y, indices

    @override()
    def max_pool2d_marked(self, x, kernel_size, stride, padding, dilation, output_size):
        """Return (maxima, marks); see Pool.max_pool2d_marked. Marks are bytes where windows stand side by side."""
        (n, c, h, w), (out_h, out_w) = x.shape, output_size
        geometry = *kernel_size, *stride, *padding, *dilation
        if geometry != (2, 2, 2, 2, 0, 0, 1, 1) or 2 * out_h > h or 2 * out_w > w:
            return super().max_pool2d_marked(x, kernel_size, stride, padding, dilation, output_size)
        y, padded = np.empty((n, c, out_h, out_w), x.dtype), kernels.pool_2x2.PADDED
        marks = np.empty((n * c, out_h, pieces(out_w, padded) * padded), np.uint8)
        arrays = y.reshape(n * c, out_h, out_w), marks, x.reshape(n * c, h, w)
        team.run(kernels.pool_2x2.max_pool, n * c, out_h * out_w, *arrays)
        return y, marks

    def max_pool2d_places(self, marks, x_shape, output_size):
        """Return the indices for marks; see Pool.max_pool2d_places."""
        if marks.dtype != np.uint8:
            return marks
        (n, c, _, w), (out_h, out_w) = x_shape, output_size
        number = marks[:, :, :out_w].reshape(n, c, out_h, out_w).astype(np.int64)
        rows, columns = 2 * np.arange(out_h).reshape(out_h, 1), 2 * np.arange(out_w)
        return (rows + number // 2) * w + columns + number % 2

    @override()
    def max_pool2d_grad(self, gy, indices, x_shape, kernel_size, stride, padding, dilation):
        """Give every gradient to the place of its maximum; see Pool.max_pool2d_grad."""
        n, c, h, w = x_shape
        if indices.dtype == np.uint8:  # marks
            gx = np.empty(x_shape, gy.dtype)
            arrays = gx.reshape(n * c, h, w), gy.reshape(n * c, *gy.shape[2:]), indices
            team.run(kernels.pool_2x2.max_pool_grad, n * c, h * w, *arrays)
            return gx
        gx = np.zeros(x_shape, gy.dtype)
        planes = (n * c, math.prod(gy.shape[2:]))
        gy, indices = gy.reshape(planes), indices.reshape(planes)
        team.run(kernels.pool.max_pool_grad, n * c, 2 * planes[1], gx.reshape(n * c, h * w), gy, indices)
        return gx

    @override()
    def avg_pool2d(self, x, kernel_size, stride, padding, output_size, count_include_pad, divisor_override):
        """Average each window; see Pool.avg_pool2d."""
        n, c, h, w = x.shape
        y = np.empty((n, c, *output_size), x.dtype)
        team.run(
            kernels.pool.avg_pool,
            n * c,
            math.prod(output_size) * math.prod(kernel_size),
            y.reshape(n * c, *output_size),
            x.reshape(n * c, h, w),
            (*kernel_size, *stride, *padding),
            bool(count_include_pad),
            float(divisor_override or 0),
        )
        return y

    @override()
    def avg_pool2d_grad(self, gy, x_shape, kernel_size, stride, padding, count_include_pad, divisor_override):
        """Spread every gradient evenly over its window; see Pool.avg_pool2d_grad."""
        n, c, h, w = x_shape
        gx = np.zeros(x_shape, gy.dtype)
        team.run(
            kernels.pool.avg_pool_grad,
            n * c,
            gy[0, 0].size * math.prod(kernel_size),
            gx.reshape(n * c, h, w),
            gy.reshape(n * c, *gy.shape[2:]),
            (*kernel_size, *stride, *padding),
            bool(count_include_pad),
            float(divisor_override or 0),
        )
        return gx
