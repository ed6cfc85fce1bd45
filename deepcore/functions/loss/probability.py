"""Losses that are negative log-likelihoods or distances of distributions, with PyTorch's `reduction`."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import Variable
from deepcore.errors import ConfigError, DTypeError, ShapeError, got, message, nearest
from deepcore.functions.arithmetic import clamp, where
from deepcore.functions.elementwise import exp, log
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.loss.classification import (
    _check_reduction,
    _reduce,
    _same_shape,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
)
from deepcore.functions.reduce import sum
from deepcore.functions.shape import reshape, unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "gaussian_nll_loss",
    "kl_div",
    "poisson_nll_loss",
    "vae_loss",
]

KL_REDUCTIONS = ("mean", "batchmean", "sum", "none")
RECONSTRUCTIONS = ("bce", "bce_with_logits", "mse")


@cast_as_one
def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Kullback-Leibler divergence target * (log(target) - input), 0 where target is 0; shapes broadcast.

    input: log-probabilities of the model. target: probabilities, or their logarithms with log_target=True.
    reduction: 'batchmean' (the sum divided by input.shape[0]) is the divergence of the definition, averaged over rows;
    'mean' divides by the number of elements, as in PyTorch; 'sum' and 'none' as elsewhere.
    Raises ShapeError for shapes that do not broadcast, ConfigError for an unknown reduction.

    >>> import deepcore as dc
    >>> p = dc.tensor([[0.5, 0.5]])
    >>> round(kl_div(dc.log(dc.tensor([[0.25, 0.75]])), p, reduction="batchmean").item(), 4)
    0.1438
    """
    op = "kl_div"
    if reduction not in KL_REDUCTIONS:
        found = f"reduction={reduction!r}.{nearest(str(reduction), KL_REDUCTIONS)}"
        raise ConfigError(message(op, "reduction 'mean', 'batchmean', 'sum' or 'none'", found))
    _check_broadcast(op, input=input, target=target)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        # 0 * log(0) is 0 here; below 0 the logarithm is NaN, as it should be.
        loss = target * (log(where(target == 0, 1.0, target)) - input)
    if reduction == "batchmean":
        return sum(loss) / ((input.shape[0] or math.nan) if input.ndim else 1)
    return _reduce(loss, reduction)


@cast_as_one
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """-log of the normal density N(target; input, var): (log(var) + (input - target)^2 / var) / 2.

    input: the mean, any shape; target: broadcasts with it. var: the variance, a number, or a tensor of input's shape,
    of input's shape without the last axis, or with exactly one axis of size 1 (one variance for all along it).
    full adds the constant log(2 pi) / 2. var is raised to eps where it is smaller; the gradient ignores that, as in
    PyTorch. Raises ShapeError, ConfigError, and on host devices ConfigError for a negative variance (on a GPU, where
    looking would wait for the device, the loss there is NaN).
    """
    op = "gaussian_nll_loss"
    _check_reduction(op, reduction)
    _check_broadcast(op, input=input, target=target)
    if not isinstance(var, Variable):
        if not isinstance(var, Real):
            raise DTypeError(message(op, "var to be a tensor or a number", f"a {type(var).__name__}"))
        if var < 0:
            raise ConfigError(message(op, "var >= 0", got(var=var)))
        variance: Any = input.detach() * 0 + max(float(var), eps)
    else:
        variance = _raised(op, _fitted_variance(op, input, var), eps)
    difference = input - target
    loss = (log(variance) + difference * difference / variance) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduce(loss, reduction)


def _fitted_variance(op: str, input: Any, var: Any) -> Any:
    """The variance in a shape that broadcasts with input; other shapes are an error."""
    if var.shape == input.shape:
        return var
    if input.ndim and var.shape == input.shape[:-1]:
        return unsqueeze(var, -1)
    if var.ndim == input.ndim:
        different = [n for n, m in zip(var.shape, input.shape, strict=True) if n != m]
        if different == [1]:
            return var
    expected = f"var {input.shape}, without the last axis, with one axis of size 1, or a number"
    raise ShapeError(message(op, expected, got(input=input, var=var)))


def _raised(op: str, var: Any, eps: float) -> Any:
    """max(var, eps) with the gradient of var."""
    fixed = var.detach()
    negative = fixed < 0
    if var.backend.on_host and bool(negative.array.any()):
        hint = "a model should give the variance through exp or softplus"
        raise ConfigError(message(op, "var >= 0", f"negative entries in {got(var=var)}", hint))
    raised = var + (clamp(fixed, min=eps) - fixed)
    return raised if var.backend.on_host else where(negative, math.nan, raised)


@cast_as_one
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """-log of the Poisson probability of the count `target`, without log(target!); shapes broadcast.

    input: the logarithm of the rate, exp(input) - target * input; with log_input=False the rate itself,
    input - target * log(input + eps). full adds Stirling's formula for log(target!) where target > 1:
    target * log(target) - target + log(2 pi target) / 2.
    """
    op = "poisson_nll_loss"
    _check_reduction(op, reduction)
    _check_broadcast(op, input=input, target=target)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        above = target > 1
        count = where(above, target, 1.0)  # a logarithm that is not used must not spoil the gradient
        stirling = count * log(count) - count + 0.5 * log(2 * math.pi * count)
        loss = loss + where(above, stirling, stirling * 0)
    return _reduce(loss, reduction)


@cast_as_one
def vae_loss(
    input: Tensor,
    target: Tensor,
    mu: Tensor,
    logvar: Tensor,
    reconstruction: str = "bce",
    reduction: str = "mean",
) -> Tensor:
    """Loss of a variational auto-encoder, the negative evidence lower bound (Kingma & Welling 2013, eq. 10).

    input: the decoder's output (N, ...), target: what it should be, of equal shape. mu, logvar: mean and logarithm of
    the variance of the encoder's normal distribution, (N, D) each (or further axes).
    For each of the N rows: the reconstruction error, summed over all elements, plus the divergence of
    N(mu, exp(logvar)) from the standard normal distribution, sum(exp(logvar) + mu^2 - 1 - logvar) / 2.
    reconstruction: 'bce' (input holds probabilities), 'bce_with_logits' (input before the sigmoid), or 'mse': half the
    squared error, a normal distribution of variance 1 up to its constant.
    reduction: 'mean' and 'sum' over the N rows, 'none' gives (N,). Raises ShapeError, DTypeError, ConfigError.

    >>> import deepcore as dc
    >>> x, z = dc.tensor([[0.0, 2.0]]), dc.zeros(1, 3)
    >>> vae_loss(x, dc.zeros(1, 2), z, z, reconstruction="mse").item()
    2.0
    """
    op = "vae_loss"
    _check_reduction(op, reduction)
    if reconstruction not in RECONSTRUCTIONS:
        found = f"reconstruction={reconstruction!r}.{nearest(str(reconstruction), RECONSTRUCTIONS)}"
        raise ConfigError(message(op, "reconstruction 'bce', 'bce_with_logits' or 'mse'", found))
    _same_shape(op, input, target)
    if input.ndim == 0 or mu.ndim == 0 or mu.shape != logvar.shape or mu.shape[0] != input.shape[0]:
        found = got(input=input, mu=mu, logvar=logvar)
        raise ShapeError(message(op, "input (N, ...), mu and logvar (N, D)", found))
    same_dtype(op, input=input, target=target, mu=mu, logvar=logvar)
    if reconstruction == "bce":
        error = binary_cross_entropy(input, target, reduction="none")
    elif reconstruction == "bce_with_logits":
        error = binary_cross_entropy_with_logits(input, target, reduction="none")
    else:
        error = (input - target) * (input - target) * 0.5
    divergence = (exp(logvar) + mu * mu - 1 - logvar) * 0.5
    return _reduce(_of_each_row(error) + _of_each_row(divergence), reduction)


def _of_each_row(x: Any) -> Any:
    """Summed over all axes but the first."""
    return sum(reshape(x, (x.shape[0], math.prod(x.shape[1:]))), 1)


def _check_broadcast(op: str, **tensors: Any) -> None:
    try:
        np.broadcast_shapes(*[t.shape for t in tensors.values()])
    except ValueError:
        hint = "trailing axes must be equal or 1"
        raise ShapeError(
            message(op, f"shapes of {' and '.join(tensors)} that broadcast", got(**tensors), hint)
        ) from None
