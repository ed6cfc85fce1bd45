"""A team of threads that shares out one kernel's range at a time.

Kernels release the GIL, so threads run them side by side. How the machine code of a kernel gets to the other threads
stands in sharing.py; functions of Python go to them through queues. Why not Numba's parallel=True: it takes four times
as long to compile, its "workqueue" layer aborts the process when two Python threads enter it, its OpenMP layer aborts a
forked child, and waits for milliseconds at every join where other processes want the same cores.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore.kernels.cpu.compiler import kernel as compiled
from deepcore.kernels.cpu.sharing import ASLEEP, CALL, LINE, STATE, stand_by

# elementary operations (some 5 to 10 microseconds) for each thread: a multiple of what the hand-over takes
LEAST_WORK = 1 << 14
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


LOOKS = 4000  # at the board before a helper goes to sleep: 100 to 250 microseconds, the gap between two ops and more


@compiled()
def look_for_jobs(line, looks):
    """Do a helper's jobs until there is something for Python to do, or to wait for."""
    stand_by(line, looks)


class Team:
    """`size` threads, the caller's included; the others start with the first job.

    After a job they look out for the next one for a fraction of a millisecond, then sleep.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = default_size() if size is None else size
        self._busy = threading.Lock()
        self._inboxes: list[queue.SimpleQueue] = []
        self._lines: list[int] = []  # where the lines of the helpers begin on the board, in words

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
            if len(self._inboxes) < self.size - 1:
                self._start()
            if hasattr(kernel, "signatures"):  # it is compiled
                self._wake(shares)
                self._words[self._board] = shares
                kernel(self._address, -count, *args)
            else:
                self._share_out(kernel, [count * i // shares for i in range(shares + 1)], args)
        finally:
            self._busy.release()

    def _wake(self, shares: int) -> None:
        """Wake those of the first helpers that sleep. One that just falls asleep is left out of this job."""
        for inbox, line in zip(self._inboxes[: shares - 1], self._lines, strict=False):
            if self._words[line + ASLEEP] == 1:
                self._words[line + ASLEEP] = 2
                inbox.put(None)

    def _share_out(self, function: Callable, bounds: list[int], args: tuple) -> None:
        # A queue of this job's own: after a Ctrl-C in the wait below, no later job takes a late answer for its own.
        done: queue.SimpleQueue = queue.SimpleQueue()
        helpers = len(bounds) - 2
        for i in range(helpers):
            self._inboxes[i].put((done, function, bounds[i + 1], bounds[i + 2], args))
            self._words[self._lines[i] + STATE] = CALL
        error = None
        try:
            function(bounds[0], bounds[1], *args)
        except BaseException as mine:  # the helpers still read the arrays: wait for them first
            error = mine
        for _ in range(helpers):
            error = done.get() or error
        if error is not None:
            raise error

    def _start(self) -> None:
        """Make a board and start the helpers, all anew where the team has grown."""
        memory = np.zeros((self.size + 1) * LINE, np.int64)
        self._words, address = memoryview(memory), memory.ctypes.data
        self._board = -address // memory.itemsize % LINE  # its lines begin where the processor's do
        self._address = address + self._board * memory.itemsize
        self._inboxes = [queue.SimpleQueue() for _ in range(1, self.size)]
        self._lines = [self._board + i * LINE for i in range(1, self.size)]
        for i, (inbox, line) in enumerate(zip(self._inboxes, self._lines, strict=True), start=1):
            self._words[line + ASLEEP] = 1
            thread = threading.Thread(target=self._work, args=(inbox, memory, line), name=f"deepcore-{i}", daemon=True)
            thread.start()

    def _work(self, inbox: queue.SimpleQueue, board: np.ndarray, line: int) -> None:
        address = board[line:].ctypes.data
        while True:
            job = inbox.get()
            if job is not None:
                done, function, first, last, args = job
                try:
                    function(first, last, *args)
                    outcome = None
                except BaseException as error:
                    outcome = error
                del job, function, args  # a waiting helper must not keep arrays alive
                done.put(outcome)
            look_for_jobs(address, LOOKS)

    def after_fork(self) -> None:
        """Forget the threads: a forked child has none of them, and starts its own with its first job."""
        self.__init__(self.size)  # type: ignore[misc]


team = Team()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=team.after_fork)
