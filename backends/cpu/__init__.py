"""The backend of device "cpu": NumPy arrays, Numba kernels, BLAS.

A method stands here only where it was measured to be faster than the reference; the rest is inherited.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore.backends.cpu.attention import CpuAttention
from deepcore.backends.cpu.conv import ALL, CpuConv
from deepcore.backends.cpu.ctc import CpuCtc
from deepcore.backends.cpu.gates import CpuGates
from deepcore.backends.cpu.places import CpuPlaces
from deepcore.backends.cpu.recurrent import CpuRecurrent
from deepcore.backends.cpu.rows import CpuRows
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import pieces, team

# below about this many multiplications OpenBLAS uses one thread by itself, and a second one gains nothing
SERIAL_PRODUCT = 1 << 18
CHUNK = 1024  # values that a random kernel makes at a time
PADDING = {"zeros": 0, "border": 1, "reflection": 2}


def rows(x, axis):
    """Return x as (L, D, S): what lies before, along and behind `axis`."""
    axis %= x.ndim
    return x.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))


class CpuBackend(CpuAttention, CpuConv, CpuCtc, CpuGates, CpuPlaces, CpuRecurrent, CpuRows):
    """The default device."""

    name = "cpu"
    device = "cpu"

    def __init__(self) -> None:
        kernels.memory.keep_freed_memory()

    # products

    @override(strided=True)
    def matmul(self, a, b):
        """Return a @ b; see Array.matmul. A product worth it is split into one block for each thread.

        OpenBLAS's own threads wait for each other without sleeping: where other processes want the same cores, small
        products take a hundred times as long.
        """
        if a.ndim < 2 or b.ndim != 2 or a.shape[-1] != b.shape[0]:
            return super().matmul(a, b)
        y = np.empty((*a.shape[:-1], b.shape[1]), a.dtype)
        self._product(y.reshape(-1, y.shape[-1]), a.reshape(-1, a.shape[-1]), b)
        return y

    @override()
    def linear(self, x, w, b):
        """Return x @ w.T + b; see Array.linear."""
        if x.ndim == 0 or x.shape[-1] != w.shape[1]:
            return super().linear(x, w, b)
        y = np.empty((*x.shape[:-1], w.shape[0]), x.dtype)
        self._product(y.reshape(-1, w.shape[0]), x.reshape(-1, w.shape[1]), w.T)
        if b is not None:
            y += b
        return y

    def _product(self, y, a, b) -> None:
        """Write a @ b to y, all two-dimensional, in blocks of rows or, where there are more of them, columns."""
        (m, k), n = a.shape, b.shape[1]
        work = m * n * k
        if work < SERIAL_PRODUCT:
            np.matmul(a, b, out=y)
            return
        blocks = min(team.size, max(m, n), work // SERIAL_PRODUCT)

        def product(first, last):
            for i in range(first, last):
                if m >= n:
                    part = slice(m * i // blocks, m * (i + 1) // blocks)
                    np.matmul(a[part], b, out=y[part])
                else:
                    part = slice(n * i // blocks, n * (i + 1) // blocks)
                    np.matmul(a, b[:, part], out=y[:, part])

        with kernels.blas.one_thread:
            team.run(product, blocks, ALL)

    # pooling

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
    def max_pool2d_grad(self, gy, indices, x_shape, kernel_size, stride, padding, dilation):
        """Give every gradient to the place of its maximum; see Pool.max_pool2d_grad."""
        n, c, h, w = x_shape
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

    # batch normalisation

    @override()
    def batch_norm_stats(self, x):
        """Return (mean, biased variance); see Norm.batch_norm_stats."""
        x = rows(x, 1)
        mean, var = np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
        team.run(kernels.norm.stats, x.shape[1], x[:, 0].size, mean, var, x)
        return mean, var

    @override()
    def batch_norm_apply(self, x, mean, rstd, w, b):
        """Return (x - mean) * rstd * w + b; see Norm.batch_norm_apply."""
        y, x3 = np.empty_like(x), rows(x, 1)
        scale = rstd if w is None else rstd * w
        shift = np.zeros_like(mean) if b is None else b
        planes = x3.shape[0] * x3.shape[1]
        team.run(kernels.norm.apply, planes, x3.shape[2], rows(y, 1), x3, mean, scale, shift)
        return y

    @override()
    def batch_norm_grad(self, gy, x, mean, rstd, w):
        """Return (gx, gw, gb) of the training mode; see Norm.batch_norm_grad."""
        gx, gw, gb = np.empty_like(x), np.empty_like(mean), np.empty_like(mean)
        scale = rstd if w is None else rstd * w
        gy3, x3, gx3 = rows(gy, 1), rows(x, 1), rows(gx, 1)
        team.run(kernels.norm.gradient, x3.shape[1], 3 * x3[:, 0].size, gx3, gw, gb, gy3, x3, mean, rstd, scale)
        return gx, gw, gb

    # activations

    @override()
    def relu(self, x):
        """Return max(x, 0); see Activation.relu."""
        return self.relu_grad(x, x)

    @override()
    def relu_grad(self, gy, y):
        """Return gy where y > 0; see Activation.relu_grad."""
        if gy.shape != y.shape:
            return super().relu_grad(gy, y)
        gx = np.empty_like(gy)
        team.run(kernels.activation.relu_grad, gy.size, 1, gx.reshape(-1), gy.reshape(-1), y.reshape(-1))
        return gx

    @override()
    def bias_relu(self, x, b, axis):
        """Return relu(x + b); see Activation.bias_relu."""
        y, x3 = np.empty_like(x), rows(x, axis)
        n, d, s = x3.shape
        if s == 1:
            team.run(kernels.activation.bias_relu_rows, n, d, y.reshape(n, d), x3.reshape(n, d), b)
        else:
            team.run(kernels.activation.bias_relu, n * d, s, rows(y, axis), x3, b)
        return y

    @override()
    def bias_relu_grad(self, gy, y, axis):
        """Return (gx, gb) of bias_relu; see Activation.bias_relu_grad."""
        gx, y3 = np.empty_like(gy), rows(y, axis)
        gb = np.empty(y3.shape[1], np.float64)
        kernel, arrays = kernels.activation.bias_relu_grad, (rows(gx, axis), gb, rows(gy, axis), y3)
        if y3.shape[2] == 1:
            kernel = kernels.activation.bias_relu_grad_rows
            arrays = tuple(a if a is gb else a.reshape(a.shape[:2]) for a in arrays)
        team.run(kernel, y3.shape[1], y3[:, 0].size, *arrays)
        return gx, gb.astype(gy.dtype, copy=False)

    # loss

    @override()
    def softmax_cross_entropy(self, logits, target, weight, ignore_index, label_smoothing):
        """Return (losses, lse) of every row; see Loss.softmax_cross_entropy."""
        n, c = logits.shape
        losses, lse = np.empty(n, logits.dtype), np.empty(n, logits.dtype)
        weight = np.ones(c, logits.dtype) if weight is None else weight
        team.run(
            kernels.loss.softmax_cross_entropy,
            n,
            20 * c,
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
            20 * c,
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

    # random numbers

    @override()
    def philox(self, seed, offset, n):
        """Return n random words; see Random.philox."""
        words = np.empty(n, np.uint32)
        team.run(kernels.random.philox, pieces(n, 4), 10, words, *_counter(seed, offset))
        return words

    @override()
    def uniform(self, seed, offset, shape, dtype):
        """Return values in [0, 1); see Random.uniform."""
        out = np.empty(shape, dtype)
        team.run(
            kernels.random.uniform, pieces(out.size, CHUNK), 5 * CHUNK, out.reshape(out.size), *_counter(seed, offset)
        )
        return out

    @override()
    def normal(self, seed, offset, shape, dtype):
        """Return standard normal values; see Random.normal."""
        out = np.empty(shape, dtype)
        team.run(
            kernels.random.normal, pieces(out.size, CHUNK), 50 * CHUNK, out.reshape(out.size), *_counter(seed, offset)
        )
        return out

    @override()
    def dropout(self, x, seed, offset, p):
        """Zero each element with probability p; see Random.dropout."""
        limit = round(p * 2**32)
        if limit >= 2**32:
            return np.zeros_like(x)
        y = np.empty_like(x)
        scale = x.dtype.type(1 / (1 - p))
        args = y.reshape(-1), x.reshape(-1), *_counter(seed, offset), np.uint64(limit), scale
        team.run(kernels.random.dropout, pieces(x.size, CHUNK), 5 * CHUNK, *args)
        return y

    # optimisers

    @override(inplace=("params", "buffers"))
    def sgd_update(
        self, params, grads, buffers, lr, momentum, dampening, weight_decay, nesterov, maximize, first
    ) -> None:
        """Step params by stochastic gradient descent, one pass over each; see Optim.sgd_update."""
        if not params:
            return
        numbers = np.array([lr, momentum, 1 - dampening, weight_decay, -1 if maximize else 1], params[0].dtype)
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            p = param.reshape(-1)
            buffer = buffers[i].reshape(-1) if momentum else p
            team.run(kernels.optim.sgd, p.size, 2, p, grad.reshape(-1), buffer, numbers, bool(nesterov), bool(first))

    @override(inplace=("params", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs"))
    def adam_update(
        self,
        params,
        grads,
        exp_avgs,
        exp_avg_sqs,
        max_exp_avg_sqs,
        step,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decoupled,
        maximize,
    ) -> None:
        """Step params by Adam, one pass over each; see Optim.adam_update."""
        if not params:
            return
        amsgrad = max_exp_avg_sqs is not None
        numbers = np.array(
            [
                lr / (1 - beta1**step),
                math.sqrt(1 - beta2**step),
                1 - beta1,
                beta2,
                1 - beta2,
                eps,
                0 if decoupled else weight_decay,
                1 - lr * weight_decay if decoupled else 1,
                -1 if maximize else 1,
            ],
            params[0].dtype,
        )
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            p, mean, square = param.reshape(-1), exp_avgs[i].reshape(-1), exp_avg_sqs[i].reshape(-1)
            largest = max_exp_avg_sqs[i].reshape(-1) if amsgrad else square
            team.run(kernels.optim.adam, p.size, 4, p, grad.reshape(-1), mean, square, largest, numbers, amsgrad)

    # vision

    @override()
    def grid_sample(self, x, grid, mode, padding_mode, align_corners):
        """Return x at the grid's points; see Vision.grid_sample."""
        n, c = x.shape[:2]
        y = np.empty((n, c, *grid.shape[1:3]), x.dtype)
        team.run(
            kernels.vision.grid_sample,
            n,
            4 * y[0].size + 20 * grid[0].size,
            y,
            x,
            grid,
            *_codes(mode, padding_mode, align_corners),
        )
        return y

    @override()
    def grid_sample_grad(self, gy, x, grid, mode, padding_mode, align_corners):
        """Return (gx, ggrid); see Vision.grid_sample_grad."""
        gx, ggrid = np.zeros_like(x), np.empty_like(grid)
        team.run(
            kernels.vision.grid_sample_grad,
            x.shape[0],
            8 * gy[0].size + 20 * grid[0].size,
            gx,
            ggrid,
            gy,
            x,
            grid,
            *_codes(mode, padding_mode, align_corners),
        )
        return gx, ggrid


def _counter(seed: int, offset: int) -> tuple[Any, Any]:
    return np.uint64(seed & (2**64 - 1)), np.uint64(offset & (2**64 - 1))


def _codes(mode: str, padding_mode: str, align_corners: bool) -> tuple[bool, int, bool]:
    return mode == "nearest", PADDING[padding_mode], bool(align_corners)
