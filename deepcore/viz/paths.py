"""The ways that optimisers take down a valley of two dimensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore import optim
from deepcore.creation import tensor
from deepcore.nn import Parameter
from deepcore.tensor import Tensor
from deepcore.train.plots import GREY, TEST_COLOR, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Make = Callable[[list[Parameter]], Any]

OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda p: optim.SGD(p, lr=0.95),
    "Momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "AdaGrad": lambda p: optim.Adagrad(p, lr=1.5),
    "Adam": lambda p: optim.Adam(p, lr=0.3),
}


def valley(x: Any, y: Any) -> Any:
    """x^2 / 20 + y^2: steep across, nearly flat along."""
    return x**2 / 20 + y**2


def path(make: Make, start: tuple[float, float] = (-7.0, 2.0), steps: int = 30, function: Any = valley) -> np.ndarray:
    """The points (steps + 1, 2) that an optimiser visits, float64, the start first."""
    x, y = (Parameter(tensor(value, dtype="float64")) for value in start)
    optimizer = make([x, y])
    points = [start]
    for _ in range(steps):
        optimizer.zero_grad()
        value: Tensor = function(x, y)
        value.backward()
        optimizer.step()
        points.append((x.item(), y.item()))
    return np.array(points)


def optimizer_paths(
    optimizers: Mapping[str, Make] = OPTIMIZERS,
    start: tuple[float, float] = (-7.0, 2.0),
    steps: int = 30,
    function: Any = valley,
) -> Figure:
    """Contour lines of a function of x and y, and on them the path of each optimiser, one panel each.

    optimizers: by name, what makes the optimiser of a list of parameters. function takes tensors and arrays.
    """
    columns = min(2, len(optimizers))
    rows = -(-len(optimizers) // columns)
    figure = new_figure(3.6 * columns, 2.5 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    across, along = np.linspace(-10, 10, 161), np.linspace(-5, 5, 121)
    heights = function(*np.meshgrid(across, along))
    for axis in axes.flat[len(optimizers) :]:
        axis.set_axis_off()
    for axis, (name, make) in zip(axes.flat, optimizers.items(), strict=False):
        points = path(make, start, steps, function)
        axis.contour(across, along, heights, levels=[0.1, 0.5, 1, 2, 4, 8, 16], colors="#bbbbbb", linewidths=0.7)
        axis.plot(*points.T, color=TEST_COLOR, marker="o", markersize=2.5, linewidth=1)
        axis.plot(0, 0, "+", color="black")
        axis.set(title=name, xlim=(-10, 10), ylim=(-5, 5))
        axis.spines[:].set_color(GREY)
    for axis in axes[-1]:
        axis.set_xlabel("x")
    for axis in axes[:, 0]:
        axis.set_ylabel("y")
    return figure
