"""The three pictures of a run: learning curves, confusion matrix, first filters with what they see."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.train.run import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = ("train_", "test_")  # what the names of figures begin with
TRAIN_COLOR, TEST_COLOR, GREY = "#4477aa", "#ee6677", "#888888"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) that needs no display and leaves matplotlib's global state alone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Writes the figure as PNG, atomically. Raises RunError where the disk refuses."""
    data = io.BytesIO()
    figure.savefig(data, format="png")
    write_atomic(path, lambda file: file.write(data.getvalue()))


def curves(rows: Sequence[dict[str, Any]], title: str, loss_title: str = "loss") -> Figure:
    """Loss (log scale) and every metric per epoch, training and test; shares of right answers in per cent."""
    names = list(dict.fromkeys(name.partition("_")[2] for row in rows for name in row if name.startswith(KINDS)))
    names = names or ["loss"]
    figure = new_figure(4.5 * max(2, len(names)), 3.6)
    panels = figure.subplots(1, max(2, len(names)))
    epochs = [row["epoch"] for row in rows]
    for axis, name in zip(panels, names, strict=False):
        factor = 100 if "accuracy" in name else 1
        for kind, color in (("train", TRAIN_COLOR), ("test", TEST_COLOR)):
            values = [factor * row.get(f"{kind}_{name}", math.nan) for row in rows]
            if not all(math.isnan(value) for value in values):
                marker = "o" if len(rows) <= 40 else None
                axis.plot(epochs, values, color=color, label=kind, marker=marker, markersize=3)
        _describe(axis, name, rows, loss_title)
        _tidy(axis)
        if rows:
            axis.legend(frameon=False)
    for axis in panels[len(names) :]:
        axis.set_axis_off()
    figure.suptitle(title)
    return figure


def _describe(axis: Any, name: str, rows: Sequence[dict[str, Any]], loss_title: str) -> None:
    """The title and scale of a panel."""
    axis.set(title=loss_title if name == "loss" else name.replace("_", " "), xlabel="epoch")
    if name == "loss":
        if all(row[key] > 0 for row in rows for key in row if key in ("train_loss", "test_loss")):
            axis.set_yscale("log")
            _plain_numbers(axis.yaxis)
    elif "accuracy" in name and rows and f"test_{name}" in rows[-1]:
        end = f"(test at the end {100 * rows[-1][f'test_{name}']:.2f} %)"
        axis.set(title=f"{name.replace('_', ' ')} {end}", ylabel="%")
        _limit_accuracy(axis, [100 * row[f"test_{name}"] for row in rows])


def _limit_accuracy(axis: Any, tests: Sequence[float]) -> None:
    """Cuts off the first epochs where they would press everything that follows into the upper edge."""
    bottom = min([*tests[len(tests) // 4 :], 95.0])
    if bottom > 60 and len(tests) > 4:
        axis.set_ylim(bottom - 2, 100.3)


def _plain_numbers(axis: Any) -> None:
    """0.2, 0.5, 1, ... on a log axis, where matplotlib would write powers of ten."""
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    for which in (axis.set_major_formatter, axis.set_minor_formatter):
        which(StrMethodFormatter("{x:g}"))


def _tidy(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def confusion(matrix: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Counts by true class (row) and predicted class (column); right answers in blue, mistakes in red."""
    k = len(classes)
    side = max(4.5, 0.5 * k + 1)
    figure = new_figure(side, side)
    axis = figure.subplots()
    axis.imshow(_confusion_colors(matrix))
    if k <= 30:
        _write_counts(axis, matrix)
    long = max(map(len, classes)) > 4
    axis.set_xticks(range(k), classes, rotation=45 if long else 0, ha="right" if long else "center")
    axis.set_yticks(range(k), classes)
    axis.set(xlabel="predicted", ylabel="true", title=title)
    axis.tick_params(length=0)
    axis.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    axis.grid(True, which="minor", color="white", linewidth=1.5)
    axis.tick_params(which="minor", length=0)
    axis.spines[:].set_visible(False)
    return figure


def _confusion_colors(matrix: np.ndarray) -> np.ndarray:
    """(K, K, 3) colours by the share of the row; the root keeps a single mistake among thousands visible."""
    from matplotlib import colormaps

    share = np.sqrt(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))
    right = np.eye(len(matrix), dtype=bool)
    colors = np.where(right[..., None], colormaps["Blues"](0.1 + 0.7 * share), colormaps["Reds"](0.1 + 0.8 * share))
    colors[(matrix == 0) & ~right] = (0.96, 0.96, 0.96, 1)
    return colors[..., :3]


def _write_counts(axis: Any, matrix: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            color = "white" if count > 0.3 * matrix[row].sum() else "black"
            axis.text(column, row, f"{count}", ha="center", va="center", fontsize=8, color=color)


def filters(weights: np.ndarray, image: np.ndarray, maps: np.ndarray, title: str) -> Figure:
    """First-layer weights (O, C, KH, KW), one image (C, H, W), and the layer's answers to it (O, OH, OW)."""
    count = min(len(weights), 16)
    figure = new_figure(1.25 * (count + 1) + 0.6, 3.2)
    axes = figure.subplots(2, count + 1)
    limit, bright = float(np.abs(weights).max()), float(np.abs(maps[:count]).max())
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    for i in range(count):
        # Weights summed over the input channels, which for grey images is the weight itself.
        low = axes[0, i + 1].imshow(weights[i].mean(axis=0), cmap="RdBu_r", vmin=-limit, vmax=limit)
        answer = axes[1, i + 1].imshow(maps[i], cmap="PuOr_r", vmin=-bright, vmax=bright)
        axes[0, i + 1].set_title(f"{i + 1}", fontsize=9, color=GREY)
    axes[0, 0].text(0.5, 0.5, "weights", ha="center", va="center", fontsize=9, color=GREY)
    axes[1, 0].imshow(image.mean(axis=0), cmap="gray")
    axes[1, 0].set_title("image", fontsize=9, color=GREY)
    figure.colorbar(low, ax=axes[0], shrink=0.8, aspect=12)
    figure.colorbar(answer, ax=axes[1], shrink=0.8, aspect=12)
    figure.suptitle(title, fontsize=11)
    return figure
