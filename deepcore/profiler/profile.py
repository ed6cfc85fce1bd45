"""`profile`: a context in which everything that this thread computes is timed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from deepcore.autograd.mode import state
from deepcore.errors import ConfigError, RunError, nearest
from deepcore.profiler.averages import EventList, by_module, by_op
from deepcore.profiler.recorder import STEP, Recorder, Span
from deepcore.profiler.trace import write_trace


class profile:
    """Times every op of this thread, by op and by module: `with profile() as p: ...`, then `print(p.table())`.

    record_shapes: keep the arguments' shapes, for the trace and for key_averages(group_by_input_shape=True).
    device_time: put marks into the queue of a GPU around each op, so that its time is known as well.

    What runs is what runs without it: fused ops stay fused, and a GPU is waited for at the beginning and the end only.
    `start` and `stop` do what the `with` does. docs/profiling.md says what it costs.

    >>> import deepcore as dc
    >>> with dc.profiler.profile() as p:
    ...     y = (dc.ones(10, 10) @ dc.ones(10, 10)).relu()
    >>> [row.key for row in p.key_averages()]
    ['matmul', 'relu']
    """

    def __init__(self, *, record_shapes: bool = False, device_time: bool = True) -> None:
        self.record_shapes, self.device_time = record_shapes, device_time
        self.recorder: Recorder | None = None
        self.running = False
        self.steps = 0
        self.wall_ns = self.origin = 0
        self._outside: Any = None

    def start(self) -> None:
        """Begin; an earlier recording of this object is dropped."""
        if self.running:
            raise ConfigError("profile: expected start() once; it is running already.")
        self._outside = state.observer
        self.recorder = Recorder(state.observer, marks=self.device_time, shapes=self.record_shapes)
        self.steps = 0
        self.running = True
        state.observer = self.recorder
        self.origin = time.perf_counter_ns()

    def stop(self) -> None:
        """End, wait for the devices, and read their marks."""
        if self.recorder is None or not self.running:
            raise ConfigError("profile: expected start() before stop().")
        state.observer = self._outside
        self.running = False
        self.recorder.finish(self.origin)
        self.wall_ns = time.perf_counter_ns() - self.origin
        if self.steps:  # what came after the last step() is of no step
            self.recorder.spans = [
                s for s in self.recorder.spans if s.kind != STEP or s.name != f"ProfilerStep#{self.steps}"
            ]

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()

    def step(self) -> None:
        """Say that a step of the program is done; the trace shows the steps, and the tables their number."""
        if self.recorder is None or not self.running:
            raise ConfigError("profile: expected step() inside of the profile.")
        if not self.steps:
            first = Span(STEP, "ProfilerStep#0", "", "", None)
            first.start, first.end = self.origin, time.perf_counter_ns()
            self.recorder.spans.append(first)
        self.steps += 1
        self.recorder.step(self.steps)

    # ---- what was found

    def events(self) -> list[Span]:
        """Everything that was recorded, in the order in which it began."""
        return sorted(self._recorded().spans, key=lambda span: span.start)

    def key_averages(self, group_by_input_shape: bool = False) -> EventList:
        """One row for each op and each named block, with PyTorch's names for the times (in microseconds)."""
        if group_by_input_shape and not self.record_shapes:
            raise ConfigError("key_averages: expected profile(record_shapes=True) for group_by_input_shape.")
        return EventList(by_op(self.events(), group_by_input_shape), self.wall_ns / 1000, self.steps)

    def module_averages(self) -> EventList:
        """One row for each module with all that is inside of it, in the order of their first calls."""
        return EventList(by_module(self.events()), self.wall_ns / 1000, self.steps)

    def table(self, by: str = "op", sort_by: str | None = None, row_limit: int = 100) -> str:
        """The times as text, by "op" or by "module"; see EventList.table."""
        if by not in ("op", "module"):
            raise ConfigError(
                f"table: expected by='op' or by='module'; got {by!r}.{nearest(str(by), ('op', 'module'))}"
            )
        rows = self.key_averages() if by == "op" else self.module_averages()
        return rows.table(sort_by, row_limit)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write all that was recorded as JSON for https://ui.perfetto.dev or chrome://tracing.

        Raises RunError where the file cannot be written.
        """
        recorder = self._recorded()
        try:
            write_trace(Path(path), self.events(), self.origin, recorder.thread)
        except OSError as error:
            raise RunError(f"{path} could not be written: {(error.strerror or str(error)).lower()}.") from error

    def _recorded(self) -> Recorder:
        if self.recorder is None or self.running:
            raise ConfigError("profile: expected its end before its results; leave the `with` block, or call stop().")
        return self.recorder
