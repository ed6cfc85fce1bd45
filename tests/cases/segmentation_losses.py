"""Entries for the losses of segmentation and detection."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, sample
from deepcore.check.oracles import probability as oracles
from deepcore.errors import ConfigError, DTypeError, IndexRangeError, ShapeError


def _everything(x, *rest, **kwargs):
    return max(x.size, 1)


def _sigmoid_samples(rng):
    x, hard, soft = normal(rng, 3, 4), rng.integers(0, 2, (3, 4)).astype(float), rng.uniform(0.1, 0.9, (3, 4))
    large = np.array([-900.0, 900.0, 900.0, -30.0])
    return [
        sample("none", x, hard, diff=(0,)),
        sample("mean, soft", x, soft, reduction="mean"),
        sample("no alpha", x, hard, alpha=-1, gamma=1.5, reduction="sum", diff=(0,)),
        sample("gamma 0", x, soft, gamma=0, alpha=0.5),
        sample("gamma below 1", x, soft, gamma=0.5),
        sample("large", large[:3], np.array([0.0, 1.0, 1.0]), gamma=0.5, diff=()),
        sample("0-d", x[0, 0], hard[0, 0], diff=(0,)),
        sample("empty", x[:0], hard[:0], reduction="sum"),
    ]


def _class_samples(rng):
    x, t = normal(rng, 4, 3), np.array([2, 0, 1, 1])
    return [
        sample("mean", x, t),
        sample("ignored", x, np.array([2, -100, 0, -100]), gamma=1.0),
        sample("none", x, t, gamma=0.5, reduction="none"),
        sample("gamma 0", x, t, gamma=0, reduction="sum"),
        sample("image", normal(rng, 2, 3, 2, 2), rng.integers(0, 3, (2, 2, 2)), ignore_index=1),
        sample("one", x[0], np.array(1), reduction="none"),
        sample("empty", x[:0], t[:0], reduction="sum"),
    ]


def _dice_samples(rng):
    p, soft = rng.uniform(0.1, 0.9, (2, 3, 2, 5)), rng.uniform(0.1, 0.9, (2, 3, 2, 5))
    hard = np.round(soft)
    return [
        sample("mean", p, hard, diff=(0,)),
        sample("none, soft", p, soft, smooth=0.1, reduction="none"),
        sample("sum of a volume", p.reshape(2, 3, 1, 2, 5), soft.reshape(2, 3, 1, 2, 5), reduction="sum"),
        sample("nothing there", 0.01 * p, hard * 0, diff=(0,)),
        sample("line", p[:, :, 0], hard[:, :, 0], smooth=0, diff=(0,)),
        sample("no pixels", p[:, :, :0], hard[:, :, :0], reduction="none"),
        sample("empty", p[:0], hard[:0], reduction="sum"),
    ]


_x, _other, _image = np.full((2, 3), 0.5), np.full((2, 4), 0.5), np.full((1, 2, 2, 2), 0.5)
_classes = np.array([0, 2])

CASES = [
    OpCase(
        "sigmoid_focal_loss",
        F.sigmoid_focal_loss,
        oracles.sigmoid_focal_loss,
        _sigmoid_samples,
        length=_everything,
        errors=[
            bad("shapes differ", ShapeError, r"^sigmoid_focal_loss: .*\(2, 3\).*\(2, 4\)", _x, _other),
            bad("dtypes differ", DTypeError, r"^sigmoid_focal_loss: .*int64", _x, _x.astype("int64")),
            bad("reduction", ConfigError, r"^sigmoid_focal_loss: .*average", _x, _x, reduction="average"),
            bad("gamma", ConfigError, r"^sigmoid_focal_loss: .*gamma=-1", _x, _x, gamma=-1),
            bad("alpha", ConfigError, r"^sigmoid_focal_loss: .*alpha=2", _x, _x, alpha=2),
        ],
    ),
    OpCase(
        "focal_loss",
        F.focal_loss,
        oracles.focal_loss,
        _class_samples,
        length=_everything,
        errors=[
            bad("shape of targets", ShapeError, r"target \(2,\).*\(2, 3\)", _x, np.zeros((2, 3), dtype="int64")),
            bad("class", IndexRangeError, r"classes 0\.\.2.*3", _x, np.array([0, 3]), nan_off_host=True),
            bad("reduction", ConfigError, r"^focal_loss: .*average", _x, _classes, reduction="average"),
            bad("gamma", ConfigError, r"^focal_loss: .*gamma=-1", _x, _classes, gamma=-1),
        ],
    ),
    OpCase(
        "dice_loss",
        F.dice_loss,
        oracles.dice_loss,
        _dice_samples,
        length=_everything,
        errors=[
            bad("shapes differ", ShapeError, r"^dice_loss: .*\(2, 3\).*\(2, 4\)", _x, _other),
            bad("no image", ShapeError, r"^dice_loss: expected input \(N, C, d1, \.\.\.\).*\(2, 3\)", _x, _x),
            bad("dtypes differ", DTypeError, r"^dice_loss: .*int64", _image, _image.astype("int64")),
            bad("reduction", ConfigError, r"^dice_loss: .*average", _image, _image, reduction="average"),
            bad("smooth", ConfigError, r"^dice_loss: .*smooth=-1", _image, _image, smooth=-1),
        ],
    ),
]
