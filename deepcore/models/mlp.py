"""A plain multilayer perceptron: the network that a book begins with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from deepcore import nn
from deepcore.models.registry import register
from deepcore.nn import init
from deepcore.tensor import Tensor


@register("mlp")
class MLP(nn.Module):
    """Linear layers with ReLU between them: (N, C, S, S) float32 -> logits (N, num_classes).

    `hidden` gives the widths between the pixels and the classes. Weights are drawn as in He et al. 2015, biases are 0.

    >>> import deepcore as dc
    >>> MLP(num_classes=10, image_size=28)(dc.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, image_size: int = 32, hidden: Sequence[int] = (100, 100)
    ):
        super().__init__()
        widths = [in_channels * image_size**2, *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init.kaiming_normal_(module.weight, nonlinearity="relu")
                init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
