"""Information theory on probability arrays, and Bayes' rule; everything is differentiable.

A distribution is a tensor of probabilities that sum to 1 along `dim`; its other axes are a batch. Information is
measured in units of the logarithm's base: None is e (nats, as losses are), 2 gives bits. Where a probability is 0, its
term is 0, the limit of p log(p). After Shannon, "A mathematical theory of communication", 1948.

>>> import deepcore as dc
>>> fair = dc.tensor([0.5, 0.5])
>>> entropy(fair, base=2)
tensor(1.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore.dtypes import finfo, is_floating
from deepcore.errors import ConfigError, DTypeError, ShapeError, got, message
from deepcore.functions.arithmetic import where
from deepcore.functions.axes import normalise_dim
from deepcore.functions.elementwise import log
from deepcore.functions.reduce import sum
from deepcore.tensor import Tensor

__all__ = [
    "bayes_rule",
    "cross_entropy",
    "entropy",
    "kl_divergence",
    "mutual_information",
    "self_information",
]


def self_information(p: Tensor, base: float | None = None) -> Tensor:
    """-log(p), the surprise at an event of probability p: any shape, inf where p is 0.

    Raises DTypeError for integers, ConfigError for a bad base and, on host devices, for values outside [0, 1].

    >>> import deepcore as dc
    >>> self_information(dc.tensor(0.125), base=2)  # three tosses of a coin
    tensor(3.)
    """
    _check("self_information", base, None, p=p)
    return -log(p) / _unit(base)


def entropy(p: Tensor, base: float | None = None, dim: int = -1) -> Tensor:
    """-sum(p log p) along `dim`, the mean surprise: largest for equal probabilities, 0 for certainty.

    Raises as `self_information`, and on host devices for probabilities that do not sum to 1.
    """
    _check("entropy", base, dim, p=p)
    return -sum(p * _log_or_0(p, p), dim) / _unit(base)


def cross_entropy(p: Tensor, q: Tensor, base: float | None = None, dim: int = -1) -> Tensor:
    """-sum(p log q) along `dim`: the mean surprise at events of p for one who expects q; shapes broadcast.

    inf where an event of p has probability 0 in q. It is entropy(p) + kl_divergence(p, q). Raises as `entropy`.
    For logits with labels see `deepcore.functional.cross_entropy`.
    """
    _check("cross_entropy", base, dim, p=p, q=q)
    return -sum(p * _log_or_0(q, p), dim) / _unit(base)


def kl_divergence(p: Tensor, q: Tensor, base: float | None = None, dim: int = -1) -> Tensor:
    """sum(p log(p / q)) along `dim`, the Kullback-Leibler divergence of p from q; shapes broadcast.

    Never negative, 0 for equal distributions, inf where an event of p has probability 0 in q. Raises as `entropy`.

    >>> import deepcore as dc
    >>> kl_divergence(dc.tensor([1.0, 0.0]), dc.tensor([0.25, 0.75]), base=2)
    tensor(2.)
    """
    _check("kl_divergence", base, dim, p=p, q=q)
    return sum(p * (_log_or_0(p, p) - _log_or_0(q, p)), dim) / _unit(base)


def mutual_information(joint: Tensor, base: float | None = None) -> Tensor:
    """What two variables tell about each other: kl_divergence of their joint distribution from independence.

    joint (..., X, Y) sums to 1 over its last two axes. Raises as `entropy`, and ShapeError for fewer than two axes.

    >>> import deepcore as dc
    >>> mutual_information(dc.tensor([[0.5, 0.0], [0.0, 0.5]]), base=2)
    tensor(1.)
    """
    op = "mutual_information"
    if joint.ndim < 2:
        raise ShapeError(message(op, "joint (..., X, Y)", got(joint=joint)))
    _check(op, base, None, joint=joint)
    _check_sums(op, joint, (joint.ndim - 2, joint.ndim - 1))
    apart = sum(joint, -1, keepdim=True) * sum(joint, -2, keepdim=True)
    return sum(joint * (_log_or_0(joint, joint) - _log_or_0(apart, joint)), (-2, -1)) / _unit(base)


def bayes_rule(prior: Tensor, likelihood: Tensor, dim: int = -1) -> tuple[Tensor, Tensor]:
    """(posterior, evidence) of hypotheses along `dim`: P(h | data) = P(data | h) P(h) / P(data); shapes broadcast.

    prior: P(h), sums to 1 along `dim`. likelihood: P(data | h), or a density, not negative.
    posterior: in the broadcast shape, NaN where the evidence is 0. evidence: P(data), without the axis `dim`.
    Raises as `entropy`, and on host devices ConfigError for a negative likelihood.

    >>> import deepcore as dc
    >>> prior, positive = dc.tensor([0.01, 0.99]), dc.tensor([0.9, 0.05])  # of the sick and of the healthy
    >>> posterior, evidence = bayes_rule(prior, positive)
    >>> round(posterior[0].item(), 3), round(evidence.item(), 4)
    (0.154, 0.0585)
    """
    op = "bayes_rule"
    _check(op, None, dim, prior=prior)
    _check_together(op, dim, prior=prior, likelihood=likelihood)
    if likelihood.backend.on_host and bool((likelihood.array < 0).any()):
        raise ConfigError(message(op, "likelihood >= 0", f"negative values in {got(likelihood=likelihood)}"))
    both = prior * likelihood
    evidence = sum(both, dim, keepdim=True)
    return both / evidence, evidence.squeeze(dim)


def _log_or_0(q: Tensor, p: Tensor) -> Tensor:
    """log(q), but 0 where both are 0: p log(q) is 0 there."""
    return log(where((p == 0) & (q == 0), 1.0, q))


def _unit(base: float | None) -> float:
    return 1.0 if base is None else math.log(base)


def _check(op: str, base: float | None, dim: int | None, **distributions: Any) -> None:
    if base is not None and not (base > 0 and base != 1):
        hint = "2 gives bits, None gives nats"
        raise ConfigError(message(op, "base > 0 other than 1, or None for e", got(base=base), hint))
    _check_together(op, dim, **distributions)
    for name, p in distributions.items():
        if p.backend.on_host and not bool(((p.array >= 0) & (p.array <= 1)).all()):
            hint = "normalise first: p / p.sum(), or softmax for logits"
            raise ConfigError(message(op, f"0 <= {name} <= 1", got(**{name: p}), hint))
        if dim is not None:
            _check_sums(op, p, (normalise_dim(op, dim, p.ndim),))


def _check_together(op: str, dim: int | None, **tensors: Any) -> None:
    """Floating dtypes, an axis `dim`, shapes that broadcast."""
    for t in tensors.values():
        if not is_floating(t.dtype):
            raise DTypeError(message(op, "a floating dtype", got(**tensors), "convert with .float()"))
        if dim is not None and t.ndim == 0:
            raise ShapeError(message(op, "at least one axis", got(**tensors)))
    try:
        np.broadcast_shapes(*[t.shape for t in tensors.values()])
    except ValueError:
        hint = "trailing axes must be equal or 1"
        raise ShapeError(message(op, "shapes that broadcast", got(**tensors), hint)) from None


def _check_sums(op: str, p: Any, dims: tuple[int, ...]) -> None:
    """On the host, probabilities must sum to 1 within the rounding of their dtype."""
    if not p.backend.on_host or not p.array.size:
        return
    totals = p.array.sum(axis=dims, dtype=np.float64)
    error = float(np.abs(totals - 1).max())
    if not error <= max(1e-6, 64 * float(finfo(p.dtype).eps)):
        hint = "normalise first: p / p.sum(dim, keepdim=True)"
        raise ConfigError(message(op, "probabilities that sum to 1", f"sums up to {error:.3g} off, {got(p=p)}", hint))
