"""One fused pass over a parameter. Arrays are flat; `numbers` holds the scalars, in the arrays' dtype."""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel


@kernel()
def sgd(first, last, param, grad, buffer, numbers, nesterov, start):
    """Step param by SGD; numbers: lr, momentum, 1 - dampening, weight decay, -1 to maximise else 1.

    With `start` the buffer takes the gradient as it is.
    """
    param, grad, buffer = param[first:last], grad[first:last], buffer[first:last]
    lr, momentum, keep, decay, sign = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    for i in range(param.size):
        g = sign * grad[i]
        if decay != 0:
            g += decay * param[i]
        if momentum != 0:
            velocity = g if start else momentum * buffer[i] + keep * g
            buffer[i] = velocity
            g = g + momentum * velocity if nesterov else velocity
        param[i] -= lr * g


@kernel()
def adam(first, last, param, grad, mean, square, largest, numbers, amsgrad):
    """Step param by Adam; largest is read with amsgrad only.

    numbers: lr / (1 - beta1**t), sqrt(1 - beta2**t), 1 - beta1, beta2, 1 - beta2, eps, weight decay in the gradient,
    factor of the decoupled decay, -1 to maximise else 1.
    """
    param, grad, mean, square = param[first:last], grad[first:last], mean[first:last], square[first:last]
    largest = largest[first:last]
    step_size, root, blend1, beta2, blend2 = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    eps, decay, shrink, sign = numbers[5], numbers[6], numbers[7], numbers[8]
    for i in range(param.size):
        p = param[i] * shrink
        g = sign * grad[i]
        if decay != 0:
            g += decay * p
        m = mean[i] + blend1 * (g - mean[i])
        v = square[i] * beta2 + blend2 * (g * g)
        mean[i] = m
        square[i] = v
        if amsgrad:
            if not v > largest[i] and v == v:
                v = largest[i]
            largest[i] = v
        param[i] = p - step_size * (m / (np.sqrt(v) / root + eps))
