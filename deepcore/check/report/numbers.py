"""How the numbers of a check are written, alike in the terminal and on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from deepcore.check.results import FAIL, NOT_RUN, PASS, Cell, Failure, NotRun, Report, Worst

EXACT = "equal"


@dataclass
class Row:
    """One op in one dtype: a line of the table."""

    op: str
    dtype: str
    cells: dict[str, Cell]
    """By device."""

    @property
    def cases(self) -> int:
        return max(cell.cases for cell in self.cells.values())

    @property
    def seconds(self) -> float:
        return sum(cell.seconds for cell in self.cells.values())

    @property
    def verdict(self) -> str:
        return verdict(self.cells.values())

    def share(self, part: str) -> float | None:
        """The worst error of a part on any device as a share of what is allowed; None where it was not run."""
        worst = [c.parts[part].worst for c in self.cells.values() if part in c.parts]
        return max((w.share for w in worst if w is not None), default=None)


def verdict(cells: Iterable[Cell]) -> str:
    """PASS, FAIL or NOT_RUN of some cells together."""
    cells = list(cells)
    if any(cell.failures for cell in cells):
        return FAIL
    return PASS if cells else NOT_RUN


def rows(report: Report) -> list[Row]:
    """The lines of the table, in the order of the database."""
    found: dict[tuple[str, str], Row] = {}
    for cell in report.cells:
        found.setdefault((cell.op, cell.dtype), Row(cell.op, cell.dtype, {})).cells[cell.device] = cell
    return list(found.values())


def in_eps(worst: Worst | None) -> str:
    """An error in units of eps; ``equal`` where there is no error at all."""
    if worst is None:
        return "-"
    if worst.error == 0:
        return EXACT
    return number(worst.error_eps)


def number(value: float | None) -> str:
    """About two digits: ``0.31``, ``4.2``, ``96``, ``1.2e+06``; ``wrong`` where it is not finite."""
    if value is None:
        return EXACT
    if not math.isfinite(value):
        return "wrong"
    if value >= 100000:
        return f"{value:.1e}"
    if value >= 10:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def percent(share: float | None) -> str:
    """A share of what is allowed in percent, ``-`` where there is none."""
    if share is None:
        return "-"
    if not math.isfinite(share):
        return "wrong"
    return f"{100 * share:.0f}%" if share >= 0.01 or share == 0 else "<1%"


def seconds(value: float) -> str:
    """``0.04 s`` or ``75 s``."""
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def headline(report: Report) -> str:
    """What came out, in one sentence."""
    cells = report.cells
    failed = sorted({f"{failure.op} on {failure.device}" for failure in report.failures})
    ops = len({cell.op for cell in cells})
    what = f"{count(ops, 'op')} on {', '.join(report.devices)}: {count(report.comparisons, 'comparison')}"
    if failed:
        shown = ", ".join(failed[:5]) + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
        return f"{what}; {count(len(failed), 'failure')}: {shown}"
    return f"{what}, all within rounding" if cells else f"{what}; nothing was compared"


def left_out(report: Report) -> list[str]:
    """A line for each reason why something was not run, the one with the most cases first."""
    groups: dict[str, list[NotRun]] = {}
    for item in report.not_run:
        groups.setdefault(item.reason, []).append(item)
    lines = [f"{device}: not checked: {reason.splitlines()[0]}" for device, reason in report.absent.items()]
    for reason, items in sorted(groups.items(), key=lambda pair: -sum(item.samples for item in pair[1])):
        devices, parts, ops = (list(dict.fromkeys(names)) for names in zip(*map(_names, items), strict=True))
        what = "" if parts == ["all"] else f"no {' and no '.join(parts)}: "
        shown = ", ".join(ops[:6]) + (f" and {len(ops) - 6} more" if len(ops) > 6 else "")
        cases = count(sum(item.samples for item in items), "case")
        lines.append(f"{', '.join(devices)}: {what}{reason}: {cases} of {count(len(ops), 'op')} ({shown})")
    return lines


def _names(item: NotRun) -> tuple[str, str, str]:
    return item.device, item.part, item.op


def failures(report: Report) -> list[list[Failure]]:
    """The failures of each op and device together, in the order of the report; first the one that was made small."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in report.failures:
        groups.setdefault((failure.op, failure.device), []).append(failure)
    place = {(op, device): (i, k) for i, op in enumerate(report.ops) for k, device in enumerate(report.devices)}
    for group in groups.values():
        group.sort(key=lambda failure: not failure.snippet)
    return [groups[key] for key in sorted(groups, key=lambda key: place[key])]


def title(failure: Failure) -> str:
    """``conv2d, float32 on cpu``."""
    return f"{failure.op}, {failure.dtype} on {failure.device}"


def others(group: list[Failure]) -> str:
    """What else failed of the op on the device: ``float64 gradient, float32 value, agreement``."""
    parts: dict[str, list[str]] = {}
    for failure in group[1:]:
        parts.setdefault(failure.dtype, []).append(failure.part)
    return "; ".join(f"{dtype} {', '.join(names)}" for dtype, names in parts.items())


def count(n: int, what: str) -> str:
    """``1 op``, ``234 ops``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
