"""One fused pass over all parameters. `numbers` holds the scalars, in the arrays' dtype.

An optimiser has tens of small arrays. They are given as a table of addresses, a column for each parameter, and stand
one behind the other in the range that a kernel shares out: parameter i has the elements ends[i - 1] .. ends[i].
"""

from __future__ import annotations

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from deepcore.kernels.cpu.compiler import kernel


@kernel()
def address(flat):
    """Return where the memory of a flat array begins."""
    return flat.ctypes.data


@intrinsic
def _pointer(typingctx, place):
    """An address as a pointer."""

    def code(context, builder, signature, args):
        return builder.inttoptr(args[0], cgutils.voidptr_t)

    return types.voidptr(place), code


@kernel(inlined=True)
def _part(place, low, high, like):
    """Return elements low .. high of the flat array at an address, with the dtype of `like`."""
    return numba.carray(_pointer(place), (high,), like.dtype)[low:high]


@kernel()
def sgd(first, last, table, ends, numbers, nesterov, start):
    """Step by SGD; table: param, grad, buffer. With `start` the buffer takes the gradient as it is.

    numbers: lr, momentum, 1 - dampening, weight decay, -1 to maximise else 1.
    """
    lr, momentum, keep, decay, sign = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    begin = 0
    for i in range(ends.size):
        low, high = max(first - begin, 0), min(last, ends[i]) - begin
        begin = ends[i]
        if low >= high:
            continue
        param = _part(table[0, i], low, high, numbers)
        grad = _part(table[1, i], low, high, numbers)
        buffer = _part(table[2, i], low, high, numbers)
        for j in range(param.size):
            g = sign * grad[j]
            if decay != 0:
                g += decay * param[j]
            if momentum != 0:
                velocity = g if start else momentum * buffer[j] + keep * g
                buffer[j] = velocity
                g = g + momentum * velocity if nesterov else velocity
            param[j] -= lr * g


@kernel()
def adam(first, last, table, ends, numbers, amsgrad):
    """Step by Adam; table: param, grad, mean, square, largest, which is read with amsgrad only.

    numbers: lr / (1 - beta1**t), sqrt(1 - beta2**t), 1 - beta1, beta2, 1 - beta2, eps, weight decay in the gradient,
    factor of the decoupled decay, -1 to maximise else 1.
    """
    step_size, root, blend1, beta2, blend2 = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    eps, decay, shrink, sign = numbers[5], numbers[6], numbers[7], numbers[8]
    begin = 0
    for i in range(ends.size):
        low, high = max(first - begin, 0), min(last, ends[i]) - begin
        begin = ends[i]
        if low >= high:
            continue
        param = _part(table[0, i], low, high, numbers)
        grad = _part(table[1, i], low, high, numbers)
        mean = _part(table[2, i], low, high, numbers)
        square = _part(table[3, i], low, high, numbers)
        largest = _part(table[4, i], low, high, numbers)
        for j in range(param.size):
            p = param[j] * shrink
            g = sign * grad[j]
            if decay != 0:
                g += decay * p
            m = mean[j] + blend1 * (g - mean[j])
            v = square[j] * beta2 + blend2 * (g * g)
            mean[j] = m
            square[j] = v
            if amsgrad:
                if not v > largest[j] and v == v:
                    v = largest[j]
                largest[j] = v
            param[j] = p - step_size * (m / (np.sqrt(v) / root + eps))
