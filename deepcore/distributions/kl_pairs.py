"""Divergences of the gamma family, of counts, and of two different kinds of distributions.

Those of two kinds are the cross-entropy less the entropy, E_p[-log q] - H(p), so each needs only moments of p. Where p
gives a positive probability to what is impossible under q, the divergence is infinite.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore import creation
from deepcore.distributions.continuous import Laplace, Normal, Uniform
from deepcore.distributions.discrete import Multinomial
from deepcore.distributions.gamma import Beta, Dirichlet, Gamma, log_beta
from deepcore.distributions.kl import kl_divergence, register_kl
from deepcore.dtypes import finfo
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.activation.gates import erf
from deepcore.functions.arithmetic import clamp, where
from deepcore.functions.elementwise import exp, log
from deepcore.functions.reduce import sum
from deepcore.functions.shape import unsqueeze
from deepcore.functions.special import digamma, lgamma
from deepcore.tensor import Tensor

# --- two of one kind --------------------------------------------------------------------------------------------------


@register_kl(Gamma, Gamma)
def _kl_gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    shapes = lgamma(b) - lgamma(a) + (a - b) * digamma(a)
    return shapes + b * log(p.rate / q.rate) + (q.rate - p.rate) * (a / p.rate)


@register_kl(Beta, Beta)
def _kl_beta(p: Beta, q: Beta) -> Tensor:
    a, b = p.concentration1, p.concentration0
    c, d = q.concentration1, q.concentration0
    moved = (a - c) * digamma(a) + (b - d) * digamma(b) - (a + b - c - d) * digamma(a + b)
    return log_beta(c, d) - log_beta(a, b) + moved


@register_kl(Dirichlet, Dirichlet)
def _kl_dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    if p.event_shape != q.event_shape:
        raise ShapeError(message("kl_divergence", "equally many classes", got(p=a, q=b)))
    total = sum(a, -1)
    terms = lgamma(b) - lgamma(a) + (a - b) * (digamma(a) - unsqueeze(digamma(total), -1))
    return lgamma(total) - lgamma(sum(b, -1)) + sum(terms, -1)


@register_kl(Multinomial, Multinomial)
def _kl_multinomial(p: Multinomial, q: Multinomial) -> Tensor:
    """total_count times the divergence of one draw."""
    if p.total_count != q.total_count:
        found = f"{p.total_count} and {q.total_count}"
        raise ConfigError(message("kl_divergence of Multinomial", "equal total_count", found))
    return kl_divergence(p._one, q._one) * p.total_count


# --- of two kinds -----------------------------------------------------------------------------------------------------


@register_kl(Beta, Normal)
@register_kl(Gamma, Normal)
@register_kl(Laplace, Normal)
@register_kl(Uniform, Normal)
def _kl_any_normal(p: Any, q: Normal) -> Tensor:
    away = (p.mean - q.loc) / q.scale
    spread = p.variance / (q.scale * q.scale) + away * away
    return spread * 0.5 + log(q.scale) + 0.5 * math.log(2 * math.pi) - p.entropy()


@register_kl(Normal, Laplace)
def _kl_normal_laplace(p: Normal, q: Laplace) -> Tensor:
    z = (p.loc - q.loc) / p.scale
    distance = math.sqrt(2 / math.pi) * exp(z * z * -0.5) + z * erf(z * math.sqrt(0.5))  # E |x - loc| / p.scale
    return p.scale / q.scale * distance + log(q.scale * 2) - p.entropy()


@register_kl(Beta, Uniform)
def _kl_beta_uniform(p: Beta, q: Uniform) -> Tensor:
    cut = (q.low > 0) | (q.high < 1)
    return where(cut, math.inf, log(q.high - q.low) - p.entropy())


@register_kl(Beta, Gamma)
def _kl_beta_gamma(p: Beta, q: Gamma) -> Tensor:
    mean_log = digamma(p.concentration1) - digamma(p.concentration1 + p.concentration0)
    return _cross_gamma(q, p.mean, mean_log) - p.entropy()


@register_kl(Uniform, Gamma)
def _kl_uniform_gamma(p: Uniform, q: Gamma) -> Tensor:
    return where(p.low < 0, math.inf, _cross_gamma(q, p.mean, _mean_log(p.low, p.high)) - p.entropy())


@register_kl(Uniform, Beta)
def _kl_uniform_beta(p: Uniform, q: Beta) -> Tensor:
    left, right = _mean_log(p.low, p.high), _mean_log(1 - p.high, 1 - p.low)
    a, b = q.concentration1, q.concentration0
    inside = log_beta(a, b) - (a - 1) * left - (b - 1) * right - p.entropy()
    return where((p.low < 0) | (p.high > 1), math.inf, inside)


def _cross_gamma(q: Gamma, mean: Tensor, mean_log: Tensor) -> Tensor:
    """E[-log q(x)] for a gamma distribution q."""
    a = q.concentration
    return lgamma(a) - a * log(q.rate) - (a - 1) * mean_log + q.rate * mean


def _mean_log(low: Tensor, high: Tensor) -> Tensor:
    """E[log x] for x uniform on low .. high, both taken as at least 0."""
    tiny = float(finfo(low.dtype).tiny)  # x log(x) is 0 at 0
    low_, high_ = clamp(low, min=tiny), clamp(high, min=2 * tiny)
    return (high_ * log(high_) - low_ * log(low_)) / (high_ - low_) - 1


@register_kl(Gamma, Beta)
@register_kl(Gamma, Uniform)
@register_kl(Laplace, Beta)
@register_kl(Laplace, Gamma)
@register_kl(Laplace, Uniform)
@register_kl(Normal, Beta)
@register_kl(Normal, Gamma)
@register_kl(Normal, Uniform)
def _kl_infinite(p: Any, q: Any) -> Tensor:
    shape = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    return creation.full(shape, math.inf, dtype=p.mean.dtype, device=p.mean.device)
