"""Convolution on device "cpu": the passes, each given to the algorithm that conv_choice finds for its shape."""

from __future__ import annotations

import math

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.base.conv import output_size
from deepcore.backends.cpu.conv_choice import FORWARD, INPUT, WEIGHT, Algorithms, Problem
from deepcore.backends.cpu.conv_columns import Im2col
from deepcore.backends.cpu.conv_direct import Direct
from deepcore.backends.cpu.winograd import Winograd
from deepcore.backends.cpu.winograd_weight import WinogradWeight
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import team

# In the order in which they are asked. A new algorithm is one line here, before those that it beats.
ALGORITHMS = Algorithms(
    [
        # Winograd's for 3 x 3 kernels comes first
        Winograd(),
        WinogradWeight(),
        Direct(),
        Im2col(),
    ]
)
choice, pinned = ALGORITHMS.choice, ALGORITHMS.pinned


class CpuConv(Backend):
    """The convolution family of CpuBackend."""

    @override()
    def im2col(self, x, kernel_size, stride, padding, dilation, constant_value=0):
        """Copy the pixels under every kernel position; see Conv.im2col."""
        if constant_value != 0 and any(padding):
            return super().im2col(x, kernel_size, stride, padding, dilation, constant_value)
        (n, c, h, w), (kh, kw) = x.shape, kernel_size
        out_h = output_size(h, kh, stride[0], padding[0], dilation[0])
        out_w = output_size(w, kw, stride[1], padding[1], dilation[1])
        cols = np.empty((n, c * kh * kw, out_h, out_w), x.dtype)
        team.run(kernels.conv.im2col, n, cols[0].size, cols, x, (*kernel_size, *stride, *padding, *dilation))
        return cols.reshape(n, c, kh, kw, out_h, out_w)

    @override()
    def col2im(self, cols, x_shape, kernel_size, stride, padding, dilation):
        """Add every column back to its pixels; see Conv.col2im."""
        image = np.zeros(x_shape, cols.dtype)
        n, geometry = x_shape[0], (*kernel_size, *stride, *padding, *dilation)
        flat = cols.reshape(n, cols[0].size // math.prod(cols.shape[4:]), *cols.shape[4:])
        team.run(kernels.conv.col2im, n, cols[0].size, image, flat, geometry)
        return image

    @override()
    def conv2d(self, x, w, b, stride, padding, dilation, groups):
        """Cross-correlate; see Conv.conv2d."""
        return _forward(x, w, b, (stride, padding, dilation, groups), relu=False)

    @override()
    def conv2d_relu(self, x, w, b, stride, padding, dilation, groups):
        """Cross-correlate, with a ReLU before a number is written; see Conv.conv2d_relu."""
        return _forward(x, w, b, (stride, padding, dilation, groups), relu=True)

    @override()
    def conv2d_input(self, gy, w, x_shape, stride, padding, dilation, groups):
        """Return the gradient with respect to x; see Conv.conv2d_input."""
        problem = _problem(INPUT, x_shape, w.shape, gy.shape[2:], gy.dtype, (stride, padding, dilation, groups))
        return choice(problem).input_gradient(problem, gy, w)

    @override()
    def conv2d_weight(self, gy, x, w_shape, stride, padding, dilation, groups):
        """Return the gradient with respect to w; see Conv.conv2d_weight."""
        problem = _problem(WEIGHT, x.shape, w_shape, gy.shape[2:], gy.dtype, (stride, padding, dilation, groups))
        return choice(problem).weight_gradient(problem, gy, x)


def _problem(run, x_shape, w_shape, out, dtype, window) -> Problem:
    (n, c, h, w), (o, c_group, kh, kw), (out_h, out_w) = x_shape, w_shape, out
    stride, padding, dilation, groups = window
    size = (n, c, h, w, o, kh, kw, out_h, out_w)
    problem = Problem(run, dtype.name, *size, stride, padding, dilation, groups)
    if c_group * problem.groups != problem.c:
        problem.refuse(c_group)
    return problem


def _forward(x, w, b, window, relu):
    """Return conv2d(x, w, b), or the ReLU of it; window is (stride, padding, dilation, groups)."""
    stride, padding, dilation, _ = window
    out = [output_size(x.shape[2 + i], w.shape[2 + i], stride[i], padding[i], dilation[i]) for i in (0, 1)]
    problem = _problem(FORWARD, x.shape, w.shape, out, x.dtype, window)
    return choice(problem).forward(problem, x, w, b, relu)
