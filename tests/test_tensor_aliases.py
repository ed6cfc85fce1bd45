"""Methods of tensors that are other names or short ways: against NumPy, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore.check.opdb import host
from deepcore.errors import DTypeError, ShapeError

A = np.array([[1.5, 0.0, -2.5], [np.inf, np.nan, 3.0]])
B = np.array([[1.5, 1.0, -3.0], [0.0, 0.0, 4.0]])
X = np.arange(24.0).reshape(2, 3, 4)

# name: (method, what NumPy has for it)
CALLS = {
    "eq": (lambda a, b: a.eq(b), lambda a, b: a == b),
    "ne": (lambda a, b: a.ne(b), lambda a, b: a != b),
    "lt": (lambda a, b: a.lt(b), lambda a, b: a < b),
    "le": (lambda a, b: a.le(b), lambda a, b: a <= b),
    "gt": (lambda a, b: a.gt(0), lambda a, b: a > 0),
    "ge": (lambda a, b: a.ge(b), lambda a, b: a >= b),
    "logical_not": (lambda a, b: a.logical_not(), lambda a, b: np.logical_not(a)),
    "logical_and": (lambda a, b: a.logical_and(b), np.logical_and),
    "logical_or": (lambda a, b: a.logical_or(b), np.logical_or),
    "logical_xor": (lambda a, b: a.logical_xor(b), np.logical_xor),
    "isinf": (lambda a, b: a.isinf(), lambda a, b: np.isinf(a)),
    "count_nonzero": (lambda a, b: b.count_nonzero(), lambda a, b: np.asarray(np.count_nonzero(b))),
    "count_nonzero of rows": (lambda a, b: b.count_nonzero(1), lambda a, b: np.count_nonzero(b, axis=1)),
    "mm": (lambda a, b: b.mm(b.T), lambda a, b: b @ b.T),
    "mv": (lambda a, b: b.mv(b[0]), lambda a, b: b @ b[0]),
    "clamp_min": (lambda a, b: b.clamp_min(0.5), lambda a, b: np.maximum(b, 0.5)),
    "clamp_max": (lambda a, b: b.clamp_max(0.5), lambda a, b: np.minimum(b, 0.5)),
    "expand_as": (lambda a, b: b[0].expand_as(b), lambda a, b: np.broadcast_to(b[0], b.shape)),
    "reshape_as": (lambda a, b: b.reshape_as(b.T), lambda a, b: b.reshape(3, 2)),
    "ravel": (lambda a, b: b.T.ravel(), lambda a, b: b.T.ravel()),
}


@pytest.mark.parametrize("name", CALLS)
def test_against_numpy(name: str, device: str) -> None:
    if device == "simulator":
        pytest.skip("no kernels")
    ours, theirs = CALLS[name]
    got = ours(dc.tensor(A, device=device), dc.tensor(B, device=device))
    expected = theirs(A, B)
    assert np.dtype(got.dtype) == expected.dtype
    np.testing.assert_array_equal(host(got), expected)


@pytest.mark.parametrize(
    "name",
    [
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "asinh",
        "acosh",
        "atanh",
        "expm1",
        "exp2",
        "log2",
        "log10",
        "reciprocal",
        "rsqrt",
        "ceil",
        "floor",
        "round",
        "trunc",
        "lgamma",
        "digamma",
        "erfinv",
        "diag_embed",
    ],
)
def test_a_method_is_its_function(name: str) -> None:
    x = dc.tensor([0.3, 0.6, 0.9])
    np.testing.assert_array_equal(getattr(x, name)().numpy(), getattr(F, name)(x).numpy())


def test_slices() -> None:
    x = dc.tensor(X, requires_grad=True)
    np.testing.assert_array_equal(x.select(1, -1).detach().numpy(), X[:, -1])
    np.testing.assert_array_equal(x.narrow(-1, 1, 2).detach().numpy(), X[..., 1:3])
    np.testing.assert_array_equal(x.narrow(1, -2, 2).detach().numpy(), X[:, 1:])
    assert x.narrow(0, 2, 0).shape == (0, 3, 4)
    x.select(0, 1).narrow(0, 1, 1).sum().backward()
    assert x.grad.sum().item() == 4.0
    assert x.nelement() == 24
    for start, length in ((2, 2), (-4, 1), (0, -1)):
        with pytest.raises(ShapeError, match=r"narrow: .*start"):
            x.narrow(1, start, length)
    with pytest.raises(ShapeError, match=r"select: .*dim"):
        x.select(3, 0)


def test_errors() -> None:
    x = dc.ones(2, 3)
    with pytest.raises(ShapeError, match=r"mm: expected two matrices; got x \(2, 3\).*mat2 \(3,\)"):
        x.mm(dc.ones(3))
    with pytest.raises(ShapeError, match="mv: expected a matrix and a vector"):
        x.mv(x)


# --- integers ---------------------------------------------------------------------------------------------------------


def test_powers_of_integers(device: str) -> None:
    """Of a negative power the fraction is dropped; a negative number as exponent is refused, as in PyTorch."""
    if device == "simulator":
        pytest.skip("no kernels")
    a, b = (dc.tensor(v, device=device) for v in ([2, -1, 1, 0, -1], [-1, -1, -3, -2, -2]))
    assert host(a**b).tolist() == [0, -1, 1, 0, 1]
    assert host(a ** abs(b)).tolist() == [2, -1, 1, 0, 1]
    assert host(2**b).tolist() == [0] * 5
    assert host((-1) ** b).tolist() == [-1, -1, -1, 1, 1]
    assert host(a**3).tolist() == [8, -1, 1, 0, -1]
    assert (a**2).dtype == dc.int64
    with pytest.raises(DTypeError, match=r"pow: expected floating x for a negative exponent; got exponent=-1"):
        a**-1


def test_integers_become_the_default_floating_dtype() -> None:
    n, m = dc.tensor([-1, 2]), dc.tensor([4, 2])
    assert F.leaky_relu(n).dtype == dc.float32
    assert n.clamp(0.5).dtype == dc.float32
    assert n.clamp(0).dtype == dc.int64
    assert F.huber_loss(n, m).dtype == F.smooth_l1_loss(n, m).dtype == dc.float32


def test_masked_fill_takes_whole_numbers_for_integers() -> None:
    n = dc.tensor([1, 2])
    assert n.masked_fill(n > 1, -2.0).tolist() == [1, -2]
    with pytest.raises(DTypeError, match="masked_fill"):
        n.masked_fill(n > 1, 0.5)
