"""A result in words: how costs and ratios are written, geometric means, and the Markdown page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from deepcore.bench.result import BYTES, FAULTS, MEASURED, REFUSED, SECONDS, SKIPPED, Case, Measurement, Ratio, Result
from deepcore.bench.samples import geometric_mean


class Mean(NamedTuple):
    """The geometric mean of a candidate's ratios over the cases of a group; `lowest` is the worst of them."""

    suite: str
    group: str
    candidate: str
    baseline: str
    """What the ratios are taken to: a candidate, or "best torch" for the fastest mode of a peer in each case."""
    value: float
    lowest: float
    lowest_case: str
    cases: int


def means(result: Result) -> list[Mean]:
    """One for each suite, group, candidate and baseline with at least two ratios."""
    family = result.baseline.partition("-")[0]
    modes = [c.name for c in result.candidates if c.kind == "peer" and c.name.partition("-")[0] == family]
    found: dict[tuple[str, str, str, str], list[tuple[float, str]]] = {}
    for case in result.cases:
        if case.axis or case.unit == FAULTS:
            continue
        group = f"{case.group}: {case.part}" if case.suite in ("convs", "ops", "memory") else case.group
        best = min((m.median for m in case.measurements if m.candidate in modes and m.samples), default=0.0)
        for measurement in case.measurements:
            key = case.suite, group, measurement.candidate
            if measurement.ratio and case.baseline == result.baseline:
                found.setdefault((*key, result.baseline), []).append((measurement.ratio.value, case.name))
            if len(modes) > 1 and best and measurement.samples and measurement.candidate not in modes:
                found.setdefault((*key, f"best {family}"), []).append((best / measurement.median, case.name))
    return [
        Mean(*key, geometric_mean(value for value, _ in ratios), *min(ratios), len(ratios))
        for key, ratios in found.items()
        if len(ratios) > 1
    ]


def cost(value: float, unit: str = SECONDS) -> str:
    """A cost with three digits: `12.4 ms`, `310 MB`, `1,204 faults`."""
    if unit == BYTES:
        return f"{_three(value / 1e6)} MB"
    if unit == FAULTS:
        return f"{value:,.0f} fault{'' if 0.5 <= value < 1.5 else 's'}"
    for size, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= size:
            return f"{_three(value / size)} {name}"
    return f"{_three(value * 1e9)} ns"


def _three(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def median(case: Case, measurement: Measurement) -> str:
    """The median of a measurement as its suite is read: a cost, or images a second for a loader."""
    if case.suite == "loader":
        return f"{case.items / measurement.median:,.0f} images/s"
    return cost(measurement.median, case.unit)


def times(ratio: Ratio) -> str:
    """`1.52x (1.48 to 1.60)`."""
    return f"{factor(ratio.value)}x ({factor(ratio.low)} to {factor(ratio.high)})"


def factor(value: float) -> str:
    """`1.52`, or `1,204` where digits behind the point say nothing."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.2f}"


def suites(result: Result) -> Iterator[tuple[str, list[Case]]]:
    """The suites that have cases, in the order in which they ran."""
    for suite in dict.fromkeys(case.suite for case in result.cases):
        yield suite, [case for case in result.cases if case.suite == suite]


def heading(result: Result) -> list[str]:
    """The lines that say where, with what and how it was measured."""
    machine, settings = result.machine, result.settings
    peak = ""
    if result.roof:
        peak = (
            f"; at most {result.roof.gemm_flops_per_s / 1e9:.0f} GFLOP/s (matrix product) and "
            f"{result.roof.copy_bytes_per_s / 1e9:.1f} GB/s (copy)"
        )
    lines = [
        f"{machine.system}, {machine.processor}, {machine.cores} cores ({', '.join(machine.flags) or 'no flags known'})"
        f"{peak}",
        f"{result.started}, commit {result.commit[:12] or 'unknown'}"
        f"{'+changes' if result.commit.endswith('+changes') else ''}, Python {result.python}",
        f"{settings.threads} threads, up to {settings.rounds} rounds of at least {settings.round_s * 1e3:.0f} ms, "
        f"candidates in turns; load before the run {machine.load:.2f}",
    ]
    for candidate in result.candidates:
        versions = ", ".join(f"{name} {version}" for name, version in candidate.versions.items())
        lines.append(f"{candidate.name}: {candidate.about} ({versions})")
    lines += [f"absent: {name}: {reason}" for name, reason in result.absent.items()]
    if result.stopped:
        lines.append(f"The run ended early: {result.stopped}.")
    return lines


def left_out(result: Result) -> list[str]:
    """What was not measured, and why: refusals and failures one by one, what was skipped by its reason."""
    lines, skipped = [], dict[str, int]()
    for case in result.cases:
        for measurement in case.measurements:
            if measurement.state == SKIPPED:
                key = f"{measurement.candidate}: {measurement.reason}"
                skipped[key] = skipped.get(key, 0) + 1
            elif measurement.state != MEASURED:
                word = "REFUSED" if measurement.state == REFUSED else "FAILED"
                lines.append(f"{word} {case.key} on {measurement.candidate}: {measurement.reason}")
    return lines + [f"left out, {count} case{'s' if count > 1 else ''}, {reason}" for reason, count in skipped.items()]


def to_markdown(result: Result) -> str:
    """The whole result as a page."""
    lines = ["# deepcore bench", "", f"`{result.command}`", ""]
    lines += [f"- {_escape(line)}" for line in heading(result)]
    lines += ["", "Each figure is the median of a step; behind it, how many times better it is than the baseline"]
    lines += [f"({result.baseline}, where it takes part), with the bootstrap interval of 95 %.", ""]
    for suite, cases in suites(result):
        names = [candidate.name for candidate in result.candidates]
        lines += [f"## {suite}", "", f"| case | size | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
        lines += [f"| {case.name}, {case.part} | {case.size} | {' | '.join(_cells(case, names))} |" for case in cases]
        lines.append("")
    if found := means(result):
        lines += ["## Geometric means", "", *_header("suite", "group", "candidate", "mean", "lowest", "cases")]
        lines += [
            f"| {m.suite} | {m.group} | {m.candidate} | {m.value:.2f}x {m.baseline} | "
            f"{m.lowest:.2f}x {m.lowest_case} | {m.cases} |"
            for m in found
        ]
        lines.append("")
    if result.fits:
        lines += ["## Exponents", "", *_header("case", "axis", "candidate", "exponent", "interval", "points")]
        lines += [
            f"| {f.name}, {f.part} | {f.axis} | {f.candidate} | {f.exponent:.2f} | {f.low:.2f} to {f.high:.2f} | "
            f"{f.points} |"
            for f in result.fits
        ]
        lines.append("")
    if left := left_out(result):
        lines += ["## Not measured", "", *(f"- {_escape(line)}" for line in left), ""]
    return "\n".join(lines)


def _cells(case: Case, names: list[str]) -> Iterator[str]:
    for name in names:
        measurement = case.of(name)
        if measurement is None or measurement.state != MEASURED or not measurement.samples:
            yield measurement.state if measurement and measurement.state != SKIPPED else ""
        else:
            ratio = f", {times(measurement.ratio)}" if measurement.ratio else ""
            yield f"{median(case, measurement)}{ratio}"


def _header(*columns: str) -> list[str]:
    return ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]


def _escape(line: str) -> str:
    return line.replace("|", "\\|")
