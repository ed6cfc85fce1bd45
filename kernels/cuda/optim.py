"""Optimiser steps, fused and in place: one read and one write of every array."""

from __future__ import annotations

import math

from numba import cuda

from deepcore.kernels.cuda.declare import kernel

__all__ = ["adam_update", "sgd_update", "unscale"]


@kernel(
    "param: T*, grad: T*, buffer: T*, device: T*, n: i32, sign: T, lr: T, momentum: T, damped: T, weight_decay: T, "
    "with_buffer: i32, nesterov: i32, first: i32, on_device: i32"
)
def sgd_update(
    param, grad, buffer, device, n, sign, lr, momentum, damped, weight_decay, with_buffer, nesterov, first, on_device
):
    """torch.optim.SGD; damped = 1 - dampening, sign = -1 to maximise.

    With on_device: device = (factor of the gradient, whether to skip this step, damped).
    """
    if on_device:
        if device[1] != 0:
            return
        sign *= device[0]
        damped = device[2]
    i = cuda.grid(1)
    while i < n:
        p = param[i]
        g = sign * grad[i] + weight_decay * p
        if with_buffer:
            velocity = g if first else momentum * buffer[i] + damped * g
            buffer[i] = velocity
            g = g + momentum * velocity if nesterov else velocity
        param[i] = p - lr * g
        i += cuda.gridsize(1)


@kernel(
    "param: T*, grad: T*, mean: T*, square: T*, largest: T*, device: T*, n: i32, sign: T, rate: T, left1: T, beta2: T, "
    "left2: T, root: T, eps: T, decay: T, shrink: T, amsgrad: i32, on_device: i32"
)
def adam_update(
    param, grad, mean, square, largest, device, n, sign, rate, left1, beta2, left2, root, eps, decay, shrink, amsgrad,
    on_device,
):  # fmt: skip
    """torch.optim.Adam and AdamW.

    left1 = 1 - beta1, left2 = 1 - beta2, rate = lr / (1 - beta1**t), root = sqrt(1 - beta2**t); AdamW shrinks p by
    shrink = 1 - lr * weight_decay, Adam adds decay * p to the gradient.
    With on_device: device = (factor of the gradient, whether to skip this step, rate, root).
    """
    if on_device:
        if device[1] != 0:
            return
        sign *= device[0]
        rate = device[2]
        root = device[3]
    i = cuda.grid(1)
    while i < n:
        p = param[i]
        g = sign * grad[i] + decay * p
        p *= shrink
        m = mean[i] + left1 * (g - mean[i])
        v = beta2 * square[i] + left2 * (g * g)
        mean[i] = m
        square[i] = v
        if amsgrad:
            if largest[i] > v or largest[i] != largest[i]:
                v = largest[i]
            largest[i] = v
        param[i] = p - rate * (m / (math.sqrt(v) / root + eps))
        i += cuda.gridsize(1)


@kernel("grad: T*, factor: T*, found: T*, n: i32, write: i32")
def unscale(grad, factor, found, n, write):
    """found = 1 where a gradient is infinite or NaN (all threads that write, write the same); grad *= factor."""
    i = cuda.grid(1)
    while i < n:
        g = grad[i]
        if g - g != 0:
            found[0] = 1
        if write:
            grad[i] = g * factor[0]
        i += cuda.gridsize(1)
