"""Entries for the losses that compare numbers with numbers."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, positive, sample
from deepcore.check.oracles import basic as oracles
from deepcore.errors import ConfigError, ShapeError


def _everything(x, *rest, **kwargs):
    return x.size


def _difference_samples(rng):
    """No two numbers closer than 0.2, for the kink of |x - t|."""
    x = normal(rng, 3, 4)
    target = x + rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.2, 1.0, x.shape)
    return [
        sample("mean", x, target),
        sample("sum", x, target, reduction="sum"),
        sample("none", x, target, reduction="none"),
        sample("1-d", x[0], target[0]),
        sample("0-d", x[0, 0], target[0, 0]),
        sample("empty", x[:0], target[:0], reduction="sum"),
    ]


def _probability_samples(rng):
    p, target = rng.uniform(0.1, 0.9, (3, 4)), rng.uniform(0.1, 0.9, (3, 4))
    return [
        sample("mean", p, target),
        sample("sum", p, target, reduction="sum"),
        sample("none", p, target, reduction="none"),
        sample("weight", p, target, positive(rng, 4), diff=(0, 1)),
        sample("certain", np.array([0.0, 1.0]), np.array([0.0, 1.0]), diff=()),
        sample("certain and wrong", np.array([0.0, 1.0]), np.array([1.0, 0.0]), diff=()),
        sample("empty", p[:0], target[:0], reduction="sum"),
    ]


def _logit_samples(rng):
    x, target = normal(rng, 3, 4), rng.uniform(0.1, 0.9, (3, 4))
    large = np.array([-500.0, 500.0, 500.0])
    return [
        sample("mean", x, target),
        sample("sum", x, target, reduction="sum"),
        sample("none", x, target, reduction="none"),
        sample("weight", x, target, positive(rng, 4), diff=(0, 1)),
        sample("large", large, np.array([0.0, 1.0, 0.0]), reduction="none", diff=()),
        sample("empty", x[:0], target[:0], reduction="sum"),
    ]


def _positive_weight_samples(rng):
    """`pos_weight` is an array, and arrays of samples are positional."""
    x, target = normal(rng, 3, 4), rng.uniform(0.1, 0.9, (3, 4))
    return [
        sample("for each column", x, target, positive(rng, 4), diff=(0, 1)),
        sample("one", x, target, positive(rng), reduction="sum", diff=(0, 1)),
        sample("empty", x[:0], target[:0], positive(rng, 4), reduction="sum", diff=(0, 1)),
    ]


_x, _other = np.full((2, 3), 0.5), np.full((2, 4), 0.5)


def _errors(name):
    return [
        bad("shapes differ", ShapeError, rf"^{name}: .*\(2, 3\).*\(2, 4\)", _x, _other),
        bad("unknown reduction", ConfigError, rf"^{name}: .*average", _x, _x, reduction="average"),
    ]


CASES = [
    OpCase(
        "mse_loss", F.mse_loss, oracles.mse_loss, _difference_samples, length=_everything, errors=_errors("mse_loss")
    ),
    OpCase("l1_loss", F.l1_loss, oracles.l1_loss, _difference_samples, length=_everything, errors=_errors("l1_loss")),
    OpCase(
        "binary_cross_entropy",
        F.binary_cross_entropy,
        oracles.binary_cross_entropy,
        _probability_samples,
        length=_everything,
        errors=_errors("binary_cross_entropy"),
    ),
    OpCase(
        "binary_cross_entropy_with_logits",
        F.binary_cross_entropy_with_logits,
        oracles.binary_cross_entropy_with_logits,
        _logit_samples,
        length=_everything,
        errors=_errors("binary_cross_entropy_with_logits"),
    ),
    OpCase(
        "bce_with_logits_pos_weight",
        lambda x, t, p, **kwargs: F.binary_cross_entropy_with_logits(x, t, pos_weight=p, **kwargs),
        lambda x, t, p, **kwargs: oracles.binary_cross_entropy_with_logits(x, t, pos_weight=p, **kwargs),
        _positive_weight_samples,
        names=("binary_cross_entropy_with_logits",),
        length=_everything,
    ),
]
