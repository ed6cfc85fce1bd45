"""Dropout from the framework's own random stream; no mask is stored, backward draws it again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.errors import ConfigError, message
from deepcore.functions.linalg.products import same_dtype
from deepcore.random import Generator, default_generator

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "dropout",
]


class Dropout(Function):
    """Linear in x, with the mask of (seed, offset); so it is its own derivative."""

    def __init__(self, p: float, seed: int, offset: int) -> None:
        self.p, self.seed, self.offset = p, seed, offset

    def forward(self, x: Any) -> Any:
        return self.backend.dropout(x, self.seed, self.offset, self.p)

    def backward(self, gy: Any) -> Any:
        return Dropout(self.p, self.seed, self.offset)(gy)


def dropout(x: Tensor, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Tensor:
    """Each element 0 with probability p, else x / (1 - p) (Srivastava et al. 2014); x itself when not training.

    The same seed drops the same elements on every device. Raises ConfigError unless 0 <= p <= 1.
    """
    if not 0 <= p <= 1:
        raise ConfigError(message("dropout", "0 <= p <= 1", f"p={p}"))
    if not training or p == 0:
        return x
    same_dtype("dropout", x=x)
    seed, offset = (generator or default_generator).reserve(math.prod(x.shape))
    return Dropout(p, seed, offset)(x)
