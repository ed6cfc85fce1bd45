"""Information theory and Bayes' rule, against SciPy and loops, on every device."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import deepcore as dc
from deepcore import information
from deepcore.check.tolerance import STEP, assert_close, assert_derivative_close
from deepcore.errors import ConfigError, DTypeError, ShapeError

RNG = np.random.default_rng(11)


def probabilities(*shape: int) -> np.ndarray:
    p = RNG.uniform(0.1, 1.0, shape)
    return p / p.sum(-1, keepdims=True)


def host(tensor: dc.Tensor) -> np.ndarray:
    return tensor.backend.to_host(tensor.array)


P, Q = probabilities(3, 4), probabilities(3, 4)
HARD = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0], [0.25, 0.25, 0.25, 0.25]])
BASES = [None, 2, 10, 0.5]


def unit(base: float | None) -> float:
    return math.log(base or math.e)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_values(base: float | None, dtype: str, device: str) -> None:
    for p in (P, HARD, P[0], P[:0]):
        rounded = p.astype(dtype)
        wide, x, q = rounded.astype(np.float64), dc.tensor(rounded, device=device), dc.tensor(Q[0], device=device)
        q_wide = Q[0].astype(dtype).astype(np.float64)
        q = q.to(dtype)
        want = special.entr(wide).sum(-1) / unit(base)
        assert_close(host(information.entropy(x, base)), want, dtype, 4)
        want = special.rel_entr(wide, q_wide).sum(-1) / unit(base)
        assert_close(host(information.kl_divergence(x, q, base)), want, dtype, 4)
        want = -special.xlogy(wide, q_wide).sum(-1) / unit(base)
        assert_close(host(information.cross_entropy(x, q, base)), want, dtype, 4)
    x = P.astype(dtype)
    got = information.self_information(dc.tensor(x, device=device), base)
    assert_close(host(got), -np.log(x.astype(np.float64)) / unit(base), dtype)


def test_infinities_and_other_axes(device: str) -> None:
    p, q = dc.tensor(HARD, device=device), dc.tensor(HARD[::-1].copy(), device=device)
    assert host(information.kl_divergence(p, q)).tolist()[2] == math.inf
    assert host(information.cross_entropy(p, q)).tolist()[0] == pytest.approx(math.log(4))
    assert host(information.self_information(dc.tensor(0.0, device=device))) == math.inf
    along = information.entropy(dc.tensor(HARD.T.copy(), device=device), dim=0)
    assert_close(host(along), host(information.entropy(p)), "float64", 4)


def test_gradients(device: str) -> None:
    """Against central differences along a direction that keeps the sum at 1."""
    direction = RNG.standard_normal(P.shape)
    direction -= direction.mean(-1, keepdims=True)
    direction /= np.linalg.norm(direction)
    for function in (information.entropy, lambda p: information.kl_divergence(p, dc.tensor(Q, device=device))):
        x = dc.tensor(P, device=device, requires_grad=True)
        function(x).sum().backward()
        ends = [function(dc.tensor(P + s * STEP * direction, device=device)).sum().item() for s in (1, -1)]
        assert_derivative_close((host(x.grad) * direction).sum(), (ends[0] - ends[1]) / (2 * STEP), P.size)


def test_gradient_is_finite_at_certainty(device: str) -> None:
    p = dc.tensor(HARD, device=device, requires_grad=True)
    q = dc.tensor(Q, device=device, requires_grad=True)
    (information.kl_divergence(p, q) + information.cross_entropy(p, q) + information.entropy(p)).sum().backward()
    assert np.isfinite(host(p.grad)).all()
    assert_close(host(q.grad), -2 * HARD / Q, "float64", 4)


def test_mutual_information(device: str) -> None:
    joint = RNG.uniform(0, 1, (2, 3, 4))
    joint /= joint.sum((1, 2), keepdims=True)
    joint[1, 0] = 0
    joint[1] /= joint[1].sum()
    want = [special.rel_entr(j, j.sum(1, keepdims=True) * j.sum(0, keepdims=True)).sum() / math.log(2) for j in joint]
    assert_close(
        host(information.mutual_information(dc.tensor(joint, device=device), 2)), np.array(want), "float64", 12
    )
    apart = np.outer(P[0], Q[0])
    assert abs(information.mutual_information(dc.tensor(apart, device=device)).item()) < 1e-12


def test_bayes_rule(device: str) -> None:
    likelihood = RNG.uniform(0, 3, (5, 4))
    posterior, evidence = information.bayes_rule(dc.tensor(P[0], device=device), dc.tensor(likelihood, device=device))
    want = np.array([sum(P[0, h] * row[h] for h in range(4)) for row in likelihood])
    assert_close(host(evidence), want, "float64", 4)
    assert_close(host(posterior), P[0] * likelihood / want[:, None], "float64", 4)
    along, _ = information.bayes_rule(
        dc.tensor(P.T.copy(), device=device), dc.tensor(likelihood[:3].T.copy(), device=device), dim=0
    )
    assert_close(host(along.sum(0)), np.ones(3), "float64", 4)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda p: information.entropy(p * 2), ConfigError, r"entropy: expected 0 <= p <= 1|sum to 1"),
        (lambda p: information.entropy(p * 0.5), ConfigError, "entropy: expected probabilities that sum to 1"),
        (lambda p: information.entropy(p, base=1), ConfigError, "entropy: expected base > 0.*base=1"),
        (lambda p: information.entropy(p[0, 0]), ShapeError, r"entropy: .*\(\)"),
        (lambda p: information.self_information(p - 2), ConfigError, "self_information: expected 0 <= p <= 1"),
        (lambda p: information.self_information(p.long()), DTypeError, "self_information: .*int64"),
        (lambda p: information.kl_divergence(p, p[0, :2] / 2), ShapeError, r"kl_divergence: .*\(3, 4\).*\(2,\)"),
        (lambda p: information.bayes_rule(p, -p), ConfigError, "bayes_rule: .*likelihood"),
        (lambda p: information.bayes_rule(p / 2, p), ConfigError, "bayes_rule: .*sum to 1"),
        (lambda p: information.mutual_information(p[0]), ShapeError, r"mutual_information: .*\(4,\)"),
        (lambda p: information.mutual_information(p), ConfigError, "mutual_information: .*sum to 1"),
    ],
)
def test_bad_input(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call(dc.tensor(P))
