"""Entries for normalisation of each sample by itself: layer, RMS, group, instance, local response, unit length."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, positive, sample
from deepcore.check.oracles import norm_pool as oracles
from deepcore.errors import ConfigError, DTypeError, ShapeError


def _layer_samples(rng):
    x = normal(rng, 3, 2, 4)
    return [
        sample("affine", x, 4, normal(rng, 4), normal(rng, 4)),
        sample("plain", x, 4),
        sample("two axes", x, (2, 4), normal(rng, 2, 4), normal(rng, 2, 4), eps=0.1),
        sample("no bias", x, (4,), normal(rng, 4), None),
        sample("one vector", normal(rng, 5), 5, None, normal(rng, 5)),
        sample("empty", x[:0], 4, normal(rng, 4), normal(rng, 4)),
    ]


def _rms_samples(rng):
    x = normal(rng, 3, 2, 4)
    return [
        sample("weight", x, 4, normal(rng, 4), eps=1e-5),
        sample("plain", x, (2, 4)),
        sample("one vector", normal(rng, 5), 5, eps=0.1),
        sample("empty", x[:0], 4, normal(rng, 4)),
    ]


def _group_samples(rng):
    x, w, b = normal(rng, 2, 6, 2, 3), normal(rng, 6), normal(rng, 6)
    return [
        sample("affine", x, 3, w, b),
        sample("plain", x, 2),
        sample("one group", x, 1, w, None, eps=0.1),
        sample("one channel a group", x, 6, None, b),
        sample("2-d", normal(rng, 3, 6), 2, normal(rng, 6), normal(rng, 6), eps=0.5),
        sample("empty", x[:0], 2, w, b),
    ]


def _instance_samples(rng):
    x, w, b = normal(rng, 2, 3, 2, 3), normal(rng, 3), normal(rng, 3)
    mean, var = normal(rng, 3), positive(rng, 3)
    return [
        sample("affine", x, None, None, w, b),
        sample("plain", x, None, None),
        sample("3-d", normal(rng, 2, 3, 5), None, None, w, None, eps=0.1),
        sample("running statistics", x, mean, var, w, b, use_input_stats=False, diff=(0, 3, 4)),
        sample("empty", x[:0], None, None, w, b),
    ]


def _response_samples(rng):
    x = normal(rng, 2, 6, 2, 2)
    return [
        sample("odd", x, 5, alpha=0.5),
        sample("even", x, 2, alpha=2.0, beta=0.5, k=2.0),
        sample("wider than the channels", normal(rng, 2, 3, 4), 9, alpha=1.0),
        sample("one", x, 1),
        sample("empty", x[:0], 3),
    ]


def _unit_samples(rng):
    x = normal(rng, 3, 4, 2)
    return [
        sample("euclidean", x),
        sample("sum of sizes", x, p=1, dim=2),
        sample("cubes", x, p=3, dim=0),
        sample("largest", x, p=np.inf, dim=-1),
        sample("several axes", x, p=1, dim=(0, 2)),
        sample("shorter than eps", x, eps=10.0),
        sample("zero vector", np.zeros((2, 3)), diff=()),
        sample("count", x, p=0, diff=()),
        sample("empty", x[:0]),
    ]


_x, _four = np.ones((3, 4)), np.ones(4)
_image = np.ones((2, 6, 2, 2))
_ints = np.ones((3, 4), dtype=np.int64)


def _size(x, *args, **kwargs):
    return x.size


CASES = [
    OpCase(
        "layer_norm",
        F.layer_norm,
        oracles.layer_norm,
        _layer_samples,
        length=_size,
        errors=[
            bad("another shape", ShapeError, r"^layer_norm: .*\(3, 4\).*normalized_shape=\(3,\)", _x, 3),
            bad("weight size", ShapeError, r"^layer_norm: .*weight \(3,\)", _x, 4, np.ones(3)),
            bad("no axes", ShapeError, r"^layer_norm: ", _x, ()),
            bad("integers", DTypeError, r"^layer_norm: .*int64", _ints, 4),
        ],
        kernels=True,
    ),
    OpCase(
        "rms_norm",
        F.rms_norm,
        oracles.rms_norm,
        _rms_samples,
        length=_size,
        errors=[bad("another shape", ShapeError, r"^rms_norm: .*\(3, 4\)", _x, 3)],
        kernels=True,
    ),
    OpCase(
        "group_norm",
        F.group_norm,
        oracles.group_norm,
        _group_samples,
        length=_size,
        errors=[
            bad("groups", ShapeError, r"^group_norm: .*num_groups=4", _image, 4),
            bad("weight size", ShapeError, r"^group_norm: .*\(4,\)", _image, 2, _four),
            bad("no channels", ShapeError, r"^group_norm: .*\(4,\)", _four, 1),
            bad("one value", ShapeError, r"^group_norm: .*more than one value", np.ones((1, 2)), 2),
        ],
    ),
    OpCase(
        "instance_norm",
        F.instance_norm,
        oracles.instance_norm,
        _instance_samples,
        length=_size,
        errors=[
            bad("one pixel", ShapeError, r"^instance_norm: .*one pixel", np.ones((2, 3, 1, 1)), None, None),
            bad("no statistics", ShapeError, r"^instance_norm: .*running_mean", _image, use_input_stats=False),
            bad("bias size", ShapeError, r"^instance_norm: .*\(4,\)", _image, None, None, None, _four),
        ],
    ),
    OpCase(
        "local_response_norm",
        F.local_response_norm,
        oracles.local_response_norm,
        _response_samples,
        length=_size,
        errors=[
            bad("2-d", ShapeError, r"^local_response_norm: .*\(3, 4\)", _x, 3),
            bad("size", ConfigError, r"^local_response_norm: .*size=0", _image, 0),
        ],
    ),
    OpCase(
        "normalize",
        F.normalize,
        oracles.normalize,
        _unit_samples,
        length=_size,
        errors=[
            bad("no such axis", ShapeError, r"dim=2", _x, dim=2),
            bad("integers", DTypeError, r"^normalize: .*int64", _ints),
        ],
    ),
]
