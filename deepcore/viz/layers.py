"""What layers hold and make: filters of the first convolution, feature maps, outputs of every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.autograd import no_grad
from deepcore.errors import ConfigError, nearest
from deepcore.nn import Conv2d, Module
from deepcore.tensor import Tensor
from deepcore.train.plots import GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 8
MOST = 64


def filters(model: Module, title: str = "") -> Figure:
    """Weights of the first convolution, one square a filter; in colour where it has three input channels.

    Raises ConfigError for a model without a Conv2d.
    """
    first = next((module for module in model.modules() if isinstance(module, Conv2d)), None)
    if first is None:
        raise ConfigError(f"filters: {type(model).__name__} has no Conv2d.")
    weights = _host(first.weight)[:MOST]
    if weights.shape[1] == 3:
        low, high = weights.min(axis=(1, 2, 3), keepdims=True), weights.max(axis=(1, 2, 3), keepdims=True)
        return _grid(((weights - low) / np.maximum(high - low, 1e-12)).transpose(0, 2, 3, 1), title, "")
    return _grid(weights.mean(axis=1), title, "RdBu_r")


def feature_maps(model: Module, image: Tensor, layer: str, title: str = "") -> Figure:
    """What a layer makes of one image (1, C, H, W), one square a channel; `layer` is a name of `named_modules`.

    Raises ConfigError where there is no such layer, it was not run, or it makes no maps.
    """
    found = outputs(model, image)
    if layer not in found:
        raise ConfigError(f"feature_maps: no layer {layer!r} was run.{nearest(layer, found)}")
    if found[layer].ndim != 4:
        raise ConfigError(f"feature_maps: expected maps (1, C, H, W) of {layer!r}; got {found[layer].shape}.")
    return _grid(found[layer][0][:MOST], title or layer, "PuOr_r")


def outputs(model: Module, x: Tensor) -> dict[str, np.ndarray]:
    """What each module without modules of its own returned for x, by name, in evaluation mode and as host arrays."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str) -> Any:
        def hook(module: Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                found[name] = _host(output).copy()

        return hook

    modes = [(module, module.training) for module in model.modules()]
    leaves = [(name, m) for name, m in model.named_modules() if not list(m.children())]
    handles = [module.register_forward_hook(keep(name)) for name, module in leaves]
    try:
        model.eval()
        with no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    return found


def _host(value: Tensor) -> np.ndarray:
    array: np.ndarray = value.detach().cpu().numpy()
    return array


def _grid(squares: np.ndarray, title: str, colors: str) -> Figure:
    """Squares (N, H, W), or (N, H, W, 3) in colour, numbered from 1; one scale for all."""
    columns = min(COLUMNS, len(squares))
    rows = -(-len(squares) // columns)
    figure = new_figure(max(3.2, 0.85 * columns + 0.7), 0.95 * rows + 0.5)
    axes = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    limit = float(np.abs(squares).max()) or 1.0
    for i, axis in enumerate(axes):
        axis.set_axis_off()
        if i < len(squares):
            drawn = axis.imshow(squares[i], cmap=colors or None, vmin=-limit, vmax=limit)
            axis.set_title(f"{i + 1}", fontsize=8, color=GREY, pad=2)
    if colors:
        figure.colorbar(drawn, ax=list(axes), shrink=0.9, aspect=14).ax.tick_params(labelsize=8)
    figure.suptitle(title, fontsize=11)
    return figure
