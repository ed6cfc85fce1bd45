"""The pictures of a comparison, as SVG that takes its colours from the page around it (light or dark).

Drawn small (4.4 inches wide): on a phone a picture fills the width without its letters becoming too small to read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepcore.lockstep.report import facts
from deepcore.lockstep.result import EXACT, Comparison, Track, pair_key

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 4.4  # inches
# What matplotlib draws with; each becomes a variable of the page's style sheet.
INK, FAINT, BOUND, BAD = "#010101", "#020202", "#030303", "#040404"
DEVICES = ("#050505", "#060606", "#070707", "#080808")
EXACT_COLOR = "#090909"
VARIABLES = {INK: "ink", FAINT: "grid", BOUND: "bound", BAD: "bad", EXACT_COLOR: "exact"} | {
    color: f"device{i}" for i, color in enumerate(DEVICES)
}
MARKERS = ("o", "s", "^", "D")
DASHES = ((0, ()), (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1, 1, 1)))
MOST_PAIRS = 3  # more lines of one device against another would hide everything else
LONGEST_LIST = 90  # rows of a picture by layer whose names can all be written


class Picture(NamedTuple):
    """One picture: its SVG, its title, and what it shows, for the text under it and for those who cannot see it."""

    name: str
    title: str
    text: str
    svg: str


def all_of(comparison: Comparison) -> list[Picture]:
    """Every picture that the comparison has the numbers for."""
    if not comparison.steps:
        return []
    pictures = [drift(comparison), loss(comparison), map_of_steps(comparison)]
    pictures += [by_layer(comparison, *group) for group in GROUPS]
    return [picture for picture in pictures if picture is not None]


def drift(comparison: Comparison) -> Picture | None:
    """Distance of all weights over the steps: every device from float64, every two devices, and the bound."""
    track = facts.track_of(comparison, "weights")
    if track is None:
        return None
    figure, axis = _figure(3.1)
    _distances(axis, comparison, track)
    axis.set(ylabel="distance / size of the weights")
    _legend(axis)
    text = (
        "How far apart all weights are, as a part of their size, after each step; the scale is logarithmic. The grey "
        "area is what rounding explains: a line inside it is no difference that matters, a line that leaves it is. "
        f"Solid lines are devices against {EXACT}"
    )
    pairs = len(comparison.settings.pairs) <= MOST_PAIRS
    text += ", dashed ones are one device against another." if pairs else "."
    return Picture("drift", "Drift of the weights", text + _exactly_equal(comparison, track), _svg(figure, "drift"))


def loss(comparison: Comparison) -> Picture | None:
    """The loss on every device over the steps, and below it how far the losses are apart."""
    if not comparison.losses:
        return None
    track = facts.track_of(comparison, "loss")
    figure, axes = _figure(4.2 if track else 2.6, 2 if track else 1)
    top = axes[0] if track else axes
    for name, values in comparison.losses.items():
        color, place = _color(comparison, name)
        top.plot(
            range(len(values)), values, color=color, linestyle=DASHES[place % len(DASHES)], label=name, linewidth=1.3
        )
    top.set(ylabel="loss")
    _legend(top)
    text = "The loss at each step. Lines that lie on each other may still differ in many digits"
    if track:
        _distances(axes[1], comparison, track)
        axes[1].set(ylabel="distance / loss")
        text += ", as the lower picture shows on its logarithmic scale"
    return Picture("loss", "Loss", text + ".", _svg(figure, "loss"))


def map_of_steps(comparison: Comparison) -> Picture | None:
    """Every quantity at every step: the largest distance as a multiple of its bound."""
    groups = [(name, facts.of_kind(comparison, *kinds)) for name, kinds in MAP_GROUPS]
    groups = [(name, tracks) for name, tracks in groups if tracks]
    if not groups:
        return None
    table = facts.heat(comparison, [track for _, tracks in groups for track in tracks])
    figure, axis = _figure(min(6.0, 2.2 + 0.02 * len(table)))
    with np.errstate(divide="ignore"):
        shown = np.clip(np.log10(table), -3, 1)
    image = axis.imshow(
        shown, aspect="auto", interpolation="nearest", cmap=_map_colors(), vmin=-3, vmax=1,
        extent=(-0.5, table.shape[1] - 0.5, len(table) - 0.5, -0.5),
    )  # fmt: skip
    start, centres = 0, []
    for _, tracks in groups:
        if start:
            axis.axhline(start - 0.5, color=INK, linewidth=0.8)
        centres.append(start + (len(tracks) - 1) / 2)
        start += len(tracks)
    axis.set_yticks(centres, [name for name, _ in groups])
    axis.tick_params(axis="y", length=0)
    axis.set(xlabel="step")
    _whole_steps(axis)
    axis.grid(False)
    height = figure.get_figheight()
    _margins(figure, left=0.85, bottom=1.0)
    bar = figure.colorbar(
        image, cax=figure.add_axes((0.2, 0.3 / height, 0.75, 0.12 / height)), orientation="horizontal"
    )
    bar.set_ticks([-3, -2, -1, 0, 1], labels=["0.001", "0.01", "0.1", "bound", "10 x"])
    bar.ax.tick_params(colors=INK, labelsize=9)
    bar.outline.set_visible(False)
    text = (
        "Each row is one quantity in the order in which it is computed, each column a step; the colour is the largest "
        "distance as a part of its bound. Blue is well inside, white is at the bound, red is beyond it."
    )
    return Picture("map", "Every quantity at every step", text, _svg(figure, "map"))


MAP_GROUPS = (
    ("outputs", ("output", "loss", "buffer")),
    ("backward", ("output_grad",)),
    ("gradients", ("grad",)),
    ("updates", ("update", "weights")),
)

BACKWARDS = ("output_grad", "grad")  # computed from the last layer to the first
_FORWARD = "Outputs of the modules in a forward pass at step {step}, the first module on top."
_BACKWARD = (
    "Gradients at the outputs of the modules at step {step}, the first module on top. "
    "They are computed from the bottom to the top."
)
_GRADIENTS = "Gradients of the parameters at step {step}."
_UPDATES = "What the optimiser added to the parameters at step {step}."
GROUPS = (
    ("forward", "Error by layer, forward", ("output", "loss", "buffer"), _FORWARD),
    ("backward", "Error by layer, backward", ("output_grad",), _BACKWARD),
    ("gradients", "Error of the gradients", ("grad",), _GRADIENTS),
    ("updates", "Error of the updates", ("update",), _UPDATES),
)


def by_layer(comparison: Comparison, name: str, title: str, kinds: Sequence[str], text: str) -> Picture | None:
    """One step, layer by layer: each device's distance from float64 relative to the layer's size, and the bound."""
    step = facts.step_to_show(comparison)
    tracks = [track for track in facts.of_kind(comparison, *kinds) if step < len(track.norm) and track.norm[step] > 0]
    if not tracks:
        return None
    if kinds[0] in BACKWARDS:
        tracks.reverse()
    figure, axis = _figure(0.75 + 0.165 * min(len(tracks), LONGEST_LIST))
    rows = np.arange(len(tracks))
    bound = np.array([_at(track.bound, step) / track.norm[step] for track in tracks])
    errors = {
        device.name: np.array([_at(track.to_exact[device.name], step) / track.norm[step] for track in tracks])
        for device in comparison.settings.devices
    }
    low = _lowest([bound, *errors.values()])
    axis.barh(rows, np.maximum(bound, low) - low, left=low, height=0.72, color=BOUND, linewidth=0, label="explained")
    for i, (device, error) in enumerate(errors.items()):
        color, _ = _color(comparison, device)
        shift = (i - (len(errors) - 1) / 2) * 0.3
        good = np.isfinite(error) & (error > 0)
        axis.plot(
            error[good],
            rows[good] + shift,
            linestyle="",
            marker=MARKERS[i % 4],
            markersize=3.6,
            color=color,
            label=device,
        )
        bad = good & (error > bound)
        axis.plot(error[bad], rows[bad] + shift, linestyle="", marker="o", markersize=8, mfc="none", mec=BAD, mew=1.4)
    axis.set(xscale="log", ylim=(len(tracks) - 0.4, -0.6), xlabel=f"distance from {EXACT} / size")
    _powers_only(axis.xaxis)
    axis.set_xlim(left=low)
    every = -(-len(tracks) // LONGEST_LIST)
    axis.set_yticks(rows[::every], [_short(track.quantity.name or track.quantity.kind) for track in tracks[::every]])
    longest = max(len(label.get_text()) for label in axis.get_yticklabels())
    _margins(figure, left=0.2 + 0.062 * longest)
    axis.tick_params(axis="y", labelsize=8, length=0)
    axis.grid(False, axis="y")
    _legend(axis)
    explained = (
        " The grey bars reach as far as rounding explains; a point beyond its bar has a red ring. "
        "A device without a point in a row is exact there."
    )
    return Picture(name, title, text.format(step=step) + explained, _svg(figure, name))


def _distances(axis: Any, comparison: Comparison, track: Track) -> None:
    """The lines of one track over the steps, the bound as an area; marks where it is left and where it excuses all."""
    bound = facts.relative(track.bound, track.norm)
    lines = [
        (a, b, facts.relative(distances, track.norm))
        for a, b, distances in facts.series(comparison, track)
        if b == EXACT or len(comparison.settings.pairs) <= MOST_PAIRS
    ]
    low = _lowest([bound, *(values for _, _, values in lines)])
    steps = np.arange(len(bound))
    axis.fill_between(steps, low, bound, color=BOUND, linewidth=0, label="explained by rounding")
    noise = facts.relative(track.noise, track.norm)
    axis.plot(
        range(len(noise)), noise, color=EXACT_COLOR, linewidth=0.9, linestyle=DASHES[2], label="measured rounding"
    )
    # One step alone is no line: it needs a point.
    marker = "o" if len(bound) == 1 else None
    pairs = 0
    for a, b, values in lines:
        if b == EXACT:
            style = {"color": _color(comparison, a)[0], "label": f"{a} to {EXACT}", "linewidth": 1.4}
        else:
            pairs += 1
            dashes = DASHES[1 + (pairs - 1) % 3]
            style = {"color": INK, "label": f"{a} to {b}", "linewidth": 1.2, "linestyle": dashes}
        axis.plot(range(len(values)), values, marker=marker, markersize=4, **style)
    for step in range(comparison.settings.resync, comparison.steps, comparison.settings.resync or 1):
        if comparison.settings.resync:
            axis.axvline(step - 0.5, color=FAINT, linewidth=0.6, zorder=0)
    event = comparison.first
    if event is not None:
        axis.axvline(event.step, color=BAD, linewidth=1, linestyle=DASHES[2], label=f"first beyond: step {event.step}")
    if comparison.power_lost is not None:
        label = f"says little: step {comparison.power_lost}"
        axis.axvline(comparison.power_lost, color=EXACT_COLOR, linewidth=1, linestyle=DASHES[3], label=label)
    axis.set(yscale="log", xlabel="step")
    _powers_only(axis.yaxis)
    if np.isfinite(low):
        axis.set_ylim(bottom=low)
    _whole_steps(axis)


def _whole_steps(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def _powers_only(axis: Any) -> None:
    """Writes powers of ten only, as 1e-5: between two of them there is no room for more."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if 0.001 <= value <= 1000 else _power(value)))
    axis.set_minor_formatter(NullFormatter())


def _power(value: float) -> str:
    """1e-5 for 0.00001."""
    digits, exponent = f"{value:.0e}".split("e")
    return f"{digits}e{int(exponent)}"


def _exactly_equal(comparison: Comparison, track: Track) -> str:
    """Names the pairs that a log scale cannot show: those with the same bits throughout."""
    equal = [f"{a} and {b}" for a, b in comparison.settings.pairs if not any(track.between.get(pair_key(a, b), [1]))]
    return f" No line for {', '.join(equal)}: their weights are equal bit for bit." if equal else ""


def _lowest(rows: Sequence[np.ndarray]) -> float:
    """A round number below all positive values, where a log axis may begin."""
    values = np.concatenate([row[np.isfinite(row) & (row > 0)] for row in rows])
    return float(10.0 ** np.floor(np.log10(values.min()) - 0.1)) if values.size else 1e-9


def _at(values: Sequence[float], step: int) -> float:
    return values[step] if step < len(values) else float("nan")


def _short(name: str) -> str:
    """A name that leaves room for the picture."""
    return name if len(name) <= 26 else "..." + name[-23:]


def _color(comparison: Comparison, name: str) -> tuple[str, int]:
    """The colour of a device, and its place among all lines."""
    names = [device.name for device in comparison.settings.devices]
    if name not in names:
        return EXACT_COLOR, len(names)
    return DEVICES[names.index(name) % len(DEVICES)], names.index(name)


def _figure(height: float, rows: int = 1) -> tuple[Figure, Any]:
    """An empty figure with tidy axes, which leaves matplotlib's global state alone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    axes: Any = figure.subplots(rows, 1, sharex=True) if rows > 1 else figure.subplots()
    _margins(figure, left=0.72, top=0.1, bottom=0.48)
    for axis in np.atleast_1d(axes):
        axis.patch.set_visible(False)
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[:].set_color(INK)
        axis.tick_params(which="both", colors=INK, labelsize=9.5)
        for label in (axis.xaxis.label, axis.yaxis.label):
            label.set(color=INK, fontsize=10)
        axis.grid(True, which="major", color=FAINT, linewidth=0.6)
        axis.set_axisbelow(True)
    figure.patch.set_visible(False)
    return figure, axes


def _margins(figure: Figure, **inches: float) -> None:
    """Sets the margins that are named. By hand: matplotlib's own layout takes longer than all the drawing."""
    width, height = figure.get_size_inches()
    size = {"left": width, "right": width, "top": height, "bottom": height}
    parts = {side: value / size[side] for side, value in inches.items()}
    if "top" in parts:
        parts["top"] = 1 - parts["top"]
    figure.subplots_adjust(right=1 - 0.08 / width, hspace=0.12, **parts)


def _legend(axis: Any) -> None:
    """Above the axes, where it covers nothing, from the left edge on; in two columns where they have room."""
    from matplotlib.transforms import blended_transform_factory

    labels = axis.get_legend_handles_labels()[1]
    columns = 2 if 2 * (0.075 * max(map(len, labels)) + 0.45) < WIDTH else 1
    height = 0.19 * -(-len(labels) // columns)
    axis.figure.set_figheight(axis.figure.get_figheight() + height)
    _margins(axis.figure, top=0.12 + height, bottom=0.48)
    axis.legend(
        loc="lower left", bbox_to_anchor=(0.01, 1), ncols=columns, frameon=False, fontsize=9.5, labelcolor=INK,
        borderpad=0.1, borderaxespad=0.3, columnspacing=1.2, handlelength=1.8,
        bbox_transform=blended_transform_factory(axis.figure.transFigure, axis.transAxes),
    )  # fmt: skip


def _map_colors() -> Any:
    """Blue below the bound, white at it, red beyond; the bound stands at three quarters of the scale."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = [(0, "#16324f"), (0.45, "#4477aa"), (0.74, "#dce6f2"), (0.76, "#f7d9d2"), (0.85, "#dd5544"), (1, "#7a0014")]
    return LinearSegmentedColormap.from_list("bound", stops)


def _svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element for a page: its colours are the page's variables, its names its own."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Several pictures share a page: every id gets the picture's name in front.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    for color, variable in VARIABLES.items():
        text = text.replace(color, f"var(--{variable})")
    return _with_size_of_page(text)


def _with_size_of_page(svg: str) -> str:
    """Without the size in points: the picture is as wide as the page lets it be."""
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    return f"{head}>{rest}"
