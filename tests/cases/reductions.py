"""Entries for sums, means, extrema, spreads and positions of extrema."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, distinct, floating_result, normal, sample
from deepcore.errors import DTypeError, ShapeError


def _everything(*args, **kwargs):
    return args[0].size


def _over_dims(make, empty=True):
    """Samples over the ways to name the dimensions; `empty` where the op has a value for no elements."""

    def samples(rng):
        x = make(rng, 2, 3, 4)
        found = [
            sample("all", x),
            sample("one", x, dim=1),
            sample("negative, kept", x, dim=-1, keepdim=True),
            sample("two", x, dim=(0, 2)),
            sample("two, kept", x, dim=(0, -1), keepdim=True),
            sample("0-d", make(rng)),
        ]
        return [*found, sample("empty", x[:0]), sample("empty, kept dimension", x[:0], dim=1)] if empty else found

    return samples


def _along_one(rng):
    x = normal(rng, 2, 3, 4)
    return [
        sample("first", x, dim=0),
        sample("last", x, dim=-1),
        sample("0-d", normal(rng), dim=0),
        sample("empty", x[:0], dim=1),
    ]


def _logsumexp_samples(rng):
    x = normal(rng, 2, 3, 4)
    return [
        sample("one", x, dim=1),
        sample("two, kept", x, dim=(0, -1), keepdim=True),
        sample("large", x * 500.0, dim=1, diff=()),
        sample("empty, kept dimension", x[:0], dim=1),
        sample("of nothing", x[:, :0], dim=1, diff=()),  # -inf, whose difference is NaN
    ]


def _axes(reduce):
    return lambda x, dim=None, keepdim=False: reduce(x, axis=dim, keepdims=keepdim)


def _spread(reduce):
    """Variance or deviation by the definition, with PyTorch's default of one degree of freedom taken."""

    def oracle(x, dim=None, keepdim=False, correction=1):
        return reduce(x, axis=dim, keepdims=keepdim, ddof=correction)

    return oracle


def _spread_samples(rng):
    x = normal(rng, 2, 3, 4)
    return [
        sample("all", x),
        sample("one", x, dim=1),
        sample("two, kept", x, dim=(0, 2), keepdim=True),
        sample("biased", x, dim=-1, correction=0),
        sample("empty, kept dimension", x[:0], dim=1),
    ]


def _extremum_oracle(value, position):
    def oracle(x, dim=None, keepdim=False):
        if dim is None:
            return value(x)
        values, places = value(x, axis=dim), position(x, axis=dim)
        if keepdim and x.ndim:
            values, places = np.expand_dims(values, dim), np.expand_dims(places, dim)
        return values, places

    return oracle


def _extremum_samples(rng):
    x = distinct(rng, 2, 3, 4)
    return [
        sample("all", x),
        sample("one", x, dim=1),
        sample("negative, kept", x, dim=-1, keepdim=True),
        sample("0-d", distinct(rng)),
        sample("empty, kept dimension", x[:0], dim=1),
    ]


def _position_samples(rng):
    x = distinct(rng, 2, 3, 4)
    ties = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    return [
        sample("all", x),
        sample("one", x, dim=1),
        sample("negative, kept", x, dim=-1, keepdim=True),
        sample("first of ties", ties, dim=1),
        sample("empty, kept dimension", x[:0], dim=1),
    ]


def _position(find):
    def oracle(x, dim=None, keepdim=False):
        return find(x, axis=dim, keepdims=keepdim)

    return oracle


def _sum_dtype(dtype):
    return dtype if dtype in FLOATS else "int64"


def _bad_dim(name):
    return bad("no such dimension", ShapeError, rf"^{name}: .*dim=2", np.ones((2, 3)), dim=2)


def _repeated_dim(name):
    return bad("dimension twice", ShapeError, rf"^{name}: ", np.ones((2, 3)), dim=(1, -1))


def _no_elements(name, **kwargs):
    return bad("no elements", ShapeError, rf"^{name}: ", np.ones((0, 3)), **kwargs)


_NONE = "no numbers have no extremum; the samples of max reduce another dimension"
_integers = np.ones((2, 3), dtype=np.int64)

CASES = [
    OpCase(
        "sum",
        dc.sum,
        _axes(np.sum),
        _over_dims(normal),
        dtypes=FLOATS + INTS,
        result_dtype=_sum_dtype,
        length=_everything,
        errors=[_bad_dim("sum"), _repeated_dim("sum")],
    ),
    OpCase(
        "mean",
        dc.mean,
        _axes(np.mean),
        _over_dims(normal, empty=False),
        length=_everything,
        errors=[_bad_dim("mean"), bad("integers have no mean", DTypeError, r"^mean: .*int64", _integers)],
        no_empty="the mean of no numbers is NaN, tested with the tensors",
    ),
    OpCase(
        "prod",
        dc.prod,
        _axes(np.prod),
        _over_dims(normal),
        dtypes=FLOATS + INTS,
        result_dtype=_sum_dtype,
        length=_everything,
        errors=[_bad_dim("prod")],
    ),
    OpCase(
        "cumsum",
        dc.cumsum,
        lambda x, dim: np.cumsum(x, axis=dim).reshape(x.shape),
        _along_one,
        dtypes=FLOATS + INTS,
        result_dtype=_sum_dtype,
        length=_everything,
        errors=[_bad_dim("cumsum")],
    ),
    OpCase(
        "logsumexp",
        dc.logsumexp,
        lambda x, dim=None, keepdim=False: np.logaddexp.reduce(x, axis=dim, keepdims=keepdim),
        _logsumexp_samples,
        dtypes=FLOATS + INTS,
        result_dtype=floating_result,
        length=_everything,
    ),
    OpCase(
        "norm",
        dc.norm,
        lambda x, dim=None, keepdim=False: np.sqrt((x * x).sum(axis=dim, keepdims=keepdim)),
        _over_dims(normal, empty=False),
        length=_everything,
        no_empty="the derivative of a root is infinite at 0, which is the norm of no numbers",
    ),
    OpCase(
        "amax",
        dc.amax,
        _axes(np.max),
        _over_dims(distinct, empty=False),
        dtypes=FLOATS + INTS,
        errors=[_bad_dim("amax")],
        no_empty=_NONE,
    ),
    OpCase(
        "amin",
        dc.amin,
        _axes(np.min),
        _over_dims(distinct, empty=False),
        dtypes=FLOATS + INTS,
        errors=[_bad_dim("amin")],
        no_empty=_NONE,
    ),
    OpCase("var", dc.var, _spread(np.var), _spread_samples, length=_everything, errors=[_bad_dim("var")]),
    OpCase("std", dc.std, _spread(np.std), _spread_samples, length=_everything, errors=[_bad_dim("std")]),
    OpCase(
        "max",
        dc.max,
        _extremum_oracle(np.max, np.argmax),
        _extremum_samples,
        dtypes=FLOATS + INTS,
        errors=[_bad_dim("max"), _no_elements("max"), _no_elements("max", dim=0)],
    ),
    OpCase(
        "min",
        dc.min,
        _extremum_oracle(np.min, np.argmin),
        _extremum_samples,
        dtypes=FLOATS + INTS,
        errors=[_bad_dim("min"), _no_elements("min"), _no_elements("min", dim=0)],
    ),
    OpCase(
        "argmax",
        dc.argmax,
        _position(np.argmax),
        _position_samples,
        dtypes=FLOATS + INTS,
        result_dtype=lambda dtype: "int64",
        differentiable=False,
        errors=[_bad_dim("argmax"), _no_elements("argmax")],
    ),
    OpCase(
        "argmin",
        dc.argmin,
        _position(np.argmin),
        _position_samples,
        dtypes=FLOATS + INTS,
        result_dtype=lambda dtype: "int64",
        differentiable=False,
        errors=[_bad_dim("argmin"), _no_elements("argmin")],
    ),
]
