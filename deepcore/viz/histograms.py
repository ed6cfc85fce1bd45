"""Activations and gradients in a deep network, layer by layer, for ways to draw its first weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from deepcore import functional as F
from deepcore.creation import randn
from deepcore.errors import ConfigError, nearest
from deepcore.random import Generator
from deepcore.tensor import Tensor
from deepcore.train.plots import GREY, TRAIN_COLOR, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": F.sigmoid, "relu": F.relu, "tanh": F.tanh}
# Standard deviation of the weights by the number of inputs of a layer.
INITIALIZERS: dict[str, Callable[[int], float]] = {
    "std 0.01": lambda inputs: 0.01,
    "Xavier": lambda inputs: (1 / inputs) ** 0.5,
    "He": lambda inputs: (2 / inputs) ** 0.5,
}


def layer_values(
    activation: str, std: float, layers: int = 5, width: int = 100, batch: int = 1000, seed: int = 0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(activations, gradients by them) of each layer, arrays (batch, width), of layers y = f(x W) with normal weights.

    x is normal with variance 1, and so is the gradient that comes into the last layer. Raises ConfigError for an
    unknown activation.
    """
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ConfigError(f"unknown activation {activation!r}; there are {known}.{nearest(activation, ACTIVATIONS)}")
    generator = Generator(seed)
    y = randn(batch, width, generator=generator)
    made = []
    for _ in range(layers):
        w = randn(width, width, generator=generator) * std
        y = ACTIVATIONS[activation](y @ w.requires_grad_())
        y.retain_grad()
        made.append(y)
    y.backward(randn(batch, width, generator=generator))
    return [_host(y) for y in made], [_host(y.grad) for y in made if y.grad is not None]


def initializers(
    activation: str = "sigmoid",
    what: str = "activations",
    stds: Mapping[str, Callable[[int], float]] = INITIALIZERS,
    layers: int = 5,
    width: int = 100,
    seed: int = 0,
) -> Figure:
    """Histograms by layer (columns) for each initialiser (rows); what: "activations" or "gradients".

    The bar of the zeros that ReLU makes is cut off. stds: the standard deviation of a layer's weights by its number of
    inputs. Glorot and Bengio 2010; He et al. 2015.
    Raises ConfigError for an unknown activation and another `what`.
    """
    if what not in ("activations", "gradients"):
        raise ConfigError(f"initializers: expected what='activations' or 'gradients'; got {what!r}.")
    figure = new_figure(1.5 * layers + 0.9, 1.45 * len(stds) + 0.5)
    axes = figure.subplots(len(stds), layers, squeeze=False)
    for row, (name, std) in zip(axes, stds.items(), strict=True):
        values = layer_values(activation, std(width), layers, width, seed=seed)[what == "gradients"]
        spread = max(float(np.quantile(np.abs(value), 0.998)) for value in values) or 1.0
        span = (0.0, 1.0) if activation == "sigmoid" and what == "activations" else (-spread, spread)
        if activation == "relu" and what == "activations":
            span = (0.0, spread)
        for number, (axis, value) in enumerate(zip(row, values, strict=True), start=1):
            counts, *_ = axis.hist(value.ravel(), bins=30, range=span, color=TRAIN_COLOR)
            if activation == "relu" and what == "activations":  # half are 0: their bar would press the others flat
                axis.set_ylim(0, 1.2 * max(float(counts[1:].max()), 0.05 * value.size))
            axis.set_yticks([])
            axis.set_xticks(span, [f"{edge:.2g}" for edge in span])
            axis.tick_params(labelsize=8)
            axis.spines[["top", "right", "left"]].set_visible(False)
            axis.set_title(f"layer {number}: std {value.std():.2g}", fontsize=8.5, color=GREY)
        row[0].set_ylabel(name, fontsize=9)
    figure.suptitle(f"{activation}: {what}", fontsize=11)
    return figure


def _host(value: Tensor) -> np.ndarray:
    array: np.ndarray = value.detach().cpu().numpy()
    return array
