"""The pictures of a comparison: drift, loss, every quantity at every step, and single steps by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepcore.charts import (
    BAD,
    BOUND,
    COLORS,
    DASHES,
    FAINT,
    INK,
    MARKERS,
    QUIET,
    Picture,
    legend,
    margins,
    new_figure,
    powers_only,
    to_svg,
)
from deepcore.lockstep.report import facts
from deepcore.lockstep.result import EXACT, Comparison, Track, pair_key

MOST_PAIRS = 3  # more lines of one device against another would hide everything else
LONGEST_LIST = 90  # rows of a picture by layer whose names can all be written


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
    figure, axis = new_figure(3.1)
    _distances(axis, comparison, track)
    axis.set(ylabel="distance / size of the weights")
    legend(axis)
    text = (
        "How far apart all weights are, as a part of their size, after each step; the scale is logarithmic. The grey "
        "area is what rounding explains: a line inside it is no difference that matters, a line that leaves it is. "
        f"Solid lines are devices against {EXACT}"
    )
    pairs = len(comparison.settings.pairs) <= MOST_PAIRS
    text += ", dashed ones are one device against another." if pairs else "."
    return Picture("drift", "Drift of the weights", text + _exactly_equal(comparison, track), to_svg(figure, "drift"))


def loss(comparison: Comparison) -> Picture | None:
    """The loss on every device over the steps, and below it how far the losses are apart."""
    if not comparison.losses:
        return None
    track = facts.track_of(comparison, "loss")
    figure, axes = new_figure(4.2 if track else 2.6, 2 if track else 1)
    top = axes[0] if track else axes
    for name, values in comparison.losses.items():
        color, place = _color(comparison, name)
        top.plot(
            range(len(values)), values, color=color, linestyle=DASHES[place % len(DASHES)], label=name, linewidth=1.3
        )
    top.set(ylabel="loss")
    legend(top)
    text = "The loss at each step. Lines that lie on each other may still differ in many digits"
    if track:
        _distances(axes[1], comparison, track)
        axes[1].set(ylabel="distance / loss")
        text += ", as the lower picture shows on its logarithmic scale"
    return Picture("loss", "Loss", text + ".", to_svg(figure, "loss"))


def map_of_steps(comparison: Comparison) -> Picture | None:
    """Every quantity at every step: the largest distance as a multiple of its bound."""
    groups = [(name, facts.of_kind(comparison, *kinds)) for name, kinds in MAP_GROUPS]
    groups = [(name, tracks) for name, tracks in groups if tracks]
    if not groups:
        return None
    table = facts.heat(comparison, [track for _, tracks in groups for track in tracks])
    figure, axis = new_figure(min(6.0, 2.2 + 0.02 * len(table)))
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
    margins(figure, left=0.85, bottom=1.0)
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
    return Picture("map", "Every quantity at every step", text, to_svg(figure, "map"))


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
    figure, axis = new_figure(0.75 + 0.165 * min(len(tracks), LONGEST_LIST))
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
    powers_only(axis.xaxis)
    axis.set_xlim(left=low)
    every = -(-len(tracks) // LONGEST_LIST)
    axis.set_yticks(rows[::every], [_short(track.quantity.name or track.quantity.kind) for track in tracks[::every]])
    longest = max(len(label.get_text()) for label in axis.get_yticklabels())
    margins(figure, left=0.2 + 0.062 * longest)
    axis.tick_params(axis="y", labelsize=8, length=0)
    axis.grid(False, axis="y")
    legend(axis)
    explained = (
        " The grey bars reach as far as rounding explains; a point beyond its bar has a red ring. "
        "A device without a point in a row is exact there."
    )
    return Picture(name, title, text.format(step=step) + explained, to_svg(figure, name))


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
    axis.plot(range(len(noise)), noise, color=QUIET, linewidth=0.9, linestyle=DASHES[2], label="measured rounding")
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
        axis.axvline(comparison.power_lost, color=QUIET, linewidth=1, linestyle=DASHES[3], label=label)
    axis.set(yscale="log", xlabel="step")
    powers_only(axis.yaxis)
    if np.isfinite(low):
        axis.set_ylim(bottom=low)
    _whole_steps(axis)


def _whole_steps(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


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
        return QUIET, len(names)
    return COLORS[names.index(name) % len(COLORS)], names.index(name)


def _map_colors() -> Any:
    """Blue below the bound, white at it, red beyond; the bound stands at three quarters of the scale."""
    from matplotlib.colors import LinearSegmentedColormap

    stops = [(0, "#16324f"), (0.45, "#4477aa"), (0.74, "#dce6f2"), (0.76, "#f7d9d2"), (0.85, "#dd5544"), (1, "#7a0014")]
    return LinearSegmentedColormap.from_list("bound", stops)
