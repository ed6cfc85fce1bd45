"""Convolution on device "cpu": im2col by tiles that stay in a core's cache, one single-threaded product for each."""

from __future__ import annotations

import math

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.base.conv import output_size as conv_size
from deepcore.backends.errors import ShapeError, message
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import pieces, team

# one convolution tile: OpenBLAS multiplies fewer than 10**6 numbers without packing them first; below MIN_COLUMNS the
# call itself and above MAX_COLUMNS the cache weighs more
PRODUCT = 10**6
MIN_COLUMNS, MAX_COLUMNS = 384, 4096
BLOCK_BYTES = 2 << 20
ALL = 1 << 20  # the cost of an element that always deserves its own thread


def columns(multiplications: int) -> int:
    """Return how many pixels a tile should have when each takes this many multiplications."""
    return max(MIN_COLUMNS, min(MAX_COLUMNS, PRODUCT // multiplications))


def padded(x, padding):
    """Return x (N, C, H, W) with zeros around every image; x itself without padding."""
    ph, pw = padding
    if not (ph or pw):
        return x
    n, c, h, w = x.shape
    image = np.empty((n, c, h + 2 * ph, w + 2 * pw), x.dtype)
    image[:, :, :ph] = image[:, :, ph + h :] = 0
    image[:, :, :, :pw] = image[:, :, :, pw + w :] = 0
    image[:, :, ph : ph + h, pw : pw + w] = x
    return image


def _check(op, x_shape, w_shape, out_size, stride, padding, dilation, groups) -> None:
    """Raise ShapeError where a convolution kernel, which checks no index, would leave its arrays."""
    reach = [(out_size[i] - 1) * stride[i] + dilation[i] * (w_shape[2 + i] - 1) + 1 for i in range(2)]
    space = [x_shape[2 + i] + 2 * padding[i] for i in range(2)]
    if x_shape[1] != w_shape[1] * groups or min(out_size) < 1 or reach[0] > space[0] or reach[1] > space[1]:
        got = f"x {tuple(x_shape)}, w {tuple(w_shape)}, output {tuple(out_size)}, stride {stride}, padding {padding}, "
        got += f"dilation {dilation}, groups {groups}"
        raise ShapeError(message(op, "C == w.shape[1] * groups and a kernel inside of the padded image", got))


def unpadded(image, padding, h, w):
    """Return the (N, C, h, w) inside of a padded image, C-contiguous."""
    ph, pw = padding
    return np.ascontiguousarray(image[:, :, ph : ph + h, pw : pw + w])


class CpuConv(Backend):
    """The convolution family of CpuBackend."""

    @override()
    def im2col(self, x, kernel_size, stride, padding, dilation, constant_value=0):
        """Copy the pixels under every kernel position; see Conv.im2col."""
        if constant_value != 0 and any(padding):
            return super().im2col(x, kernel_size, stride, padding, dilation, constant_value)
        (n, c, h, w), (kh, kw) = x.shape, kernel_size
        out_h = conv_size(h, kh, stride[0], padding[0], dilation[0])
        out_w = conv_size(w, kw, stride[1], padding[1], dilation[1])
        cols = np.empty((n, c * kh * kw, out_h, out_w), x.dtype)
        team.run(kernels.conv.im2col, n, cols[0].size, cols, padded(x, padding), (*kernel_size, *stride, *dilation))
        return cols.reshape(n, c, kh, kw, out_h, out_w)

    @override()
    def col2im(self, cols, x_shape, kernel_size, stride, padding, dilation):
        """Add every column back to its pixels; see Conv.col2im."""
        (n, c, h, w), (ph, pw) = x_shape, padding
        image = np.zeros((n, c, h + 2 * ph, w + 2 * pw), cols.dtype)
        flat = cols.reshape(n, cols[0].size // math.prod(cols.shape[4:]), *cols.shape[4:])
        team.run(kernels.conv.col2im, n, cols[0].size, image, flat, (*kernel_size, *stride, *dilation))
        return unpadded(image, padding, h, w)

    @override()
    def conv2d(self, x, w, b, stride, padding, dilation, groups):
        """Cross-correlate, by tiles of output rows; see Conv.conv2d."""
        (n, _, h, width), (o, _, kh, kw) = x.shape, w.shape
        out_h = conv_size(h, kh, stride[0], padding[0], dilation[0])
        out_w = conv_size(width, kw, stride[1], padding[1], dilation[1])
        _check("conv2d", x.shape, w.shape, (out_h, out_w), stride, padding, dilation, groups)
        y = np.empty((n, o, out_h, out_w), x.dtype)
        weights = w.reshape(groups, o // groups, w[0].size)
        per_tile = self._rows_per_tile(weights, n * out_h, out_w)
        bias = np.zeros(o, x.dtype) if b is None else b
        geometry = (kh, kw, *stride, *dilation)
        with kernels.blas.one_thread:
            team.run(
                kernels.conv.forward,
                pieces(n * out_h, per_tile),
                ALL,
                y,
                padded(x, padding),
                weights,
                bias,
                geometry,
                per_tile,
            )
        return y

    @override()
    def conv2d_input(self, gy, w, x_shape, stride, padding, dilation, groups):
        """Return the gradient with respect to x, by tiles of images and channels; see Conv.conv2d_input."""
        _check("conv2d_input", x_shape, w.shape, gy.shape[2:], stride, padding, dilation, groups)
        (n, c, h, width), (o, c_group, kh, kw) = x_shape, w.shape
        pixels = gy[0, 0].size
        image = np.zeros((n, c, h + 2 * padding[0], width + 2 * padding[1]), gy.dtype)
        weights = np.ascontiguousarray(w.reshape(groups, o // groups, w[0].size).swapaxes(1, 2))
        channels = max(1, min(c_group, BLOCK_BYTES // (kh * kw * pixels * gy.itemsize)))
        images = max(1, min(pieces(n, team.size), columns(weights[0].size) // pixels)) if channels == c_group else 1
        with kernels.blas.one_thread:
            team.run(
                kernels.conv.input_gradient,
                pieces(n, images) * groups * pieces(c_group, channels),
                ALL,
                image,
                gy,
                weights,
                (kh, kw, *stride, *dilation),
                images,
                channels,
            )
        return unpadded(image, padding, h, width)

    @override()
    def conv2d_weight(self, gy, x, w_shape, stride, padding, dilation, groups):
        """Return the gradient with respect to w, one partial sum for each thread; see Conv.conv2d_weight."""
        _check("conv2d_weight", x.shape, w_shape, gy.shape[2:], stride, padding, dilation, groups)
        (n, o, out_h, out_w), (_, c_group, kh, kw) = gy.shape, w_shape
        shares = min(team.size, n * out_h)
        partial = np.zeros((shares, groups, o // groups, c_group * kh * kw), gy.dtype)
        per_tile = self._rows_per_tile(partial[0], n * out_h, out_w)
        with kernels.blas.one_thread:
            team.run(
                kernels.conv.weight_gradient,
                shares,
                ALL,
                partial,
                gy,
                padded(x, padding),
                (kh, kw, *stride, *dilation),
                per_tile,
            )
        return partial.sum(axis=0).reshape(w_shape)

    def _rows_per_tile(self, weights, total: int, out_w: int) -> int:
        """Return how many output rows make a tile for weights (G, O // G, K)."""
        return max(1, min(columns(weights[0].size) // out_w, pieces(total, team.size)))
