"""A check as one HTML file: the verdict, the failures, the picture, the table. It loads nothing from anywhere."""

from __future__ import annotations

from html import escape

from deepcore import webpage
from deepcore.check.report import numbers
from deepcore.check.report.as_json import environment
from deepcore.check.report.numbers import Row
from deepcore.check.report.picture import picture
from deepcore.check.report.style import STYLE
from deepcore.check.report.table import details
from deepcore.check.results import Failure, Report


def to_html(report: Report, command: str = "") -> str:
    """The report as the text of an HTML file."""
    title = numbers.headline(report)
    parts = [
        _verdict(report, title),
        _tiles(report),
        _failures(report),
        f"<h2>Error of each op in units of eps</h2>{EXPLANATION}{picture(report)}",
        _left_out(report),
        f"<details><summary>The table</summary>{_table(report)}</details>",
        _facts(report, command),
    ]
    return webpage.document(title, parts, STYLE)


EXPLANATION = """<p class="quiet">eps is the distance from 1 to the next number of the dtype. Each mark is the worst
error of one device over all cases of an op; the red line is the most that rounding explains, c &middot; eps &middot;
&radic;length, where length is that of the longest sum in the op. A mark to the right of its line is a failure.</p>"""


def _verdict(report: Report, title: str) -> str:
    kind = "good" if report.passed else "bad" if report.failures else "open"
    stopped = f"<p>{escape(report.stopped)}; this is what was done.</p>" if report.stopped else ""
    return f'<section class="verdict {kind}"><h1>{escape(title)}</h1>{stopped}</section>'


def _tiles(report: Report) -> str:
    cells = report.cells
    shares = (cell.rounding.share for cell in cells if cell.rounding is not None and not cell.failures)
    tiles = [
        (f"{len({cell.op for cell in cells}):,}", "ops"),
        (f"{report.comparisons:,}", "comparisons"),
        (numbers.percent(max(shares, default=0.0)), "of the limit at worst, of what passed"),
        (numbers.seconds(report.seconds), "in all"),
    ]
    return webpage.tiles(tiles)


def _failures(report: Report) -> str:
    if not report.failures:
        return ""
    groups = numbers.failures(report)
    return f"<h2>What failed</h2>{''.join(_failure(group, nr == 0) for nr, group in enumerate(groups))}"


def _failure(group: list[Failure], unfolded: bool) -> str:
    failure = group[0]
    rows = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in details(failure))
    trace = f"<pre>{escape(failure.traceback)}</pre>" if failure.traceback else ""
    program = f"<p>This program shows it again:</p><pre>{escape(failure.snippet)}</pre>" if failure.snippet else ""
    title = f"<b>{escape(numbers.title(failure))}</b>: {failure.part}: {escape(failure.message)}"
    also = f"<p>It also fails in {escape(numbers.others(group))}.</p>" if len(group) > 1 else ""
    return (
        f"<details{' open' * unfolded}><summary>{title}</summary>"
        f'{also}<table class="facts">{rows}</table>{program}{trace}</details>'
    )


def _left_out(report: Report) -> str:
    lines = numbers.left_out(report)
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>What was not run</h2><ul>{items}</ul>" if lines else ""


def _table(report: Report) -> str:
    names = ["op", "dtype", "cases", *report.devices, "grad", "grad²", "time", ""]
    head = "".join(f"<th{_right(i)}>{escape(name)}</th>" for i, name in enumerate(names))
    body = "".join(f"<tr>{_line(row, report)}</tr>" for row in numbers.rows(report))
    legend = "Under each device the worst error in eps; grad, grad²: that of derivatives as a share of the allowed one."
    return (
        f'<p class="quiet">{legend}</p><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _right(column: int) -> str:
    return ' class="n"' if column > 1 else ""


def _line(row: Row, report: Report) -> str:
    cells = [f"<td>{escape(row.op)}</td><td>{row.dtype}</td>", f'<td class="n">{row.cases}</td>']
    for device in report.devices:
        cell = row.cells.get(device)
        bad = " bad" if cell is not None and cell.failures else ""
        cells.append(f'<td class="n{bad}">{numbers.in_eps(cell.rounding) if cell else "-"}</td>')
    cells += [f'<td class="n">{numbers.percent(row.share(part))}</td>' for part in ("gradient", "double gradient")]
    bad = ' class="bad"' if row.verdict == "FAIL" else ""
    return "".join([*cells, f'<td class="n">{row.seconds:.2f} s</td><td{bad}>{row.verdict}</td>'])


def _facts(report: Report, command: str) -> str:
    found = environment()
    rows = {
        "command": command or "from Python",
        "machine": found["machine"],
        "Python": found["python"],
        **found["packages"],
        "seed": str(report.seed),
    }
    lines = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows.items())
    return f'<h2>Where</h2><table class="facts">{lines}</table>'
