"""Group normalisation (Wu & He 2018) and instance normalisation (Ulyanov et al. 2016).

Both are batch normalisation of a reshaped batch: a group of channels of one image plays the part of a channel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.precision import cast_as_one
from deepcore.backends.base.array import accumulator
from deepcore.errors import ShapeError, got, message
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.norm.batch_norm import BatchNorm, BatchNormEval
from deepcore.functions.shape import cast, reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "group_norm",
    "instance_norm",
]


@cast_as_one
def group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias, mean and biased var over each of G groups of channels of a sample.

    x (N, C, ...), C a multiple of num_groups; weight and bias (C,). Raises ShapeError, also for one value a group in
    all, and DTypeError.
    """
    op = "group_norm"
    _check(op, x, weight=weight, bias=bias)
    n, c = x.shape[:2]
    if num_groups < 1 or c % num_groups:
        found = got(x=x, num_groups=num_groups)
        raise ShapeError(message(op, "channels x.shape[1] that num_groups divides", found))
    if n * c // num_groups * math.prod(x.shape[2:]) == 1:
        raise ShapeError(message(op, "more than one value per group", got(x=x, num_groups=num_groups)))
    rows = n * num_groups
    size = c // num_groups * math.prod(x.shape[2:])
    wide = cast(x, accumulator(x.dtype))
    y = reshape(BatchNorm(eps)(reshape(wide, (1, rows, size)), None, None), x.shape)
    return cast(_affine(y, weight, bias), x.dtype)


@cast_as_one
def instance_norm(
    x: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel of each sample: x (N, C, ...), all others (C,).

    With use_input_stats mean and biased var come from the pixels of that channel, and running statistics, if given,
    are moved in place by `momentum` towards the batch's average of the means and *unbiased* variances. Otherwise they
    are the running statistics. Raises ShapeError and DTypeError.
    """
    op = "instance_norm"
    statistics = {"running_mean": running_mean, "running_var": running_var}
    _check(op, x, weight=weight, bias=bias, **statistics)
    tracked = running_mean is not None and running_var is not None
    if not use_input_stats:
        if not tracked:
            hint = "pass use_input_stats=True to use the statistics of each image"
            raise ShapeError(message(op, "running_mean and running_var", got(x=x, **statistics), hint))
        return BatchNormEval(eps)(x, running_mean, running_var, weight, bias)
    n, c, pixels = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    if pixels == 1:
        raise ShapeError(message(op, "more than one pixel", got(x=x), "use a larger image, or the running statistics"))
    norm = BatchNorm(eps)
    wide = cast(x, accumulator(x.dtype))
    y = reshape(norm(reshape(wide, (1, n * c, pixels)), None, None), x.shape)
    if tracked and n and pixels:
        _move(running_mean, norm.batch_mean.reshape(n, c), momentum)
        _move(running_var, norm.batch_var.reshape(n, c) * (pixels / (pixels - 1)), momentum)
    return cast(_affine(y, weight, bias), x.dtype)


def _move(running: Any, of_samples: Any, momentum: float) -> None:
    """running = (1 - momentum) running + momentum * mean over the samples, in place."""
    moved = running.array * (1 - momentum) + momentum * of_samples.mean(axis=0)
    running.array[...] = moved.astype(running.dtype)
    running._bump_version()


def _check(op: str, x: Any, **vectors: Any) -> None:
    if len(x.shape) < 2 or any(v is not None and v.shape != (x.shape[1],) for v in vectors.values()):
        raise ShapeError(message(op, "x (N, C, ...) and (C,) or None for all others", got(x=x, **vectors)))
    same_dtype(op, x=x, **vectors)


def _affine(y: Any, weight: Any, bias: Any) -> Any:
    """y * weight + bias per channel, in the dtype of y."""
    shape = (1, -1) + (1,) * (len(y.shape) - 2)
    if weight is not None:
        y = y * reshape(cast(weight, y.dtype), shape)
    return y if bias is None else y + reshape(cast(bias, y.dtype), shape)
