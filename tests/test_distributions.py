"""The distributions against SciPy, their moments by sampling, and equal draws on every device."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

import deepcore as dc
from deepcore import distributions as D
from deepcore.check.tolerance import STEP, assert_close, assert_derivative_close
from deepcore.errors import ConfigError, DTypeError, ShapeError

RNG = np.random.default_rng(3)
PROBS = RNG.uniform(0.1, 0.9, (3, 1))
CLASSES = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
LOC, SCALE = RNG.standard_normal((2, 3)), RNG.uniform(0.5, 2.0, 3)
LOW, HIGH = np.array([-1.0, 0.0, 2.0]), np.array([1.0, 0.5, 5.0])

MAKE = {
    "bernoulli": lambda t: D.Bernoulli(t(PROBS)),
    "bernoulli of logits": lambda t: D.Bernoulli(logits=t(special.logit(PROBS))),
    "categorical": lambda t: D.Categorical(t(3 * CLASSES)),
    "categorical of logits": lambda t: D.Categorical(logits=t(np.log(CLASSES) + 1)),
    "normal": lambda t: D.Normal(t(LOC), t(SCALE)),
    "laplace": lambda t: D.Laplace(t(LOC), t(SCALE)),
    "uniform": lambda t: D.Uniform(t(LOW), t(HIGH)),
}
SCIPY = {
    "bernoulli": stats.bernoulli(PROBS),
    "bernoulli of logits": stats.bernoulli(PROBS),
    "normal": stats.norm(LOC, SCALE),
    "laplace": stats.laplace(LOC, SCALE),
    "uniform": stats.uniform(LOW, HIGH - LOW),
}
VALUES = {
    "bernoulli": np.array([[0.0], [1.0], [1.0]]),
    "bernoulli of logits": np.array([0.0, 1.0, 0.0, 1.0]),
    "normal": LOC[:1] + 0.7,
    "laplace": LOC[:1] - 0.7,
    "uniform": np.array([[0.9, 0.1, 2.0], [1.5, -0.1, 6.0]]),
}


def host(tensor: dc.Tensor) -> np.ndarray:
    return tensor.backend.to_host(tensor.array)


def on(device: str, dtype: str = "float64"):
    return lambda a: dc.tensor(np.asarray(a, dtype=dtype), device=device)


@pytest.mark.parametrize("name", SCIPY)
def test_against_scipy(name: str, device: str) -> None:
    ours, theirs, value = MAKE[name](on(device)), SCIPY[name], VALUES[name]
    density = theirs.logpmf if "bernoulli" in name else theirs.logpdf
    shape = np.shape(theirs.mean())
    assert ours.batch_shape == shape
    assert_close(host(ours.mean), theirs.mean(), "float64")
    assert_close(host(ours.variance), theirs.var(), "float64")
    assert_close(host(ours.stddev), theirs.std(), "float64")
    assert_close(host(ours.entropy()), np.asarray(theirs.entropy()), "float64")
    assert_close(host(ours.log_prob(on(device)(value))), density(value), "float64")


@pytest.mark.parametrize("name", ["categorical", "categorical of logits"])
def test_categorical(name: str, device: str) -> None:
    d = MAKE[name](on(device))
    assert d.batch_shape == (2,)
    value = dc.tensor([[0, 1], [2, 2], [1, 0]], device=device)
    assert_close(host(d.log_prob(value)), np.log(CLASSES[[0, 1], host(value)]), "float64", 3)
    assert_close(host(d.entropy()), special.entr(CLASSES).sum(1), "float64", 3)
    assert np.isnan(host(d.mean)).all()
    assert np.isnan(host(d.variance)).all()


@pytest.mark.parametrize("count", [0, 1, 6])
def test_multinomial(count: int, device: str) -> None:
    d = D.Multinomial(count, on(device)(CLASSES))
    assert d.batch_shape == (2,)
    draws = d.sample((4000,), dc.Generator(2))
    assert draws.shape == (4000, 2, 3)
    assert (host(draws).sum(-1) == count).all()
    spread = count * CLASSES * (1 - CLASSES)
    assert (np.abs(host(draws).mean(0) - count * CLASSES) <= 5 * np.sqrt(spread / 4000)).all()
    assert_close(host(d.mean), count * CLASSES, "float64")
    assert_close(host(d.variance), spread, "float64")
    for i, p in enumerate(CLASSES):
        theirs, value = stats.multinomial(count, p), host(draws)[:5, i]
        one = D.Multinomial(count, logits=on(device)(np.log(p)))
        assert_close(host(one.log_prob(on(device)(value))), theirs.logpmf(value), "float64", 16)
        assert_close(host(d.entropy())[i], np.asarray(theirs.entropy()), "float64", 16)
    with pytest.raises(ConfigError, match=f"log_prob of Multinomial: .*counts that sum to {count}"):
        D.Multinomial(count, dc.ones(2)).log_prob(dc.tensor([1.0, count]))


@pytest.mark.parametrize("name", MAKE)
def test_draws(name: str, device: str) -> None:
    """20000 draws have the moments of the distribution within five standard errors, and the same seed repeats them."""
    d, n = MAKE[name](on(device)), 20000
    draws = d.sample((n,), generator=dc.Generator(1))
    assert draws.shape == (n, *d.batch_shape)
    assert not draws.requires_grad
    again, reference = d.sample((n,), dc.Generator(1)), MAKE[name](on("numpy")).sample(n, dc.Generator(1))
    assert host(again).tobytes() == host(draws).tobytes()
    assert_close(host(draws), host(reference), draws.dtype)
    if name.startswith("categorical"):
        mean, variance = CLASSES, CLASSES * (1 - CLASSES)
        x = (host(draws)[..., None] == np.arange(3)).astype(float)
    else:
        mean, variance, x = host(d.mean), host(d.variance), host(draws)
        spread = x.var(0) * n / (n - 1)
        fourth = ((x - x.mean(0)) ** 4).mean(0)
        assert (np.abs(spread - variance) < 5 * np.sqrt((fourth - variance**2 + 1e-4) / n)).all()
    assert (np.abs(x.mean(0) - mean) < 5 * np.sqrt(variance / n)).all()
    if name == "uniform":
        assert (x >= LOW).all()
        assert (x < HIGH).all()


def test_draws_of_certain_classes(device: str) -> None:
    d = D.Categorical(on(device, "float32")([[0, 1, 0], [0, 0, 5], [1, 0, 0]]))
    assert (host(d.sample((200,))) == [1, 2, 0]).all()
    assert host(D.Bernoulli(on(device)([0.0, 1.0])).sample((50,))).mean(0).tolist() == [0.0, 1.0]


def test_the_default_stream_is_used() -> None:
    d = D.Normal(0.0, 1.0)
    dc.manual_seed(4)
    first, second = d.sample((3,)), d.sample((3,))
    dc.manual_seed(4)
    assert d.sample((3,)).tolist() == first.tolist() != second.tolist()
    assert d.sample().shape == ()
    assert d.sample((0, 2)).shape == (0, 2)


@pytest.mark.parametrize("name", ["normal", "uniform", "laplace"])
def test_rsample_has_the_gradient_of_the_parameters(name: str, device: str) -> None:
    kind, first, second = (D.Uniform, LOW, HIGH) if name == "uniform" else (getattr(D, name.title()), LOC, SCALE)
    a, b = (dc.tensor(x, device=device, requires_grad=True) for x in (first, second))
    kind(a, b).rsample((2,), dc.Generator(0)).sum().backward()

    def total(i: int, step: float) -> float:
        moved = [first + step * (i == 0), second + step * (i == 1)]
        return kind(*map(on(device), moved)).sample((2,), dc.Generator(0)).sum().item()

    for i, g in enumerate((a.grad, b.grad)):
        assert_derivative_close(host(g).sum(), (total(i, STEP) - total(i, -STEP)) / (2 * STEP), 2 * LOC.size)
    with pytest.raises(ConfigError, match=r"rsample: .*Bernoulli\(batch_shape=\(\)\)"):
        D.Bernoulli(0.5).rsample()


def test_log_prob_has_a_gradient(device: str) -> None:
    """The score function: sum of (value - p) / (p (1 - p)) for Bernoulli, (value - loc) / scale^2 for the mean."""
    p = dc.tensor(PROBS, device=device, requires_grad=True)
    D.Bernoulli(p).log_prob(dc.tensor(VALUES["bernoulli"], device=device)).sum().backward()
    assert_close(host(p.grad), (VALUES["bernoulli"] - PROBS) / (PROBS * (1 - PROBS)), "float64")
    w = dc.tensor(CLASSES, device=device, requires_grad=True)
    D.Categorical(w).log_prob(dc.tensor([2, 0], device=device)).sum().backward()
    assert_close(host(w.grad), np.array([[-1, -1, 1.0], [2 / 3, -1, -1]]), "float64", 3)


def test_kl_divergence(device: str) -> None:
    t = on(device)
    p, q = RNG.uniform(0.1, 0.9, 4), RNG.uniform(0.1, 0.9, 4)
    want = special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q)
    assert_close(host(D.kl_divergence(D.Bernoulli(t(p)), D.Bernoulli(t(q)))), want, "float64")
    sure = D.kl_divergence(D.Bernoulli(t([0.0, 1.0, 0.5])), D.Bernoulli(t([0.5, 1.0, 1.0])))
    assert_close(host(sure), np.array([math.log(2), 0.0, math.inf]), "float64")
    got = D.kl_divergence(MAKE["categorical"](t), D.Categorical(t([0.25, 0.25, 0.5])))
    assert_close(host(got), special.rel_entr(CLASSES, [0.25, 0.25, 0.5]).sum(1), "float64", 3)
    x = np.linspace(-12, 12, 4001)
    a, b = stats.norm(0.3, 0.8), stats.norm(-0.5, 1.7)
    want = np.trapezoid(a.pdf(x) * (a.logpdf(x) - b.logpdf(x)), x)
    got = D.kl_divergence(D.Normal(t(0.3), t(0.8)), D.Normal(t(-0.5), t(1.7)))
    assert_close(host(got), np.asarray(want), "float64", x.size)
    want = 0.8 / 1.7 + 0.8 / 1.7 * math.exp(-1) - math.log(0.8 / 1.7) - 1  # Gil, Alajaji & Linder 2013, table 3
    got = D.kl_divergence(D.Laplace(t(0.3), t(0.8)), D.Laplace(t(-0.5), t(1.7)))
    assert_close(host(got), np.asarray(want), "float64")
    got = D.kl_divergence(D.Uniform(t([0.0, 0.0]), t([1.0, 2.0])), D.Uniform(t([0.0, 0.0]), t([4.0, 1.5])))
    assert_close(host(got), np.array([math.log(4), math.inf]), "float64")


def test_a_divergence_can_be_added() -> None:
    class Narrow(D.Normal):
        pass

    assert D.kl_divergence(Narrow(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 0.0  # that of the base class
    with pytest.raises(ConfigError, match=r"kl_divergence: .*Narrow and Bernoulli.*register_kl"):
        D.kl_divergence(Narrow(0.0, 1.0), D.Bernoulli(0.5))
    D.register_kl(Narrow, D.Bernoulli)(lambda p, q: p.loc + 7)
    assert D.kl_divergence(Narrow(0.0, 1.0), D.Bernoulli(0.5)).item() == 7.0


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: D.Bernoulli(), ConfigError, "Bernoulli: expected either probs or logits; got neither"),
        (lambda: D.Bernoulli(0.5, 0.0), ConfigError, "Bernoulli: .*both"),
        (lambda: D.Bernoulli(1.5), ConfigError, "Bernoulli: expected 0 <= probs <= 1"),
        (lambda: D.Bernoulli(dc.tensor([1, 0])), DTypeError, "Bernoulli: .*int64"),
        (lambda: D.Bernoulli(0.5).log_prob(dc.tensor(2.0)), ConfigError, "log_prob of Bernoulli: .*values 0 and 1"),
        (lambda: D.Categorical(0.5), ShapeError, r"Categorical: .*\(\.\.\., K\)"),
        (lambda: D.Categorical(dc.tensor([1.0, -1.0])), ConfigError, "Categorical: expected probs >= 0"),
        (lambda: D.Categorical(dc.zeros(3)), ConfigError, "Categorical: expected a positive sum"),
        (lambda: D.Categorical(dc.ones(3)).log_prob(dc.tensor(3)), ConfigError, r"log_prob of Categorical: .*0\.\.2"),
        (lambda: D.Multinomial(-1, dc.ones(2)), ConfigError, "Multinomial: .*total_count=-1"),
        (lambda: D.Laplace(0.0, 0.0), ConfigError, "Laplace: expected scale > 0"),
        (lambda: D.Normal(0.0, -1.0), ConfigError, "Normal: expected scale > 0"),
        (lambda: D.Normal(dc.zeros(2), dc.ones(3)), ShapeError, r"Normal: .*\(2,\).*\(3,\)"),
        (lambda: D.Normal(dc.zeros(2), 1.0).log_prob(dc.zeros(3)), ShapeError, r"log_prob: .*\(3,\).*\(2,\)"),
        (lambda: D.Uniform(1.0, 1.0), ConfigError, "Uniform: expected low < high"),
    ],
)
def test_bad_input(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()
