"""The observer of a profile: it writes down when each op, module and named block began and ended.

Times of the host are those of its monotonic clock. On a device that queues its work two marks are put into its queue
around each op, and read when the profile ends: between the ops nothing waits.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from deepcore.autograd.function import Function
from deepcore.autograd.watcher import Watcher

OP, REGION, MODULE, STEP = "op", "region", "module", "step"


class Span:
    """One op, module, block or step: host times in ns, and what the tables are made of.

    self_ns is the host's time without the ops and blocks inside; device_s and device_self_s are the same on the
    device, None where it does not queue. `device_at` is where it began there, in seconds from the profile's beginning.
    """

    __slots__ = (
        "bytes",
        "device",
        "device_at",
        "device_s",
        "device_self_s",
        "end",
        "forward",
        "kind",
        "marks",
        "module",
        "name",
        "parent",
        "phase",
        "self_ns",
        "shapes",
        "start",
    )

    def __init__(self, kind: str, name: str, phase: str, module: str, parent: Span | None) -> None:
        self.kind, self.name, self.phase, self.module, self.parent = kind, name, phase, module, parent
        self.device = ""
        self.marks: tuple[Any, Any] | None = None
        self.device_at: float | None = None
        self.device_s: float | None = None
        self.device_self_s: float | None = None
        self.bytes = 0
        self.shapes: tuple[Any, ...] = ()
        self.forward: Span | None = None
        self.self_ns = self.start = self.end = 0

    @property
    def ns(self) -> int:
        """The host's time, with all inside."""
        return self.end - self.start


class Recorder(Watcher):
    """Collects spans; marks: whether queues of devices are timed; shapes: whether arguments' shapes are kept."""

    def __init__(self, inner: Any = None, marks: bool = True, shapes: bool = False) -> None:
        super().__init__(inner)
        self.spans: list[Span] = []
        self.open: Span | None = None
        self.with_marks, self.with_shapes = marks, shapes
        self.forwards: dict[int, Span] = {}
        # Of each device that queues: its backend, a mark, and the host's time when the device stood there.
        self.origins: dict[str, tuple[Any, Any, int]] = {}
        self.thread = threading.current_thread().name

    # ---- ops

    def begin(self, phase: str, fn: Function, arrays: list[Any]) -> Span:
        outer = self.open
        if phase == "forward" and outer is not None and outer.phase == "backward":
            phase = "backward"  # an op that a backward is made of
        span = self.open = Span(OP, fn.name, phase, fn.module_name, outer)
        backend = fn.backend
        span.device = backend.device
        if backend.queued:
            if backend.device not in self.origins:
                backend.synchronize()
                self.origins[backend.device] = backend, backend.mark(), time.perf_counter_ns()
            backend.push_range(fn.name if phase == "forward" else f"{fn.name} backward")
            if self.with_marks:
                span.marks = backend.mark(), None
        if self.with_shapes:
            span.shapes = tuple(_described(a) for a in arrays)
        if phase == "forward":
            self.forwards[id(fn)] = span
        else:
            span.forward = self.forwards.get(id(fn))
            span.bytes = _bytes(fn.saved)
        span.start = time.perf_counter_ns()
        return span

    def end(self, token: Span, fn: Function, arrays: list[Any], result: Any) -> None:
        self._close(token)
        if token.marks is not None:
            token.marks = token.marks[0], fn.backend.mark()
        if fn.backend.queued:
            fn.backend.pop_range()
        token.bytes += _bytes(arrays) + _bytes(result if type(result) in (tuple, list) else (result,))

    def _close(self, span: Span) -> None:
        while self.open is not None and self.open is not span:  # a step that ends with the block around it
            self._close(self.open)
        span.end = time.perf_counter_ns()
        span.self_ns += span.end - span.start
        self.spans.append(span)
        self.open = span.parent
        outer = span.parent
        while outer is not None and outer.kind == MODULE:  # modules have no time of their own
            outer = outer.parent
        if outer is not None and span.kind != MODULE:
            outer.self_ns -= span.end - span.start

    # ---- what is around ops

    @contextlib.contextmanager
    def module_call(self, *modules: Any) -> Iterator[None]:
        with super().module_call(*modules):
            span = self._enter(MODULE, "+".join(type(m).__name__ for m in modules), self.names.current)
            try:
                yield
            finally:
                self._close(span)

    @contextlib.contextmanager
    def region(self, name: str) -> Iterator[None]:
        span = self._enter(REGION, name, self.names.current)
        try:
            with super().region(name):
                yield
        finally:
            self._leave(span)

    def step(self, number: int) -> None:
        """End the step that is open and begin another one."""
        self.end_step()
        self._enter(STEP, f"ProfilerStep#{number}", "")

    def end_step(self) -> None:
        """End the step that is open, if one is."""
        if self.open is not None and self.open.kind == STEP:
            self._close(self.open)

    def _enter(self, kind: str, name: str, module: str) -> Span:
        outer = self.open
        phase = outer.phase if outer is not None and outer.kind == OP else ""
        span = self.open = Span(kind, name, phase, module, outer)
        # Which device works in the block is not known; it is timed on the one that has been seen, if it is alone.
        if kind == REGION and self.with_marks and len(self.origins) == 1:
            [(span.device, (backend, _, _))] = self.origins.items()
            span.marks = backend.mark(), None
        span.start = time.perf_counter_ns()
        return span

    def _leave(self, span: Span) -> None:
        self._close(span)
        if span.marks is not None:
            span.marks = span.marks[0], self.origins[span.device][0].mark()

    # ---- the end

    def finish(self, origin: int) -> None:
        """Wait for the devices and read their marks; `origin` is the host's time when the profile began."""
        self.end_step()
        for backend, _, _ in self.origins.values():
            backend.synchronize()
        timed = [span for span in self.spans if span.marks is not None and span.marks[1] is not None]
        for span in timed:
            assert span.marks is not None
            backend, first, host = self.origins[span.device]
            start, end = span.marks
            span.device_at = (host - origin) / 1e9 + backend.seconds_between(first, start)
            span.device_s = span.device_self_s = backend.seconds_between(start, end)
        for span in timed:
            outer = span.parent
            while outer is not None and outer.device_self_s is None:
                outer = outer.parent
            if outer is not None:
                outer.device_self_s -= span.device_s or 0.0  # type: ignore[operator]
        for span in self.spans:
            span.marks = None
        self.forwards.clear()


def _bytes(arrays: Any) -> int:
    total = 0
    for array in arrays:
        total += getattr(array, "nbytes", 0)
    return total


def _described(value: Any) -> Any:
    return f"{tuple(value.shape)} {value.dtype}" if hasattr(value, "shape") else value
