"""What `deepcore bench` does: choose, measure with progress, print, leave the files."""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from deepcore import machine
from deepcore.bench import candidates, compare, environment, report, result, suites, table
from deepcore.bench.engine import Engine, Show
from deepcore.bench.result import FAILED, REFUSED, Result, Settings
from deepcore.cli.exit_codes import INTERRUPTED, RUN_ERROR
from deepcore.errors import ConfigError, message

WARM_UP = 2
ROUND_S = 0.02
EVERY_S = 10.0
"""How often a line of progress is written where there is no terminal."""


class Options(NamedTuple):
    """The options of `deepcore bench`."""

    suite: str
    devices: str
    peers: str
    threads: int | None
    filter: str
    rounds: int
    seed: int
    list_only: bool
    json: Path | None
    markdown: Path | None
    html: Path | None


def bench_command(options: Options) -> int:
    """Measures and reports; returns 0, 1 where a candidate was refused or failed, 130 after Ctrl-C.

    Raises ConfigError and DeviceError before anything is measured.
    """
    threads = options.threads or machine.cores()
    console = _console()
    specs = suites.choose(_names(options.suite), options.filter, threads)
    if options.list_only:
        for key in (key for spec in specs for key in spec.keys):
            console.print(Text(key), soft_wrap=True)
        return 0
    chosen, absent = candidates.choose(_names(options.devices), _names(options.peers))
    for file in (options.json, options.markdown, options.html):
        _writable(file)
    settings = Settings(_names(options.suite), options.filter, threads, options.rounds, WARM_UP, ROUND_S, options.seed)
    found = Result(
        command=shlex.join(["deepcore", *sys.argv[1:]]),
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        seconds=0.0,
        stopped="",
        commit=environment.commit(),
        python=platform.python_version(),
        machine=environment.describe_machine(framework.name for framework in chosen),
        settings=settings,
        candidates=[],
        absent=absent,
    )
    with _end_on_terminate(), _progress() as progress:
        Engine(chosen, found, progress).run(specs)
    if found.candidates:
        table.show(found, console)
    _write(found, options, console)
    return _exit_code(found)


def compare_command(old: Path, new: Path, fail_over: float, relative_to: str) -> int:
    """Prints what changed from one result file to another; 1 where a device got slower, else 0."""
    comparison = compare.compare(result.read(old), result.read(new), fail_over, relative_to)
    compare.show(comparison, _console())
    return RUN_ERROR if comparison.failed else 0


def _write(found: Result, options: Options, console: Console) -> None:
    if options.json is not None:
        result.write(found, options.json)
    if options.markdown is not None:
        options.markdown.write_text(report.to_markdown(found), encoding="utf-8")
    if options.html is not None:
        from deepcore.bench.page import to_html

        options.html.write_text(to_html(found), encoding="utf-8")
    for file in (options.json, options.markdown, options.html):
        if file is not None:
            console.print(Text(f"written: {file}"), soft_wrap=True)


def _exit_code(found: Result) -> int:
    if found.stopped:
        return INTERRUPTED
    states = [measurement.state for case in found.cases for measurement in case.measurements]
    return RUN_ERROR if REFUSED in states or FAILED in states or not found.candidates else 0


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "140")), highlight=False)


def _writable(file: Path | None) -> None:
    """Raise ConfigError, before anything is run, where a file cannot be written."""
    if file is None:
        return
    if file.is_dir() or not file.parent.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        got = f"{file}, whose folder is absent or may not be written to" if not file.is_dir() else f"the folder {file}"
        raise ConfigError(message("deepcore bench", "a file that can be written", got))


@contextlib.contextmanager
def _end_on_terminate() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does: with the results of what was measured."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Any = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _progress() -> Iterator[Show]:
    """What shows how far it is: a bar in a terminal, a line now and then anywhere else; both on the error stream."""
    if not sys.stderr.isatty():
        last = time.monotonic()

        def line(done: int, total: int, what: str) -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY_S:
                last = time.monotonic()
                print(f"{done} of {total}: {what}", file=sys.stderr, flush=True)

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (MofNCompleteColumn(), BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def bar(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total or None, description=what)

        yield bar
