"""What `deepcore check` does: choose, run with progress, print, leave the files."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from deepcore import machine
from deepcore.check import runner, selection, workers
from deepcore.check.opdb import all_cases
from deepcore.check.report import as_json, table
from deepcore.check.results import Report
from deepcore.cli.exit_codes import INTERRUPTED, RUN_ERROR
from deepcore.errors import ConfigError, message

EVERY_S = 5.0
"""How often a line of progress is written where there is no terminal."""
MOST_PROCESSES = 8


def check_command(
    ops: Sequence[str],
    devices: Sequence[str],
    dtypes: Sequence[str],
    *,
    everything: bool = False,
    json: Path | None = None,
    html: Path | None = None,
    fail_fast: bool = False,
    seed: int = 0,
    processes: int | None = None,
) -> int:
    """Checks and reports; returns the exit code: 0 where all is well, 1 where something failed, 130 after Ctrl-C."""
    cases = selection.choose_ops(all_cases(), ops)
    chosen_dtypes = selection.choose_dtypes(cases, dtypes)
    chosen_devices, absent = selection.choose_devices(devices, everything)
    for file in (json, html):
        _writable(file)
    progress = _Bar(Console(stderr=True)) if sys.stderr.isatty() else _Lines()
    with progress:
        report = runner.check(
            cases,
            chosen_devices,
            chosen_dtypes,
            seed=seed,
            fail_fast=fail_fast,
            run=workers.chosen(processes or _processes(len(cases)), chosen_devices),
            progress=progress,
        )
    report.absent = absent
    console = Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "110")))
    table.show(report, console)
    command = shlex.join(["deepcore", "check", *_arguments()])
    if json is not None:
        json.write_text(as_json.to_json(report, command), encoding="utf-8")
        console.print(Text(f"written: {json}"), soft_wrap=True)
    if html is not None:
        from deepcore.check.report import page

        html.write_text(page.to_html(report, command), encoding="utf-8")
        console.print(Text(f"written: {html}"), soft_wrap=True)
    return _exit_code(report)


def _exit_code(report: Report) -> int:
    if report.failures:
        return RUN_ERROR
    return INTERRUPTED if report.stopped else 0


def _processes(ops: int) -> int:
    """A few ops are done before a second process has started."""
    return min(machine.cores(), MOST_PROCESSES) if ops >= 20 else 1


def _arguments() -> list[str]:
    """What stood behind `check` on the command line."""
    words = sys.argv[1:]
    return words[words.index("check") + 1 :] if "check" in words else words


def _writable(file: Path | None) -> None:
    """Raise ConfigError, before anything is run, where a file cannot be written."""
    if file is None:
        return
    if file.is_dir() or not file.parent.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        got = f"{file}, whose folder is absent or may not be written to" if not file.is_dir() else f"the folder {file}"
        raise ConfigError(message("deepcore check", "a file that can be written", got))


class _Lines:
    """A line of progress every few seconds, on the error stream."""

    def __enter__(self) -> _Lines:
        self.start = self.last = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, done: int, total: int, name: str) -> None:
        now = time.monotonic()
        if done and now - self.last >= EVERY_S:
            self.last = now
            left = (now - self.start) / done * (total - done)
            print(f"{done} of {total}: {name}; about {left:.0f} s left", file=sys.stderr, flush=True)


class _Bar:
    """A bar with the last op and the time left; it goes away at the end."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.description}", table_column=None),
            console=console,
            expand=True,
            transient=True,
        )
        self.task: Any = self.bar.add_task("starting", total=None)

    def __enter__(self) -> _Bar:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def __call__(self, done: int, total: int, name: str) -> None:
        self.bar.update(self.task, completed=done, total=total, description=f"{name or 'starting':<34.34}")
