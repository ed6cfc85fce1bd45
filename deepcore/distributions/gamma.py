"""The gamma distribution, and those made of gamma draws: Beta and Dirichlet."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore.autograd.function import Function
from deepcore.distributions.base import Distribution, broadcast, parameters, require
from deepcore.dtypes import finfo
from deepcore.errors import GraphError, ShapeError, got, message
from deepcore.functions.activation.basic import sigmoid, softmax
from deepcore.functions.arithmetic import clamp, where
from deepcore.functions.elementwise import exp, log
from deepcore.functions.reduce import sum
from deepcore.functions.shape import broadcast_to, cast, unsqueeze
from deepcore.functions.special import digamma, lgamma
from deepcore.random import Generator, default_generator
from deepcore.tensor import Tensor


class StandardGamma(Function):
    """Draws of Gamma(concentration, 1), or their logarithms, with the derivative by the concentration.

    The derivative is that of implicit reparameterisation: how a draw moves when the concentration does and the value of
    the distribution function stays (Figurnov, Mohamed & Mnih 2018). It is not itself differentiable.
    """

    def __init__(self, seed: int, offset: int, logarithm: bool) -> None:
        self.seed, self.offset, self.logarithm = seed, offset, logarithm

    def forward(self, concentration: Any) -> Any:
        draws, logs = self.backend.standard_gamma(self.seed, self.offset, concentration)
        self.saved = (concentration, logs)
        return (logs if self.logarithm else draws).astype(concentration.dtype)

    def backward(self, gy: Any) -> Any:
        concentration, logs = self.saved
        slope = StandardGammaGrad()(concentration, logs)
        return gy * (slope if self.logarithm else slope * exp(logs))


class StandardGammaGrad(Function):
    def forward(self, concentration: Any, logs: Any) -> Any:
        return self.backend.standard_gamma_grad(concentration, logs)

    def backward(self, gy: Any) -> Any:
        hint = "the second derivative of log_prob and of kl_divergence exists"
        found = "create_graph=True and a second backward pass"
        raise GraphError(message("rsample of Gamma, Beta, Dirichlet", "one derivative of the draws", found, hint))


def _draw(concentration: Tensor, shape: tuple[int, ...], generator: Generator | None, logarithm: bool) -> Tensor:
    """Draws of Gamma(concentration, 1) in `shape`, or their logarithms in float64."""
    generator = default_generator if generator is None else generator
    wide = broadcast_to(concentration, shape)
    if logarithm:
        wide = cast(wide, np.dtype(np.float64))
    seed, offset = generator.reserve(wide.backend.gamma_words(math.prod(shape)))
    return StandardGamma(seed, offset, logarithm)(wide)


def _times_log(factor: Tensor, x: Tensor) -> Tensor:
    """factor * log(x), 0 where both are 0."""
    nothing = (factor == 0) & (x == 0)
    return where(nothing, 0.0, factor * log(where(nothing, 1.0, x)))


class Gamma(Distribution):
    """Density rate^a x^(a - 1) exp(-rate x) / gamma(a) on x >= 0, a being the concentration; its mean is a / rate.

    >>> import deepcore as dc
    >>> waiting = Gamma(2.0, 0.5)
    >>> waiting.mean.item(), waiting.variance.item()
    (4.0, 8.0)
    """

    has_rsample = True
    _parameters = ("concentration", "rate")

    def __init__(self, concentration: Any, rate: Any) -> None:
        self.concentration, self.rate = parameters("Gamma", concentration=concentration, rate=rate)
        require("Gamma", "concentration > 0", lambda c: c > 0, concentration=self.concentration)
        require("Gamma", "rate > 0", lambda r: r > 0, rate=self.rate)
        self.batch_shape = self.rate.shape

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def variance(self) -> Tensor:
        return self.concentration / (self.rate * self.rate)

    def rsample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        """Draws by Marsaglia & Tsang 2000, with the gradient of both parameters (see `StandardGamma`)."""
        drawn = _draw(self.concentration, self._shape(sample_shape), generator, logarithm=False) / self.rate
        return clamp(drawn, min=float(finfo(drawn.dtype).tiny))

    def log_prob(self, value: Tensor) -> Tensor:
        require("log_prob of Gamma", "values >= 0", lambda v: v >= 0, value=value)
        value, a = broadcast("log_prob", value, self.concentration)
        return a * log(self.rate) + _times_log(a - 1, value) - self.rate * value - lgamma(a)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - log(self.rate) + lgamma(a) + (1 - a) * digamma(a)


class Beta(Distribution):
    """Density proportional to x^(concentration1 - 1) (1 - x)^(concentration0 - 1) on 0 <= x <= 1.

    >>> import deepcore as dc
    >>> after_3_heads_and_1_tail = Beta(1.0 + 3, 1.0 + 1)
    >>> round(after_3_heads_and_1_tail.mean.item(), 4)
    0.6667
    """

    has_rsample = True
    _parameters = ("concentration1", "concentration0")

    def __init__(self, concentration1: Any, concentration0: Any) -> None:
        given = {"concentration1": concentration1, "concentration0": concentration0}
        self.concentration1, self.concentration0 = parameters("Beta", **given)
        require("Beta", "concentration1 > 0", lambda c: c > 0, concentration1=self.concentration1)
        require("Beta", "concentration0 > 0", lambda c: c > 0, concentration0=self.concentration0)
        self.batch_shape = self.concentration1.shape

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return a * b / ((a + b) * (a + b) * (a + b + 1))

    def rsample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        """x / (x + y) of two gamma draws, from their logarithms, with the gradient of both parameters."""
        shape = self._shape(sample_shape)
        x = _draw(self.concentration1, shape, generator, logarithm=True)
        y = _draw(self.concentration0, shape, generator, logarithm=True)
        return _inside(cast(sigmoid(x - y), self.concentration1.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        require("log_prob of Beta", "0 <= values <= 1", lambda v: (v >= 0) & (v <= 1), value=value)
        value, a, b = broadcast("log_prob", value, self.concentration1, self.concentration0)
        return _times_log(a - 1, value) + _times_log(b - 1, 1 - value) - log_beta(a, b)

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        terms = (a - 1) * digamma(a) + (b - 1) * digamma(b)
        return log_beta(a, b) - terms + (a + b - 2) * digamma(a + b)


class Dirichlet(Distribution):
    """Points x (..., K) with x >= 0 and sum 1, of density proportional to the product of x_k^(concentration_k - 1).

    concentration (..., K); batch_shape is the shape in front of it, event_shape (K,).
    """

    has_rsample = True
    _parameters = ("concentration",)

    def __init__(self, concentration: Any) -> None:
        (self.concentration,) = parameters("Dirichlet", concentration=concentration)
        if self.concentration.ndim == 0 or self.concentration.shape[-1] == 0:
            raise ShapeError(message("Dirichlet", "concentration (..., K), K at least 1", got(given=concentration)))
        require("Dirichlet", "concentration > 0", lambda c: c > 0, concentration=self.concentration)
        self.batch_shape, self.event_shape = self.concentration.shape[:-1], self.concentration.shape[-1:]

    @property
    def mean(self) -> Tensor:
        """In batch_shape + (K,)."""
        return self.concentration / sum(self.concentration, -1, keepdim=True)

    @property
    def variance(self) -> Tensor:
        """In batch_shape + (K,)."""
        total = sum(self.concentration, -1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total * total * (total + 1))

    def rsample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        """Gamma draws divided by their sum, from their logarithms, with the gradient of the concentration."""
        shape = self._shape(sample_shape) + self.event_shape
        draws = softmax(_draw(self.concentration, shape, generator, logarithm=True), -1)
        return clamp(cast(draws, self.concentration.dtype), min=float(finfo(self.concentration.dtype).tiny))

    def log_prob(self, value: Tensor) -> Tensor:
        expected = "values >= 0 that sum to 1"
        require("log_prob of Dirichlet", expected, _on_the_simplex, value=value)
        value, a = broadcast("log_prob", value, self.concentration)
        return sum(_times_log(a - 1, value) - lgamma(a), -1) + lgamma(sum(a, -1))

    def entropy(self) -> Tensor:
        a = self.concentration
        total = sum(a, -1)
        terms = (a - 1) * (digamma(a) - unsqueeze(digamma(total), -1))
        return sum(lgamma(a) - terms, -1) - lgamma(total)


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """The logarithm of the beta function, gamma(a) gamma(b) / gamma(a + b)."""
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _inside(x: Tensor) -> Tensor:
    """Draws at least the smallest number away from 0, and eps / 2 from 1, where the density may be infinite."""
    info = finfo(x.dtype)
    return clamp(x, min=float(info.tiny), max=1 - float(info.epsneg))


def _on_the_simplex(value: Any) -> Any:
    return (value >= 0) & (abs(value.sum(-1) - 1) <= 1e-6 + 64 * float(finfo(value.dtype).eps))[..., None]
