"""Likelihoods and divergences as modules; the formulas are those of `deepcore.functional`."""

from __future__ import annotations

from collections.abc import Sequence

from deepcore import functional as F
from deepcore.nn import args
from deepcore.nn.loss.classification import _REDUCTIONS, _Loss
from deepcore.nn.module import Module
from deepcore.tensor import Tensor


class KLDivLoss(Module):
    """target * (log(target) - x) of log-probabilities x; reduction "batchmean" is the divergence of each row.

    log_target: the target holds logarithms as well.
    """

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__()
        self.reduction = args.choice("KLDivLoss", "reduction", reduction, ("mean", "batchmean", "sum", "none"))
        self.log_target = log_target

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(x, target, reduction=self.reduction, log_target=self.log_target)


class GaussianNLLLoss(_Loss):
    """-log of the normal density of the target, of mean x and variance var; full adds its constant.

    >>> import deepcore as dc
    >>> GaussianNLLLoss()(dc.zeros(2), dc.tensor([1.0, 3.0]), dc.ones(2)).item()
    2.5
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full, self.eps = full, eps

    def forward(self, x: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(x, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class PoissonNLLLoss(_Loss):
    """-log of the Poisson probability of the target, x being the rate's logarithm, or the rate with log_input=False.

    full adds Stirling's formula for log(target!); eps keeps log(rate + eps) finite.
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(
            x, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class CTCLoss(Module):
    """The loss of label sequences over all alignments, from log-probabilities (T, N, C); see F.ctc_loss.

    blank: the class of no label; zero_infinity: sequences that fit in no alignment have the loss 0 instead of inf.
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__()
        self.blank = args.integer("CTCLoss", "blank", blank, 0)
        self.reduction = args.choice("CTCLoss", "reduction", reduction, _REDUCTIONS)
        self.zero_infinity = zero_infinity

    def forward(
        self,
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Tensor | Sequence[int] | int,
        target_lengths: Tensor | Sequence[int] | int,
    ) -> Tensor:
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            blank=self.blank,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )
