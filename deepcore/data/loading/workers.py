"""Who reads batches for a loader: the loop itself, threads, or processes. All give the same batches in the same order.

A reader is made for one epoch after another; `batches(tasks)` yields the batch of each task in the order of the tasks,
and reads so many ahead. Closing the iterator, or an error, ends what is under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from deepcore.data.dataset import Dataset
from deepcore.data.loading.collate import default_collate
from deepcore.data.loading.streams import batch_stream, reading
from deepcore.errors import DataError


class Task(NamedTuple):
    """A batch to read: its number, its rows, and numbers that tell the epoch from all others."""

    batch: int
    rows: np.ndarray
    epoch: tuple[int, ...]


class Fetch:
    """Reads the rows of a task as one batch of arrays. It is what a worker process gets, so it can be pickled."""

    def __init__(self, dataset: Dataset, collate_fn: Callable[[list[Any]], Any] | None):
        self.dataset, self.collate_fn = dataset, collate_fn

    def __call__(self, task: Task) -> Any:
        with reading(batch_stream(task.epoch, task.batch)):
            if self.collate_fn is None and getattr(self.dataset, "batched", False):
                return self.dataset[task.rows]
            return (self.collate_fn or default_collate)([self.dataset[int(row)] for row in task.rows])


class InLoop:
    """Reads each batch when it is asked for."""

    def __init__(self, fetch: Fetch):
        self.fetch = fetch

    def batches(self, tasks: Iterable[Task]) -> Iterator[Any]:
        return map(self.fetch, tasks)

    def close(self) -> None:
        """There is nothing to end."""


class Threads:
    """Threads of this process read ahead, up to `ahead` batches each."""

    def __init__(self, fetch: Fetch, count: int, ahead: int, timeout: float):
        self.fetch, self.window, self.timeout = fetch, count * ahead, timeout or None
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="deepcore-data")

    def batches(self, tasks: Iterable[Task]) -> Iterator[Any]:
        waiting: deque[tuple[Task, Future[Any]]] = deque()
        tasks = iter(tasks)
        try:
            while True:
                while len(waiting) < self.window and (task := next(tasks, None)) is not None:
                    waiting.append((task, self.pool.submit(self.fetch, task)))
                if not waiting:
                    return
                yield self._answer(*waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()

    def _answer(self, task: Task, future: Future[Any]) -> Any:
        try:
            return future.result(self.timeout)
        except TimeoutError as error:
            if not future.done():
                raise DataError(no_answer(task, self.timeout)) from None
            raise DataError(failed("thread", task, error)) from error
        except Exception as error:
            raise DataError(failed("thread", task, error)) from error

    def close(self) -> None:
        """Waits for the batches that are being read, and ends the threads."""
        self.pool.shutdown(wait=True, cancel_futures=True)


def failed(who: str, task: Task, error: BaseException) -> str:
    """The first line of the message about an error in a worker."""
    return f"DataLoader: a worker {who} failed at {place(task)}: {type(error).__name__}: {error}"


def no_answer(task: Task, timeout: float | None) -> str:
    """The message about a worker that does not answer in time."""
    return f"DataLoader: no answer within {timeout:g} s from the worker that reads {place(task)}."


def place(task: Task) -> str:
    """`batch 3 (rows 12, 40, 7, ...)`."""
    rows = ", ".join(str(int(row)) for row in task.rows[:5])
    return f"batch {task.batch} (rows {rows}{', ...' if len(task.rows) > 5 else ''})"
