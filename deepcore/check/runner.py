"""Runs entries of the op database: samples x dtypes x parts of one op on one device, and many of these.

`check_op` is the unit of work; `check` goes through ops and devices, in this process or in several (`workers`).
An exception of an op is a failure with its traceback, never the end of the check.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepcore import random
from deepcore.check import shrink as shrinking
from deepcore.check.measure import (
    BY_DESIGN,
    PARTS,
    REFERENCE,
    Comparison,
    Mismatch,
    comparisons,
    dtypes_on,
    expected_values,
    why_not,
    why_not_at_all,
)
from deepcore.check.opdb import OpCase, Sample
from deepcore.check.results import Cell, Failure, Limit, NotRun, OpResult, Part, Report, Worst
from deepcore.check.snippet import snippet
from deepcore.errors import DeepcoreError


@dataclass(frozen=True)
class Task:
    """One op on one device, and with what."""

    op: str
    device: str
    dtypes: tuple[str, ...]
    seed: int = 0
    shrink_seconds: float = shrinking.SECONDS


@dataclass
class _Found:
    """A failure while it is looked into: at most one of `comparison` and `error` is there."""

    sample: Sample
    dtype: str
    part: str
    comparison: Comparison | None
    error: Exception | None


def check_op(case: OpCase, task: Task) -> OpResult:
    """Every sample of one op in the chosen dtypes on one device; the first failure is made small."""
    start = time.perf_counter()
    result = OpResult(case.name, task.device)
    left_out: Counter[tuple[str, str]] = Counter()
    dtypes = dtypes_on(case, task.device, task.dtypes)
    first: dict[tuple[str, str], tuple[_Found, Failure]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # float16 overflows in some intermediate steps
        samples = []
        for sample in case.make_samples(task.seed):
            reason = "" if dtypes else f"not in {' or '.join(task.dtypes)}"
            reason = reason or why_not_at_all(case, sample, task.device)
            if reason:
                left_out["all", reason] += max(1, len(dtypes))
            else:
                samples.append(sample)
        for dtype in dtypes if samples else ():
            cell = Cell(case.name, dtype, task.device)
            begin = time.perf_counter()
            for sample in samples:
                for part in PARTS:
                    reason = why_not(case, sample, task.device, dtype, part)
                    if reason:
                        left_out[part, reason] += reason not in BY_DESIGN
                        continue
                    for found in _failures_of(case, sample, task.device, dtype, part, cell):
                        if (dtype, part) in first:
                            first[dtype, part][1].more += 1
                        else:
                            first[dtype, part] = found, _describe(case, task.device, found)
            cell.cases = len(samples)
            cell.seconds = time.perf_counter() - begin
            result.cells.append(cell)
        if first:
            found, failure = next(iter(first.values()))
            _make_small(case, task, found, failure)
    result.failures = [failure for _, failure in first.values()]
    result.not_run = [NotRun(case.name, task.device, part, reason, n) for (part, reason), n in left_out.items() if n]
    result.seconds = time.perf_counter() - start
    return result


def _failures_of(case: OpCase, sample: Sample, device: str, dtype: str, part: str, cell: Cell) -> Iterator[_Found]:
    """Compare, count in the cell, and yield what failed."""
    counted = cell.parts.setdefault(part, Part())
    random.manual_seed(0)
    try:
        for comparison in comparisons(case, sample, device, dtype, part):
            worst = comparison.difference
            allowed = comparison.allowed
            failed = worst.error > allowed.allowed
            entry = Worst(worst.error, allowed.eps, allowed.allowed, comparison.what, sample.name)
            counted.add(entry, failed)
            if failed:
                yield _Found(sample, dtype, part, comparison, None)
    except Exception as error:
        counted.add(Worst(float("inf"), 0.0, 0.0, type(error).__name__, sample.name), True)
        yield _Found(sample, dtype, part, None, error)


def _describe(case: OpCase, device: str, found: _Found) -> Failure:
    """What is known of a failure before it is made small."""
    failure = Failure(case.name, found.dtype, device, found.part, found.sample.name, "")
    _fill(failure, found)
    return failure


def _fill(failure: Failure, found: _Found) -> None:
    error, comparison = found.error, found.comparison
    if error is not None:
        failure.traceback = "".join(traceback.format_exception(error))
        wrong = isinstance(error, Mismatch)
        failure.message = str(error) if wrong else f"{type(error).__name__}: {error}".strip()
    if comparison is None:
        return
    worst, allowed = comparison.difference, comparison.allowed
    failure.what, failure.index = comparison.what, worst.index
    failure.error, failure.wrong, failure.size = worst.error, worst.wrong, worst.size
    failure.limit = Limit(allowed.c, allowed.eps, allowed.length, allowed.allowed)
    if worst.index is None:
        failure.message = f"{comparison.what}: shape {comparison.got.shape}, expected {comparison.expected.shape}"
        failure.got, failure.expected = str(comparison.got.shape), str(comparison.expected.shape)
        return
    failure.got, failure.expected = repr(np.asarray(worst.got).item()), repr(np.asarray(worst.expected).item())
    failure.message = (
        f"{comparison.what}: element {worst.index} is {failure.got}, expected {failure.expected}: "
        f"error {worst.error:.3g} is more than {allowed}; {worst.wrong} of {worst.size} are wrong"
    )


# --- the smallest case ------------------------------------------------------------------------------------------------


def _make_small(case: OpCase, task: Task, found: _Found, failure: Failure) -> None:
    """Replace a failure's sample by the smallest one that fails alike, and write its program."""
    again = Reproduction(case, task.device, found)
    shrunk = shrinking.shrink(found.sample, again, again.passes, seconds=task.shrink_seconds)
    smallest = again.find(shrunk.sample)
    if smallest is None:  # it comes and goes
        smallest = found
        failure.shrinking = f"{shrunk}; the failure does not repeat itself"
    else:
        _fill(failure, smallest)
        failure.shrinking = str(shrunk)
    failure.smallest = shrinking.describe(smallest.sample)
    try:
        failure.snippet = snippet(case, smallest.sample, task.device, found.dtype, found.part, smallest.comparison)
    except Exception as error:
        failure.snippet = f"# no program could be written: {type(error).__name__}: {error}\n"


class Reproduction:
    """Whether another sample fails as the one did that was found: it is what `shrink` asks.

    The oracle has to take the sample; and another device than the reference is at fault where the reference is not.
    """

    def __init__(self, case: OpCase, device: str, found: _Found) -> None:
        self.case, self.device, self.found = case, device, found
        self.ask_reference = device != REFERENCE and self._reference_passes(found.sample)

    @property
    def passes(self) -> list[Callable[[Sample], Iterator[Sample]]]:
        """The steps of `shrink` after which a failure still is one."""
        if isinstance(self.found.error, DeepcoreError) and not self.ask_reference:
            return [shrinking.simpler]  # other shapes and options may be refused rightly
        # Equal numbers put a maximum on a kink. The reference would show that, but cannot be asked about itself.
        derivative = self.found.part in ("gradient", "double gradient")
        simpler = [] if derivative and not self.ask_reference else [shrinking.simpler]
        return [shrinking.without_options, shrinking.shorter, *simpler]

    def __call__(self, sample: Sample) -> bool:
        try:
            expected_values(self.case, sample, self.found.dtype)
        except Exception:
            return False
        if why_not_at_all(self.case, sample, self.device):
            return False
        if why_not(self.case, sample, self.device, self.found.dtype, self.found.part):
            return False
        return self.find(sample) is not None and (not self.ask_reference or self._reference_passes(sample))

    def find(self, sample: Sample) -> _Found | None:
        """The first failure of the same kind; None where there is none."""
        cell = Cell(self.case.name, self.found.dtype, self.device)
        for found in _failures_of(self.case, sample, self.device, self.found.dtype, self.found.part, cell):
            if type(found.error) is type(self.found.error):
                return found
        return None

    def _reference_passes(self, sample: Sample) -> bool:
        cell = Cell(self.case.name, self.found.dtype, REFERENCE)
        parts = ("value", self.found.part) if self.found.part in ("gradient", "double gradient") else ("value",)
        if self.found.part == "agreement" and not why_not(self.case, sample, REFERENCE, self.found.dtype, "gradient"):
            parts = ("value", "gradient")
        return not any(
            True for part in parts for _ in _failures_of(self.case, sample, REFERENCE, self.found.dtype, part, cell)
        )


# --- many ops ---------------------------------------------------------------------------------------------------------

Progress = Callable[[int, int, str], None]
"""Called with (tasks done, tasks in all, the op and device of the last one)."""


def in_this_process(cases: Sequence[OpCase], tasks: Iterable[Task]) -> Iterator[tuple[Task, OpResult]]:
    """Run the tasks one after the other."""
    known = {case.name: case for case in cases}
    for task in tasks:
        yield task, check_op(known[task.op], task)


def check(
    cases: Sequence[OpCase],
    devices: Sequence[str],
    dtypes: Sequence[str],
    *,
    seed: int = 0,
    fail_fast: bool = False,
    run: Callable[[Sequence[OpCase], Sequence[Task]], Iterator[tuple[Task, OpResult]]] = in_this_process,
    progress: Progress = lambda done, total, name: None,
) -> Report:
    """Check the ops on the devices. Ctrl-C, or the first failure with `fail_fast`, ends it with what was done so far.

    `run` carries the tasks out: in this process, or `workers.in_processes`.
    """
    start = time.perf_counter()
    report = Report([case.name for case in cases], list(dtypes), list(devices), seed)
    tasks = [Task(case.name, device, tuple(dtypes), seed) for case in cases for device in devices]
    progress(0, len(tasks), "")
    running: Any = run(cases, tasks)
    try:
        for done, (task, result) in enumerate(running, 1):
            report.results.append(result)
            progress(done, len(tasks), f"{task.op} on {task.device}")
            if fail_fast and result.failures:
                if done < len(tasks):
                    report.stopped = f"stopped at the first failure, after {done} of {len(tasks)} ops and devices"
                break
    except KeyboardInterrupt:
        report.stopped = f"interrupted after {len(report.results)} of {len(tasks)} ops and devices"
    finally:
        running.close()
    report.seconds = time.perf_counter() - start
    return report


def without_answer(task: Task, why: str) -> OpResult:
    """The result of a task whose process died or did not answer."""
    failure = Failure(task.op, task.dtypes[0], task.device, "value", "", why)
    return OpResult(task.op, task.device, failures=[failure])
