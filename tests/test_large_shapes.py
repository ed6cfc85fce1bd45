"""Shapes beyond one tile, block or thread: kernels against the reference, values, gradients, the same bits again.

The samples of the op database are small; what splits work among threads shows its faults only on more work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore.check.opdb import host
from deepcore.check.tolerance import assert_close

SAME_CODE = ("numpy", "strict", "simulator")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def labels(count: int, classes: int) -> np.ndarray:
    found = np.random.default_rng(1).integers(0, classes, count)
    found[:: max(1, count // 7)] = -100
    return found


def grid(*shape: int) -> np.ndarray:
    """Positions up to half an image outside."""
    return np.random.default_rng(2).uniform(-1.5, 1.5, (*shape, 2)).astype(np.float32)


def boxes(count: int) -> np.ndarray:
    """(K, 5): boxes of two images of 82 x 76 pixels, some of them partly outside."""
    rng = np.random.default_rng(4)
    corner, size = rng.uniform(-9, 70, (count, 2)), rng.uniform(1, 60, (count, 2))
    return np.concatenate([rng.integers(0, 2, (count, 1)), corner, corner + size], 1).astype(np.float32)


def _cell(gates: int, inputs: int, size: int, states: int, rows: int = 19) -> list[np.ndarray]:
    """States, weights and biases of a recurrent layer."""
    wide = gates * size
    starts = [noise(rows, size, seed=i) for i in range(states)]
    return [*starts, 0.2 * noise(wide, inputs, seed=3), 0.2 * noise(wide, size, seed=4), noise(wide), noise(wide)]


# name -> (op, arguments, length of the longest reduction)
LARGE: dict[str, tuple[Callable[..., Any], list[np.ndarray], int]] = {
    "conv2d, many channels": (F.conv2d, [noise(4, 64, 31, 30), noise(8, 64, 7, 7), noise(8)], 3136),
    "conv2d, many images": (lambda x, w: F.conv2d(x, w, padding=1), [noise(7, 3, 33, 31), noise(5, 3, 3, 3)], 7161),
    "conv2d, stride": (
        lambda x, w: F.conv2d(x, w, stride=2, padding=2),
        [noise(5, 4, 29, 34), noise(6, 4, 5, 5)],
        1305,
    ),
    "conv2d, groups": (
        lambda x, w: F.conv2d(x, w, groups=6, padding=1),
        [noise(5, 6, 25, 23), noise(12, 1, 3, 3)],
        2875,
    ),
    "conv2d, wide image": (F.conv2d, [noise(1, 2, 9, 700), noise(3, 2, 3, 3)], 6282),
    "conv_transpose2d": (
        lambda x, w: F.conv_transpose2d(x, w, stride=2, output_padding=1),
        [noise(5, 6, 17, 19), noise(6, 4, 3, 3)],
        1615,
    ),
    "im2col": (lambda x: F.im2col(x, 3, padding=1), [noise(5, 4, 31, 33)], 9),
    "col2im": (lambda c: F.col2im(c, (5, 4, 31, 33), 3, padding=1), [noise(5 * 31 * 33, 36)], 9),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), [noise(5, 7, 41, 38)], 9),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), [noise(5, 7, 41, 38)], 9),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        [noise(9, 5, 37, 41), noise(5, seed=1), noise(5, seed=2)],
        13653,
    ),
    "batch_norm, features": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        [noise(700, 130), noise(130, seed=1), noise(130, seed=2)],
        700,
    ),
    "batch_norm_relu": (
        lambda x, w, b: F.batch_norm_relu(x, None, None, w, b, training=True),
        [noise(9, 5, 37, 41), noise(5, seed=1), noise(5, seed=2)],
        13653,
    ),
    "batch_norm_relu, residual": (
        lambda x, w, b, r: F.batch_norm_relu(x, None, None, w, b, training=True, residual=r),
        [noise(33, 37, 8, 8), noise(37, seed=1), noise(37, seed=2), noise(33, 37, 8, 8, seed=3)],
        2112,
    ),
    "batch_norm_relu, features": (
        lambda x, w, b, r: F.batch_norm_relu(x, None, None, w, b, training=True, residual=r),
        [noise(301, 211), noise(211, seed=1), noise(211, seed=2), noise(301, 211, seed=3)],
        301,
    ),
    "arithmetic": (lambda a, b: a * b + a / (b * b + 1) - b, [noise(301, 257), noise(301, 257, seed=1)], 1),
    "arithmetic, broadcast": (lambda a, b: a * b + a - b, [noise(301, 257), noise(257, seed=1)], 301),
    "cat": (lambda a, b: dc.cat([a, b], 1), [noise(7, 65, 101), noise(7, 66, 101, seed=1)], 1),
    "relu": (F.relu, [noise(101, 1013)], 1),
    "bias_relu, channels": (F.bias_relu, [noise(9, 5, 37, 41), noise(5, seed=1)], 13653),
    "bias_relu, rows": (F.bias_relu, [noise(517, 301), noise(301, seed=1)], 517),
    "softmax": (lambda x: F.softmax(x, dim=-1), [noise(257, 1025)], 1025),
    "log_softmax": (lambda x: F.log_softmax(x, dim=-1), [noise(513, 1003)], 1003),
    "gelu": (F.gelu, [noise(101, 1013)], 1),
    "softplus": (F.softplus, [noise(101, 1013)], 1),
    "layer_norm": (
        lambda x, w, b: F.layer_norm(x, (129,), w, b),
        [noise(1501, 129), noise(129, seed=1), noise(129, seed=2)],
        1501,
    ),
    "rms_norm": (lambda x, w: F.rms_norm(x, (129,), w), [noise(1501, 129), noise(129, seed=1)], 1501),
    "lstm": (lambda *args: F.lstm(*args)[0], [noise(13, 19, 17), *_cell(4, 17, 37, 2)], 1000),
    "lstm, packed, backwards": (
        lambda *args: F.lstm(*args, batch_sizes=[29, 29, 11, 3], reverse=True)[0],
        [noise(72, 17), *_cell(4, 17, 37, 2, rows=29)],
        1000,
    ),
    "gru": (lambda *args: F.gru(*args)[0], [noise(13, 19, 17), *_cell(3, 17, 37, 1)], 1000),
    "gru, reset before, packed": (
        lambda *args: F.gru(*args, reset_after=False, batch_sizes=[29, 29, 11, 3])[0],
        [noise(72, 17), *_cell(3, 17, 37, 1, rows=29)],
        1000,
    ),
    "rnn": (lambda *args: F.rnn(*args)[0], [noise(13, 19, 17), *_cell(1, 17, 37, 1)], 1000),
    "attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        [noise(3, 2, 67, 33), noise(3, 2, 71, 33, seed=1), noise(3, 2, 71, 21, seed=2)],
        71 * 33,
    ),
    "embedding": (lambda w: F.embedding(_on(w, np.abs(labels(4001, 97))), w), [noise(101, 67)], 4001),
    "index_add": (
        lambda x, v: F.index_add(x, 1, _on(x, np.abs(labels(501, 97))), v),
        [noise(67, 101), noise(67, 501)],
        501,
    ),
    "roi_pool": (lambda x: F.roi_pool(x, _on(x, boxes(31)), (5, 7), 0.5), [noise(2, 9, 41, 38)], 31),
    "roi_align": (
        lambda x: F.roi_align(x, _on(x, boxes(31)), (5, 7), 0.5, 2, True),
        [noise(2, 9, 41, 38)],
        31 * 41,
    ),
    "cross_entropy, many rows": (lambda x: F.cross_entropy(x, _on(x, labels(5003, 11))), [noise(5003, 11)], 5003),
    "cross_entropy, many classes": (
        lambda x: F.cross_entropy(x, _on(x, labels(19, 4099)), label_smoothing=0.1),
        [noise(19, 4099)],
        4099,
    ),
    "dropout": (lambda x: F.dropout(x, 0.4, generator=dc.Generator(3)), [noise(311, 1009)], 1),
    "grid_sample": (F.grid_sample, [noise(6, 3, 40, 37), grid(6, 33, 35)], 1155),
    "linear": (F.linear, [noise(300, 257), noise(129, 257), noise(129)], 300),
}


def _on(x: dc.Tensor, array: np.ndarray) -> dc.Tensor:
    return dc.tensor(array, device=x.device)


def run(name: str, device: str) -> list[np.ndarray]:
    """The value and all gradients of the op, with a random cotangent."""
    op, arrays, _ = LARGE[name]
    tensors = [dc.tensor(a, device=device, requires_grad=True) for a in arrays]
    y = op(*tensors)
    grads = dc.autograd.grad(y, tensors, dc.tensor(noise(*y.shape, seed=9), device=device))
    return [host(t) for t in (y, *grads)]


@pytest.mark.parametrize("name", LARGE)
def test_large_shapes_equal_the_reference(name: str, device: str) -> None:
    if device in SAME_CODE:
        pytest.skip("small shapes tell all where no kernel splits the work")
    first, again, expected = run(name, device), run(name, device), run(name, "numpy")
    for a, b, e in zip(first, again, expected, strict=True):
        assert a.tobytes() == b.tobytes()
        scale = max(1.0, float(np.abs(e).max()))  # sums of thousands of terms: the error is relative to their size
        assert_close(a / scale, e / scale, "float32", LARGE[name][2])
