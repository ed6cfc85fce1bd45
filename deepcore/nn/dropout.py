"""Dropout (Srivastava et al. 2014), in the inverted form: scaled while training, nothing to do afterwards."""

from __future__ import annotations

from deepcore import functional as F
from deepcore.nn import args
from deepcore.nn.module import Module
from deepcore.tensor import Tensor


class Dropout(Module):
    """Zeroes each element with probability ``p`` and scales the others by 1 / (1 - p), in training mode only.

    Which elements are dropped comes from the framework's generator: the same seed gives the same mask on every
    backend. ``inplace`` is accepted for PyTorch's sake and only remembered.

    >>> import deepcore as dc
    >>> Dropout(0.5).eval()(dc.ones(3)).numpy().tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.p = args.probability("Dropout", "p", p)
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, p=self.p, training=self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
