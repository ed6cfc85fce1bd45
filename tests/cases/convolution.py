"""Entries for the convolution and the transposed convolution of images."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, sample
from deepcore.check.oracles import basic as oracles
from deepcore.errors import ConfigError, DTypeError, ShapeError


def _length(x, w, *rest, **kwargs):
    """Forward sums over the kernel, the weight's gradient over batch and positions: at most the larger argument."""
    return max(x.size, w.size)


def _conv_samples(rng):
    x, w, b = normal(rng, 2, 4, 6, 5), normal(rng, 3, 4, 3, 2), normal(rng, 3)
    return [
        sample("plain", normal(rng, 1, 2, 4, 3), normal(rng, 2, 2, 2, 2), normal(rng, 2)),
        sample("no bias", x, w, None),
        sample("stride", x, w, b, stride=(2, 3)),
        sample("stride leaves a rest", normal(rng, 1, 2, 6, 6), normal(rng, 2, 2, 3, 3), None, stride=2),
        sample("padding", x, w, b, padding=(2, 1)),
        sample("dilation", x, w, b, dilation=(2, 3)),
        sample("everything", x, w, b, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        sample("groups", x, normal(rng, 6, 2, 3, 2), normal(rng, 6), groups=2, padding=1),
        sample("depthwise", x, normal(rng, 8, 1, 3, 3), normal(rng, 8), groups=4, stride=2, padding=1),
        sample("same", x, w, b, padding="same"),
        sample("same, dilated", x, w, None, padding="same", dilation=2),
        sample("same, rows left over", x, normal(rng, 3, 4, 2, 3), None, padding="same"),
        sample("valid", x, w, b, padding="valid"),
        sample("1x1 kernel", x, normal(rng, 3, 4, 1, 1), b),
        sample("1x1 kernel, stride", x, normal(rng, 3, 4, 1, 1), b, stride=2),
        sample("one pixel", normal(rng, 2, 3, 1, 1), normal(rng, 2, 3, 3, 3), normal(rng, 2), padding=1),
        sample("kernel as large as the image", normal(rng, 2, 3, 4, 5), normal(rng, 2, 3, 4, 5), None),
        sample("empty batch", x[:0], w, b),
    ]


def _transposed_samples(rng):
    x, w, b = normal(rng, 2, 4, 3, 4), normal(rng, 4, 3, 3, 2), normal(rng, 3)
    return [
        sample("plain", normal(rng, 1, 2, 2, 3), normal(rng, 2, 2, 2, 2), normal(rng, 2)),
        sample("no bias", x, w, None),
        sample("stride", x, w, b, stride=(2, 3)),
        sample("padding", x, w, b, padding=(1, 0)),
        sample("output padding", x, w, b, stride=(2, 3), padding=1, output_padding=(1, 2)),
        sample("dilation", x, w, b, dilation=(2, 1), padding=1),
        sample("groups", x, normal(rng, 4, 3, 3, 2), normal(rng, 6), groups=2, stride=2, padding=1),
        sample("depthwise", x, normal(rng, 4, 1, 2, 2), None, groups=4, stride=2),
        sample("one pixel", normal(rng, 2, 4, 1, 1), w, b),
        sample("empty batch", x[:0], w, b),
    ]


def _positive(y):
    return np.where(y > 0, y, 0.0)


_x, _w = np.ones((2, 4, 5, 5)), np.ones((3, 4, 3, 3))
_w_transposed = np.ones((4, 3, 3, 3))

CASES = [
    OpCase(
        "conv2d",
        F.conv2d,
        oracles.conv2d,
        _conv_samples,
        length=_length,
        kernels=True,
        errors=[
            bad("channels", ShapeError, r"^conv2d: .*\(2, 4, 5, 5\).*\(3, 2, 3, 3\)", _x, np.ones((3, 2, 3, 3))),
            bad("kernel larger than the image", ShapeError, r"^conv2d: .*\(2, 4, 5, 5\)", _x, np.ones((3, 4, 6, 3))),
            bad("not an image", ShapeError, r"^conv2d: .*\(4, 5\)", np.ones((4, 5)), _w),
            bad("weight not 4-d", ShapeError, r"^conv2d: .*\(3, 4, 3\)", _x, np.ones((3, 4, 3))),
            bad("bias size", ShapeError, r"^conv2d: .*\(4,\)", _x, _w, np.ones(4)),
            bad("groups", ShapeError, r"^conv2d: .*groups", _x, np.ones((3, 2, 3, 3)), groups=2),
            bad("stride 0", (ConfigError, ShapeError), r"^conv2d: .*stride", _x, _w, stride=0),
            bad("negative padding", (ConfigError, ShapeError), r"^conv2d: .*padding", _x, _w, padding=-1),
            bad(
                "same with stride",
                (ConfigError, ShapeError),
                r"^conv2d: .*same.*stride",
                _x,
                _w,
                stride=2,
                padding="same",
            ),
            bad("unknown padding", (ConfigError, ShapeError), r"^conv2d: .*full", _x, _w, padding="full"),
            bad("integers", DTypeError, r"^conv2d: .*int64", _x.astype(np.int64), _w.astype(np.int64)),
            bad("two dtypes", DTypeError, r"^conv2d: .*float64.*float32", _x, _w.astype(np.float32)),
        ],
    ),
    OpCase(
        "conv2d_relu",
        F.conv2d_relu,
        lambda *args, **kwargs: _positive(oracles.conv2d(*args, **kwargs)),
        _conv_samples,
        length=_length,
        errors=[
            bad("channels", ShapeError, r"^conv2d: .*\(2, 4, 5, 5\).*\(3, 2, 3, 3\)", _x, np.ones((3, 2, 3, 3))),
            bad("stride 0", (ConfigError, ShapeError), r"^conv2d: .*stride", _x, _w, stride=0),
        ],
    ),
    OpCase(
        "conv_transpose2d",
        F.conv_transpose2d,
        oracles.conv_transpose2d,
        _transposed_samples,
        length=_length,
        kernels=True,
        errors=[
            bad("channels", ShapeError, r"^conv_transpose2d: .*\(2, 4, 5, 5\).*\(3, 4, 3, 3\)", _x, _w),
            bad(
                "output padding",
                (ConfigError, ShapeError),
                r"^conv_transpose2d: .*output_padding",
                _x,
                _w_transposed,
                output_padding=1,
            ),
            bad("nothing left", ShapeError, r"^conv_transpose2d: ", np.ones((1, 4, 1, 1)), _w_transposed, padding=2),
            bad("not an image", ShapeError, r"^conv_transpose2d: .*\(4, 5\)", np.ones((4, 5)), _w_transposed),
        ],
    ),
]
