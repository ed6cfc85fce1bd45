"""Data sets made of tensors or of other data sets: a part of one, several after each other, random parts, folds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from deepcore.data.dataset import Dataset
from deepcore.errors import ConfigError, DataError, IndexRangeError, message
from deepcore.random import Generator, default_generator


class TensorDataset(Dataset):
    """Rows of several arrays or host tensors of one length: `dataset[i]` is a tuple with row i of each.

    >>> pairs = TensorDataset(np.arange(6).reshape(3, 2), np.array([0, 1, 0]))
    >>> pairs[1]
    (array([2, 3]), np.int64(1))
    """

    batched = True

    def __init__(self, *tensors: Any):
        # What lies on a device would be copied back row by row: a loader is told `device=` instead.
        self.tensors = tuple(_on_host(value) for value in tensors)
        if not self.tensors or any(array.ndim == 0 for array in self.tensors):
            raise DataError(message("TensorDataset", "arrays with at least one axis", f"{len(tensors)} arrays"))
        lengths = [len(array) for array in self.tensors]
        if len(set(lengths)) > 1:
            raise DataError(message("TensorDataset", "arrays of one length", f"lengths {lengths}"))

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(array[index] for array in self.tensors)


def _on_host(value: Any) -> np.ndarray:
    if hasattr(value, "backend"):
        if not value.backend.on_host:
            raise DataError(message("TensorDataset", "arrays on the host", f"a tensor on {value.device}", "use .cpu()"))
        value = value.detach().numpy()
    return np.asarray(value)


class Subset(Dataset):
    """The rows of a data set that `indices` names, in that order.

    Raises IndexRangeError for an index outside of the data set.
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray):
        self.dataset = dataset
        self.indices = np.asarray(indices, dtype=np.int64).reshape(-1)
        self.batched = takes_rows(dataset)
        outside = (self.indices < -len(dataset)) | (self.indices >= len(dataset))
        if outside.any():
            found = f"index {int(self.indices[outside.argmax()])}"
            raise IndexRangeError(message("Subset", f"indices of a data set of {len(dataset)}", found))

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names of the whole data set."""
        return self.dataset.classes

    @property
    def labels(self) -> np.ndarray:
        """The labels of these rows, where the whole data set has `labels`."""
        return self.dataset.labels[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        rows = self.indices[index]
        return self.dataset[rows if isinstance(rows, np.ndarray) else int(rows)]


class ConcatDataset(Dataset):
    """The rows of several data sets, one after the other; `first + second` is the same.

    >>> both = TensorDataset(np.arange(3)) + TensorDataset(np.arange(10, 12))
    >>> len(both), both[3], both[np.array([4, 0])]
    (5, (np.int64(10),), (array([11,  0]),))
    """

    def __init__(self, datasets: Iterable[Any]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise DataError(message("ConcatDataset", "at least one data set", "none"))
        self.cumulative_sizes = np.cumsum([len(dataset) for dataset in self.datasets])
        self.batched = all(takes_rows(dataset) for dataset in self.datasets)

    def __len__(self) -> int:
        return int(self.cumulative_sizes[-1])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, np.ndarray):
            return self._rows(index)
        if not -len(self) <= index < len(self):
            raise IndexRangeError(message("ConcatDataset", f"an index of {len(self)} rows", f"{index}"))
        index = int(index) % len(self)
        part = int(np.searchsorted(self.cumulative_sizes, index, side="right"))
        return self.datasets[part][index - self._start(part)]

    def _start(self, part: int) -> int:
        return int(self.cumulative_sizes[part - 1]) if part else 0

    def _rows(self, index: np.ndarray) -> tuple[np.ndarray, ...]:
        index = np.where(index < 0, index + len(self), index)
        parts = np.searchsorted(self.cumulative_sizes, index, side="right")
        columns: tuple[np.ndarray, ...] = ()
        for part in np.unique(parts):
            place = np.flatnonzero(parts == part)
            found = self.datasets[part][index[place] - self._start(part)]
            columns = columns or tuple(np.empty((len(index), *a.shape[1:]), a.dtype) for a in map(np.asarray, found))
            if [column.shape[1:] for column in columns] != [np.shape(values)[1:] for values in found]:
                raise DataError(message("ConcatDataset", "rows of one shape in all its parts", f"part {part} differs"))
            for column, values in zip(columns, found, strict=True):
                column[place] = values
        return columns


def takes_rows(dataset: Any) -> bool:
    """Whether the data set can be indexed with a whole array of rows."""
    return bool(getattr(dataset, "batched", False))


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None) -> list[Subset]:
    """The data set in random parts of these lengths, or of these fractions when they add up to 1.

    With fractions, what rounding down leaves over goes to the parts one by one, from the first on. Draws from
    `generator`, or from the default one. Raises ConfigError where the lengths do not add up to that of the data set.

    >>> parts = random_split(range(10), [0.7, 0.3], Generator(0))
    >>> [len(part) for part in parts], sorted(parts[0].indices.tolist() + parts[1].indices.tolist())
    ([7, 3], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    count = len(dataset)
    sizes = list(lengths)
    if sizes and math.isclose(sum(sizes), 1) and all(0 <= size <= 1 for size in sizes):
        whole = [math.floor(count * fraction) for fraction in sizes]
        sizes = [size + (i < count - sum(whole)) for i, size in enumerate(whole)]
    if sum(sizes) != count or any(size != int(size) or size < 0 for size in sizes):
        expected = f"lengths that add up to the {count} rows, or fractions that add up to 1"
        raise ConfigError(message("random_split", expected, f"lengths={list(lengths)!r}"))
    order = (generator or default_generator).permutation(count)
    ends = np.cumsum([int(size) for size in sizes])
    return [Subset(dataset, order[end - int(size) : end]) for end, size in zip(ends, sizes, strict=True)]


def k_fold(
    dataset: Any, k: int = 5, generator: Generator | None = None, stratified: bool = False, labels: Any = None
) -> Iterator[tuple[Subset, Subset]]:
    """k pairs (training set, validation set); every row is in one of the validation sets.

    stratified: each fold has as much of every class as the whole; the classes are `labels`, or the data set's own.
    The folds are scikit-learn's, shuffled from `generator` (or the default one). Raises ConfigError for k outside of 2
    to the number of rows, and where a class has fewer rows than there are folds.

    >>> [(len(train), len(test)) for train, test in k_fold(range(10), k=5, generator=Generator(0))]
    [(8, 2), (8, 2), (8, 2), (8, 2), (8, 2)]
    """
    if type(k) is not int or not 2 <= k <= len(dataset):
        raise ConfigError(message("k_fold", f"k from 2 to the {len(dataset)} rows of the data set", f"k={k!r}"))
    if labels is None:
        labels = getattr(dataset, "labels", None)
    if stratified and labels is None:
        raise ConfigError(message("k_fold", "labels to stratify by", "a data set without `labels`", "pass labels="))
    if stratified and int(np.unique(labels, return_counts=True)[1].min()) < k:
        raise ConfigError(message("k_fold", "at least k rows of every class", f"k={k}, and a class with fewer rows"))
    # Not within the generator below: the numbers are drawn, and mistakes are told, at the call.
    order = (generator or default_generator).permutation(len(dataset))
    return _folds(dataset, k, order, np.asarray(labels) if stratified else None)


def _folds(dataset: Any, k: int, order: np.ndarray, labels: np.ndarray | None) -> Iterator[tuple[Subset, Subset]]:
    from sklearn.model_selection import KFold, StratifiedKFold

    splitter = KFold(k) if labels is None else StratifiedKFold(k)
    for train, test in splitter.split(order, None if labels is None else labels[order]):
        yield Subset(dataset, order[train]), Subset(dataset, order[test])
