"""Linear, and the modules that only change a shape."""

from __future__ import annotations

import math
from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.functions import flatten, unflatten
from deepcore.nn import args, init
from deepcore.nn.module import Module
from deepcore.nn.parameter import Parameter
from deepcore.tensor import Tensor


class Linear(Module):
    """y = x W^T + b (the book's Affine), with x (..., in_features) and y (..., out_features).

    weight (out_features, in_features), bias (out_features,): both uniform in +-1/sqrt(in_features), as in PyTorch.

    >>> import deepcore as dc
    >>> Linear(3, 2)(dc.zeros(5, 3)).shape
    (5, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.in_features = args.integer("Linear", "in_features", in_features)
        self.out_features = args.integer("Linear", "out_features", out_features)
        self.weight = Parameter(creation.empty((self.out_features, self.in_features), dtype=dtype, device=device))
        if bias:
            self.bias = Parameter(creation.empty((self.out_features,), dtype=dtype, device=device))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init_weight_and_bias(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def init_weight_and_bias(weight: Parameter, bias: Parameter | None) -> None:
    """PyTorch's default for linear and convolution: weight, then bias, uniform in +-1/sqrt(fan_in)."""
    # kaiming_uniform with a = sqrt(5) has gain sqrt(1/3), so its bound sqrt(3) * gain / sqrt(fan_in) is 1/sqrt(fan_in).
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = init.fans(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
        init.uniform_(bias, -bound, bound)


class Identity(Module):
    """Returns its input; takes and ignores any arguments, so that it can stand in for another module."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


class Flatten(Module):
    """Joins the dimensions start_dim to end_dim (inclusive) into one: (N, C, H, W) -> (N, C*H*W) by default."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        return flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension ``dim`` into ``unflattened_size``, in which one size may be -1.

    >>> import deepcore as dc
    >>> Unflatten(1, (4, -1, 5))(dc.zeros(2, 100)).shape
    (2, 4, 5, 5)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        return unflatten(x, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
