"""The network of an estimator that was not given one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from deepcore import nn
from deepcore.errors import ConfigError
from deepcore.tensor import Tensor


class MLP(nn.Module):
    """Linear layers with an activation between them: (N, ...) -> (N, out_features); samples are flattened.

    hidden_layer_sizes: the widths between input and output, () for a linear model. activation: a module class.
    dropout: the probability with which a hidden unit is left out in training. Raises ConfigError for other widths.

    >>> import deepcore as dc
    >>> MLP(64, 10, hidden_layer_sizes=(32, 16))(dc.zeros(5, 64)).shape
    (5, 10)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_layer_sizes: Sequence[int] = (100,),
        activation: Callable[[], nn.Module] = nn.ReLU,
        dropout: float = 0.0,
    ):
        super().__init__()
        try:
            widths = [in_features, *(int(width) for width in hidden_layer_sizes)]
        except TypeError as error:
            hint = f"a single layer is ({hidden_layer_sizes!r},)"
            raise ConfigError(
                "MLP: expected hidden_layer_sizes as a tuple of whole numbers; "
                f"got {hidden_layer_sizes!r}. Hint: {hint}."
            ) from error
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), activation()]
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], out_features))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)
