"""Losses as modules; the formulas are those of `deepcore.functional`. reduction is "mean", "sum" or "none".

All arguments but weight are given by name: in PyTorch two old ones, size_average and reduce, stand before them.
"""

from __future__ import annotations

from deepcore import functional as F
from deepcore.nn import args
from deepcore.nn.module import Module
from deepcore.tensor import Tensor

_REDUCTIONS = ("mean", "sum", "none")


class _Loss(Module):
    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.reduction = args.choice(type(self).__name__, "reduction", reduction, _REDUCTIONS)


class _WeightedLoss(_Loss):
    """A loss with a weight per class (or per element) that moves with the module."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None, reduction: str) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """-log softmax(x)[target] of logits x (N, C, ...) with classes target (N, ...) or probabilities (N, C, ...).

    weight (C,) scales classes, and "mean" divides by the sum of the weights used; ignore_index leaves elements out;
    label_smoothing mixes the target with the uniform distribution.

    >>> import deepcore as dc
    >>> round(CrossEntropyLoss()(dc.zeros(4, 10), dc.tensor([0, 1, 2, 3])).item(), 4)
    2.3026
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = args.probability("CrossEntropyLoss", "label_smoothing", label_smoothing)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            x,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_WeightedLoss):
    """-x[target] of log-probabilities x (N, C, ...) with classes target (N, ...)."""

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(x, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """(x - target)^2; the book's squared error is half of the sum."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(x, target, reduction=self.reduction)


class BCELoss(_WeightedLoss):
    """-(t log x + (1 - t) log(1 - x)) of probabilities x in [0, 1]; weight is broadcast over the elements."""

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(x, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """`BCELoss` of sigmoid(x), computed from the logits x so that it cannot overflow; pos_weight scales t = 1."""

    pos_weight: Tensor | None

    def __init__(
        self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        super().__init__(weight, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            x, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )
