"""A result in a terminal: a table for each suite, means, exponents, and what was not measured."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepcore.bench import report
from deepcore.bench.result import MEASURED, SKIPPED, Case, Measurement, Ratio, Result


def show(result: Result, console: Console) -> None:
    """Print the result."""
    for line in report.heading(result):
        console.print(Text(line), soft_wrap=True)
    for suite, cases in report.suites(result):
        console.print(_suite(suite, cases, [candidate.name for candidate in result.candidates]))
    if found := report.means(result):
        table = _table("geometric means, times better than the baseline", "suite", "group", "candidate")
        for name in (">mean", ">lowest", "of", ">cases"):
            table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
        for mean in found:
            value = Text(f"{mean.value:.2f}x {mean.baseline}", style=_style(Ratio(mean.value, mean.value, mean.value)))
            lowest = f"{mean.lowest:.2f}x"
            table.add_row(mean.suite, mean.group, mean.candidate, value, lowest, mean.lowest_case, str(mean.cases))
        console.print(table)
    if result.fits:
        table = _table("exponents: the time grows as the axis to this power", "case", "axis", "candidate")
        for name in ("exponent", "interval", "points"):
            table.add_column(name, justify="right")
        for fit in result.fits:
            interval = f"{fit.low:.2f} to {fit.high:.2f}"
            name = f"{fit.name}, {fit.part}"
            table.add_row(name, fit.axis, fit.candidate, f"{fit.exponent:.2f}", interval, str(fit.points))
        console.print(table)
    for line in report.left_out(result):
        bad = not line.startswith("left out")
        console.print(Text(line, style="bold red" if bad else "dim"), soft_wrap=True)


def _suite(suite: str, cases: list[Case], names: list[str]) -> Table:
    table = _table(suite, "case", "size")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for case in cases:
        cells = [_cell(case, case.of(name)) for name in names]
        table.add_row(f"{case.name}, {case.part}", Text(case.size, style="dim"), *cells)
    return table


def _cell(case: Case, measurement: Measurement | None) -> Text:
    if measurement is None or measurement.state == SKIPPED:
        return Text("")
    if measurement.state != MEASURED or not measurement.samples:
        return Text(measurement.state, style="bold red")
    text = Text(report.median(case, measurement))
    if measurement.ratio:
        ratio = measurement.ratio
        text.append(f"  {report.factor(ratio.value)}x", style=_style(ratio))
        text.append(f"\n{report.factor(ratio.low)} to {report.factor(ratio.high)}", style="dim")
    return text


def _style(ratio: Ratio) -> str:
    """Green where it is better beyond noise, red where worse; plain where the interval holds 1."""
    if ratio.low > 1:
        return "green"
    return "red" if ratio.high < 1 else ""


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        table.add_column(column)
    return table
