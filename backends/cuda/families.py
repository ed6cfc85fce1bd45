"""The seam's families other than convolution on CUDA kernels: sizes in, one or two launches, arrays out."""

from __future__ import annotations

import math
from typing import Any

import numpy

from deepcore.backends.base.optim import Scaling, corrected, kept
from deepcore.backends.cuda.conv import CudaConv
from deepcore.backends.cuda.core import LIMIT, on_kernels
from deepcore.backends.cuda.ctc import CudaCtc
from deepcore.backends.cuda.gates import CudaGates
from deepcore.backends.cuda.places import CudaPlaces
from deepcore.backends.cuda.recurrent import CudaRecurrent
from deepcore.backends.cuda.rows import CudaRows

NARROW = 8  # below this many neighbours a channel, one block a channel reads memory badly: the reference is better
WORD64 = 2**64 - 1


class CudaFamilies(CudaConv, CudaCtc, CudaGates, CudaPlaces, CudaRecurrent, CudaRows):
    """Pooling, normalisation, activation, loss, random numbers, optimisers, vision."""

    # pooling --------------------------------------------------------------------------------------------------------

    @on_kernels()
    def max_pool2d(self, x, kernel_size, stride, padding, dilation, output_size):
        """Return (maxima, their places h * W + w): x (N, C, H, W) -> y and int64 indices (N, C, OH, OW)."""
        y = self.xp.empty((*x.shape[:2], *output_size), dtype=x.dtype)
        indices = self.xp.empty(y.shape, dtype="int64")
        if y.size:
            sizes = (*x.shape[2:], *output_size, *kernel_size, *stride, *padding)
            shape = self.launch.planes(x.shape[0] * x.shape[1], math.prod(output_size))
            self.launch(self.kernels.pool.max_pool2d, shape, x, y, indices, -math.inf, *sizes, *dilation)
        return y, indices

    @on_kernels()
    def max_pool2d_grad(self, gy, indices, x_shape, kernel_size, stride, padding, dilation):
        """Give every gradient to the place of its maximum: gy, indices (N, C, OH, OW) -> x_shape (N, C, H, W)."""
        gx = self.xp.empty(x_shape, dtype=gy.dtype)
        if gx.size:
            sizes = (*x_shape[2:], *gy.shape[2:], *kernel_size, *stride, *padding)
            shape = self.launch.planes(x_shape[0] * x_shape[1], x_shape[2] * x_shape[3])
            self.launch(self.kernels.pool.max_pool2d_grad, shape, gy, indices, gx, 0, *sizes, *dilation)
        return gx

    @on_kernels()
    def avg_pool2d(self, x, kernel_size, stride, padding, output_size, count_include_pad, divisor_override):
        """Average each window: x (N, C, H, W) -> (N, C, OH, OW); the divisor is PyTorch's."""
        if divisor_override == 0:  # the kernel's sign for "none"
            return super().avg_pool2d(x, kernel_size, stride, padding, output_size, count_include_pad, divisor_override)
        y = self.xp.empty((*x.shape[:2], *output_size), dtype=x.dtype)
        if y.size:
            sizes = (*x.shape[2:], *output_size, *kernel_size, *stride, *padding)
            shape = self.launch.planes(x.shape[0] * x.shape[1], math.prod(output_size))
            divisor = divisor_override or 0
            self.launch(self.kernels.pool.avg_pool2d, shape, x, y, 0, *sizes, bool(count_include_pad), divisor)
        return y

    @on_kernels()
    def avg_pool2d_grad(self, gy, x_shape, kernel_size, stride, padding, count_include_pad, divisor_override):
        """Spread every gradient evenly over its window: gy (N, C, OH, OW) -> x_shape (N, C, H, W)."""
        if divisor_override == 0:
            return super().avg_pool2d_grad(
                gy, x_shape, kernel_size, stride, padding, count_include_pad, divisor_override
            )
        gx = self.xp.empty(x_shape, dtype=gy.dtype)
        if gx.size:
            sizes = (*x_shape[2:], *gy.shape[2:], *kernel_size, *stride, *padding)
            shape = self.launch.planes(x_shape[0] * x_shape[1], x_shape[2] * x_shape[3])
            divisor = divisor_override or 0
            self.launch(self.kernels.pool.avg_pool2d_grad, shape, gy, gx, 0, *sizes, bool(count_include_pad), divisor)
        return gx

    # normalisation --------------------------------------------------------------------------------------------------

    @on_kernels()
    def batch_norm_stats(self, x):
        """Return (mean, biased variance), each (C,), of x (N, C, ...)."""
        n, c, inner = _channels(x)
        if inner < NARROW:
            return super().batch_norm_stats(x)
        kernels = self.kernels.norm
        shape = self.launch.parts(c, n * inner)
        count, mean, m2 = (self.xp.empty((c, shape[0][1]), dtype=x.dtype) for _ in range(3))
        self.launch(kernels.batch_norm_stats_parts, shape, x, count, mean, m2, 0, c, inner, n * inner)
        means, variances = (self.xp.empty((c,), dtype=x.dtype) for _ in range(2))
        merge = self.launch.flat(c, loops=False)
        self.launch(kernels.batch_norm_stats_merge, merge, count, mean, m2, means, variances, c, shape[0][1])
        return means, variances

    @on_kernels()
    def batch_norm_apply(self, x, mean, rstd, w, b):
        """Return (x - mean) * rstd * w + b, all vectors (C,); w and b may be None."""
        n, c, inner = _channels(x)
        if inner < NARROW:
            return super().batch_norm_apply(x, mean, rstd, w, b)
        y = self.xp.empty(x.shape, dtype=x.dtype)
        given = mean if w is None else w, mean if b is None else b  # a pointer is needed even where it is not read
        flags = w is not None, b is not None
        kernel, shape = self.kernels.norm.batch_norm_apply, self.launch.planes(n * c, inner)
        self.launch(kernel, shape, x, mean, rstd, *given, y, c, inner, *flags)
        return y

    @on_kernels()
    def batch_norm_grad(self, gy, x, mean, rstd, w):
        """Return (gx, gw, gb) of the training mode."""
        n, c, inner = _channels(x)
        if inner < NARROW:
            return super().batch_norm_grad(gy, x, mean, rstd, w)
        kernels = self.kernels.norm
        shape = self.launch.parts(c, n * inner)
        parts = shape[0][1]
        gb_parts, gw_parts = (self.xp.empty((c, parts), dtype=x.dtype) for _ in range(2))
        self.launch(kernels.batch_norm_grad_parts, shape, gy, x, mean, rstd, gb_parts, gw_parts, 0, c, inner, n * inner)
        gb, gw = (self.xp.empty((c,), dtype=x.dtype) for _ in range(2))
        self.launch(
            kernels.batch_norm_grad_merge, self.launch.flat(c, loops=False), gb_parts, gw_parts, gb, gw, 0, c, parts
        )
        gx = self.xp.empty(x.shape, dtype=x.dtype)
        sums = mean if w is None else w, gb, gw, gx, 1 / (n * inner)
        planes = self.launch.planes(n * c, inner)
        self.launch(kernels.batch_norm_grad, planes, gy, x, mean, rstd, *sums, c, inner, w is not None)
        return gx, gw, gb

    # activation -----------------------------------------------------------------------------------------------------

    @on_kernels()
    def relu_grad(self, gy, y):
        """Return gy where the output y was positive, else 0."""
        if gy.shape != y.shape:
            return super().relu_grad(gy, y)
        gx = self.xp.empty(y.shape, dtype=y.dtype)
        self.launch(self.kernels.activation.relu_grad, self.launch.flat(y.size), gy, y, gx, 0, y.size)
        return gx

    @on_kernels()
    def bias_relu(self, x, b, axis):
        """Return relu(x + b) with b (D,) along `axis` of x."""
        axis %= x.ndim
        features, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
        y = self.xp.empty(x.shape, dtype=x.dtype)
        per_plane = inner > 1
        if not per_plane:  # the bias runs along memory: a plane is one row of features
            inner, features = features, 1
        shape = self.launch.planes(x.size // inner, inner)
        self.launch(self.kernels.activation.bias_relu, shape, x, b, y, 0, features, inner, per_plane)
        return y

    @on_kernels()
    def bias_relu_grad(self, gy, y, axis):
        """Return (gx, gb) of bias_relu from its output y: gx like y, gb (D,)."""
        gx = self.relu_grad(gy, y)
        others = tuple(a for a in range(y.ndim) if a != axis % y.ndim)
        return gx, gx.sum(axis=others)

    # loss -----------------------------------------------------------------------------------------------------------

    @on_kernels()
    def softmax_cross_entropy(self, logits, target, weight, ignore_index, label_smoothing):
        """Return (losses, lse), each (N,): see the reference."""
        n, c = logits.shape
        losses, lse = (self.xp.empty((n,), dtype=logits.dtype) for _ in range(2))
        given = logits if weight is None else weight
        numbers = c, weight is not None, ignore_index, 1 - label_smoothing, label_smoothing / c
        target = target.astype("int64", copy=False)
        self.launch(
            self.kernels.loss.softmax_cross_entropy,
            self.launch.rows(n, c),
            logits,
            target,
            given,
            losses,
            lse,
            *numbers,
        )
        return losses, lse

    @on_kernels()
    def softmax_cross_entropy_grad(self, g, logits, target, lse, weight, ignore_index, label_smoothing):
        """Return the gradient (N, C) with respect to logits: g (N,) is the gradient of each row's loss."""
        n, c = logits.shape
        gx = self.xp.empty(logits.shape, dtype=logits.dtype)
        given = (logits, logits) if weight is None else (weight, weight.sum())
        numbers = c, weight is not None, ignore_index, 1 - label_smoothing, label_smoothing / c
        target = target.astype("int64", copy=False)
        kernel, shape = self.kernels.loss.softmax_cross_entropy_grad, self.launch.planes(n, c)
        self.launch(kernel, shape, g, logits, target, lse, *given, gx, *numbers)
        return gx

    # random numbers -------------------------------------------------------------------------------------------------

    @on_kernels()
    def philox(self, seed, offset, n):
        """Return n random words, uint32 (n,)."""
        if not 0 < n < LIMIT - 4:
            return super().philox(seed, offset, n)
        return self._draw(self.kernels.random.philox, seed, offset, n, "uint32", 4)

    @on_kernels()
    def uniform(self, seed, offset, shape, dtype):
        """Return values in [0, 1), the reference's bits."""
        n = math.prod(shape)
        if not 0 < n < LIMIT - 4:
            return super().uniform(seed, offset, shape, dtype)
        double = numpy.dtype(dtype) == numpy.float64
        kernel = self.kernels.random.uniform_double if double else self.kernels.random.uniform
        return self._draw(kernel, seed, offset, n, dtype, 2 if double else 4).reshape(shape)

    @on_kernels()
    def normal(self, seed, offset, shape, dtype):
        """Return standard normal values, the reference's bits."""
        n = math.prod(shape)
        if not 0 < n < LIMIT - 4:
            return super().normal(seed, offset, shape, dtype)
        double = numpy.dtype(dtype) == numpy.float64
        kernel = self.kernels.random.normal_double if double else self.kernels.random.normal
        return self._draw(kernel, seed, offset, n, dtype, 2 if double else 4).reshape(shape)

    @on_kernels()
    def dropout(self, x, seed, offset, p):
        """Zero each element with probability p and scale the rest by 1 / (1 - p); on gy it is its own gradient."""
        limit = round(p * 2**32)
        if limit >= 2**32:
            return super().dropout(x, seed, offset, p)
        y = self.xp.empty(x.shape, dtype=x.dtype)
        numbers = 0, 1 / (1 - p), seed & WORD64, offset & WORD64, limit, x.size
        self.launch(self.kernels.random.dropout, self.launch.flat(_ceil(x.size, 4)), x, y, *numbers)
        return y

    def _draw(self, kernel: Any, seed: int, offset: int, n: int, dtype: Any, per_block: int) -> Any:
        """n values out of whole blocks of `per_block`."""
        blocks = _ceil(n, per_block)
        out = self.xp.empty((blocks * per_block,), dtype=dtype)
        self.launch(kernel, self.launch.flat(blocks), out, seed & WORD64, offset & WORD64, blocks)
        return out[:n]

    # optimisers -----------------------------------------------------------------------------------------------------

    @on_kernels(inplace=("params", "buffers"))
    def sgd_update(
        self, params, grads, buffers, lr, momentum, dampening, weight_decay, nesterov, maximize, first, scaling=None
    ) -> None:
        """Step params by stochastic gradient descent, one launch a parameter."""
        numbers = -1 if maximize else 1, lr, momentum, 1 - dampening, weight_decay
        flags = bool(momentum), bool(nesterov), bool(first)
        device = None
        if scaling is not None and params:
            device = self._on_device(params, scaling, kept(self.xp, dampening, first, scaling, params))
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            buffer = buffers[i] if momentum else grad  # a pointer is needed even where it is not used
            arrays = param, grad, buffer, grad if device is None else device
            rest = param.size, *numbers, *flags, device is not None
            self.launch(self.kernels.optim.sgd_update, self.launch.flat(param.size), *arrays, *rest)

    @on_kernels(inplace=("params", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs"))
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
        scaling=None,
    ) -> None:
        """Step params by Adam or AdamW, one launch a parameter."""
        added, shrink = (0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1)
        rate, root, device = 1, 1, None
        if params:
            rate, root = corrected(self.xp, lr, beta1, beta2, step, scaling, params)
        if scaling is not None and params:
            rate, root, device = 1, 1, self._on_device(params, scaling, rate, root)
        numbers = (
            -1 if maximize else 1, rate, 1 - beta1, beta2, 1 - beta2, root, eps, added, shrink,
            max_exp_avg_sqs is not None, device is not None,
        )  # fmt: skip
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            largest = grad if max_exp_avg_sqs is None else max_exp_avg_sqs[i]
            arrays = param, grad, exp_avgs[i], exp_avg_sqs[i], largest, grad if device is None else device
            self.launch(self.kernels.optim.adam_update, self.launch.flat(param.size), *arrays, param.size, *numbers)

    @on_kernels(inplace=("grads", "found_inf"))
    def unscale(self, grads, factor, found_inf) -> None:
        """Look for what is not finite and multiply in place, one launch a gradient."""
        for grad in grads:
            arrays = grad, found_inf if factor is None else factor, found_inf
            shape = self.launch.flat(grad.size)
            self.launch(self.kernels.optim.unscale, shape, *arrays, grad.size, factor is not None)

    def _on_device(self, params: list[Any], scaling: Scaling, *numbers: Any) -> Any:
        """(factor, skip, *numbers), numbers or 0-d arrays, as one array for the kernels: nothing comes to the host."""
        dtype = params[0].dtype
        out = self.xp.empty((2 + len(numbers),), dtype=dtype)
        for i, value in enumerate((scaling.factor, scaling.skip, *numbers)):
            out[i] = value
        return out

    # vision ---------------------------------------------------------------------------------------------------------

    @on_kernels()
    def grid_sample(self, x, grid, mode, padding_mode, align_corners):
        """Return x at the grid's points: (N, C, OH, OW)."""
        n, c, h, w = x.shape
        kernels = self.kernels.vision
        padding = {"zeros": kernels.ZEROS, "border": kernels.BORDER, "reflection": kernels.REFLECTION}[padding_mode]
        y = self.xp.empty((n, c, *grid.shape[1:3]), dtype=x.dtype)
        points = grid.shape[1] * grid.shape[2]
        numbers = c, h, w, points, mode == "bilinear", padding, bool(align_corners)
        self.launch(kernels.grid_sample, self.launch.planes(n, points), x, grid, y, *numbers)
        return y


def _channels(x: Any) -> tuple[int, int, int]:
    """(N, C, neighbours in memory of one channel) of x (N, C, ...)."""
    return x.shape[0], x.shape[1], math.prod(x.shape[2:])


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
