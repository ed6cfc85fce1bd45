"""Entries for adaptive maxima, pyramids, 1-d and p-norm pooling, unpooling, and regions of interest."""

from __future__ import annotations

from functools import partial

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, distinct, normal, sample
from deepcore.check.oracles import basic as basic
from deepcore.check.oracles import norm_pool as oracles
from deepcore.errors import ConfigError, DTypeError, IndexRangeError, ShapeError


def _adaptive_samples(rng):
    x = distinct(rng, 2, 2, 7, 6)
    ties = np.array([[[[1.0, 1.0, 0.5], [1.0, 2.0, 2.0], [2.0, 0.5, 2.0]]]])
    return [
        sample("one", x, output_size=1, return_indices=True),
        sample("does not divide", x, output_size=(3, 4), return_indices=True),
        sample("larger than the image", distinct(rng, 1, 2, 2, 3), output_size=(3, 5)),
        sample("keep one size", x, output_size=(None, 2)),
        sample("first of ties", ties, output_size=(2, 1), return_indices=True, diff=()),
        sample("empty", x[:0], output_size=2),
    ]


def _pyramid_samples(rng):
    x = distinct(rng, 2, 2, 5, 7)
    return [
        sample("max", x, levels=(1, 2, 3)),
        sample("avg", x, levels=(2,), mode="avg"),
        sample("empty", x[:0]),
    ]


def _row_samples(rng):
    x = distinct(rng, 2, 3, 9)
    return [
        sample("plain", x, kernel_size=2),
        sample("overlapping", x, kernel_size=3, stride=2, padding=1),
        sample("ceil mode", x, kernel_size=4, stride=3, ceil_mode=True),
        sample("empty", x[:0], kernel_size=2),
    ]


def _max_row_samples(rng):
    x = distinct(rng, 2, 3, 9)
    more = [sample("indices", x, kernel_size=2, stride=1, padding=1, dilation=3, return_indices=True)]
    return _row_samples(rng) + more


def _avg_row_samples(rng):
    x = distinct(rng, 2, 3, 9)
    return [*_row_samples(rng), sample("not counted", x, kernel_size=3, padding=1, count_include_pad=False)]


def _max_volume_samples(rng):
    x = distinct(rng, 2, 2, 4, 5, 4)
    return [
        sample("plain", x, kernel_size=2),
        sample("indices", x, kernel_size=(2, 3, 1), stride=(1, 2, 3), padding=(1, 1, 0), return_indices=True),
        sample("dilation, ceil mode", x, kernel_size=2, stride=2, dilation=(1, 2, 3), ceil_mode=True),
        sample("empty", x[:0], kernel_size=2),
    ]


def _avg_volume_samples(rng):
    x = normal(rng, 2, 1, 4, 5, 3)
    return [
        sample("plain", x, kernel_size=2),
        sample("padding", x, kernel_size=3, stride=2, padding=(1, 0, 1), ceil_mode=True),
        sample("not counted", x, kernel_size=(3, 2, 2), padding=1, count_include_pad=False),
        sample("divisor", x, kernel_size=2, padding=1, divisor_override=3),
        sample("empty", x[:0], kernel_size=2),
    ]


def _lp_samples(rng):
    x = normal(rng, 2, 2, 5, 6)
    return [
        sample("euclidean", x, 2, kernel_size=2),
        sample("cubes", np.abs(x), 3.0, kernel_size=(3, 2), stride=(1, 2)),
        sample("a root", np.abs(x), 1.5, kernel_size=2, ceil_mode=True),
        sample("empty", x[:0], 2, kernel_size=2),
    ]


def _unpool_samples(rng):
    x = normal(rng, 2, 2, 2, 3)
    places = np.stack([rng.permutation(24)[:6].reshape(2, 3) for _ in range(4)]).reshape(2, 2, 2, 3).astype(np.int64)
    return [
        sample("plain", x, places, kernel_size=2),
        sample("padding", x, places, kernel_size=4, stride=3, padding=1, output_size=(4, 7)),
        sample("a whole shape", x, places, kernel_size=2, output_size=(2, 2, 5, 6)),
        sample("narrow indices", x, places.astype(np.int32), kernel_size=2),
        sample("empty", x[:0], places[:0], kernel_size=2),
    ]


# (image, x1, y1, x2, y2): inside, over the edge, a point, upside down, outside, larger than the image.
_boxes = np.array(
    [
        [0, 1.1, 0.7, 5.3, 4.2],
        [1, -2.2, 2.3, 3.4, 9.6],
        [1, 2.6, 3.1, 2.6, 3.1],
        [0, 4.3, 3.9, 2.1, 1.2],
        [0, 20.3, 20.4, 25.1, 27.2],
        [1, -9.3, -8.1, 17.2, 15.4],
    ]
)


def _roi_pool_samples(rng):
    x = distinct(rng, 2, 2, 6, 7)
    return [
        sample("boxes", x, _boxes, (2, 3), diff=(0,)),
        sample("scaled", x, _boxes * [1, 2, 2, 2, 2], 3, spatial_scale=0.5, diff=(0,)),
        sample("no boxes", x, _boxes[:0], 2, diff=(0,)),
        sample("halves", x, np.array([[0.0, 0.5, 1.5, 2.5, -0.5]]), 2, diff=(0,)),
    ]


def _roi_align_samples(rng):
    x = normal(rng, 2, 2, 6, 7)
    return [
        sample("boxes", x, _boxes, (2, 3), diff=(0,)),
        sample("aligned", x, _boxes, (2, 3), aligned=True, diff=(0,)),
        sample("ratio", x, _boxes, 2, sampling_ratio=3, diff=(0,)),
        sample("scaled", x, _boxes, 2, spatial_scale=0.25, sampling_ratio=2, aligned=True, diff=(0,)),
        sample("no boxes", x, _boxes[:0], 2, diff=(0,)),
    ]


def _volume(*args, kernel_size, **kwargs):
    return kernel_size**3 if isinstance(kernel_size, int) else int(np.prod(kernel_size))


def _window(*args, kernel_size, **kwargs):
    return int(np.prod(basic.pair(kernel_size)))


_x, _row = np.ones((2, 3, 5, 4)), np.ones((2, 3, 5))
_elsewhere = np.array([[2.0, 0.0, 0.0, 1.0, 1.0]])
_places = np.array([[[[3, 99]]]])


def _roi_errors(name):
    return [
        bad("not an image", ShapeError, rf"^{name}: .*\(5,\)", np.ones(5), _boxes, 2),
        bad("columns of boxes", ShapeError, rf"^{name}: .*boxes \(6, 4\)", _x, _boxes[:, 1:], 2),
        bad("size 0", ShapeError, rf"^{name}: .*output_size", _x, _boxes, 0),
        bad("dtype of boxes", DTypeError, rf"^{name}: .*float32", _x, _boxes.astype(np.float32), 2),
        bad("no such image", IndexRangeError, rf"^{name}: .*0\.\.1", _x, _elsewhere, 2, nan_off_host=True),
    ]


def _row_errors(name):
    return [
        bad("not rows", ShapeError, rf"^{name}: .*\(2, 3, 5, 4\)", _x, kernel_size=2),
        bad("window too long", ShapeError, rf"^{name}: .*\(2, 3, 5\)", _row, kernel_size=6),
        bad("kernel of two", ShapeError, rf"^{name}: .*kernel_size", _row, kernel_size=(2, 2)),
        bad("stride 0", ShapeError, rf"^{name}: .*stride", _row, kernel_size=2, stride=0),
    ]


def _volume_errors(name):
    return [
        bad("not a volume", ShapeError, rf"^{name}: .*\(2, 3, 5, 4\)", _x, kernel_size=2),
        bad("window too long", ShapeError, rf"^{name}: .*\(1, 2, 3, 5, 4\)", _x[None], kernel_size=4),
        bad("kernel of two", ShapeError, rf"^{name}: .*kernel_size", _x[None], kernel_size=(2, 2)),
    ]


CASES = [
    OpCase(
        "adaptive_max_pool2d",
        F.adaptive_max_pool2d,
        oracles.adaptive_max_pool2d,
        _adaptive_samples,
        length=lambda x, **kwargs: x.size,
        errors=[
            bad("not an image", ShapeError, r"^adaptive_max_pool2d: .*\(5,\)", np.ones(5), output_size=2),
            bad("negative", ShapeError, r"^adaptive_max_pool2d: ", _x, output_size=(-1, 2)),
            bad("three sizes", ShapeError, r"^adaptive_max_pool2d: ", _x, output_size=(1, 1, 2)),
        ],
    ),
    OpCase(
        "spatial_pyramid_pool",
        F.spatial_pyramid_pool,
        oracles.spatial_pyramid_pool,
        _pyramid_samples,
        length=lambda x, **kwargs: x.size,
        errors=[
            bad("mode", ConfigError, r"^spatial_pyramid_pool: .*'sum'", _x, mode="sum"),
            bad("no levels", ConfigError, r"^spatial_pyramid_pool: .*levels=\(\)", _x, levels=()),
            bad("not an image", ShapeError, r"^spatial_pyramid_pool: .*\(5,\)", np.ones(5)),
        ],
    ),
    OpCase(
        "max_pool1d",
        F.max_pool1d,
        partial(oracles.pool1d, basic.max_pool2d),
        _max_row_samples,
        length=_window,
        errors=_row_errors("max_pool1d"),
    ),
    OpCase(
        "avg_pool1d",
        F.avg_pool1d,
        partial(oracles.pool1d, basic.avg_pool2d),
        _avg_row_samples,
        length=_window,
        errors=_row_errors("avg_pool1d"),
    ),
    OpCase(
        "max_pool3d",
        F.max_pool3d,
        oracles.pool3d,
        _max_volume_samples,
        length=_volume,
        errors=_volume_errors("max_pool3d"),
    ),
    OpCase(
        "avg_pool3d",
        F.avg_pool3d,
        partial(oracles.pool3d, largest=False),
        _avg_volume_samples,
        length=_volume,
        errors=[
            *_volume_errors("avg_pool3d"),
            bad(
                "padded", ShapeError, r"^avg_pool3d: .*\(6, 3, 3\)", _x[None], kernel_size=(6, 3, 3), padding=(3, 1, 1)
            ),
            bad("divisor 0", ShapeError, r"^avg_pool3d: .*divisor", _x[None], kernel_size=2, divisor_override=0),
        ],
    ),
    OpCase(
        "lp_pool2d",
        F.lp_pool2d,
        oracles.lp_pool2d,
        _lp_samples,
        length=_window,
        errors=[
            bad("p of 0", ConfigError, r"^lp_pool2d: .*norm_type=0", _x, 0, kernel_size=2),
            bad("infinite p", ConfigError, r"^lp_pool2d: .*max_pool2d", _x, np.inf, kernel_size=2),
            bad("not an image", ShapeError, r"^lp_pool2d: .*\(5,\)", np.ones(5), 2, kernel_size=2),
        ],
    ),
    OpCase(
        "max_unpool2d",
        F.max_unpool2d,
        oracles.max_unpool2d,
        _unpool_samples,
        errors=[
            bad("shape of indices", ShapeError, r"^max_unpool2d: .*indices \(1, 1, 1, 2\)", _x, _places, kernel_size=2),
            bad("indices not integers", ShapeError, r"^max_unpool2d: .*float64", _x, _x, kernel_size=2),
            bad(
                "index outside",
                IndexRangeError,
                r"^max_unpool2d: .*0\.\.7",
                np.ones((1, 1, 1, 2)),
                _places,
                kernel_size=2,
                nan_off_host=True,
            ),
            bad(
                "size far off",
                ShapeError,
                r"^max_unpool2d: .*output_size=\(9, 4\)",
                np.ones((1, 1, 1, 2)),
                _places,
                kernel_size=2,
                output_size=(9, 4),
            ),
        ],
    ),
    OpCase(
        "roi_pool",
        F.roi_pool,
        oracles.roi_pool,
        _roi_pool_samples,
        length=lambda x, *args, **kwargs: x.size,
        errors=_roi_errors("roi_pool"),
        no_empty="an image needs pixels; the sample 'no boxes' has an empty result",
        kernels=True,
    ),
    OpCase(
        "roi_align",
        F.roi_align,
        oracles.roi_align,
        _roi_align_samples,
        length=lambda x, *args, **kwargs: x.size,
        errors=_roi_errors("roi_align"),
        no_empty="an image needs pixels; the sample 'no boxes' has an empty result",
    ),
]
