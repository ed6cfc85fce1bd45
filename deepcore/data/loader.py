"""Batches of a data set as tensors on a device, in an order that is drawn from the framework's own random numbers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from deepcore.backends import get_backend
from deepcore.creation import tensor
from deepcore.data.dataset import ArrayDataset
from deepcore.errors import ConfigError, DataError
from deepcore.random import Generator, default_generator
from deepcore.tensor import Tensor


class Dataset(Protocol):
    """What a loader needs: a length, and items that are tuples of arrays or numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> tuple[Any, ...]: ...


class DataLoader:
    """Iterates over `dataset` in batches; each batch is a tuple of tensors on `device`.

    With `shuffle` every epoch has an order of its own, drawn from `generator`; without a generator one is seeded from
    the default generator. A dataset with `batched = True`, or an ArrayDataset, is indexed with a whole array of rows;
    any other is read row by row and stacked.

    `state_dict()` in the middle of an epoch and `load_state_dict()` later give the remaining batches of that epoch.
    Raises ConfigError for a batch size below 1, DataError where there is no batch to give.

    >>> from deepcore.data import ArrayDataset
    >>> digits = ArrayDataset(np.zeros((5, 1, 8, 8), np.uint8), [0, 1, 1, 0, 1], ["a", "b"])
    >>> [tuple(images.shape) for images, labels in DataLoader(digits, batch_size=2)]
    [(2, 1, 8, 8), (2, 1, 8, 8), (1, 1, 8, 8)]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        device: str | None = None,
    ):
        if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ConfigError(f"DataLoader: batch_size must be a whole number of at least 1; got {batch_size!r}.")
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.device = device
        self.generator = generator or (_new_generator() if shuffle else None)
        self.position = 0
        self._resume_at = 0
        self._epoch_state = self._generator_state()
        self._check_size()

    def _check_size(self) -> None:
        count = len(self.dataset)
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
        batches = len(self.dataset) / self.batch_size
        return math.floor(batches) if self.drop_last else math.ceil(batches)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        start, self._resume_at = self._resume_at, 0
        self._epoch_state = self._generator_state()
        order = self._order()
        for batch in range(start, len(self)):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            self.position = batch + 1
            yield tuple(tensor(array, device=self.device) for array in self._rows(rows))

    def _order(self) -> np.ndarray:
        if not self.shuffle or self.generator is None:
            return np.arange(len(self.dataset))
        return self.generator.permutation(len(self.dataset))

    def _rows(self, rows: np.ndarray) -> Sequence[np.ndarray]:
        if isinstance(self.dataset, ArrayDataset) or getattr(self.dataset, "batched", False):
            return self.dataset[rows]
        return [
            np.stack([np.asarray(v) for v in column])
            for column in zip(*(self.dataset[int(i)] for i in rows), strict=True)
        ]

    def _generator_state(self) -> tuple[int, int] | None:
        return None if self.generator is None else self.generator.get_state()

    def state_dict(self) -> dict[str, Any]:
        """The place in the data: the random state at the start of the epoch, and how many batches it has given."""
        if self.position >= len(self):
            return {"random": self._generator_state(), "position": 0}
        return {"random": self._epoch_state if self.position else self._generator_state(), "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to a place that `state_dict` gave: the next iteration yields what came after it."""
        if not 0 <= state["position"] < len(self):
            raise DataError(f"DataLoader: position {state['position']} is outside the {len(self)} batches of an epoch.")
        if self.generator is not None:
            self.generator.set_state(tuple(state["random"]))
        self._epoch_state = self._generator_state()
        self._resume_at = self.position = state["position"]


def _new_generator() -> Generator:
    """A stream of its own, so that the order of the data does not hang on how much else is drawn meanwhile."""
    high, low = default_generator.words(2, get_backend("numpy")).tolist()
    return Generator(high << 32 | low)
