"""Entries for convolutions of sequences and volumes, and for unfold and fold in PyTorch's layout."""

from __future__ import annotations

import math

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, sample
from deepcore.check.oracles import conv_nd as oracles
from deepcore.errors import DTypeError, ShapeError


def _length(x, w, *rest, **kwargs):
    return max(x.size, w.size)


def _conv1d_samples(rng):
    x, w, b = normal(rng, 2, 4, 7), normal(rng, 3, 4, 2), normal(rng, 3)
    return [
        sample("plain", normal(rng, 1, 2, 5), normal(rng, 2, 2, 3), normal(rng, 2)),
        sample("everything", x, w, b, stride=2, padding=(2,), dilation=3),
        sample("depthwise", x, normal(rng, 8, 1, 3), None, groups=4, padding=1),
        sample("same", x, w, b, padding="same", dilation=3),
        sample("valid", x, w, b, padding="valid"),
        sample("empty batch", x[:0], w, b),
    ]


def _transposed1d_samples(rng):
    x, w, b = normal(rng, 2, 4, 3), normal(rng, 4, 3, 3), normal(rng, 3)
    return [
        sample("plain", normal(rng, 1, 2, 3), normal(rng, 2, 2, 2), normal(rng, 2)),
        sample("everything", x, w, b, stride=3, padding=1, output_padding=2, dilation=2),
        sample("groups", x, w, None, stride=2, groups=2),
        sample("empty batch", x[:0], w, b),
    ]


def _conv3d_samples(rng):
    x, w, b = normal(rng, 2, 2, 3, 4, 3), normal(rng, 3, 2, 2, 3, 2), normal(rng, 3)
    return [
        sample("plain", normal(rng, 1, 2, 2, 3, 3), normal(rng, 2, 2, 2, 2, 2), normal(rng, 2)),
        sample("everything", x, w, b, stride=(2, 1, 2), padding=(1, 2, 1), dilation=(2, 1, 3)),
        sample("groups", x, normal(rng, 4, 1, 2, 2, 2), None, groups=2, padding=1),
        sample("same", x, w, b, padding="same", dilation=(1, 2, 1)),
        sample("1x1x1 kernel", x, normal(rng, 3, 2, 1, 1, 1), b),
        sample("empty batch", x[:0], w, b),
    ]


def _transposed3d_samples(rng):
    x, w, b = normal(rng, 2, 2, 2, 2, 3), normal(rng, 2, 2, 2, 3, 2), normal(rng, 2)
    return [
        sample("plain", normal(rng, 1, 2, 2, 2, 2), normal(rng, 2, 2, 2, 2, 2), normal(rng, 2)),
        sample("everything", x, w, b, stride=(2, 1, 2), padding=1, output_padding=(2, 0, 1), dilation=(3, 2, 1)),
        sample("groups", x, normal(rng, 2, 1, 2, 2, 1), None, groups=2, stride=2),
        sample("more padding than kernel", x, w, b, stride=5, padding=2, output_padding=4),
        sample("empty batch", x[:0], w, b),
    ]


def _unfold_samples(rng):
    x = normal(rng, 2, 3, 5, 4)
    return [
        sample("plain", normal(rng, 1, 2, 3, 4), kernel_size=2),
        sample("everything", x, kernel_size=(3, 2), dilation=(1, 2), padding=(1, 2), stride=(2, 1)),
        sample("one image", x[0], kernel_size=2, padding=1),
        sample("empty", x[:0], kernel_size=2),
    ]


def _fold_samples(rng):
    return [
        sample("plain", normal(rng, 1, 8, 6), output_size=(3, 4), kernel_size=2),
        sample(
            "everything",
            normal(rng, 2, 12, 18),
            output_size=(5, 4),
            kernel_size=(3, 2),
            dilation=(1, 2),
            padding=(1, 2),
            stride=(2, 1),
        ),
        sample("one image, gaps", normal(rng, 3, 4), output_size=4, kernel_size=1, stride=3),
        sample("empty", normal(rng, 0, 8, 6), output_size=(3, 4), kernel_size=2),
    ]


def _overlaps(*args, kernel_size, **kwargs):
    return math.prod((kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size)


def _errors(op, x, w, transposed):
    """What every convolution refuses: x and w fit each other."""
    other = np.ones((w.shape[0] + 1, *w.shape[1:])) if transposed else np.ones((w.shape[0], 1, *w.shape[2:]))
    found = [
        bad("channels", ShapeError, rf"^{op}: .*weight \({other.shape[0]}, {other.shape[1]}, ", x, other),
        bad("axes of x", ShapeError, rf"^{op}: .*x \(N, C, .*\(4, 5\)", np.ones((4, 5)), w),
        bad("bias size", ShapeError, rf"^{op}: .*bias \(7,\)", x, w, np.ones(7)),
        bad("stride 0", ShapeError, rf"^{op}: .*stride=0", x, w, stride=0),
        bad("numbers of padding", ShapeError, rf"^{op}: .*padding=\(1, 1\)", x, w, padding=(1, 1)),
        bad("groups", ShapeError, rf"^{op}: .*groups=0", x, w, groups=0),
        bad("unknown padding", ShapeError, rf"^{op}: .*full", x, w, padding="full"),
        bad("two dtypes", DTypeError, rf"^{op}: .*float64.*float32", x, w.astype(np.float32)),
    ]
    if transposed:
        return [*found, bad("output padding", ShapeError, rf"^{op}: .*output_padding", x, w, output_padding=1)]
    return [
        *found,
        bad("kernel too large", ShapeError, rf"^{op}: .*fits", x, np.ones((*w.shape[:2], *[9] * (w.ndim - 2)))),
        bad("same with stride", ShapeError, rf"^{op}: .*same", x, w, stride=2, padding="same"),
    ]


_x1, _w1 = np.ones((2, 4, 5)), np.ones((4, 4, 3))
_x3, _w3 = np.ones((2, 4, 5, 5, 5)), np.ones((4, 4, 3, 3, 3))
_x = np.ones((2, 3, 5, 4))

CASES = [
    OpCase(
        "conv1d", F.conv1d, oracles.conv, _conv1d_samples, length=_length, errors=_errors("conv1d", _x1, _w1, False)
    ),
    OpCase(
        "conv_transpose1d",
        F.conv_transpose1d,
        oracles.conv_transpose,
        _transposed1d_samples,
        length=_length,
        errors=_errors("conv_transpose1d", _x1, _w1, True),
    ),
    OpCase(
        "conv3d", F.conv3d, oracles.conv, _conv3d_samples, length=_length, errors=_errors("conv3d", _x3, _w3, False)
    ),
    OpCase(
        "conv_transpose3d",
        F.conv_transpose3d,
        oracles.conv_transpose,
        _transposed3d_samples,
        length=_length,
        errors=[
            *_errors("conv_transpose3d", _x3, _w3, True),
            bad(
                "nothing left", ShapeError, r"^conv_transpose3d: .*one pixel", np.ones((1, 4, 1, 1, 1)), _w3, padding=2
            ),
        ],
    ),
    OpCase(
        "unfold",
        F.unfold,
        oracles.unfold,
        _unfold_samples,
        length=_overlaps,
        errors=[
            bad("kernel larger than the image", ShapeError, r"^unfold: .*\(2, 3, 5, 4\)", _x, kernel_size=6),
            bad("not an image", ShapeError, r"^unfold: .*\(5, 4\)", np.ones((5, 4)), kernel_size=2),
        ],
    ),
    OpCase(
        "fold",
        F.fold,
        oracles.fold,
        _fold_samples,
        length=_overlaps,
        errors=[
            bad("channels", ShapeError, r"^fold: .*\(2, 7, 6\)", np.ones((2, 7, 6)), output_size=(3, 4), kernel_size=2),
            bad("places", ShapeError, r"^fold: .*2 \* 3", np.ones((2, 8, 5)), output_size=(3, 4), kernel_size=2),
        ],
    ),
]
