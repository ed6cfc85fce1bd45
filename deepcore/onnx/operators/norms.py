"""Normalisations, losses over classes."""

from __future__ import annotations

import math
from typing import Any

from deepcore import functional as F
from deepcore.onnx.operators.adapter import Adapter, Case, longest, need


def batch_norm(
    x: Any, scale: Any, bias: Any, mean: Any, var: Any, *, epsilon: float, momentum: float, training_mode: int
) -> Any:
    """ONNX's momentum weighs the old statistics, PyTorch's the new ones."""
    old = var.clone()
    y = F.batch_norm(x, mean, var, scale, bias, bool(training_mode), 1 - momentum, epsilon)
    if not training_mode:
        return y
    # PyTorch's running variance takes the unbiased one of the batch, ONNX's the biased one.
    count = x.numel() // x.shape[1]
    return y, mean, old * momentum + (var - old * momentum) * ((count - 1) / count)


def layer_norm(x: Any, scale: Any, bias: Any = None, *, axis: int, epsilon: float, stash_type: int) -> Any:
    return F.layer_norm(x, x.shape[axis:], scale, bias, epsilon)


def mean_variance(x: Any, axes: list[int]) -> Any:
    """Over all but the channels, which is batch_norm without its weights."""
    need(axes == [0, 2, 3])
    return F.batch_norm(x, None, None, training=True, eps=1e-9)


def nll(x: Any, target: Any, weight: Any = None, *, ignore_index: int | None, reduction: str) -> Any:
    return F.nll_loss(x, target, weight, -100 if ignore_index is None else ignore_index, reduction)


def cross_entropy(x: Any, target: Any, weight: Any = None, *, ignore_index: int | None, reduction: str) -> Any:
    loss = F.cross_entropy(x, target, weight, -100 if ignore_index is None else ignore_index, reduction)
    return loss, F.log_softmax(x, 1)


def samples(case: Case) -> int:
    """The elements of one sample."""
    return math.prod(case.inputs[0].shape[1:])


def channels(case: Case) -> int:
    """The elements of one channel in all samples."""
    return case.inputs[0].size // case.inputs[0].shape[1]


def last_axes(case: Case) -> int:
    """The elements of the axes that are normalised together."""
    return math.prod(case.inputs[0].shape[case.attributes["axis"] :])


def targets(case: Case) -> int:
    """The losses that are added up."""
    return 1 if case.attributes["reduction"] == "none" else case.inputs[1].size


def classes(case: Case) -> int:
    """The terms of a softmax, in each of the losses that are added up."""
    return case.inputs[0].shape[1] * targets(case)


ADAPTERS = {
    "BatchNormalization": Adapter(batch_norm, channels),
    "GroupNormalization": Adapter(
        lambda x, scale, bias, epsilon, num_groups, stash_type: F.group_norm(x, num_groups, scale, bias, epsilon),
        samples,
    ),
    "InstanceNormalization": Adapter(
        lambda x, scale, bias, epsilon: F.instance_norm(x, weight=scale, bias=bias, eps=epsilon), samples
    ),
    "LRN": Adapter(
        lambda x, alpha, beta, bias, size: F.local_response_norm(x, size, alpha, beta, bias),
        lambda case: case.attributes["size"],
    ),
    "LayerNormalization": Adapter(layer_norm, last_axes, without="layer_norm does not return its statistics"),
    "LpNormalization": Adapter(lambda x, axis, p: F.normalize(x, p, axis), longest),
    "MeanVarianceNormalization": Adapter(mean_variance, channels),
    "NegativeLogLikelihoodLoss": Adapter(nll, targets),
    "RMSNormalization": Adapter(
        lambda x, scale, axis, epsilon, stash_type: F.rms_norm(x, x.shape[axis:], scale, epsilon), last_axes
    ),
    "SoftmaxCrossEntropyLoss": Adapter(cross_entropy, classes),
}
