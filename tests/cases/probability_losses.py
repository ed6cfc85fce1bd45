"""Entries for the losses that are likelihoods or distances of distributions."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, positive, sample
from deepcore.check.oracles import probability as oracles
from deepcore.errors import ConfigError, DTypeError, ShapeError


def _everything(x, *rest, **kwargs):
    return max(x.size, 1)


def _probabilities(rng, *shape):
    p = rng.uniform(0.1, 1.0, shape)
    return p / p.sum(-1, keepdims=True)


def _kl_samples(rng):
    x, p = np.log(_probabilities(rng, 3, 4)), _probabilities(rng, 3, 4)
    some = p * [1, 0, 1, 0]
    return [
        sample("mean", x, p),
        sample("batchmean", x, p, reduction="batchmean"),
        sample("none", x, p, reduction="none"),
        sample("logarithms", x, np.log(p), reduction="sum", log_target=True),
        sample("zeros", x, some, reduction="sum", diff=(0,)),
        sample("broadcast", x, p[:1], reduction="sum"),
        sample("0-d", x[0, 0], p[0, 0], reduction="batchmean"),
        sample("empty", x[:0], p[:0], reduction="sum"),
        sample("empty rows", x[:0], p[:0], reduction="none"),
    ]


def _gaussian_samples(rng):
    x, t, var = normal(rng, 2, 3, 4), normal(rng, 2, 3, 4), positive(rng, 2, 3, 4)
    return [
        sample("mean", x, t, var),
        sample("full", x, t, var, full=True, reduction="sum"),
        sample("one variance a row", x, t, var[..., 0], reduction="none"),
        sample("an axis of size 1", x, t, var[:, :1]),
        sample("number", x, t, 0.7, full=True),
        sample("raised to eps", x, t, 0.1 * var, diff=(0, 1), eps=0.5),
        sample("0-d", x[0, 0, 0], t[0, 0, 0], var[0, 0, 0]),
        sample("empty", x[:0], t[:0], var[:0], reduction="sum"),
    ]


def _poisson_samples(rng):
    x, t = normal(rng, 3, 4), rng.uniform(1.2, 3.0, (3, 4)) * [1, 1, 0.3, 1]
    return [
        sample("mean", x, t),
        sample("full", x, t, full=True, reduction="sum"),
        sample("rate", positive(rng, 3, 4), t, log_input=False, reduction="none"),
        sample("counts", x, np.array([0.0, 1.0, 2.0, 5.0]), full=True, reduction="none", diff=(0,)),
        sample("rate, full", positive(rng, 3, 4), t, log_input=False, full=True, eps=0.1),
        sample("0-d", x[0, 0], t[0, 0]),
        sample("empty", x[:0], t[:0], reduction="sum"),
    ]


def _vae_samples(rng):
    p, t = rng.uniform(0.1, 0.9, (3, 2, 2)), rng.uniform(0.1, 0.9, (3, 2, 2))
    x, mu, logvar = normal(rng, 3, 2, 2), normal(rng, 3, 2), normal(rng, 3, 2)
    return [
        sample("bce", p, t, mu, logvar),
        sample("pixels on and off", p, np.round(t), mu, logvar, reduction="sum", diff=(0, 2, 3)),
        sample("logits", x, t, mu, logvar, reconstruction="bce_with_logits", reduction="none"),
        sample("mse", x, t, mu, logvar, reconstruction="mse"),
        sample("1-d", x[:, 0, 0], t[:, 0, 0], mu, logvar, reconstruction="mse", reduction="none"),
        sample("empty", p[:0], t[:0], mu[:0], logvar[:0], reduction="sum"),
    ]


_x, _other, _one = np.full((2, 3), 0.5), np.full((2, 4), 0.5), np.full((2, 1), 0.5)


def _errors(name):
    return [
        bad("shapes do not broadcast", ShapeError, rf"^{name}: .*\(2, 3\).*\(2, 4\)", _x, _other, *_rest(name)),
        bad("unknown reduction", ConfigError, rf"^{name}: .*average", _x, _x, *_rest(name), reduction="average"),
    ]


def _rest(name):
    return (1.0,) if name == "gaussian_nll_loss" else ()


CASES = [
    OpCase("kl_div", F.kl_div, oracles.kl_div, _kl_samples, length=_everything, errors=_errors("kl_div")),
    OpCase(
        "gaussian_nll_loss",
        F.gaussian_nll_loss,
        oracles.gaussian_nll_loss,
        _gaussian_samples,
        length=_everything,
        errors=[
            *_errors("gaussian_nll_loss"),
            bad("shape of var", ShapeError, r"^gaussian_nll_loss: expected var \(2, 3\).*\(3,\)", _x, _x, _x[0]),
            bad("no number", DTypeError, r"^gaussian_nll_loss: .*a list", _x, _x, [1.0]),
            bad("negative number", ConfigError, r"^gaussian_nll_loss: .*var=-1\.0", _x, _x, -1.0),
            bad("negative var", ConfigError, r"^gaussian_nll_loss: .*negative", _x, _x, -_x, nan_off_host=True),
        ],
    ),
    OpCase(
        "poisson_nll_loss",
        F.poisson_nll_loss,
        oracles.poisson_nll_loss,
        _poisson_samples,
        length=_everything,
        errors=_errors("poisson_nll_loss"),
    ),
    OpCase(
        "vae_loss",
        F.vae_loss,
        oracles.vae_loss,
        _vae_samples,
        length=_everything,
        errors=[
            bad("shapes differ", ShapeError, r"^vae_loss: .*\(2, 3\).*\(2, 4\)", _x, _other, _one, _one),
            bad("rows differ", ShapeError, r"^vae_loss: .*\(1, 1\)", _x, _x, _one[:1], _one[:1]),
            bad("mu and logvar differ", ShapeError, r"^vae_loss: .*\(2, 1\).*\(2, 3\)", _x, _x, _one, _x),
            bad("dtypes differ", DTypeError, r"^vae_loss: .*float32", _x, _x, _one, _one.astype("float32")),
            bad("reduction", ConfigError, r"^vae_loss: .*average", _x, _x, _one, _one, reduction="average"),
            bad("reconstruction", ConfigError, r"^vae_loss: .*mean 'mse'", _x, _x, _one, _one, reconstruction="msee"),
        ],
    ),
]
