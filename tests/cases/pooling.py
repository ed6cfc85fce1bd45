"""Entries for maximum, average and adaptive average pooling."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, distinct, normal, sample
from deepcore.check.oracles import basic as oracles
from deepcore.errors import ConfigError, ShapeError


def _max_samples(rng):
    x = distinct(rng, 2, 2, 7, 6)
    ties = np.array([[[[1.0, 1.0, 0.5], [1.0, 0.5, 0.5], [2.0, 0.5, 2.0]]]])
    return [
        sample("plain", distinct(rng, 1, 2, 4, 6), kernel_size=2),
        sample("overlapping", x, kernel_size=3, stride=2),
        sample("not square", x, kernel_size=(3, 2), stride=(1, 2)),
        sample("padding", x, kernel_size=3, stride=2, padding=1),
        sample("below zero, padding", -np.abs(x), kernel_size=2, padding=1),
        sample("ceil mode", x, kernel_size=2, stride=(3, 2), ceil_mode=True),
        sample("ceil mode, padding", x, kernel_size=3, stride=2, padding=1, ceil_mode=True),
        sample("dilation", x, kernel_size=2, stride=1, padding=1, dilation=(2, 3)),
        sample("indices", x, kernel_size=3, stride=2, padding=1, return_indices=True),
        sample("first of ties", ties, kernel_size=2, stride=1, return_indices=True, diff=()),
        sample("one pixel", distinct(rng, 2, 3, 1, 1), kernel_size=1),
        sample("empty", x[:0], kernel_size=2),
    ]


def _avg_samples(rng):
    x = normal(rng, 2, 2, 7, 6)
    return [
        sample("plain", normal(rng, 1, 2, 4, 6), kernel_size=2),
        sample("overlapping", x, kernel_size=3, stride=2),
        sample("not square", x, kernel_size=(3, 2), stride=(1, 2)),
        sample("padding", x, kernel_size=3, stride=2, padding=1),
        sample("padding not counted", x, kernel_size=3, stride=2, padding=1, count_include_pad=False),
        sample("ceil mode", x, kernel_size=2, stride=(3, 2), ceil_mode=True),
        sample("ceil mode, padding", x, kernel_size=3, stride=2, padding=1, ceil_mode=True),
        sample(
            "ceil mode, padding not counted",
            x,
            kernel_size=(4, 3),
            stride=3,
            padding=1,
            ceil_mode=True,
            count_include_pad=False,
        ),
        sample("divisor", x, kernel_size=2, padding=1, divisor_override=3),
        sample("empty", x[:0], kernel_size=2),
    ]


def _adaptive_samples(rng):
    x = normal(rng, 2, 2, 7, 6)
    return [
        sample("one", x, output_size=1),
        sample("divides", x, output_size=(7, 3)),
        sample("does not divide", x, output_size=(3, 4)),
        sample("larger than the image", normal(rng, 1, 2, 2, 3), output_size=(3, 5)),
        sample("keep one size", x, output_size=(None, 2)),
        sample("empty", x[:0], output_size=2),
    ]


def _window(*args, kernel_size, **kwargs):
    return int(np.prod(oracles.pair(kernel_size)))


_x = np.ones((2, 3, 5, 4))


def _common_errors(name):
    return [
        bad("window larger than the image", ShapeError, rf"^{name}: .*\(2, 3, 5, 4\)", _x, kernel_size=6),
        bad(
            "padding over half the window",
            (ShapeError, ConfigError),
            rf"^{name}: .*padding",
            _x,
            kernel_size=2,
            padding=2,
        ),
        bad("not an image", ShapeError, rf"^{name}: .*\(5,\)", np.ones(5), kernel_size=2),
        bad("stride 0", (ShapeError, ConfigError), rf"^{name}: .*stride", _x, kernel_size=2, stride=0),
    ]


CASES = [
    OpCase(
        "max_pool2d",
        F.max_pool2d,
        oracles.max_pool2d,
        _max_samples,
        length=_window,
        kernels=True,
        errors=_common_errors("max_pool2d"),
    ),
    OpCase(
        "avg_pool2d",
        F.avg_pool2d,
        oracles.avg_pool2d,
        _avg_samples,
        length=_window,
        kernels=True,
        errors=[
            *_common_errors("avg_pool2d"),
            bad(
                "divisor 0", (ShapeError, ConfigError), r"^avg_pool2d: .*divisor", _x, kernel_size=2, divisor_override=0
            ),
        ],
    ),
    OpCase(
        "adaptive_avg_pool2d",
        F.adaptive_avg_pool2d,
        oracles.adaptive_avg_pool2d,
        _adaptive_samples,
        length=lambda x, **kwargs: x.size,
        errors=[
            bad("not an image", ShapeError, r"^adaptive_avg_pool2d: .*\(5,\)", np.ones(5), output_size=2),
            bad("size 0", (ShapeError, ConfigError), r"^adaptive_avg_pool2d: ", _x, output_size=(-1, 2)),
        ],
    ),
]
