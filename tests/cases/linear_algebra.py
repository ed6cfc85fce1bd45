"""Entries for deepcore.linalg. Results that are unique up to signs are compared as what is unique of them."""

from __future__ import annotations

import math

import numpy as np

import deepcore as dc
from deepcore import linalg
from deepcore.check.opdb import FLOATS, OpCase, bad, normal, sample
from deepcore.check.oracles import linear_algebra as oracle
from deepcore.dtypes import as_dtype
from deepcore.errors import ArgumentError, ConfigError, DTypeError, LinAlgError, ShapeError

_FLOATS = ("float64", "float32")  # the libraries decompose no others


def _regular(rng, *shape):
    """Matrices with determinants far from 0, and no element 0."""
    n = shape[-1]
    return normal(rng, *shape) * 0.3 + 3 * np.eye(n)


def _full_rank(rng, *shape):
    """Matrices whose singular values are apart from each other and from 0."""
    k = min(shape[-2:])
    u = np.linalg.qr(normal(rng, *shape[:-2], shape[-2], k))[0]
    v = np.linalg.qr(normal(rng, *shape[:-2], shape[-1], k))[0]
    return u * np.arange(1.0, k + 1) @ np.swapaxes(v, -1, -2)


def _determinants(a):
    return oracle.each(oracle.determinant)(a) if a.size else np.ones(a.shape[:-2])


def _square_samples(rng):
    return [
        sample("matrix", _regular(rng, 3, 3)),
        sample("batch", _regular(rng, 2, 2, 2)),
        sample("1 x 1", _regular(rng, 1, 1)),
        sample("empty", normal(rng, 0, 0)),
    ]


def _rectangle_samples(rng):
    return [
        sample("square", _full_rank(rng, 3, 3)),
        sample("tall", _full_rank(rng, 4, 2)),
        sample("wide", _full_rank(rng, 2, 4)),
        sample("batch", _full_rank(rng, 2, 3, 2)),
        sample("empty", normal(rng, 0, 3)),
    ]


def _positive_qr(a):
    """Q and R of the op, with the signs that make the diagonal of R positive."""
    q, r = linalg.qr(a)
    k = r.shape[-2]
    signs = dc.diagonal(r[..., :k], 0, -2, -1).sign().detach()
    return q * signs.unsqueeze(-2), r * signs.unsqueeze(-1)


def _eigh_of_the_op(a):
    w, v = linalg.eigh((a + a.mT) * 0.5)
    return w, v * v


def _apart(rng, *shape):
    """Matrices whose symmetric part has eigenvalues far apart."""
    return normal(rng, *shape) * 0.2 + np.diag(2.0 * np.arange(1, shape[-1] + 1) - 2.5)


def _size(*args, **kwargs):
    """Rounding errors of a decomposition: as of a few products of matrices."""
    return 16 * max(a.size for a in args if hasattr(a, "size")) + 16


_a, _half = np.ones((2, 3)), np.ones((2, 2), np.float16)
_singular = np.ones((2, 2))


def _bad_matrices(name, square=True):
    """What every function of matrices refuses."""
    found = [
        bad("a vector", ShapeError, rf"^linalg\.{name}: .*\(3,\)", _a[0]),
        bad("float16", DTypeError, rf"^linalg\.{name}: .*float16", _half),
        bad("bfloat16", DTypeError, rf"^linalg\.{name}: .*bfloat16", _half.astype(as_dtype("bfloat16"))),
        bad("integers", DTypeError, rf"^linalg\.{name}: .*int64", np.ones((2, 2), np.int64)),
    ]
    return [*found, bad("not square", ShapeError, rf"^linalg\.{name}: .*\(2, 3\)", _a)] if square else found


def _case(name, op, oracle, samples, errors=(), **options):
    why = "of what a decomposition loses to rounding, 16 bits keep too little"
    options = {"dtypes": _FLOATS, "no_narrow": why} | options
    return OpCase(f"linalg.{name}", op, oracle, samples, length=_size, errors=errors, **options)


CASES = [
    _case(
        "inv",
        linalg.inv,
        lambda a: oracle.each(oracle.inverse)(a) if a.size else a,
        _square_samples,
        [*_bad_matrices("inv"), bad("singular", LinAlgError, r"^linalg\.inv: .*\(2, 2\)", _singular)],
    ),
    _case(
        "solve",
        linalg.solve,
        oracle.solve,
        lambda rng: [
            sample("matrix", _regular(rng, 3, 3), normal(rng, 3, 2)),
            sample("vector", _regular(rng, 3, 3), normal(rng, 3)),
            sample("vectors", _regular(rng, 2, 2, 2), normal(rng, 2, 2)),
            sample("one A for many B", _regular(rng, 2, 2), normal(rng, 3, 2, 2)),
            sample("from the right", _regular(rng, 2, 3, 3), normal(rng, 2, 2, 3), left=False),
            sample("empty", _regular(rng, 3, 3), normal(rng, 3, 0)),
        ],
        [
            bad("singular", LinAlgError, r"^linalg\.solve: .*\(2, 2\)", _singular, np.ones(2)),
            bad("not square", ShapeError, r"^linalg\.solve: .*\(2, 3\)", _a, np.ones(2)),
            bad("sizes differ", ShapeError, r"^linalg\.solve: .*\(3, 2\)", np.eye(2), np.ones((3, 2))),
            bad("batches differ", ShapeError, r"^linalg\.solve: ", np.ones((2, 2, 2)), np.ones((3, 2, 2))),
            bad("vector from the right", ShapeError, r"^linalg\.solve: .*left", np.eye(2), np.ones(2), left=False),
            bad("dtypes differ", DTypeError, r"^linalg\.solve: ", np.eye(2), np.ones(2, np.float32)),
        ],
    ),
    _case(
        "det",
        linalg.det,
        _determinants,
        _square_samples,
        _bad_matrices("det"),
    ),
    _case(
        "slogdet",
        linalg.slogdet,
        lambda a: (np.sign(d := _determinants(a)), np.log(np.abs(d))),
        lambda rng: [*_square_samples(rng), sample("negative", -_regular(rng, 3, 3))],
        _bad_matrices("slogdet"),
    ),
    _case(
        "cholesky",
        lambda a, upper=False: linalg.cholesky(a @ a.mT + a.mT @ a, upper=upper),
        lambda a, upper=False: (lambda y: np.swapaxes(y, -1, -2) if upper else y)(
            oracle.each(oracle.cholesky)(a @ np.swapaxes(a, -1, -2) + np.swapaxes(a, -1, -2) @ a)
        ),
        lambda rng: [*_square_samples(rng), sample("upper", _regular(rng, 3, 3), upper=True)],
    ),
    _case(
        "cholesky, as it is",
        linalg.cholesky,
        lambda a: oracle.each(oracle.cholesky)(a),
        lambda rng: [sample("diagonal", np.diag([4.0, 9.0])), sample("empty", np.zeros((0, 2, 2)))],
        [
            *_bad_matrices("cholesky"),
            bad("not positive", LinAlgError, r"^linalg\.cholesky: .*positive definite", -np.eye(2)),
        ],
        differentiable=False,
    ),
    _case(
        "qr",
        _positive_qr,
        oracle.each_of_several(oracle.gram_schmidt),
        _rectangle_samples,
        _bad_matrices("qr", square=False),
    ),
    _case(
        "qr, product",
        lambda a, mode: linalg.qr(a, mode)[0] @ linalg.qr(a, mode)[1],
        lambda a, mode: a,
        lambda rng: [
            sample("complete, wide", _full_rank(rng, 2, 3), mode="complete"),
            sample("complete, tall", _full_rank(rng, 3, 2), mode="complete", diff=()),
            sample("empty", normal(rng, 0, 3), mode="reduced"),
        ],
        [bad("unknown mode", ConfigError, r"^linalg\.qr: .*'full'", _a, mode="full")],
    ),
    _case(
        "eigh",
        _eigh_of_the_op,
        oracle.each_of_several(oracle.eigh),
        lambda rng: [
            sample("matrix", _apart(rng, 3, 3)),
            sample("batch", _apart(rng, 2, 2, 2)),
            sample("empty", normal(rng, 0, 0)),
        ],
    ),
    _case(
        "eigvalsh",
        lambda a, UPLO="L": linalg.eigvalsh((a + a.mT) * 0.5, UPLO),
        lambda a, UPLO="L": oracle.each(lambda x: oracle.eigh(x)[0])(a),
        lambda rng: [
            sample("matrix", _apart(rng, 3, 3)),
            sample("upper", _apart(rng, 3, 3), UPLO="U"),
            sample("empty", normal(rng, 0, 0)),
        ],
        [bad("unknown triangle", ConfigError, r"^linalg\.eigh: .*'X'", np.eye(2), UPLO="X")],
    ),
    _case(
        "svd",
        lambda a: oracle.svd_parts(*linalg.svd(a, full_matrices=False)),
        oracle.each_of_several(oracle.svd),
        _rectangle_samples,
        _bad_matrices("svd", square=False),
    ),
    _case(
        "svd, all vectors",
        lambda a: (linalg.svd(a)[1], linalg.svd(a)[0] @ linalg.svd(a)[0].mT, linalg.svd(a)[2] @ linalg.svd(a)[2].mT),
        lambda a: (oracle.svd(a)[0], np.eye(a.shape[0]), np.eye(a.shape[1])),
        lambda rng: [
            sample("tall", _full_rank(rng, 4, 2), diff=()),
            sample("wide", _full_rank(rng, 2, 4), diff=()),
            sample("empty", normal(rng, 0, 3), diff=()),
        ],
        differentiable=False,
    ),
    _case(
        "svdvals",
        linalg.svdvals,
        lambda a: oracle.svd(a)[0],
        lambda rng: [sample("tall", _full_rank(rng, 4, 2)), sample("empty", normal(rng, 0, 3))],
    ),
    _case(
        "vector_norm",
        linalg.vector_norm,
        oracle.vector_norm,
        lambda rng: [
            sample("of all", normal(rng, 3, 4)),
            sample("1", normal(rng, 3, 4), ord=1, dim=1),
            sample("3", normal(rng, 3, 4), ord=3, dim=(0, 1), keepdim=True),
            sample("0", normal(rng, 3, 4), ord=0, dim=0, diff=()),
            sample("-2", normal(rng, 3, 4), ord=-2, dim=0),
            sample("infinite", normal(rng, 3, 4), ord=math.inf, dim=0),
            sample("minus infinite", normal(rng, 3, 4), ord=-math.inf, dim=-1, keepdim=True),
            sample("0-d", np.asarray(1.5)),
            sample("empty", normal(rng, 0, 4), dim=0),
        ],
        [
            bad("integers", DTypeError, r"^linalg\.vector_norm: .*int64", np.ones(2, np.int64)),
            bad("extreme of nothing", ShapeError, r"^linalg\.vector_norm: .*\(0,\)", np.ones(0), ord=math.inf),
            bad("ord", ArgumentError, r"^linalg\.vector_norm: .*'fro'", np.ones(2), ord="fro"),
        ],
        dtypes=FLOATS,
        no_narrow="",
    ),
    _case(
        "matrix_norm",
        linalg.matrix_norm,
        oracle.matrix_norm,
        lambda rng: [
            *[sample(str(p), _full_rank(rng, 2, 3), ord=p) for p in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)],
            sample("other axes", normal(rng, 2, 3, 2), ord=1, dim=(2, 0), keepdim=True),
            sample("nuclear, other axes", normal(rng, 2, 3, 2), ord="nuc", dim=(1, 0), keepdim=True),
            sample("empty", normal(rng, 0, 3)),
        ],
        [
            bad("a vector", ShapeError, r"^linalg\.matrix_norm: .*\(3,\)", _a[0]),
            bad("ord", ConfigError, r"^linalg\.matrix_norm: .*ord=3", _a, ord=3),
            bad("extreme of nothing", ShapeError, r"^linalg\.matrix_norm: ", np.ones((2, 0)), ord=1),
            bad("one axis twice", ShapeError, r"^linalg\.matrix_norm: ", _a, dim=(1, -1)),
            bad("bfloat16", DTypeError, r"^linalg\.matrix_norm: .*bfloat16", _half.astype(as_dtype("bfloat16")), ord=2),
        ],
        no_narrow="ord 2, -2 and 'nuc' are made of singular values; the others run",
    ),
    _case(
        "norm",
        linalg.norm,
        lambda x, ord=None, dim=None: np.asarray(np.linalg.norm(x if ord else x.reshape(-1), ord, dim)),
        lambda rng: [
            sample("of all", normal(rng, 2, 3, 2)),
            sample("matrix", normal(rng, 2, 3), ord="fro"),
            sample("matrix, 1", normal(rng, 2, 3), ord=1),
            sample("vectors", normal(rng, 2, 3), ord=3, dim=1),
            sample("empty", normal(rng, 0, 3)),
        ],
        [bad("which axes", ShapeError, r"^linalg\.norm: .*\(2, 2, 2\)", np.ones((2, 2, 2)), ord=2)],
        dtypes=FLOATS,
        no_narrow="",
    ),
    _case(
        "matrix_power",
        linalg.matrix_power,
        oracle.matrix_power,
        lambda rng: [
            sample("5", _regular(rng, 2, 2) / 3, n=5),
            sample("batch, 2", _regular(rng, 2, 2, 2), n=2),
            sample("1", _regular(rng, 2, 2), n=1),
            sample("0", _regular(rng, 2, 2), n=0),
            sample("-2", _regular(rng, 2, 2), n=-2),
            sample("empty", np.zeros((0, 2, 2)), n=3),
        ],
        [
            bad("not square", ShapeError, r"^linalg\.matrix_power: .*\(2, 3\)", _a, n=2),
            bad("n", ArgumentError, r"^linalg\.matrix_power: .*0\.5", np.eye(2), n=0.5),
            bad("singular", LinAlgError, r"^linalg\.inv: ", _singular, n=-1),
        ],
        no_narrow="a negative power needs an inverse; the others run",
    ),
]
