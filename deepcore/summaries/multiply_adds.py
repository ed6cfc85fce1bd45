"""How many multiply-adds an op makes: one for each product that is added to a sum of products.

    convolution            N * O * OH * OW * (C / G) * KH * KW      (transposed: N * C * H * W * (O / G) * KH * KW)
    linear, matmul         rows * inner length * columns
    LSTM, GRU, RNN         T * N * gates * H * (D + H) for each layer and direction; gates: 4, 3, 1
    attention              N * heads * L * S * (E + EV): the scores and the weighted mean, also where a mask covers them

Biases, activations, normalisation, pooling and other elementwise work are not counted; nor is padding taken off, so a
pixel in the border counts as one. A multiply-add is two floating-point operations.
"""

from __future__ import annotations

import math
from typing import Any

from deepcore.autograd import Function
from deepcore.functions.conv.conv2d import Conv2d, Conv2dInput
from deepcore.functions.linalg.products import Linear, Matmul
from deepcore.functions.sequence.attention import Attention
from deepcore.functions.sequence.recurrent import _Sequence


def multiply_adds(fn: Function, arrays: list[Any], result: Any) -> int:
    """The multiply-adds of one forward call of `fn` on `arrays`; 0 for an op without products that are summed."""
    if isinstance(fn, Conv2d):
        return result.size * math.prod(arrays[1].shape[1:])
    if isinstance(fn, Conv2dInput):
        return arrays[0].size * math.prod(arrays[1].shape[1:])
    if isinstance(fn, Linear):
        return arrays[0].size * arrays[1].shape[0]
    if isinstance(fn, Matmul):
        return result.size * arrays[0].shape[-1]
    if isinstance(fn, Attention):
        query, key, value = arrays
        return query.size * key.shape[-2] + math.prod(query.shape[:-1]) * value.shape[-2] * value.shape[-1]
    if isinstance(fn, _Sequence):
        rows, wide = arrays[0].shape
        hidden = arrays[1].shape[-1]
        return rows * fn.gates * hidden * (wide + hidden)
    return 0
