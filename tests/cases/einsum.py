"""Entries for sums of products."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore.check.opdb import FLOATS, INTS, OpCase, bad, normal, sample
from deepcore.errors import ConfigError, ShapeError

_EQUATIONS = {
    "matrix product": ("ij,jk->ik", (2, 3), (3, 4)),
    "implicit output": ("ij,jk", (2, 3), (3, 4)),
    "implicit, sorted": ("ba,ca", (2, 3), (4, 3)),
    "sum of all": ("ij->", (2, 3)),
    "transpose": ("ij->ji", (2, 3)),
    "trace": ("ii", (3, 3)),
    "batch of diagonals": ("bii->bi", (2, 3, 3)),
    "diagonal within a product": ("iij,j->i", (2, 2, 3), (3,)),
    "batch": ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)),
    "bilinear": ("bn,anm,bm->ba", (2, 3), (2, 3, 4), (2, 4)),
    "outer": ("i,j->ij", (2,), (3,)),
    "inner": ("i,i->", (3,), (3,)),
    "ellipsis": ("...ij,...jk->...ik", (2, 1, 2, 3), (3, 3, 2)),
    "ellipsis, implicit": ("i...,i...", (2, 3), (2, 1)),
    "ellipsis summed": ("...i,i->i", (2, 3), (3,)),
    "size 1 broadcasts": ("ij,ij->i", (2, 3), (2, 1)),
    "spaces and capitals": ("iJ , J k -> k i", (2, 3), (3, 2)),
    "0-d": (",i->i", (), (3,)),
    "empty": ("ij,jk->ik", (0, 3), (3, 2)),
    "empty sum": ("ij,jk->ik", (2, 0), (0, 2)),
}


def _einsum(*operands, equation):
    """NumPy's own loop, which knows no size of 1 that is broadcast against a letter."""
    if equation == "ij,ij->i":
        operands = np.broadcast_arrays(*operands)
    return np.einsum(equation.replace(" ", "") if "->" in equation else equation, *operands, optimize=False)


def _einsum_numpy(*operands, equation):
    if equation == "...i,i->i":  # NumPy wants the axes of "..." in the output
        return np.einsum("ai,i->i", *operands)
    return _einsum(*operands, equation=equation)


_a, _b = np.ones((2, 3)), np.ones((4, 5))

CASES = [
    OpCase(
        "einsum",
        lambda *operands, equation: dc.einsum(equation, *operands),
        _einsum_numpy,
        lambda rng: [
            sample(name, *(normal(rng, *s) for s in shapes), equation=equation)
            for name, (equation, *shapes) in _EQUATIONS.items()
        ],
        dtypes=FLOATS + INTS,
        length=lambda *args, **kwargs: 36,
        errors=[
            bad("sizes differ", ShapeError, r"^einsum: .*'j'.*\(2, 3\).*\(4, 5\)", _a, _b, equation="ij,jk->ik"),
            bad("too few operands", ConfigError, r"^einsum: .*1 operands", _a, equation="ij,jk->ik"),
            bad("too many letters", ShapeError, r"^einsum: .*'ijk'.*\(2, 3\)", _a, equation="ijk->i"),
            bad("unknown output", ConfigError, r"^einsum: .*->k", _a, equation="ij->k"),
            bad("output twice", ConfigError, r"^einsum: .*->ii", _a, equation="ij->ii"),
            bad("not a letter", ConfigError, r"^einsum: .*i1", _a, equation="i1->i"),
            bad("diagonal of a rectangle", ShapeError, r"^einsum: .*'i'.*\(2, 3\)", _a, equation="ii->i"),
        ],
    ),
    OpCase(
        "bmm",
        dc.bmm,
        lambda a, b: np.stack([np.einsum("ik,kj->ij", x, y) for x, y in zip(a, b, strict=True)]),
        lambda rng: [
            sample("batch", normal(rng, 2, 3, 4), normal(rng, 2, 4, 2)),
            sample("empty rows", normal(rng, 2, 0, 4), normal(rng, 2, 4, 2)),
        ],
        dtypes=FLOATS + INTS,
        length=lambda *args: 24,
        errors=[
            bad("2-d", ShapeError, r"^bmm: .*\(2, 3\)", _a, _a),
            bad("batches differ", ShapeError, r"^bmm: ", np.ones((1, 2, 3)), np.ones((2, 3, 2))),
        ],
    ),
    OpCase(
        "outer",
        dc.outer,
        lambda a, b: np.array([[x * y for y in b] for x in a]).reshape(len(a), len(b)),
        lambda rng: [
            sample("vectors", normal(rng, 3), normal(rng, 4)),
            sample("empty", normal(rng, 0), normal(rng, 4)),
        ],
        dtypes=FLOATS + INTS,
        length=lambda *args: 4,
        errors=[bad("2-d", ShapeError, r"^outer: .*\(2, 3\)", _a, _a)],
    ),
]
