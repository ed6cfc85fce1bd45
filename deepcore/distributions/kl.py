"""The Kullback-Leibler divergence of two distributions, a formula for each pair of classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from deepcore.distributions.base import Distribution
from deepcore.distributions.continuous import Laplace, Normal, Uniform
from deepcore.distributions.discrete import Bernoulli, Categorical
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.arithmetic import where
from deepcore.functions.elementwise import abs, exp, log
from deepcore.functions.reduce import sum
from deepcore.tensor import Tensor

_KL: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Callable[[Any, Any], Tensor]], Callable[[Any, Any], Tensor]]:
    """Decorator: the function computes `kl_divergence` of these two classes, and of those derived from them."""

    def register(function: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
        _KL[type_p, type_q] = function
        return function

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The Kullback-Leibler divergence of p from q, the expected log(p / q) under p; batch shapes broadcast.

    Raises ConfigError for a pair without a formula: add one with `register_kl`.
    """
    for a in type(p).__mro__:
        for b in type(q).__mro__:
            if (a, b) in _KL:
                return _KL[a, b](p, q)
    names = f"{type(p).__name__} and {type(q).__name__}"
    raise ConfigError(message("kl_divergence", "a pair with a formula", names, "add one with register_kl"))


@register_kl(Bernoulli, Bernoulli)
def _kl_bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    return _term(p.probs, q.probs) + _term(1 - p.probs, 1 - q.probs)


@register_kl(Categorical, Categorical)
def _kl_categorical(p: Categorical, q: Categorical) -> Tensor:
    if p.probs.shape[-1] != q.probs.shape[-1]:
        raise ShapeError(message("kl_divergence", "equally many classes", got(p=p.probs, q=q.probs)))
    return sum(_term(p.probs, q.probs), -1)


def _term(p: Any, q: Any) -> Any:
    """p log(p / q), 0 where p is 0, inf where only q is."""
    nothing = p == 0
    return p * (log(where(nothing, 1.0, p)) - log(where(nothing & (q == 0), 1.0, q)))


@register_kl(Normal, Normal)
def _kl_normal(p: Normal, q: Normal) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return (ratio * ratio + distance * distance - 1) * 0.5 - log(ratio)


@register_kl(Laplace, Laplace)
def _kl_laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, abs(p.loc - q.loc)
    return distance / q.scale + ratio * exp(-distance / p.scale) - log(ratio) - 1


@register_kl(Uniform, Uniform)
def _kl_uniform(p: Uniform, q: Uniform) -> Tensor:
    outside = (q.low > p.low) | (q.high < p.high)
    return where(outside, math.inf, log((q.high - q.low) / (p.high - p.low)))
