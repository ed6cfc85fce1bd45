"""What a device tells about its work: marks in its queue, ranges for its profilers, its memory."""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple


class MemoryUse(NamedTuple):
    """Bytes of a device: `live` in arrays, `cached` kept by the allocator for the next ones, `free`, and `total`.

    None stands for what the device does not count.
    """

    live: int | None
    cached: int | None
    free: int | None
    total: int | None


class Device:
    """Facts of the device: a mixin of Backend."""

    # Whether a call returns before the device has done the work: then time is measured by marks in its queue.
    queued = False

    def mark(self):
        """Put a mark into the device's queue; `seconds_between` two of them tells how long the work between took."""
        return time.perf_counter()

    def seconds_between(self, start, end) -> float:
        """Return the time between two marks; the device must have reached both (see synchronize)."""
        return end - start

    def push_range(self, name: str) -> None:
        """Begin a range that the device's own profilers show (NVTX on CUDA); nothing where there are none."""

    def pop_range(self) -> None:
        """End the range that was begun last."""

    def memory(self) -> MemoryUse:
        """Return the use of the device's memory; here of the machine's."""
        try:
            page = os.sysconf("SC_PAGE_SIZE")
            free, total = os.sysconf("SC_AVPHYS_PAGES") * page, os.sysconf("SC_PHYS_PAGES") * page
        except (AttributeError, OSError, ValueError):  # Windows; macOS does not know SC_AVPHYS_PAGES
            return MemoryUse(None, None, None, None)
        return MemoryUse(None, None, free, total)

    def free_cache(self) -> None:
        """Give back the memory that the allocator keeps for the next arrays; nothing where it keeps none."""

    def block(self, array) -> tuple[Any, int]:
        """Return (key, bytes) of the memory that an array keeps alive; views of one memory have one key."""
        while isinstance(getattr(array, "base", None), type(array)):
            array = array.base
        return id(array), array.nbytes
