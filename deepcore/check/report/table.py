"""A check in the terminal: the table, what was left out, the failures with their programs."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from deepcore.check.report import numbers
from deepcore.check.report.numbers import Row
from deepcore.check.results import FAIL, Failure, Report

COLOURS = {"pass": "green", FAIL: "bold red"}
LEGEND = (
    "Under each device: the worst error in eps, the rounding unit of the dtype.\n"
    "grad, grad²: the worst error of first and second derivatives as a share of the allowed one. time: seconds."
)
SHOWN = 5
"""So many failures are shown with their programs; the others in a line each."""


def show(report: Report, console: Console) -> None:
    """Print the whole report."""
    table = make_table(report)
    if table.row_count:
        console.print(table)
        console.print(Text(LEGEND, "dim"), soft_wrap=True)
    for line in numbers.left_out(report):
        console.print(Text(line, "dim"), soft_wrap=True)
    for nr, group in enumerate(numbers.failures(report)):
        for part in describe(group, whole=nr < SHOWN):
            console.print(part, soft_wrap=True, highlight=False)
    if report.stopped:
        console.print(Text(f"\n{report.stopped}; the above is what was done", "yellow"), soft_wrap=True)
    style = "bold green" if report.passed else "bold red" if report.failures else "bold yellow"
    console.print(Text(f"\n{numbers.headline(report)} ({numbers.seconds(report.seconds)})", style), soft_wrap=True)


def make_table(report: Report) -> Table:
    """A line for each op and dtype; a column with the worst error in eps for each device."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("op", no_wrap=True, overflow="ellipsis")
    table.add_column("dtype", no_wrap=True)
    table.add_column("cases", justify="right")
    for device in report.devices:
        table.add_column(device, justify="right", no_wrap=True)
    table.add_column("grad", justify="right")
    table.add_column("grad²", justify="right")
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    last = ""
    for row in numbers.rows(report):
        table.add_row(*_line(row, report.devices, row.op if row.op != last else ""))
        last = row.op
    return table


def _line(row: Row, devices: Sequence[str], name: str) -> list[RenderableType]:
    line: list[RenderableType] = [name, Text(row.dtype, "dim"), str(row.cases)]
    for device in devices:
        cell = row.cells.get(device)
        failed = cell is not None and cell.failures
        line.append(Text(numbers.in_eps(cell.rounding) if cell else "-", "bold red" if failed else ""))
    line += [numbers.percent(row.share(part)) for part in ("gradient", "double gradient")]
    return [*line, f"{row.seconds:.2f}", Text(row.verdict, COLOURS.get(row.verdict, "yellow"))]


def describe(group: Sequence[Failure], whole: bool) -> list[RenderableType]:
    """Failures of one op on one device: the first in a line, and with `whole` also its smallest case and program."""
    failure = group[0]
    title = Text.assemble(
        ("FAIL ", "bold red"), (numbers.title(failure), "bold"), f": {failure.part}: {failure.message}"
    )
    also = [Text(f"     it also fails in {numbers.others(list(group))}")] if len(group) > 1 else []
    if not (whole and failure.snippet):
        return [title, *also]
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    for name, value in details(failure):
        facts.add_row(Text(name, "dim"), Text(value, overflow="fold"))
    parts: list[RenderableType] = [Text(), title, *also, facts]
    if failure.traceback:
        parts.append(Text(failure.traceback.rstrip(), "dim"))
    return [*parts, Text("  this program shows it again:\n", "dim"), Text(failure.snippet)]


def details(failure: Failure) -> list[tuple[str, str]]:
    """(name, value) of what is known of a failure."""
    more = f", and {failure.more} more of this kind" if failure.more else ""
    found = [("sample", f"{failure.sample}{more}")]
    if failure.smallest:
        found.append(("smallest case", f"{failure.smallest}  ({failure.shrinking})"))
    if failure.index is not None:
        found.append(
            ("worst element", f"{failure.what} at {failure.index}, {failure.wrong} of {failure.size} are wrong")
        )
        found += [("got", failure.got), ("expected", failure.expected)]
    if failure.limit is not None:
        limit = failure.limit
        found.append(("error", f"{failure.error:.3g} of 1 + |expected|"))
        found.append(
            (
                "allowed",
                f"c * eps * sqrt(length) = {limit.c:g} * {limit.eps:.3g} * sqrt({limit.length}) = {limit.allowed:.3g}",
            )
        )
    return found
