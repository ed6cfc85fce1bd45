"""A run folder as one HTML page that loads nothing from anywhere: figures, pictures, layers, settings."""

from __future__ import annotations

import base64
import contextlib
import io
import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from deepcore import charts, machine, models, webpage
from deepcore.charts import COLORS, MARKERS, Picture
from deepcore.errors import DeepcoreError, RunError
from deepcore.nn import Conv2d, Module
from deepcore.summaries import Summary, summary
from deepcore.train import checkpoint
from deepcore.train.config import read_toml
from deepcore.train.run import RunFolder
from deepcore.viz.layers import filters

STYLE = """
.drawn { display: block; width: 100%; height: auto; max-width: 640px; margin: 0 auto; background: #fff; }
.layers td { white-space: nowrap; }
.layers th, .layers td { font-size: 0.82rem; }
.layers span { color: var(--quiet); display: block; font-size: 0.85rem; }
.counts { min-width: 540px; }
@media (min-width: 820px) { .layers span { display: inline; margin-left: 8px; } .layers td { padding-right: 28px; } }
"""
MOST_MARKERS = 40


def run_page(run: str | Path, command: str = "") -> str:
    """The text of the page of a run folder, also of one whose training has not ended.

    What the folder lacks is left out: without metrics there are no curves, without a model no layers and filters.
    Raises RunError where it is no run folder or a file in it is damaged.
    """
    folder = RunFolder.open(run)
    config = read_toml(folder.config)
    rows = folder.read_metrics()
    title = f"{config.get('model', 'a model')} on {config.get('data', 'data')}"
    model, shape = _model(folder) if folder.model.is_file() else (None, ())
    found = None if model is None else _summary(model, shape)
    parts = [
        _head(title, folder, rows),
        webpage.tiles(_tiles(rows, found)),
        charts.section(_curves(rows), "Training"),
        _confusion(folder),
        _filters(model),
        _layers(found),
        _table("Settings", {name: _shown(value) for name, value in _flat(config)}),
        _table("The run", _facts(folder, rows, command)),
    ]
    return webpage.document(title, parts, charts.STYLE + STYLE)


def _head(title: str, folder: RunFolder, rows: Sequence[dict[str, Any]]) -> str:
    ended = "" if folder.model.is_file() else " Its training has not ended."
    epochs = f"{len(rows)} epoch{'s' * (len(rows) != 1)}" if rows else "No epoch is finished yet"
    name = folder.path.resolve().name
    return f'<h1>{escape(title)}</h1><p class="quiet">{escape(name)}: {epochs}.{ended}</p>'


def _tiles(rows: Sequence[dict[str, Any]], found: Summary | None) -> list[tuple[str, str]]:
    tiles = []
    last = rows[-1] if rows else {}
    if "test_accuracy" in last:
        tiles.append((f"{100 * last['test_accuracy']:.2f} %", "of the test set right, at the end"))
    if "test_loss" in last:
        tiles.append((f"{last['test_loss']:.3g}", "test loss, at the end"))
    if found is not None:
        tiles.append((f"{found.parameters:,}", "parameters"))
    if "seconds" in last:
        tiles.append((_time(sum(row["seconds"] for row in rows)), "training"))
    return tiles


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _curves(rows: Sequence[dict[str, Any]]) -> list[Picture]:
    """One picture for each figure that training or test has, and the learning rate."""
    names = dict.fromkeys(n.partition("_")[2] for row in rows for n in row if n.startswith(("train_", "test_")))
    pictures = [_curve(rows, name) for name in names]
    return [*pictures, _rate(rows)] if rows and "lr" in rows[0] else pictures


def _curve(rows: Sequence[dict[str, Any]], name: str) -> Picture:
    share = "accuracy" in name
    figure, axis = _axis(f"{name.replace('_', ' ')}{' (%)' * share}")
    for i, kind in enumerate(("train", "test")):
        values = [(100 if share else 1) * row.get(f"{kind}_{name}", math.nan) for row in rows]
        marker = MARKERS[i] if len(rows) <= MOST_MARKERS else None
        if any(math.isfinite(value) for value in values):
            epochs = [row["epoch"] for row in rows]
            axis.plot(epochs, values, color=COLORS[i], label=kind, marker=marker, markersize=4)
    if axis.lines:
        charts.legend(axis)
    title = name.replace("_", " ").capitalize()
    return Picture(name, title, f"{title} after each epoch.", charts.to_svg(figure, name))


def _rate(rows: Sequence[dict[str, Any]]) -> Picture:
    figure, axis = _axis("learning rate")
    axis.plot([row["epoch"] for row in rows], [row["lr"] for row in rows], color=COLORS[2])
    return Picture("lr", "Learning rate", "The learning rate at the end of each epoch.", charts.to_svg(figure, "lr"))


def _axis(label: str) -> tuple[Any, Any]:
    from matplotlib.ticker import MaxNLocator

    figure, axis = charts.new_figure(2.9)
    axis.set(xlabel="epoch", ylabel=label)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, axis


def _confusion(folder: RunFolder) -> str:
    """The matrix as the training has drawn it at its end."""
    path = folder.path / "confusion.png"
    if not path.is_file():
        return ""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error}).") from error
    text = "How often each true class (row) was taken for each class (column), on the test set."
    return _drawn("Confusion matrix", text, data, "drawn counts")


def _filters(model: Module | None) -> str:
    if model is None or not any(isinstance(module, Conv2d) for module in model.modules()):
        return ""
    file = io.BytesIO()
    filters(model).savefig(file, format="png")
    return _drawn("Filters", "The weights of the first convolution.", file.getvalue())


def _drawn(title: str, text: str, png: bytes, style: str = "drawn") -> str:
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return (
        f'<section><h2>{title}</h2><figure><div class="scroll" tabindex="0">'
        f'<img class="{style}" src="{source}" alt="{title}: {escape(text)}"></div>'
        f"<figcaption>{escape(text)}</figcaption></figure></section>"
    )


def _model(folder: RunFolder) -> tuple[Module | None, tuple[int, ...]]:
    """The trained model and the shape of an input; None for a model that this program cannot build."""
    weights, info = checkpoint.load_model(folder.model)
    with contextlib.suppress(DeepcoreError, KeyError, TypeError):
        options = info["options"]
        model = models.create(info["model"], **options)
        model.load_state_dict(weights)
        return model.eval(), (1, options["in_channels"], options["image_size"], options["image_size"])
    return None, ()


def _summary(model: Module, shape: tuple[int, ...]) -> Summary | None:
    with contextlib.suppress(DeepcoreError):
        return summary(model, shape)
    return None


def _layers(found: Summary | None) -> str:
    if found is None:
        return ""
    columns: dict[str, Callable[[Any], str]] = {
        "output": lambda layer: ", ".join(" x ".join(map(str, shape[1:])) for shape in layer.outputs),
        "parameters": lambda layer: f"{layer.parameters:,}",
        "multiply-adds": lambda layer: f"{layer.multiply_adds:,}",
    }
    head = "".join(f'<th class="n">{name}</th>' for name in columns)
    body = "".join(
        f"<tr><td>{escape(layer.name or 'all')}<span>{escape(layer.kind)}</span></td>"
        + "".join(f'<td class="n">{escape(show(layer))}</td>' for show in columns.values())
        + "</tr>"
        for layer in found.layers
    )
    return (
        '<section><h2>Layers</h2><p class="quiet">For one input.</p><div class="scroll" tabindex="0">'
        f'<table class="layers"><thead><tr><th>layer</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _flat(tree: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """The settings of a TOML file with the tables' names in front."""
    found: list[tuple[str, Any]] = []
    for name, value in tree.items():
        inside = isinstance(value, dict)
        found += _flat(value, f"{before}{name}.") if inside else [(f"{before}{name}", value)]
    return found


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _facts(folder: RunFolder, rows: Sequence[dict[str, Any]], command: str) -> dict[str, str]:
    facts = {"folder": str(folder.path.resolve()), "page written on": machine.describe()}
    if rows and "step" in rows[-1]:
        facts["steps"] = f"{rows[-1]['step']:,}"
    if rows and "images_per_second" in rows[-1]:
        facts["images a second"] = f"{rows[-1]['images_per_second']:,.0f} in the last epoch"
    return facts | ({"command": command} if command else {})


def _table(title: str, facts: dict[str, str]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f'<section><h2>{escape(title)}</h2><table class="facts">{rows}</table></section>' if rows else ""
