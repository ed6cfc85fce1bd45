"""The pictures of a result: ratios with their intervals, the machine's roof, scaling lines, time by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from deepcore.bench.report import cost
from deepcore.bench.result import Case, Fit, Profile, Result
from deepcore.charts import (
    BOUND,
    COLORS,
    DASHES,
    INK,
    MARKERS,
    WIDTH,
    Picture,
    legend,
    margins,
    new_figure,
    powers_only,
    to_svg,
)

MOST_ROWS = 34
"""Of bars in one picture: more are split up."""
MOST_LAYERS = 24
"""Of a model: the ones that take longest; the rest is one bar."""
LEAST_SHARE = 0.004
"""Of a step: a layer that takes less is part of the rest."""
LETTER = 0.062
"""The width of a letter of a row's name, in inches."""


def all_of(result: Result) -> list[Picture]:
    """Every picture that the result has the numbers for."""
    return [*ratios(result), *roofline(result), *scaling(result), *layers(result)]


def ratios(result: Result) -> Iterator[Picture]:
    """Bars for each case: how many times better than its baseline, with the interval that the samples leave open."""
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in result.cases:
        if case.axis or not any(m.ratio for m in case.measurements):
            continue
        # Layers and ops are many: a picture for each network or family and pass.
        group = f"{case.group}, {case.part}" if case.suite in ("convs", "ops") else case.part
        groups.setdefault((case.suite, group), []).append(case)
    for (suite, group), cases in groups.items():
        parts = -(-len(cases) // MOST_ROWS)
        for i in range(parts):
            some = cases[i * len(cases) // parts : (i + 1) * len(cases) // parts]
            yield _bars(result, some, f"{suite}: {group}" + (f" ({i + 1} of {parts})" if parts > 1 else ""))


def _bars(result: Result, cases: list[Case], title: str) -> Picture:
    names = [c.name for c in result.candidates if any((m := case.of(c.name)) and m.ratio for case in cases)]
    width = 0.8 / len(names)
    figure, axis = new_figure(0.8 + len(cases) * (0.1 + 0.13 * len(names)))
    rows = np.arange(len(cases))
    ends: list[float] = [1.0]
    for i, name in enumerate(names):
        found = [(row, case.of(name)) for row, case in zip(rows, cases, strict=True)]
        shown = [(row, m.ratio) for row, m in found if m is not None and m.ratio is not None]
        at = np.array([row + (i - (len(names) - 1) / 2) * width for row, _ in shown])
        value, low, high = (np.array([getattr(r, end) for _, r in shown]) for end in ("value", "low", "high"))
        axis.barh(at, value - 1, left=1, height=0.86 * width, color=_color(result, name), linewidth=0, label=name)
        axis.hlines(at, low, high, color=INK, linewidth=1.1)
        ends += [*value, *low, *high]
    bases = dict.fromkeys(case.baseline for case in cases)
    axis.axvline(1, color=INK, linewidth=1)
    axis.set(xscale="log", xlabel=f"times better than {' or '.join(bases)}", ylim=(len(cases) - 0.5, -0.5))
    _plain_ticks(axis, ends)
    _names(axis, rows, [_row(case, cases) for case in cases])
    legend(axis)
    text = (
        "A bar to the right of 1 is better than the baseline, one to the left is worse. The thin line is the interval "
        "that holds the ratio with 95 % probability; where it crosses 1, noise explains the difference."
    )
    return Picture(_id("ratio", title), title, text, to_svg(figure, _id("ratio", title)))


def _row(case: Case, cases: Sequence[Case]) -> str:
    """The name of a case among others: its part and its size only where they tell cases apart."""
    name = case.name
    if len({other.part for other in cases}) > 1:
        name += f", {case.part}"
    if sum((other.name, other.part) == (case.name, case.part) for other in cases) > 1:
        name += f" {case.size}"
    return name


def roofline(result: Result) -> Iterator[Picture]:
    """The rate of every case over its operations for each byte, beneath what the machine can do at most."""
    roof = result.roof
    points: dict[str, list[tuple[float, float]]] = {}
    for case in result.cases:
        for m in case.measurements:
            if case.flops and case.bytes and m.median and not case.axis:
                points.setdefault(m.candidate, []).append((case.flops / case.bytes, case.flops / m.median))
    if roof is None or not points:
        return
    figure, axis = new_figure(3.4)
    at = [x for found in points.values() for x, _ in found]
    ridge = roof.gemm_flops_per_s / roof.copy_bytes_per_s
    span = np.geomspace(min(*at, ridge) / 2, max(*at, ridge) * 2, 100)
    limit = np.minimum(roof.gemm_flops_per_s, span * roof.copy_bytes_per_s) / 1e9
    axis.fill_between(span, limit, color=BOUND, linewidth=0, label="what memory and arithmetic allow")
    for i, (name, found) in enumerate(points.items()):
        x, y = np.array(found).T
        style = {"marker": MARKERS[i % len(MARKERS)], "markersize": 3.4, "color": _color(result, name)}
        axis.plot(x, y / 1e9, linestyle="", alpha=0.75, label=name, **style)
    axis.set(xscale="log", yscale="log", xlabel="operations for each byte", ylabel="GFLOP/s")
    axis.set_ylim(bottom=min(y for found in points.values() for _, y in found) / 2e9)
    powers_only(axis.xaxis)
    powers_only(axis.yaxis)
    legend(axis)
    text = (
        f"Each point is a case. The slope is the copy bandwidth of this machine "
        f"({roof.copy_bytes_per_s / 1e9:.1f} GB/s), the level its best matrix product "
        f"({roof.gemm_flops_per_s / 1e9:.0f} GFLOP/s), both measured in the same run. Operations and bytes are those "
        "of the plain formula: an algorithm that needs fewer, as Winograd's, or data in a cache can lie above."
    )
    yield Picture("roof", "Beneath the roof", text, to_svg(figure, "roof"))


def scaling(result: Result) -> Iterator[Picture]:
    """Time over one size, a line for each candidate, with the exponent that fits it."""
    groups: dict[tuple[str, str, str], list[Case]] = {}
    for case in result.cases:
        if case.axis:
            groups.setdefault((case.name, case.part, case.axis), []).append(case)
    for (name, part, axis_name), cases in groups.items():
        title = f"{name}, {part}: time by {axis_name}"
        figure, axis = new_figure(2.7)
        for i, candidate in enumerate(result.candidates):
            found = [(case.at, m.median) for case in cases if (m := case.of(candidate.name)) and m.median]
            if not found:
                continue
            x, y = np.array(sorted(found)).T
            fit = _fit(result, name, part, axis_name, candidate.name)
            label = candidate.name + (f": power {fit.exponent:.2f}" if fit else "")
            style = {"marker": MARKERS[i % len(MARKERS)], "markersize": 4, "linestyle": DASHES[i % len(DASHES)]}
            axis.plot(x, 1e3 * y, color=_color(result, candidate.name), linewidth=1.3, label=label, **style)
        if not axis.lines:
            continue
        axis.set(xscale="log", yscale="log", xlabel=axis_name, ylabel="ms a step")
        axis.set_xticks(sorted({case.at for case in cases}), [f"{at:g}" for at in sorted({c.at for c in cases})])
        axis.minorticks_off()
        powers_only(axis.yaxis)
        legend(axis)
        text = "Both scales are logarithmic: a straight line is a power, and its slope is the exponent in the legend."
        yield Picture(_id("scaling", title), title, text, to_svg(figure, _id("scaling", title)))


def _fit(result: Result, name: str, part: str, axis: str, candidate: str) -> Fit | None:
    key = (name, part, axis, candidate)
    return next((fit for fit in result.fits if (fit.name, fit.part, fit.axis, fit.candidate) == key), None)


def layers(result: Result) -> Iterator[Picture]:
    """Where the time of a step goes: a row for each layer, forward and backward, the candidates beside each other."""
    workloads: dict[str, list[Profile]] = {}
    for profile in result.profiles:
        workloads.setdefault(profile.workload, []).append(profile)
    for workload, profiles in workloads.items():
        yield _by_layer(result, workload, profiles)


def _by_layer(result: Result, workload: str, profiles: list[Profile]) -> Picture:
    names = _longest(profiles)
    table = {p.candidate: _times(p, names) for p in profiles}
    rows = [*names, "optimiser"]
    figure, axis = new_figure(0.8 + len(rows) * (0.08 + 0.12 * len(profiles)))
    at, width = np.arange(len(rows)), 0.8 / len(profiles)
    for i, profile in enumerate(profiles):
        forward, backward = 1e3 * table[profile.candidate]
        color, y = _color(result, profile.candidate), at + (i - (len(profiles) - 1) / 2) * width
        label = f"{profile.candidate}, {cost(profile.step_s)} a step"
        axis.barh(y, forward, height=0.86 * width, color=color, linewidth=0, label=label)
        axis.barh(y, backward, left=forward, height=0.86 * width, color=color, alpha=0.5, linewidth=0)
    axis.set(xlabel="ms", ylim=(len(rows) - 0.5, -0.5))
    _names(axis, at, rows)
    legend(axis)
    title = f"{workload}: time by layer"
    text = (
        "Each layer run alone on what it got within one step: the full colour is the forward pass, the paler one the "
        "gradients of its input and its parameters. The rest is what the layers do not account for."
    )
    return Picture(_id("layers", workload), title, text, to_svg(figure, _id("layers", workload)))


def _longest(profiles: Sequence[Profile]) -> list[str]:
    """The layers to show, in the order of the forward pass, under names that are the same in every framework."""
    total: dict[str, float] = {}
    for profile in profiles:
        for layer in profile.layers:
            name = _layer(layer.name, layer.kind)
            total[name] = total.get(name, 0.0) + layer.forward_s + layer.backward_s
    least = LEAST_SHARE * sum(total.values())
    kept = {name for name in sorted(total, key=lambda name: -total[name])[:MOST_LAYERS] if total[name] >= least}
    return [name for name in total if name in kept] + (["other layers"] if len(kept) < len(total) else [])


def _times(profile: Profile, names: Sequence[str]) -> np.ndarray:
    """(forward, backward) seconds of each name, and of the optimiser: shape (2, len(names) + 1)."""
    found = np.zeros((2, len(names) + 1))
    for layer in profile.layers:
        name = _layer(layer.name, layer.kind)
        row = names.index(name if name in names else "other layers")
        found[:, row] += layer.forward_s, layer.backward_s
    found[1, -1] = profile.optimizer_s
    return found


def _layer(name: str, kind: str) -> str:
    return f"{name} {kind}".strip()


def _color(result: Result, candidate: str) -> str:
    names = [c.name for c in result.candidates]
    return COLORS[names.index(candidate) % len(COLORS)]


def _names(axis: Any, rows: np.ndarray, names: Sequence[str]) -> None:
    """Write the names of the rows, shortened where they would take more than half of the picture."""
    most = int((WIDTH / 2 - 0.3) / LETTER)
    short = [name if len(name) <= most else name[: most - 3] + "..." for name in names]
    axis.set_yticks(rows, short)
    axis.tick_params(axis="y", labelsize=8, length=0)
    axis.grid(False, axis="y")
    margins(axis.figure, left=0.2 + LETTER * max(map(len, short)))


def _plain_ticks(axis: Any, values: Sequence[float]) -> None:
    """A scale of ratios: 0.5, 1, 2, ... instead of powers of ten, with a little room on both sides."""
    low, high = min(values) / 1.08, max(values) * 1.08
    every = (0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 50, 100)
    marks = [mark for mark in every if low <= mark <= high] if high < 3 else [m for m in every if m != 1.5]
    axis.set_xlim(low, high)
    shown = [mark for mark in marks if low <= mark <= high]
    axis.set_xticks(shown, [f"{mark:g}" for mark in shown])
    axis.minorticks_off()


def _id(kind: str, title: str) -> str:
    """A name for the ids of a picture: letters, digits and hyphens."""
    return kind + "-" + "".join(c if c.isalnum() and c.isascii() else "-" for c in title)
