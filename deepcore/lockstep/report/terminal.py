"""A comparison in a terminal: the verdict, what convicts, the first places beyond the bound or the nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepcore.lockstep.report import facts, words
from deepcore.lockstep.result import EXACT, Comparison, Verdict

if TYPE_CHECKING:
    from rich.console import Console

LONGEST_TABLE = 6


def print_summary(comparison: Comparison, console: Console) -> None:
    """Prints the comparison in about a screen."""
    from rich.text import Text

    style = "bold green" if comparison.ok else "bold red"
    if not comparison.steps or (comparison.events and not comparison.verdicts):
        style = "bold yellow"
    console.print(Text(words.headline(comparison), style))
    for sentence in words.sentences(comparison):
        console.print(Text(sentence), soft_wrap=False)
    fault = comparison.fault
    if fault is not None:
        _print_replays(fault, console)
    if comparison.events:
        _print_events(comparison, console)
    else:
        _print_nearest(comparison, console)


def _print_replays(verdict: Verdict, console: Console) -> None:
    worst = verdict.worst
    if worst is not None:
        index = ", ".join(str(i) for i in worst.index)
        console.print(
            f"  {worst.result} {worst.shape} at [{index}]: {worst.value:.9g} on {worst.device}, "
            f"{worst.exact:.9g} in {EXACT}",
            markup=False,
            highlight=False,
        )
    if verdict.method:
        console.print(f"  look at {verdict.method}", markup=False, highlight=False)
    rows = [
        (
            f"{replay.op}, {words.DIRECTIONS.get(replay.direction, replay.direction)}",
            words.place(replay),
            replay.device,
            words.number(replay.error_eps),
            words.number(replay.times_allowed),
        )
        for replay in verdict.replays[:LONGEST_TABLE]
    ]
    title = f"ops of step {verdict.step}, run alone on the same inputs"
    _print_table(title, ("op", "in", "on", ">error in eps", ">of what is allowed"), rows, console)


def _print_events(comparison: Comparison, console: Console) -> None:
    rows = [
        (
            str(event.step),
            event.quantity.label,
            f"{event.a} to {event.b}",
            words.number(event.ratio),
            event.shape,
        )
        for event in comparison.events[:LONGEST_TABLE]
    ]
    total = len(comparison.events)
    title = "beyond the bound" + (f" (the first {LONGEST_TABLE} of {total:,})" if total > LONGEST_TABLE else "")
    _print_table(title, (">step", "quantity", "between", ">times the bound", ""), rows, console)


def _print_nearest(comparison: Comparison, console: Console) -> None:
    rows = [
        (place.quantity.label, str(place.step), f"{place.a} to {place.b}", words.number(place.ratio))
        for place in facts.nearest(comparison)[:LONGEST_TABLE]
        if place.ratio > 0
    ]
    _print_table("nearest to the bound", ("quantity", ">step", "between", ">times the bound"), rows, console)


def _print_table(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]], console: Console) -> None:
    """A plain table; a `>` in front of a column's name sets it to the right."""
    if not rows:
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
