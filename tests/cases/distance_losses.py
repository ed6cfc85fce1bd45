"""Entries for distances and the losses made of them, each oracle a loop over rows or a line of NumPy."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, positive, sample
from deepcore.errors import ConfigError, DTypeError, ShapeError


def _everything(x, *rest, **kwargs):
    return x.size


def _reduced(losses, reduction):
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def _signs(rng, *shape):
    return rng.choice([-1, 1], shape)


# --- differences ------------------------------------------------------------------------------------------------------


def _difference_samples(option):
    """Differences on both sides of the kink at 1 and at the option's, none closer to one than 0.1."""

    def samples(rng):
        x = normal(rng, 2, 4)
        target = x - np.array([[0.05, -0.2, 0.4, 0.8], [-1.3, 1.6, -3.0, 0.1]])
        return [
            sample("mean", x, target),
            sample("sum", x, target, reduction="sum"),
            sample("none", x, target, reduction="none"),
            sample("sharper", x, target, reduction="none", **{option: 0.3}),
            sample("flatter", x, target, reduction="none", **{option: 2.0}),
            sample("0-d", x[0, 0], target[0, 0]),
            sample("large", np.array([6e4, -300.0]), np.array([1.0, 200.0]), reduction="none", diff=()),
            sample("empty", x[:0], target[:0], reduction="sum"),
        ]

    return samples


def _huber_samples(rng):
    return [
        *_difference_samples("delta")(rng),
        sample("weight", positive(rng, 3), positive(rng, 3) + 2, "mean", 1.0, positive(rng, 3)),
    ]


def _huber(x, t, reduction="mean", delta=1.0, weight=1.0):
    a = np.abs(x - t)
    return _reduced(weight * np.where(a < delta, a**2 / 2, delta * (a - delta / 2)), reduction)


# --- distances --------------------------------------------------------------------------------------------------------


def _pairs(rng, *shape):
    x = normal(rng, *shape)
    return x, x + normal(rng, *shape)


def _distance_samples(rng):
    x, y = _pairs(rng, 4, 5)
    return [
        sample("2", x, y),
        sample("1", x, y, p=1.0),
        sample("3, keepdim", x, y, p=3.0, keepdim=True),
        sample("inf", x[:, :2], y[:, :2] + np.array([0.0, 5.0]), p=np.inf),
        sample("0", x, y, p=0.0),
        sample("less than 1", x, y, p=0.5),
        sample("negative", x, y, p=-1.0),
        sample("eps", x, y, eps=0.1),
        sample("vectors", x[0], y[0]),
        sample("broadcast", x, y[0]),
        sample("0-d", x[0, 0], y[0, 0]),
        sample("empty", x[:0], y[:0]),
    ]


def _distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    d = np.abs(x1 - x2 + eps)
    if d.ndim == 0:
        return d
    if p == 0:
        y = (d != 0).sum(axis=-1).astype(np.float64)
    else:
        y = np.linalg.norm(d, ord=p, axis=-1)
    return y[..., None] if keepdim else y


def _cosine_samples(rng):
    x, y = _pairs(rng, 3, 4)
    return [
        sample("columns", x, y),
        sample("rows", x, y, dim=0),
        sample("3-d", normal(rng, 2, 3, 2), normal(rng, 2, 3, 2), dim=-2),
        sample("broadcast", normal(rng, 2, 3, 2), normal(rng, 3, 2), dim=2),
        sample("vectors", x[0], y[0], dim=0),
        sample("shorter than eps", x, y, dim=1, eps=10.0),
        sample("no length", np.zeros((2, 3)), np.ones((2, 3)), diff=()),
        sample("0-d", x[0, 0], y[0, 0], dim=0),
        sample("empty", x[:0], y[:0]),
    ]


def _cosine(x1, x2, dim=1, eps=1e-8):
    x1, x2 = np.broadcast_arrays(x1, x2)
    if x1.ndim == 0:
        x1, x2 = x1[None], x2[None]
    norms = np.maximum(np.linalg.norm(x1, axis=dim), eps), np.maximum(np.linalg.norm(x2, axis=dim), eps)
    return (x1 * x2).sum(axis=dim) / norms[0] / norms[1]


# --- losses -----------------------------------------------------------------------------------------------------------


def _embedding_samples(rng):
    x, y = _pairs(rng, 4, 3)
    y[0] = x[0] + 0.1
    signs = np.array([1, -1, 1, -1])
    return [
        sample("mean", x, y, signs, margin=-0.99),
        sample("sum", x, y, signs, margin=-0.99, reduction="sum"),
        sample("none", x, y, signs, margin=-0.99, reduction="none"),
        sample("below the margin", x, y, -np.ones(4, dtype=np.int64), margin=1.5),
        sample("neither", x, y, np.array([0, 2, 1, -1]), margin=-0.99),
        sample("vectors", x[0], y[0], np.array(1)),
        sample("empty", x[:0], y[:0], signs[:0], reduction="sum"),
    ]


def _embedding(x1, x2, target, margin=0.0, reduction="mean"):
    losses = np.zeros(target.shape)
    for i in np.ndindex(target.shape):
        cos = (x1[i] @ x2[i]) / np.sqrt((x1[i] @ x1[i] + 1e-12) * (x2[i] @ x2[i] + 1e-12))  # PyTorch's epsilon
        losses[i] = {1: 1 - cos, -1: max(0.0, cos - margin)}.get(int(target[i]), 0.0)
    return _reduced(losses, reduction)


def _hinge_samples(rng):
    x = positive(rng, 3, 4)
    signs = _signs(rng, 3, 4)
    return [
        sample("mean", x, signs, margin=2.0),
        sample("sum", x, signs, margin=2.0, reduction="sum"),
        sample("none", x, signs, margin=0.2, reduction="none"),
        sample("floating target", x, signs.astype(np.float64), margin=2.0, diff=(0,)),
        sample("0-d", x[0, 0], signs[0, 0], margin=2.0),
        sample("empty", x[:0], signs[:0], reduction="sum"),
    ]


def _hinge(x, target, margin=1.0, reduction="mean"):
    unlike, like = np.where(target != 1, np.maximum(0, margin - x), 0.0), np.where(target != -1, x, 0.0)
    return _reduced(unlike + like, reduction)  # a target of neither kind counts as both, as in PyTorch


def _ranking_samples(rng):
    x, y = _pairs(rng, 3, 4)
    signs = _signs(rng, 3, 4)
    return [
        sample("mean", x, y, signs),
        sample("sum", x, y, signs, margin=0.2, reduction="sum"),
        sample("none", x, y, signs, margin=3.0, reduction="none"),
        sample("one sign", x, y, signs[:1, :1], margin=3.0),
        sample("empty", x[:0], y[:0], signs[:0], reduction="sum"),
    ]


def _ranking(x1, x2, target, margin=0.0, reduction="mean"):
    return _reduced(np.maximum(0, margin - target * (x1 - x2)), reduction)


def _soft_samples(rng):
    x, signs = normal(rng, 3, 4), _signs(rng, 3, 4)
    return [
        sample("mean", x, signs),
        sample("sum", x, signs, reduction="sum"),
        sample("none", x, signs.astype(np.float64), reduction="none"),
        sample("large", np.array([-800.0, 800.0, -800.0]), np.array([1, 1, -1]), reduction="none"),
        sample("0-d", x[0, 0], signs[0, 0]),
        sample("empty", x[:0], signs[:0], reduction="sum"),
    ]


def _triplet_samples(rng):
    """Margins that keep every triplet away from the kink: all count, or none does."""
    a, p, n = normal(rng, 4, 3), normal(rng, 4, 3) + 0.1, normal(rng, 4, 3) * 1.7
    return [
        sample("mean", a, p, n, margin=9.0),
        sample("sum", a, p, n, margin=9.0, reduction="sum"),
        sample("none", a, p, n, margin=9.0, p=1.0, eps=0.01, reduction="none"),
        sample("swap", a, p, n, margin=9.0, swap=True),
        sample("far enough", a, a + 0.1, a + 20.0, margin=1.0),
        sample("vectors", a[0], p[0], n[0], margin=9.0),
        sample("broadcast", a, p[:1], n, margin=9.0),
        sample("empty", a[:0], p[:0], n[:0], reduction="sum"),
    ]


def _triplet(a, p_, n, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
    far = _distance(a, n, p, eps)
    if swap:
        far = np.minimum(far, _distance(p_, n, p, eps))
    return _reduced(np.maximum(0, margin + _distance(a, p_, p, eps) - far), reduction)


_x, _other = np.full((2, 3), 0.5), np.full((2, 4), 0.5)
_integers = np.ones((2, 3), dtype=np.int64)


def _errors(name):
    return [
        bad("shapes differ", ShapeError, rf"^{name}: .*\(2, 3\).*\(2, 4\)", _x, _other),
        bad("unknown reduction", ConfigError, rf"^{name}: .*average", _x, _x, reduction="average"),
    ]


def _errors_of_three(name):
    return [
        bad("shapes differ", ShapeError, rf"^{name}: .*\(2, 3\).*\(2, 4\)", _x, _other, _x),
        bad("axes differ", ShapeError, rf"^{name}: .*\(2, 3\).*\(3,\)", _x, _x, np.ones(3)),
        bad("unknown reduction", ConfigError, rf"^{name}: .*average", _x, _x, _x, reduction="average"),
    ]


CASES = [
    OpCase(
        "smooth_l1_loss",
        F.smooth_l1_loss,
        lambda x, t, reduction="mean", beta=1.0: _huber(x, t, reduction, beta, 1 / beta),
        _difference_samples("beta"),
        length=_everything,
        errors=[
            *_errors("smooth_l1_loss"),
            bad("negative beta", ConfigError, r"^smooth_l1_loss: .*beta=-1", _x, _x, beta=-1),
        ],
    ),
    OpCase(
        "smooth_l1_loss_without_beta",
        lambda x, t, **kwargs: F.smooth_l1_loss(x, t, beta=0.0, **kwargs),
        lambda x, t, reduction="mean": _reduced(np.abs(x - t), reduction),
        lambda rng: [sample("mean", *_pairs(rng, 3, 4)), sample("empty", *_pairs(rng, 0, 4), reduction="sum")],
        names=("smooth_l1_loss",),
        length=_everything,
    ),
    OpCase(
        "huber_loss",
        F.huber_loss,
        _huber,
        _huber_samples,
        length=_everything,
        errors=[
            *_errors("huber_loss"),
            bad("no delta", ConfigError, r"^huber_loss: .*delta=0", _x, _x, delta=0),
            bad("weight", ShapeError, r"^huber_loss: .*\(2, 3\).*\(2, 4\)", _x, _x, "mean", 1.0, _other),
        ],
    ),
    OpCase(
        "pairwise_distance",
        F.pairwise_distance,
        _distance,
        _distance_samples,
        length=_everything,
        errors=[bad("shapes differ", ShapeError, r"^pairwise_distance: .*\(2, 3\).*\(2, 4\)", _x, _other)],
    ),
    OpCase(
        "cosine_similarity",
        F.cosine_similarity,
        _cosine,
        _cosine_samples,
        length=_everything,
        errors=[
            bad("shapes differ", ShapeError, r"^cosine_similarity: .*\(2, 3\).*\(2, 4\)", _x, _other),
            bad("no such dimension", ShapeError, r"^cosine_similarity: .*dim=2", _x, _x, dim=2),
            bad("integers", DTypeError, r"^cosine_similarity: .*int64", _integers, _integers),
        ],
    ),
    OpCase(
        "cosine_embedding_loss",
        F.cosine_embedding_loss,
        _embedding,
        _embedding_samples,
        length=_everything,
        errors=[
            *_errors_of_three("cosine_embedding_loss")[::2],
            bad("target", ShapeError, r"^cosine_embedding_loss: .*\(2, 3\).*\(3,\)", _x, _x, np.ones(3)),
        ],
    ),
    OpCase(
        "hinge_embedding_loss",
        F.hinge_embedding_loss,
        _hinge,
        _hinge_samples,
        length=_everything,
        errors=_errors("hinge_embedding_loss"),
    ),
    OpCase(
        "margin_ranking_loss",
        F.margin_ranking_loss,
        _ranking,
        _ranking_samples,
        length=_everything,
        errors=_errors_of_three("margin_ranking_loss"),
    ),
    OpCase(
        "soft_margin_loss",
        F.soft_margin_loss,
        lambda x, t, reduction="mean": _reduced(np.logaddexp(0, -t * x), reduction),
        _soft_samples,
        length=_everything,
        errors=_errors("soft_margin_loss"),
    ),
    OpCase(
        "triplet_margin_loss",
        F.triplet_margin_loss,
        _triplet,
        _triplet_samples,
        length=_everything,
        errors=[
            *_errors_of_three("triplet_margin_loss"),
            bad("margin", ConfigError, r"^triplet_margin_loss: .*margin=0", _x, _x, _x, margin=0),
        ],
    ),
]
