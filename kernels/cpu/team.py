"""A team of threads that shares out one kernel's range at a time.

Kernels release the GIL, so Python threads run them side by side. Why not Numba's parallel=True: it takes four times as
long to compile, its "workqueue" layer aborts the process when two Python threads enter it, its OpenMP layer aborts a
forked child, and waits for milliseconds at every join where other processes want the same cores.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any

# below this many elementary operations (some 20 microseconds) a kernel is done before a second thread has woken up
LEAST_WORK = 1 << 15
ALL = 1 << 20  # the cost of an element that always deserves its own thread


def default_size() -> int:
    """Return $DEEPCORE_NUM_THREADS, else how many cores this process may run on."""
    asked = os.environ.get("DEEPCORE_NUM_THREADS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pieces(total: int, size: int) -> int:
    """Return how many pieces of at most `size` make `total`."""
    return -(-total // size)


class Team:
    """`size` threads, the caller's included; the others start with the first job and wait without using the CPU."""

    def __init__(self, size: int | None = None) -> None:
        self.size = default_size() if size is None else size
        self._busy = threading.Lock()
        self._inboxes: list[queue.SimpleQueue] = []

    def run(self, kernel: Callable, count: int, cost: int, *args: Any) -> None:
        """Call kernel(first, last, *args) for contiguous shares of range(count); cost: operations for one element.

        Which share an element falls in must not matter to the kernel. An exception of a share is raised here.
        """
        shares = min(self.size, count, count * cost // LEAST_WORK + 1)
        # a second caller (another Python thread) does its whole range alone
        if shares < 2 or not self._busy.acquire(blocking=False):
            kernel(0, count, *args)
            return
        try:
            self._share_out(kernel, [count * i // shares for i in range(shares + 1)], args)
        finally:
            self._busy.release()

    def _share_out(self, kernel: Callable, bounds: list[int], args: tuple) -> None:
        if not self._inboxes:
            self._start()
        # A queue of this job's own: after a Ctrl-C in the wait below, no later job takes a late answer for its own.
        done: queue.SimpleQueue = queue.SimpleQueue()
        helpers = len(bounds) - 2
        for i in range(helpers):
            self._inboxes[i].put((done, kernel, bounds[i + 1], bounds[i + 2], args))
        error = None
        try:
            kernel(bounds[0], bounds[1], *args)
        except BaseException as mine:  # the helpers still read the arrays: wait for them first
            error = mine
        for _ in range(helpers):
            error = done.get() or error
        if error is not None:
            raise error

    def _start(self) -> None:
        for i in range(1, self.size):
            inbox: queue.SimpleQueue = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(inbox,), name=f"deepcore-{i}", daemon=True).start()
            self._inboxes.append(inbox)

    def _work(self, inbox: queue.SimpleQueue) -> None:
        while True:
            done, kernel, first, last, args = inbox.get()
            try:
                kernel(first, last, *args)
                outcome = None
            except BaseException as error:
                outcome = error
            del kernel, args  # a waiting helper must not keep arrays alive
            done.put(outcome)

    def after_fork(self) -> None:
        """Forget the threads: a forked child has none of them, and starts its own with its first job."""
        self.__init__(self.size)  # type: ignore[misc]


team = Team()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=team.after_fork)
