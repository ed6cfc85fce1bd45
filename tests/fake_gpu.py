"""A device that queues its work, for tests: the strict device with a clock, ranges and a failure that comes late."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from deepcore.backends import get_backend, register
from deepcore.backends.strict import StrictBackend

TICK = 0.001


class FakeGpu(StrictBackend):
    """Every mark in its queue is one TICK after the one before; `waits` counts how often the host waited."""

    name = device = "fakegpu"
    queued = True

    def __init__(self) -> None:
        super().__init__()
        self.marks = self.waits = 0
        self.ranges: list[str] = []
        self.fault: Exception | None = None

    def mark(self):
        self.marks += 1
        return self.marks * TICK

    def synchronize(self) -> None:
        self.waits += 1
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault

    def push_range(self, name: str) -> None:
        self.ranges.append(f"+{name}")

    def pop_range(self) -> None:
        self.ranges.append("-")

    def relu(self, x):
        """Meets a value below -1e6 as a fault in the queue, which is reported when somebody waits."""
        if x._host.size and x._host.min() < -1e6:
            self.fault = RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered")
        return super().relu(x)


@contextlib.contextmanager
def fake_gpu() -> Iterator[FakeGpu]:
    """Inside, device "fakegpu" is a new one."""
    register("fakegpu", FakeGpu)
    yield get_backend("fakegpu")  # type: ignore[misc]
