"""Gamma, Beta and Dirichlet: against SciPy, their draws by Kolmogorov and Smirnov's test, their gradients, `expand`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

import deepcore as dc
from deepcore import distributions as D
from deepcore.backends import get_backend
from deepcore.backends.base import Backend
from deepcore.check.tolerance import STEP, assert_close, assert_derivative_close
from deepcore.errors import ConfigError, GraphError, ShapeError

CONCENTRATIONS = np.array([0.05, 0.3, 1.0, 2.5, 9.0, 40.0])
RATES = np.array([0.5, 1.0, 2.0, 3.0, 0.1, 8.0])
OTHERS = np.array([2.0, 0.4, 1.0, 0.7, 5.0, 30.0])
RULE = np.polynomial.legendre.leggauss(100)
CLASSES = np.array([[0.4, 1.0, 2.5], [3.0, 8.0, 0.2]])


def host(tensor: dc.Tensor) -> np.ndarray:
    return tensor.backend.to_host(tensor.array)


def on(device: str, dtype: str = "float64"):
    return lambda a: dc.tensor(np.asarray(a, dtype=dtype), device=device)


def test_against_scipy(device: str) -> None:
    t = on(device)
    x = np.array([0.02, 0.4, 3.0, 11.0])[:, None]
    theirs, ours = stats.gamma(CONCENTRATIONS, scale=1 / RATES), D.Gamma(t(CONCENTRATIONS), t(RATES))
    assert ours.batch_shape == (6,)
    assert_close(host(ours.log_prob(t(x))), theirs.logpdf(x), "float64")
    assert_close(host(ours.mean), theirs.mean(), "float64")
    assert_close(host(ours.variance), theirs.var(), "float64")
    assert_close(host(ours.entropy()), theirs.entropy(), "float64", 4)  # a sum of four terms
    x = np.array([0.02, 0.5, 0.9])[:, None]
    a, b = CONCENTRATIONS[:5], OTHERS[:5]  # at 40 and 30 the logarithms of gamma are in the hundreds, and cancel
    theirs, ours = stats.beta(a, b), D.Beta(t(a), t(b))
    assert_close(host(ours.log_prob(t(x))), theirs.logpdf(x), "float64", 4)
    assert_close(host(ours.mean), theirs.mean(), "float64")
    assert_close(host(ours.variance), theirs.var(), "float64")
    assert_close(host(ours.entropy()), theirs.entropy(), "float64", 64)
    ours, x = D.Dirichlet(t(CLASSES)), np.array([0.2, 0.3, 0.5])
    assert (ours.batch_shape, ours.event_shape) == ((2,), (3,))
    for i, theirs in enumerate(map(stats.dirichlet, CLASSES)):
        assert_close(host(ours.log_prob(t(x)))[i], np.asarray(theirs.logpdf(x)), "float64", 8)
        assert_close(host(ours.mean)[i], theirs.mean(), "float64")
        assert_close(host(ours.variance)[i], theirs.var(), "float64")
        assert_close(host(ours.entropy())[i], np.asarray(theirs.entropy()), "float64", 8)


def test_log_prob_at_the_ends() -> None:
    assert D.Gamma(1.0, 2.0).log_prob(dc.tensor(0.0)).item() == pytest.approx(math.log(2))
    assert D.Gamma(2.0, 2.0).log_prob(dc.tensor(0.0)).item() == -math.inf
    assert D.Beta(1.0, 1.0).log_prob(dc.tensor([0.0, 1.0])).tolist() == [0.0, 0.0]
    a = dc.tensor(1.0, dtype="float64", requires_grad=True)
    D.Gamma(a, 1.0).log_prob(dc.tensor(3.0, dtype="float64")).backward()
    assert a.grad.item() == pytest.approx(math.log(3) - special.psi(1))  # also where concentration - 1 is 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_draws_have_the_distribution(dtype: str, device: str) -> None:
    """Kolmogorov and Smirnov's test of 4000 draws for each of 18 distributions, with a fixed seed."""
    t, n = on(device, dtype), 4000
    draws = D.Gamma(t(CONCENTRATIONS), t(RATES)).sample((n,), dc.Generator(5))
    assert draws.shape == (n, 6)
    assert np.dtype(draws.dtype) == dtype
    for i, (a, rate) in enumerate(zip(CONCENTRATIONS, RATES, strict=True)):
        assert stats.kstest(host(draws)[:, i], stats.gamma(a, scale=1 / rate).cdf).pvalue > 0.001
    draws = D.Beta(t(CONCENTRATIONS), t(OTHERS)).sample((n,), dc.Generator(6))
    for i, (a, b) in enumerate(zip(CONCENTRATIONS, OTHERS, strict=True)):
        assert stats.kstest(host(draws)[:, i], stats.beta(a, b).cdf).pvalue > 0.001
    draws = host(D.Dirichlet(t(CLASSES)).sample((n,), dc.Generator(7)))
    assert_close(draws.sum(-1), np.ones((n, 2)), dtype, 3)
    for i, k in np.ndindex(CLASSES.shape):  # each share has a Beta distribution
        a, b = CLASSES[i, k], CLASSES[i].sum() - CLASSES[i, k]
        assert stats.kstest(draws[:, i, k], stats.beta(a, b).cdf).pvalue > 0.001


def test_draws_are_the_same_on_every_device(device: str) -> None:
    """The logarithms of gamma draws have the same bits, and so have draws of a concentration of at least 1."""
    a = np.linspace(0.05, 6.0, 3000)
    backend, reference = get_backend(device), get_backend("numpy")
    draws, logs = map(backend.to_host, backend.standard_gamma(3, 40, backend.from_host(a)))
    expected, expected_logs = reference.standard_gamma(3, 40, a)
    assert logs.tobytes() == expected_logs.tobytes()
    assert draws[a >= 1].tobytes() == expected[a >= 1].tobytes()
    assert_close(draws, expected, "float64")


def test_draws_of_tiny_concentrations_stay_inside() -> None:
    small = dc.full((200,), 1e-3)
    assert (D.Gamma(small, 1.0).sample().array > 0).all()
    drawn = D.Beta(small, small).sample(generator=dc.Generator(1)).array
    assert ((drawn > 0) & (drawn < 1)).all()
    assert 60 < (drawn > 0.5).sum() < 140  # nearly all at one of the ends, and at each as often
    drawn = D.Dirichlet(dc.full((50, 4), 1e-4)).sample()
    assert np.isfinite(drawn.array).all()
    assert D.Gamma(dc.ones(0), 1.0).sample((2,)).shape == (2, 0)
    assert D.Beta(1.0, 1.0).sample().shape == ()


def test_where_every_proposal_is_refused_the_draw_is_in_the_middle() -> None:
    class Unlucky(Backend):
        def uniform(self, seed, offset, shape, dtype):
            return self.xp.zeros(shape, dtype=dtype)

    draws, logs = Unlucky().standard_gamma(0, 0, np.array([1.0, 5.0]))
    assert_close(draws, np.array([2 / 3, 14 / 3]), "float64")
    assert_close(logs, np.log(draws), "float64")


def test_rsample_of_gamma_moves_along_the_quantile(device: str) -> None:
    """d(log z) / da at a fixed value of the distribution function, against SciPy's inverse of it."""
    backend = get_backend(device)
    a = np.repeat([0.2, 0.8, 1.0, 3.0, 9.5, 12.0, 80.0], 20)
    _, logs = get_backend("numpy").standard_gamma(1, 0, a)
    got = backend.to_host(backend.standard_gamma_grad(backend.from_host(a), backend.from_host(logs)))
    below, above = special.gammainc(a, np.exp(logs)), special.gammaincc(a, np.exp(logs))

    def quantile(a):
        lower, upper = special.gammaincinv(a, below), special.gammainccinv(a, above)
        return np.log(np.where(below < 0.5, lower, upper))

    assert_derivative_close(got, (quantile(a + STEP) - quantile(a - STEP)) / (2 * STEP), 64)


def test_rsample_has_the_gradient_of_the_parameters(device: str) -> None:
    """The mean gradient of many draws is the gradient of the mean, within five standard errors."""
    n = 3000
    for kind, first, second in ((D.Gamma, CONCENTRATIONS, RATES), (D.Beta, CONCENTRATIONS, OTHERS)):
        a, b = (dc.tensor(np.tile(x, (n, 1)), device=device, requires_grad=True) for x in (first, second))
        drawn = kind(a, b).rsample(generator=dc.Generator(8))
        drawn.sum().backward()
        c, d = (dc.tensor(x, requires_grad=True) for x in (first, second))
        kind(c, d).mean.sum().backward()
        for got, want in ((host(a.grad), c.grad.numpy()), (host(b.grad), d.grad.numpy())):
            assert (np.abs(got.mean(0) - want) < 5 * got.std(0) / math.sqrt(n) + 1e-12).all()
    a = dc.tensor(np.tile(CLASSES, (n, 1, 1)), device=device, requires_grad=True)
    D.Dirichlet(a).rsample(generator=dc.Generator(9))[..., 0].sum().backward()
    total = CLASSES.sum(-1, keepdims=True)
    want = (np.array([1.0, 0.0, 0.0]) * total - CLASSES[:, :1]) / total**2
    got = host(a.grad)
    assert (np.abs(got.mean(0) - want) < 5 * got.std(0) / math.sqrt(n)).all()


def test_the_draws_are_differentiable_once() -> None:
    a = dc.tensor([2.0], requires_grad=True)
    (slope,) = dc.autograd.grad(D.Gamma(a, 1.0).rsample().sum(), a, create_graph=True)
    with pytest.raises(GraphError, match=r"rsample of Gamma.*one derivative of the draws"):
        slope.sum().backward()


# --- divergences ------------------------------------------------------------------------------------------------------


def by_quadrature(p, q, low: float, high: float) -> float:
    x, w = RULE
    x, w = (x + 1) / 2 * (high - low) + low, w * (high - low) / 2
    return float((w * p.pdf(x) * (p.logpdf(x) - q.logpdf(x))).sum())


PAIRS = [
    (D.Gamma(3.0, 2.0), D.Gamma(1.5, 0.7), stats.gamma(3, scale=0.5), stats.gamma(1.5, scale=1 / 0.7), 0, 25),
    (D.Beta(3.0, 4.0), D.Beta(2.0, 2.5), stats.beta(3, 4), stats.beta(2, 2.5), 0, 1),
    (D.Beta(3.0, 4.0), D.Normal(0.2, 0.6), stats.beta(3, 4), stats.norm(0.2, 0.6), 0, 1),
    (D.Beta(3.0, 4.0), D.Gamma(2.0, 3.0), stats.beta(3, 4), stats.gamma(2, scale=1 / 3), 0, 1),
    (D.Beta(3.0, 4.0), D.Uniform(-1.0, 1.5), stats.beta(3, 4), stats.uniform(-1, 2.5), 0, 1),
    (D.Gamma(3.0, 2.0), D.Normal(1.0, 0.8), stats.gamma(3, scale=0.5), stats.norm(1, 0.8), 0, 25),
    (D.Uniform(0.1, 0.7), D.Beta(2.0, 2.5), stats.uniform(0.1, 0.6), stats.beta(2, 2.5), 0.1, 0.7),
    (D.Uniform(0.1, 0.7), D.Gamma(2.0, 3.0), stats.uniform(0.1, 0.6), stats.gamma(2, scale=1 / 3), 0.1, 0.7),
    (D.Uniform(0.1, 0.7), D.Normal(1.0, 0.8), stats.uniform(0.1, 0.6), stats.norm(1, 0.8), 0.1, 0.7),
    (D.Normal(0.3, 0.5), D.Laplace(0.3, 0.8), stats.norm(0.3, 0.5), stats.laplace(0.3, 0.8), None, None),
    (D.Laplace(0.3, 0.5), D.Normal(-0.2, 0.8), stats.laplace(0.3, 0.5), stats.norm(-0.2, 0.8), None, None),
]


@pytest.mark.parametrize(("p", "q", "p_theirs", "q_theirs", "low", "high"), PAIRS)
def test_kl_divergence(p, q, p_theirs, q_theirs, low, high) -> None:
    if low is None:  # a kink at 0.3: two halves
        want = by_quadrature(p_theirs, q_theirs, -15, 0.3) + by_quadrature(p_theirs, q_theirs, 0.3, 15)
    else:
        want = by_quadrature(p_theirs, q_theirs, low, high)
    assert_close(D.kl_divergence(p, q).numpy(), np.float32(want), "float32", 4)


def test_kl_divergence_that_is_infinite() -> None:
    g, b, u, n, e = D.Gamma(1.0, 1.0), D.Beta(2.0, 2.0), D.Uniform(-1.0, 3.0), D.Normal(0.0, 1.0), D.Laplace(0.0, 1.0)
    for p, q in ((g, b), (g, u), (n, g), (n, b), (n, u), (e, g), (e, b), (e, u), (u, g), (u, b)):
        assert D.kl_divergence(p, q).item() == math.inf
    assert D.kl_divergence(b, D.Uniform(0.1, 3.0)).item() == math.inf
    assert D.kl_divergence(D.Uniform(0.0, 1.0), D.Beta(1.0, 1.0)).item() == pytest.approx(0.0, abs=1e-6)
    assert D.kl_divergence(n.expand((2, 1)), u.expand((3,))).shape == (2, 3)


def test_kl_divergence_of_shares_and_counts() -> None:
    t = on("cpu")
    want = D.kl_divergence(D.Beta(3.0, 4.0), D.Beta(2.0, 2.5)).item()
    got = D.kl_divergence(D.Dirichlet(t([3.0, 4.0])), D.Dirichlet(t([2.0, 2.5])))
    assert got.item() == pytest.approx(want, rel=1e-5)
    p, q = np.array([0.2, 0.8]), np.array([0.5, 0.5])
    got = D.kl_divergence(D.Multinomial(7, t(p)), D.Multinomial(7, t(q)))
    assert_close(got.numpy(), np.asarray(7 * special.rel_entr(p, q).sum()), "float64", 2)
    with pytest.raises(ConfigError, match="equal total_count; got 7 and 8"):
        D.kl_divergence(D.Multinomial(7, t(p)), D.Multinomial(8, t(q)))
    with pytest.raises(ShapeError, match="equally many classes"):
        D.kl_divergence(D.Dirichlet(dc.ones(2)), D.Dirichlet(dc.ones(3)))


# --- expand -----------------------------------------------------------------------------------------------------------

ALL = {
    "Bernoulli": lambda t: D.Bernoulli(t([[0.3], [0.6]])),
    "Beta": lambda t: D.Beta(t([[2.0], [3.0]]), t([[4.0], [0.5]])),
    "Categorical": lambda t: D.Categorical(t([[[0.3, 0.7]], [[0.5, 0.5]]])),
    "Dirichlet": lambda t: D.Dirichlet(t([[[0.3, 0.7]], [[0.5, 0.5]]])),
    "Gamma": lambda t: D.Gamma(t([[2.0], [3.0]]), t([[4.0], [0.5]])),
    "Laplace": lambda t: D.Laplace(t([[2.0], [3.0]]), t([[4.0], [0.5]])),
    "Multinomial": lambda t: D.Multinomial(3, logits=t([[[0.3, 0.7]], [[0.5, 0.5]]])),
    "Normal": lambda t: D.Normal(t([[2.0], [3.0]]), t([[4.0], [0.5]])),
    "Uniform": lambda t: D.Uniform(t([[2.0], [3.0]]), t([[4.0], [5.0]])),
}


def test_every_distribution_is_here() -> None:
    assert set(ALL) == {n for n in D.__all__ if n[0].isupper()} - {"Distribution"}


@pytest.mark.parametrize("name", ALL)
def test_expand(name: str, device: str) -> None:
    d = ALL[name](on(device))
    wide = d.expand((4, 2, 3))
    assert type(wide) is type(d)
    assert (d.batch_shape, wide.batch_shape) == ((2, 1), (4, 2, 3))
    assert wide.event_shape == d.event_shape
    drawn = wide.sample((5,), dc.Generator(2))
    assert drawn.shape == (5, 4, 2, 3, *d.event_shape)
    assert_close(host(wide.log_prob(drawn)), host(d.log_prob(drawn)), "float64")
    assert_close(host(wide.entropy()), np.broadcast_to(host(d.entropy()), (4, 2, 3)), "float64")
    assert wide.mean.shape == (4, 2, 3, *d.mean.shape[2:])
    with pytest.raises(ShapeError, match=r"expand: .*\(2, 1\) broadcasts to; got batch_shape=\(3, 1\)"):
        d.expand((3, 1))
    with pytest.raises(ShapeError, match="expand"):
        d.expand((2,))


def test_the_gradient_comes_back_through_expand() -> None:
    rate = dc.tensor(2.0, requires_grad=True)
    D.Gamma(1.0, rate).expand((3,)).mean.sum().backward()
    assert rate.grad.item() == pytest.approx(-0.75)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: D.Gamma(0.0, 1.0), ConfigError, "Gamma: expected concentration > 0"),
        (lambda: D.Gamma(1.0, -1.0), ConfigError, "Gamma: expected rate > 0"),
        (lambda: D.Gamma(dc.ones(2), dc.ones(3)), ShapeError, r"Gamma: .*\(2,\).*\(3,\)"),
        (lambda: D.Gamma(1.0, 1.0).log_prob(dc.tensor(-1.0)), ConfigError, "log_prob of Gamma: expected values >= 0"),
        (lambda: D.Beta(1.0, 0.0), ConfigError, "Beta: expected concentration0 > 0"),
        (lambda: D.Beta(dc.tensor(math.nan), 1.0), ConfigError, "Beta: expected concentration1 > 0"),
        (lambda: D.Beta(1.0, 1.0).log_prob(dc.tensor(1.5)), ConfigError, "log_prob of Beta: expected 0 <= values <= 1"),
        (lambda: D.Dirichlet(1.0), ShapeError, r"Dirichlet: .*\(\.\.\., K\)"),
        (lambda: D.Dirichlet(dc.tensor([1.0, 0.0])), ConfigError, "Dirichlet: expected concentration > 0"),
        (
            lambda: D.Dirichlet(dc.ones(2)).log_prob(dc.tensor([0.5, 0.6])),
            ConfigError,
            "log_prob of Dirichlet: expected values >= 0 that sum to 1",
        ),
    ],
)
def test_bad_input(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()
