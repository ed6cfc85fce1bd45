"""Entries for the losses of classifiers."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, positive, sample
from deepcore.check.oracles import basic as oracles
from deepcore.errors import ConfigError, DTypeError, IndexRangeError, ShapeError


def _everything(x, *rest, **kwargs):
    return x.size


def _label_samples(rng):
    x, labels, weight = normal(rng, 4, 5), rng.integers(0, 5, 4), positive(rng, 5)
    some = np.array([3, -100, 0, -100])
    image, pixels = normal(rng, 2, 3, 2, 2), rng.integers(0, 3, (2, 2, 2))
    return [
        sample("mean", x, labels),
        sample("sum", x, labels, reduction="sum"),
        sample("none", x, labels, reduction="none"),
        sample("weight", x, labels, weight, diff=(0,)),
        sample("ignored", x, some),
        sample("ignored, weight, none", x, some, weight, reduction="none", diff=(0,)),
        sample("another ignored label", x, labels, ignore_index=int(labels[0])),
        sample("int32 labels", x, labels.astype(np.int32)),
        sample("images", image, pixels),
        sample("images, weight", image, pixels, positive(rng, 3), ignore_index=1, diff=(0,)),
        sample("images, none", image, pixels, reduction="none"),
        sample("empty", x[:0], labels[:0], reduction="sum"),
    ]


def _cross_entropy_samples(rng):
    x, labels, weight = normal(rng, 4, 5), rng.integers(0, 5, 4), positive(rng, 5)
    some = np.array([3, -100, 0, -100])
    image, pixels = normal(rng, 2, 3, 2, 2), rng.integers(0, 3, (2, 2, 2))
    return [
        *_label_samples(rng),
        sample("smoothing", x, labels, label_smoothing=0.1),
        sample("smoothing, weight, ignored", x, some, weight, label_smoothing=0.2, diff=(0,)),
        sample("smoothing, images", image, pixels, label_smoothing=0.1, reduction="sum"),
        sample("one example", x[0], labels[0]),
        sample("large", x * 500.0, labels, reduction="none", diff=()),
    ]


def _probability_samples(rng):
    def probabilities(*shape):
        return np.moveaxis(rng.dirichlet(np.ones(shape[1]) * 5.0, (shape[0], *shape[2:])), -1, 1).copy()

    x, image, weight = normal(rng, 4, 5), normal(rng, 2, 3, 2, 2), positive(rng, 5)
    return [
        sample("mean", x, probabilities(4, 5)),
        sample("sum", x, probabilities(4, 5), reduction="sum"),
        sample("none", x, probabilities(4, 5), reduction="none"),
        sample("weight", x, probabilities(4, 5), weight, diff=(0, 1)),
        sample("smoothing", x, probabilities(4, 5), label_smoothing=0.1),
        sample("images", image, probabilities(2, 3, 2, 2)),
        sample("one example", x[0], probabilities(1, 5)[0]),
        sample("empty", x[:0], probabilities(1, 5)[:0], reduction="sum"),
    ]


_x, _labels = np.ones((4, 5)), np.zeros(4, dtype=np.int64)


def _label_errors(name):
    outside = np.array([0, 1, 5, 2])
    return [
        bad("label outside the classes", IndexRangeError, rf"^{name}: .*5", _x, outside, nan_off_host=True),
        bad("negative label", IndexRangeError, rf"^{name}: .*-1", _x, -_labels - 1, nan_off_host=True),
        bad("number of labels", ShapeError, rf"^{name}: .*\(4, 5\).*\(3,\)", _x, _labels[:3]),
        bad("weight size", ShapeError, rf"^{name}: .*\(4,\)", _x, _labels, np.ones(4)),
        bad("unknown reduction", ConfigError, rf"^{name}: .*average", _x, _labels, reduction="average"),
        bad("integer logits", DTypeError, rf"^{name}: .*int64", _x.astype(np.int64), _labels),
    ]


CASES = [
    OpCase(
        "cross_entropy",
        F.cross_entropy,
        oracles.cross_entropy,
        _cross_entropy_samples,
        length=_everything,
        kernels=True,
        errors=[
            *_label_errors("cross_entropy"),
            bad(
                "smoothing over one",
                ConfigError,
                r"^cross_entropy: .*label_smoothing",
                _x,
                _labels,
                label_smoothing=1.5,
            ),
            bad("probabilities shape", ShapeError, r"^cross_entropy: .*\(4, 6\)", _x, np.ones((4, 6))),
        ],
    ),
    OpCase(
        "cross_entropy_probabilities",
        F.cross_entropy,
        oracles.cross_entropy,
        _probability_samples,
        names=("cross_entropy",),
        length=_everything,
    ),
    OpCase(
        "nll_loss",
        F.nll_loss,
        oracles.nll_loss,
        _label_samples,
        length=_everything,
        errors=_label_errors("nll_loss"),
    ),
]
