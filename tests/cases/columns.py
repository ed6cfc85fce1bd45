"""Entries for im2col and col2im in the book's layout, (N*OH*OW, C*KH*KW)."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, sample
from deepcore.check.oracles import basic as oracles
from deepcore.errors import ShapeError


def _im2col_samples(rng):
    x = normal(rng, 2, 3, 5, 4)
    return [
        sample("plain", normal(rng, 1, 2, 3, 4), kernel_size=2),
        sample("not square", x, kernel_size=(3, 2)),
        sample("stride", x, kernel_size=2, stride=(2, 1)),
        sample("padding", x, kernel_size=3, padding=(1, 2)),
        sample("constant values", x, kernel_size=2, stride=2, padding=1, constant_values=0.75),
        sample("dilation", x, kernel_size=2, dilation=(2, 3)),
        sample("empty", x[:0], kernel_size=2),
    ]


def _col2im_samples(rng):
    shape = (2, 3, 5, 4)
    return [
        sample("plain", normal(rng, 6, 8), input_shape=(1, 2, 3, 4), kernel_size=2),
        sample(
            "stride and padding", normal(rng, 18, 12), input_shape=shape, kernel_size=2, stride=(2, 1), padding=(1, 0)
        ),
        sample("gaps", normal(rng, 8, 3), input_shape=shape, kernel_size=1, stride=(3, 2)),
        sample("dilation", normal(rng, 6, 12), input_shape=shape, kernel_size=2, dilation=(2, 3)),
        sample("last wins", normal(rng, 24, 12), input_shape=shape, kernel_size=2, accumulate=False),
        sample(
            "last wins, stride",
            normal(rng, 12, 27),
            input_shape=shape,
            kernel_size=3,
            stride=2,
            padding=1,
            accumulate=False,
        ),
        sample("empty", normal(rng, 0, 12), input_shape=(0, 3, 5, 4), kernel_size=2),
    ]


def _overlaps(*args, kernel_size, **kwargs):
    return int(np.prod(oracles.pair(kernel_size)))


_x = np.ones((2, 3, 5, 4))

CASES = [
    OpCase(
        "im2col",
        F.im2col,
        oracles.im2col,
        _im2col_samples,
        length=_overlaps,
        kernels=True,
        errors=[
            bad("kernel larger than the image", ShapeError, r"^im2col: .*\(2, 3, 5, 4\)", _x, kernel_size=6),
            bad("not an image", ShapeError, r"^im2col: .*\(5, 4\)", np.ones((5, 4)), kernel_size=2),
        ],
    ),
    OpCase(
        "col2im",
        F.col2im,
        oracles.col2im,
        _col2im_samples,
        length=_overlaps,
        kernels=True,
        errors=[
            bad(
                "columns do not fit",
                ShapeError,
                r"^col2im: .*\(7, 12\)",
                np.ones((7, 12)),
                input_shape=_x.shape,
                kernel_size=2,
            )
        ],
    ),
]
