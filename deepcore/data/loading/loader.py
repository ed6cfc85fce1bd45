"""Batches of a data set as tensors on a device, in an order that is drawn from the framework's own random numbers."""

from __future__ import annotations

import collections.abc
import itertools
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from deepcore.data.dataset import IterableDataset
from deepcore.data.loading.collate import default_collate, to_tensors
from deepcore.data.loading.streams import new_generator
from deepcore.data.loading.workers import Fetch, InLoop, Task, Threads
from deepcore.errors import ConfigError, DataError, nearest
from deepcore.random import Generator, default_generator

WORKER_TYPES = ("thread", "process")
Steps = collections.abc.Generator[Any, None, None]


class DataLoader:
    """Iterates over `dataset` in batches; each batch is what a sample is, with tensors on `device` for its arrays.

    With `shuffle` every epoch has an order of its own, drawn from `generator`; without a generator one is seeded from
    the default generator. A `sampler` is an iterable of row numbers instead. A data set with `batched = True` is
    indexed with a whole array of rows; any other is read row by row, and `collate_fn` makes a batch of a list of
    samples (`default_collate` stacks them).

    num_workers: how many threads or spawned processes (`worker_type` "thread" or "process") read ahead, each up to
    `prefetch_factor` batches (2 unless told). Batches and their order are the same for any number of them. Threads
    suit reading and decompressing, which let others run meanwhile; processes suit Python code, get the data set
    pickled, and end after each epoch unless `persistent_workers`. `timeout`: seconds after which a worker that does not
    answer is an error; 0 waits for ever. pin_memory: accepted as in PyTorch; CuPy copies to a GPU from pinned memory
    anyway.

    `state_dict()` in the middle of an epoch and `load_state_dict()` later give the remaining batches of that epoch;
    batches that were read ahead, but not given out, do not count.
    Raises ConfigError for options that cannot be, DataError where there is no batch to give or a worker fails.

    >>> from deepcore.data import ArrayDataset
    >>> digits = ArrayDataset(np.zeros((5, 1, 8, 8), np.uint8), [0, 1, 1, 0, 1], ["a", "b"])
    >>> [tuple(images.shape) for images, labels in DataLoader(digits, batch_size=2)]
    [(2, 1, 8, 8), (2, 1, 8, 8), (1, 1, 8, 8)]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        device: str | None = None,
        *,
        sampler: Iterable[int] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        prefetch_factor: int | None = None,
        worker_type: str = "thread",
        pin_memory: bool = False,
        persistent_workers: bool = False,
        timeout: float = 0,
    ):
        _check_whole("batch_size", batch_size, 1)
        _check_whole("num_workers", num_workers, 0)
        if prefetch_factor is not None:
            _check_whole("prefetch_factor", prefetch_factor, 1)
        if worker_type not in WORKER_TYPES:
            raise ConfigError(
                f"DataLoader: expected worker_type as one of {', '.join(WORKER_TYPES)}; got {worker_type!r}."
                f"{nearest(str(worker_type), WORKER_TYPES)}"
            )
        if sampler is not None and shuffle:
            raise ConfigError("DataLoader: a sampler gives the order itself; expected shuffle=False beside it.")
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout < math.inf:
            raise ConfigError(f"DataLoader: timeout must be a number of seconds, or 0 for none; got {timeout!r}.")
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.device = device
        self.sampler = sampler
        self.generator = generator or (new_generator() if shuffle else getattr(sampler, "generator", None))
        self.num_workers = int(num_workers)
        self.collate_fn = collate_fn
        self.prefetch_factor = 2 if prefetch_factor is None else int(prefetch_factor)
        self.worker_type = worker_type
        self.pin_memory = pin_memory
        self.persistent_workers = persistent_workers
        self.timeout = float(timeout)
        self.position = 0
        self._resume_at = 0
        self._kept: Any = None  # workers that wait for the next epoch
        self._epoch_state = self._generator_state()
        # Where nothing is drawn for the order, epochs are told apart by their number, or all would be changed alike.
        self._origin, self._epochs = default_generator.get_state(), 0
        self._streams = isinstance(dataset, IterableDataset)
        if self._streams:
            self._check_stream()
        else:
            self._check_size()

    def _check_stream(self) -> None:
        for name, value in (("shuffle", self.shuffle), ("sampler", self.sampler), ("num_workers", self.num_workers)):
            if value:
                raise ConfigError(
                    "DataLoader: an IterableDataset has an order of its own and is read in the loop; "
                    f"got {name}={value!r}."
                )

    def _count(self) -> int:
        """How many rows an epoch has."""
        return len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]

    def _check_size(self) -> None:
        count = self._count()
        if count == 0:
            raise DataError("DataLoader: the data set is empty.")
        if self.batch_size > count and self.drop_last:
            raise DataError(
                f"DataLoader: no batch is left; batch_size {self.batch_size} is larger than the {count} samples "
                "and drop_last is set."
            )
        if self.batch_size > count:
            warnings.warn(
                f"batch size {self.batch_size} is larger than the data set; each batch holds all {count} samples",
                stacklevel=3,
            )

    def __len__(self) -> int:
        if self._streams:
            raise TypeError("DataLoader: nobody knows the length of an IterableDataset before its end.")
        batches = self._count() / self.batch_size
        return math.floor(batches) if self.drop_last else math.ceil(batches)

    def __iter__(self) -> Iterator[Any]:
        start, self._resume_at = self._resume_at, 0
        self._epoch_state = self._generator_state()
        self._epochs += not start
        batches = self._streamed(start) if self._streams else self._read(start)
        try:
            for batch, arrays in enumerate(batches, start=start):
                tensors = to_tensors(arrays, self.device)
                self.position = batch + 1
                yield tensors
            if self._streams:
                self.position = 0
        finally:
            batches.close()

    def _read(self, start: int) -> Steps:
        """The batches from number `start` on, as arrays."""
        order = self._order()
        epoch = self._epoch_state or (*self._origin, self._epochs)
        size = self.batch_size
        tasks = (Task(batch, order[batch * size : (batch + 1) * size], epoch) for batch in range(start, len(self)))
        reader, self._kept = self._kept or self._new_reader(), None
        whole = False
        try:
            batches = reader.batches(tasks)
            yield from batches
            whole = True
        finally:
            # What is left half-way is not waited for: it ends, and the next epoch starts workers of its own.
            if whole and self.persistent_workers and self._kept is None:
                self._kept = reader
            else:
                reader.close()

    def _streamed(self, start: int) -> Steps:
        samples, collate = iter(self.dataset), self.collate_fn or default_collate
        for batch in itertools.count():
            found = list(itertools.islice(samples, self.batch_size))
            if not found or (self.drop_last and len(found) < self.batch_size):
                return
            if batch >= start:
                yield collate(found)

    def _new_reader(self) -> Any:
        fetch = Fetch(self.dataset, self.collate_fn)
        if not self.num_workers:
            return InLoop(fetch)
        if self.worker_type == "thread":
            return Threads(fetch, self.num_workers, self.prefetch_factor, self.timeout)
        from deepcore.data.loading.processes import Processes

        return Processes(fetch, self.num_workers, self.prefetch_factor, self.timeout)

    def _order(self) -> np.ndarray:
        if self.sampler is not None:
            return np.fromiter(self.sampler, np.int64)
        if not self.shuffle or self.generator is None:
            return np.arange(len(self.dataset))
        return self.generator.permutation(len(self.dataset))

    def _generator_state(self) -> tuple[int, int] | None:
        return None if self.generator is None else self.generator.get_state()

    def state_dict(self) -> dict[str, Any]:
        """The place in the data: the random state at the start of the epoch, and how many batches it has given."""
        ended = not self._streams and self.position >= len(self)
        position = 0 if ended else self.position
        random = self._epoch_state if position else self._generator_state()
        return {"random": random, "position": position, "origin": self._origin, "epochs": self._epochs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes to a place that `state_dict` gave: the next iteration yields what came after it.

        Raises DataError for a state of another kind of loader, and for a place outside of the epoch.
        """
        try:
            position, random = operator.index(state["position"]), state["random"]
            random = None if random is None else _whole_numbers(random)
            origin, epochs = _whole_numbers(state.get("origin", self._origin)), operator.index(state.get("epochs", 0))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"DataLoader: expected a state that state_dict() gave; got {state!r}.") from error
        if (random is None) != (self.generator is None):
            raise DataError(
                f"DataLoader: the state is that of a loader {'without' if random is None else 'with'} a random order, "
                f"and this one is {'without' if self.generator is None else 'with'}. Hint: give it the same options."
            )
        if position < 0 or not (self._streams or position < len(self)):
            batches = "" if self._streams else f"{len(self)} "
            raise DataError(f"DataLoader: position {position} is outside the {batches}batches of an epoch.")
        if self.generator is not None:
            self.generator.set_state(random)  # type: ignore[arg-type]
        self._epoch_state = self._generator_state()
        self._origin, self._epochs = origin, epochs
        self._resume_at = self.position = position


def _whole_numbers(pair: Iterable[Any]) -> tuple[int, int]:
    seed, offset = pair
    return operator.index(seed), operator.index(offset)


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigError(f"DataLoader: {name} must be a whole number of at least {least}; got {value!r}.")
