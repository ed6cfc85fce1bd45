"""A memory of limited size for device "strict": what a GPU's allocator does, without a GPU.

Arrays that own their memory count as live as long as they are alive; then the block is kept for the next ones, as
CuPy's pool keeps it, until `free_cache` gives it back. A new array takes the smallest kept block that is large enough,
and leaves what it does not need of it; where there is none it takes fresh memory, and where live and kept bytes would
pass the limit, it fails.
"""

from __future__ import annotations

import bisect
import contextlib
import weakref
from collections.abc import Iterator

import numpy


class LimitedMemory:
    """Bytes of a pretended device: `limit` in all, `live` in arrays (at most `peak` so far), `kept` for reuse."""

    def __init__(self, limit: int) -> None:
        self.limit, self.live, self.peak, self.failures = limit, 0, 0, 0
        self.kept: list[int] = []
        self.known: set[int] = set()

    @property
    def cached(self) -> int:
        """Bytes in kept blocks."""
        return sum(self.kept)

    def add(self, array: numpy.ndarray) -> None:
        """Count the memory of an array, if it is new. Raises MemoryError where it does not fit."""
        while isinstance(array.base, numpy.ndarray):
            array = array.base
        key, size = id(array), array.nbytes
        if key in self.known:
            return
        place = bisect.bisect_left(self.kept, size)
        if place < len(self.kept):
            rest = self.kept.pop(place) - size
            if rest:
                bisect.insort(self.kept, rest)
        elif self.live + self.cached + size > self.limit:
            self.failures += 1
            raise MemoryError(f"Out of memory allocating {size:,} bytes (limit set to: {self.limit:,} bytes)")
        self.known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(array, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live -= size
        if size:
            bisect.insort(self.kept, size)


current: LimitedMemory | None = None


@contextlib.contextmanager
def memory_limit(size: int) -> Iterator[LimitedMemory]:
    """Inside, device "strict" has room for `size` bytes beside the arrays that are there already."""
    global current
    before, current = current, LimitedMemory(size)
    try:
        yield current
    finally:
        current = before
