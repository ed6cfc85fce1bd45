"""The picture of a check: for each op a strip with the error of each device in eps, on a log scale, and its limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from deepcore.check.report import numbers
from deepcore.check.report.numbers import Row
from deepcore.check.results import Cell, Report, Worst

LOWEST = -2
"""The scale begins at 0.01 eps; no error at all stands at its left end."""
HIGHEST = 7
"""And ends at 10 million eps at most; what is further away, or not finite, stands at its right end."""
COLOURS = 5


def picture(report: Report) -> str:
    """A panel of strips for each dtype, and the buttons that choose one; it needs no script."""
    by_dtype: dict[str, list[Row]] = {}
    for row in numbers.rows(report):
        by_dtype.setdefault(row.dtype, []).append(row)
    drawn = {dtype: rows for dtype, rows in by_dtype.items() if any(_finite(row) for row in rows)}
    if not drawn:
        return "<p>There is nothing to draw: every value had to be equal.</p>"
    first = "float32" if "float32" in drawn else next(iter(drawn))
    buttons = "".join(
        f'<input class="choice" type="radio" name="dtype" id="show-{dtype}"{" checked" * (dtype == first)}>'
        f'<label for="show-{dtype}">{escape(dtype)}</label>'
        for dtype in drawn
    )
    rules = "".join(f"#show-{d}:checked ~ .panels .{d} {{ display: block }}" for d in drawn)
    panels = "".join(_panel(dtype, rows, report.devices) for dtype, rows in drawn.items())
    return f'<style>{rules}</style>{buttons}{_legend(report.devices)}<div class="panels">{panels}</div>'


def _legend(devices: Sequence[str]) -> str:
    names = "".join(f'<span><i class="d{i % COLOURS}"></i>{escape(d)}</span>' for i, d in enumerate(devices))
    return f'<div class="legend">{names}<span><i class="limit"></i>the most that rounding explains</span></div>'


def _finite(row: Row) -> bool:
    return any(worst.eps for cell in row.cells.values() if (worst := shown(cell)) is not None)


def shown(cell: Cell) -> Worst | None:
    """The comparison that stands for a cell: the one in eps, or that of a derivative where it failed."""
    failed = [p.worst for p in cell.parts.values() if p.failures and p.worst is not None]
    return max(failed, key=lambda worst: worst.share) if failed else cell.rounding


def _panel(dtype: str, rows: Sequence[Row], devices: Sequence[str]) -> str:
    worst = [w for row in rows for cell in row.cells.values() if (w := shown(cell)) is not None]
    values = [v for w in worst for v in (w.error_eps, w.allowed_eps) if v and math.isfinite(v)]
    high = min(HIGHEST, max(LOWEST + 1, math.ceil(math.log10(max(values, default=1.0)) + 0.15)))
    scale = _Scale(high)
    ordered = sorted(rows, key=lambda row: -_share(row))
    middle = (len(ordered) + 1) // 2
    halves = [half for half in (ordered[:middle], ordered[middle:]) if half]  # side by side where there is room
    strips = (f"<div>{_axis(scale)}{''.join(_strip(row, devices, scale) for row in half)}</div>" for half in halves)
    return f'<div class="panel {dtype}"><div class="strips">{"".join(strips)}</div></div>'


def _share(row: Row) -> float:
    return max((w.share for cell in row.cells.values() if (w := shown(cell)) is not None), default=0.0)


class _Scale:
    def __init__(self, high: int) -> None:
        self.high = high

    def __call__(self, eps: float) -> float:
        """Where a number of eps stands, in percent of the width."""
        if eps <= 0:
            return 0.0
        if not math.isfinite(eps):
            return 100.0
        return round(100 * min(1.0, max(0.0, (math.log10(eps) - LOWEST) / (self.high - LOWEST))), 2)


def _axis(scale: _Scale) -> str:
    marks = range(LOWEST, scale.high + 1, 2)  # on a phone there is no room for more
    labels = "".join(f'<span style="left:{scale(10.0**m)}%">{_power(m)}</span>' for m in marks)
    return f'<div class="row axis"><b>worst first</b><div class="strip">{labels}</div><em>eps</em></div>'


def _power(exponent: int) -> str:
    return f"{10.0**exponent:g}" if exponent <= 3 else f"1e{exponent}"


def _strip(row: Row, devices: Sequence[str], scale: _Scale) -> str:
    marks, said = [], []
    for i, device in enumerate(devices):
        cell = row.cells.get(device)
        worst = shown(cell) if cell is not None else None
        if worst is None:
            continue
        eps, allowed = worst.error_eps or 0.0, worst.allowed_eps
        said.append(f"{device}: {_words(worst)}")
        if allowed is not None:
            marks.append(f'<i class="limit" style="left:{scale(allowed)}%"></i>')
        height = 50 + (i - (len(devices) - 1) / 2) * min(20, 60 / max(1, len(devices) - 1))  # equal ones side by side
        marks.append(f'<i class="d{i % COLOURS}" style="left:{scale(eps)}%;top:{height:.0f}%"></i>')
    marks.sort(key=lambda mark: "limit" not in mark)  # dots lie on top
    worst_eps = max((w.error_eps or 0.0 for c in row.cells.values() if (w := shown(c)) is not None), default=0.0)
    lines = f"background-size:{100 / (scale.high - LOWEST):.3f}% 100%"
    bad = " bad" if row.verdict == "FAIL" else ""
    text = numbers.number(worst_eps) if worst_eps else "0"
    return (
        f'<div class="row{bad}" title="{escape("; ".join(said))}"><b>{escape(row.op)}</b>'
        f'<div class="strip" style="{lines}">{"".join(dict.fromkeys(marks))}</div><em>{text}</em></div>'
    )


def _words(worst: Worst) -> str:
    if worst.allowed_eps is None:
        return f"{numbers.number(worst.error_eps)}"
    of = f"{numbers.number(worst.error_eps)} of {numbers.number(worst.allowed_eps)} eps"
    return f"{of} ({worst.what}, {worst.sample})"
