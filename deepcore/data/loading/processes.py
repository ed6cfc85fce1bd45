"""Processes that read batches for a loader; the batches come back through shared memory.

The processes are spawned: a fork would copy locks and threads in the middle of their work. Each has a pipe of its own
and reads up to `ahead` batches in advance. The loader's side owns the shared memory, in slots of one batch each; a
batch that is too large for its slot comes through the pipe, and its slot grows.

A process ends when its pipe is closed, so none outlives the loader, even where that was killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from multiprocessing import util
from multiprocessing.connection import Connection, wait
from multiprocessing.shared_memory import SharedMemory
from typing import Any, NamedTuple

import numpy as np

from deepcore import machine
from deepcore.data.loading.collate import mapped, on_host
from deepcore.data.loading.workers import Fetch, Task, no_answer, place
from deepcore.errors import DataError, DeepcoreError

LAST_S = 2.0
"""How long a process may go on with its batch when the loader is closed; then it is killed."""
ONE_THREAD = {"DEEPCORE_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Where several processes read, each on one core: the cores are shared out already."""
LINE = 64
"""Arrays in shared memory start at multiples of a cache line."""


class _Placed(NamedTuple):
    """Where an array lies in a slot."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype


class _Failure(NamedTuple):
    """What a process says about an error: it as one line, whether it is one of ours, and the traceback."""

    line: str
    ours: bool
    trace: str
    starting: bool = False


# --- the process ------------------------------------------------------------------------------------------------------


def _work(pipe: Connection) -> None:
    """Gets a pickled Fetch, then answers each (task, name of a slot or None) until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    try:
        pickled = pipe.recv_bytes()
    except (EOFError, OSError):  # the loader has gone
        return
    try:
        fetch: Fetch = pickle.loads(pickled)
    except Exception as error:
        with contextlib.suppress(OSError):
            pipe.send(_described(error)._replace(starting=True))
        return
    # A thread empties the pipe meanwhile: else both sides could wait for the other one to read.
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(pipe, tasks), daemon=True).start()
    slots: dict[str, SharedMemory] = {}
    while (received := tasks.get()) is not None:
        try:
            task, slot = received
            message = pickle.dumps(_through(mapped(fetch(task), on_host), _slot(slots, slot)), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            message = pickle.dumps(_described(error))
        try:
            pipe.send_bytes(message)
        except OSError:  # the loader has gone
            break
    for memory in slots.values():
        memory.close()


def _receive(pipe: Connection, tasks: queue.SimpleQueue[Any]) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            tasks.put(pipe.recv())
    tasks.put(None)


def _described(error: BaseException) -> _Failure:
    return _Failure(f"{type(error).__name__}: {error}", isinstance(error, DeepcoreError), traceback.format_exc())


def _slot(slots: dict[str, SharedMemory], name: str | None) -> SharedMemory | None:
    if name is not None and name not in slots:
        slots[name] = SharedMemory(name)
    return None if name is None else slots[name]


def _through(batch: Any, slot: SharedMemory | None) -> tuple[Any, int]:
    """The batch with its arrays put into the slot, where they fit; and the bytes that a slot for it needs."""
    need = 0

    def counted(value: Any) -> Any:
        nonlocal need
        if _plain(value):
            need += -(-value.nbytes // LINE) * LINE
        return value

    mapped(batch, counted)
    if slot is None or need > slot.size:
        return batch, need
    offset = 0

    def placed(value: Any) -> Any:
        nonlocal offset
        if not _plain(value):
            return value
        here, offset = offset, offset + -(-value.nbytes // LINE) * LINE
        np.ndarray(value.shape, value.dtype, slot.buf, here)[...] = value
        return _Placed(here, value.shape, value.dtype)

    return mapped(batch, placed), need


def _plain(value: Any) -> bool:
    return isinstance(value, np.ndarray) and not value.dtype.hasobject


# --- the loader's side ------------------------------------------------------------------------------------------------


class _Worker:
    """A process, its pipe, and the tasks that it has been given, oldest first, each with its slot."""

    def __init__(self, number: int):
        context = multiprocessing.get_context("spawn")
        self.number = number
        self.answered = False
        self.tasks: deque[tuple[Task, int]] = deque()
        self.pipe, theirs = context.Pipe()
        # The data set is no argument: `start` would wait for ever where a process dies before it has read all of it.
        self.process = context.Process(target=_work, args=(theirs,), daemon=True, name=f"deepcore-data-{number}")
        with machine.variables(ONE_THREAD):
            self.process.start()
        theirs.close()

    def teach(self, pickled: bytes) -> None:
        """Hands it the data set and how to read it."""
        with contextlib.suppress(OSError):  # it died: the silence of its pipe will say so
            self.pipe.send_bytes(pickled)

    def give(self, task: Task, number: int, name: str | None) -> None:
        """Hands it a task, whose answer may use the slot of that number and name."""
        self.tasks.append((task, number))
        with contextlib.suppress(OSError):  # it died: the silence of its pipe will say so
            self.pipe.send((task, name))


class Processes:
    """`count` spawned processes read ahead, up to `ahead` batches each."""

    def __init__(self, fetch: Fetch, count: int, ahead: int, timeout: float):
        if multiprocessing.current_process().daemon:
            hint = 'use worker_type="thread" there.'
            raise DataError(f"DataLoader: a daemonic process may not start worker processes. Hint: {hint}")
        try:
            pickled = pickle.dumps(fetch)
        except Exception as error:
            raise DataError(
                f"DataLoader: the data set or collate_fn cannot be sent to a worker process ({error}). Hint: define "
                'their classes and functions at the top of a module, or use worker_type="thread".'
            ) from error
        self.ahead, self.timeout = ahead, timeout
        self.slots: list[SharedMemory | None] = [None] * (count * ahead)
        self.free = list(range(count * ahead))
        self.workers: list[_Worker] = []
        # Unlike weakref.finalize it is also called where the program itself is a process of multiprocessing.
        self._end = util.Finalize(self, _end, args=(self.workers, self.slots), exitpriority=10)
        try:
            for number in range(count):
                self.workers.append(_Worker(number))
            for worker in self.workers:  # all of them start meanwhile
                worker.teach(pickled)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the processes and gives the memory back; it is also done when the loader is forgotten."""
        self._end()

    def batches(self, tasks: Iterable[Task]) -> Iterator[Any]:
        ready: dict[int, Any] = {}
        order: deque[Task] = deque()
        tasks = iter(tasks)
        while True:
            self._hand_out(tasks, order)
            if not order:
                return
            task = order.popleft()
            while task.batch not in ready:
                self._collect(ready, task)
                # The processes go on while this one waits for a slow one among them; how far, the slots decide.
                self._hand_out(tasks, order)
            batch, slot = ready.pop(task.batch)
            yield self._arrays(batch, slot)
            self.free.append(slot)

    def _hand_out(self, tasks: Iterator[Task], order: deque[Task]) -> None:
        """Gives tasks to the processes with the least to do, as long as there are free slots."""
        while self.free:
            worker = min(self.workers, key=lambda w: len(w.tasks))
            if len(worker.tasks) >= self.ahead or (task := next(tasks, None)) is None:
                return
            order.append(task)
            slot = self.free.pop()
            memory = self.slots[slot]
            worker.give(task, slot, None if memory is None else memory.name)

    def _collect(self, ready: dict[int, Any], wanted: Task) -> None:
        """Waits until a process answers, and takes all answers that are there."""
        busy = {worker.pipe: worker for worker in self.workers if worker.tasks}
        found = wait(list(busy), self.timeout or None)
        if not found:
            raise DataError(no_answer(wanted, self.timeout))
        for pipe in found:
            worker = busy[pipe]  # type: ignore[index]
            try:
                answer = worker.pipe.recv()
            except (EOFError, OSError):
                raise DataError(self._death(worker)) from None
            if isinstance(answer, _Failure):
                raise DataError(self._error(worker, answer))
            worker.answered = True
            task, slot = worker.tasks.popleft()
            batch, need = answer
            self._grow(slot, need)
            ready[task.batch] = batch, slot

    def _grow(self, slot: int, need: int) -> None:
        """A larger slot where the batch did not fit. Its arrays came through the pipe then, so nothing is lost."""
        memory = self.slots[slot]
        if need and (memory is None or memory.size < need):
            if memory is not None:
                need = max(need, 2 * memory.size)  # doubled, so that it grows a few times only
                _forget(memory)
            self.slots[slot] = _shared(need)

    def _arrays(self, batch: Any, slot: int) -> Any:
        """The batch with views of the slot in the place of what lies there; they hold until the next batch."""
        memory: Any = self.slots[slot]

        def found(value: Any) -> Any:
            return np.ndarray(value.shape, value.dtype, memory.buf, value.offset) if type(value) is _Placed else value

        return _unplaced(batch, found)

    def _error(self, worker: _Worker, failure: _Failure) -> str:
        if failure.starting:
            return f"DataLoader: worker process {worker.number} could not start: {failure.line}\n\n{failure.trace}"
        where = place(worker.tasks[0][0])
        said = f"DataLoader: worker process {worker.number} failed at {where}: {failure.line}"
        return said if failure.ours else f"{said}\n\n{failure.trace}"

    def _death(self, worker: _Worker) -> str:
        worker.process.join(LAST_S)
        code = worker.process.exitcode
        who = f"DataLoader: worker process {worker.number} (pid {worker.process.pid})"
        if code is not None and code < 0:
            hint = "the system kills processes when memory runs out; fewer workers need less of it."
            return f"{who} was ended by signal {-code} ({_signal_name(-code)}). Hint: {hint}"
        if not worker.answered:
            hint = (
                'a script that starts worker processes does its work below `if __name__ == "__main__":`, since each '
                'process imports the script; worker_type="thread" needs no such line.'
            )
            return f"{who} ended with status {code} before its first batch. Hint: {hint}"
        return f"{who} ended with status {code} while it read {place(worker.tasks[0][0])}."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have none
        return "a signal without a name"


def _unplaced(batch: Any, found: Any) -> Any:
    """As `mapped`, but a _Placed, which is a tuple itself, counts as a part."""
    if type(batch) is _Placed:
        return found(batch)
    if isinstance(batch, dict):
        return {key: _unplaced(value, found) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return type(batch)(_unplaced(value, found) for value in batch)
    return batch


def _shared(size: int) -> SharedMemory | None:
    """Shared memory of this size; None where the system has no room for it (batches come through the pipes then)."""
    try:
        memory = SharedMemory(create=True, size=size)
    except OSError:
        return None
    backing = f"/dev/shm/{memory.name.lstrip('/')}"
    if hasattr(os, "posix_fallocate") and os.path.exists(backing):
        # Linux promises more than it has: without this, a write into a full /dev/shm would end the process.
        handle = os.open(backing, os.O_RDWR)
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError:
            _forget(memory)
            return None
        finally:
            os.close(handle)
    return memory


def _forget(memory: SharedMemory) -> None:
    with contextlib.suppress(BufferError):  # a view is still held somewhere: the memory goes with it
        memory.close()
    with contextlib.suppress(FileNotFoundError):
        memory.unlink()


def _end(workers: list[_Worker], slots: list[SharedMemory | None]) -> None:
    for worker in workers:
        worker.pipe.close()
    until = time.monotonic() + LAST_S
    for worker in workers:
        worker.process.join(max(0.0, until - time.monotonic()))
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()
    for memory in slots:
        if memory is not None:
            _forget(memory)
    workers.clear()
    slots.clear()
