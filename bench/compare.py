"""Two results beside each other: what got slower beyond noise, what faster, what is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepcore.bench import report, samples
from deepcore.bench.result import FAULTS, MEASURED, SKIPPED, Case, Measurement, Ratio, Result
from deepcore.errors import ConfigError, message

SLOWER, FASTER, SAME, LOST = "slower", "faster", "same", "lost"


@dataclass
class Change:
    """One candidate in one case, in both results."""

    case: Case
    """Of the new result."""
    candidate: str
    verdict: str
    """ "slower" or "faster": by more than the limit, and the interval leaves 1 out; "same"; "lost": it was measured and
    now is refused or fails."""
    ratio: Ratio | None
    """New cost by old cost; above 1 is worse. None for "lost"."""
    old: float
    new: float
    reason: str = ""


@dataclass
class Comparison:
    """All changes of two results."""

    changes: list[Change]
    fail_over: float
    relative_to: str
    counted: list[str]
    """The candidates whose changes decide: deepcore's devices."""
    unmatched: int
    """Cases that only one of the files has."""
    warnings: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Change]:
        """What got slower, or is lost, on a device of deepcore."""
        return [c for c in self.changes if c.verdict in (SLOWER, LOST) and c.candidate in self.counted]


def compare(old: Result, new: Result, fail_over: float = 1.1, relative_to: str = "") -> Comparison:
    """Compare cases of the same key.

    relative_to: a peer that both have. Every sample is divided by the peer's sample of the same round, so that what
    changed on the machine between the two runs cancels. Raises ConfigError where nothing can be compared.
    """
    before = {case.key: case for case in old.cases}
    changes, common = [], 0
    for case in new.cases:
        if case.key not in before:
            continue
        common += 1
        for measurement in case.measurements:
            earlier = before[case.key].of(measurement.candidate)
            if earlier is None or not earlier.samples or measurement.candidate == relative_to:
                continue
            change = _change(case, measurement, before[case.key], earlier, fail_over, relative_to)
            if change is not None:
                changes.append(change)
    if not changes:
        hint = f"is {relative_to!r} measured in both?" if relative_to else "measure the same suites in both"
        got = f"{common} common cases of {len(old.cases)} and {len(new.cases)}"
        raise ConfigError(message("deepcore bench compare", "two results with a common measured case", got, hint))
    counted = [candidate.name for candidate in new.candidates if candidate.kind == "device"]
    unmatched = len(before.keys() ^ {case.key for case in new.cases})
    return Comparison(changes, fail_over, relative_to, counted, unmatched, _warnings(old, new))


def _change(
    case: Case, measurement: Measurement, case_before: Case, earlier: Measurement, fail_over: float, relative_to: str
) -> Change | None:
    if measurement.state == SKIPPED:
        return None
    old = earlier.median
    if measurement.state != MEASURED or not measurement.samples:
        return Change(case, measurement.candidate, LOST, None, old, 0.0, measurement.reason)
    after, previous = measurement.samples, earlier.samples
    if relative_to:
        peers = case.of(relative_to), case_before.of(relative_to)
        if not all(peer and peer.samples for peer in peers):
            return None
        after = _shares(after, peers[0])
        previous = _shares(previous, peers[1])
    least = 1.0 if case.unit == FAULTS and not relative_to else samples.TINY
    ratio = samples.free_ratio(after, previous, least=least)
    verdict = SAME
    if ratio.value > fail_over and ratio.low > 1:
        verdict = SLOWER
    elif ratio.value < 1 / fail_over and ratio.high < 1:
        verdict = FASTER
    return Change(case, measurement.candidate, verdict, ratio, old, measurement.median)


def _shares(own: Sequence[float], peer: Measurement | None) -> list[float]:
    assert peer is not None
    return [a / max(b, samples.TINY) for a, b in zip(own, peer.samples, strict=False)]


def _warnings(old: Result, new: Result) -> list[str]:
    """What makes the two results hard to compare."""
    found = []
    for what, a, b in (
        ("processors", old.machine.processor, new.machine.processor),
        ("numbers of cores", str(old.machine.cores), str(new.machine.cores)),
        ("numbers of threads", str(old.settings.threads), str(new.settings.threads)),
    ):
        if a != b:
            found.append(f"different {what}: {a} and {b}")
    for name, result in (("old", old), ("new", new)):
        if result.machine.load > 0.5 * result.machine.cores:
            found.append(f"the machine was busy before the {name} run: load {result.machine.load:.1f}")
        if result.stopped:
            found.append(f"the {name} run ended early: {result.stopped}")
    return found


def show(comparison: Comparison, console: Console) -> None:
    """Print the changes beyond noise, and a line that sums up."""
    for warning in comparison.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)
    told = [change for change in comparison.changes if change.verdict != SAME]
    order = {LOST: 0, SLOWER: 1, FASTER: 2}
    told.sort(key=lambda change: (order[change.verdict], -(change.ratio.value if change.ratio else 0.0)))
    if told:
        table = Table(header_style="bold")
        for name in ("", "case", "candidate", "old", "new", "new / old"):
            table.add_column(name)
        for change in told:
            style = "green" if change.verdict == FASTER else "red"
            ratio = report.times(change.ratio) if change.ratio else change.reason
            new = report.cost(change.new, change.case.unit) if change.ratio else ""
            table.add_row(
                Text(change.verdict, style=style),
                Text(change.case.key),
                change.candidate,
                report.cost(change.old, change.case.unit),
                new,
                Text(ratio, style=style),
            )
        console.print(table)
    counts = ", ".join(
        f"{sum(change.verdict == verdict for change in comparison.changes)} {verdict}"
        for verdict in (SLOWER, FASTER, SAME, LOST)
    )
    relative = f", each relative to {comparison.relative_to}" if comparison.relative_to else ""
    console.print(
        Text(f"{len(comparison.changes)} measurements in both{relative}: {counts}. "
             f"{comparison.unmatched} cases are in one file only. "
             f"The limit is {comparison.fail_over:g} times, and the interval of 95 % must leave 1 out."),
        soft_wrap=True,
    )  # fmt: skip
