"""What a data set is, and a labelled image set that fits in memory, checked once when it is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepcore.errors import DataError

if TYPE_CHECKING:
    from deepcore.data.combining import ConcatDataset


class Dataset:
    """Samples by number: a subclass writes `__getitem__(i)` and `__len__`.

    A sample is an array, a number, text, or a tuple, list or dict of them. With `batched = True` the data set also
    takes a whole array of rows and gives the batch at once, which is quicker. Any object with these two methods will do
    for a loader; this class adds `first + second`.
    """

    batched = False

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has to define __getitem__")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} has to define __len__")

    def __add__(self, other: Any) -> ConcatDataset:
        from deepcore.data.combining import ConcatDataset

        return ConcatDataset([self, other])


class IterableDataset:
    """Samples in the order in which they come: a subclass writes `__iter__`, which starts anew each time."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has to define __iter__")


class ArrayDataset(Dataset):
    """Images (N, C, H, W), uint8 or float32, with labels (N,) int64 in [0, len(classes)).

    `dataset[i]` is (image, label); an index array gives a whole batch at once.
    Raises DataError for other shapes or dtypes, different counts, NaN or infinite pixels, labels outside the classes.

    >>> data = ArrayDataset(np.zeros((3, 1, 8, 8), np.uint8), [0, 1, 1], classes=["cat", "dog"])
    >>> images, labels = data[np.array([0, 2])]
    >>> images.shape, labels.tolist()
    ((2, 1, 8, 8), [0, 1])
    """

    batched = True

    def __init__(
        self, images: np.ndarray, labels: Sequence[int] | np.ndarray, classes: Sequence[str], name: str = "data"
    ):
        self.name = name
        self.classes = tuple(str(c) for c in classes)
        self.images = np.asarray(images)
        self.labels = np.asarray(labels)
        self._check()
        self.labels = self.labels.astype(np.int64)

    def _check(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype not in (np.uint8, np.float32):
            raise DataError(
                f"{self.name}: expected images (N, C, H, W) of uint8 or float32; got {images.shape} {images.dtype}."
            )
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise DataError(f"{self.name}: expected labels (N,) of integers; got {labels.shape} {labels.dtype}.")
        if len(images) != len(labels):
            raise DataError(f"{self.name}: {len(images)} images but {len(labels)} labels.")
        if images.dtype == np.float32 and not np.isfinite(images).all():
            row = int(np.argmin(np.isfinite(images).reshape(len(images), -1).all(axis=1)))
            raise DataError(f"{self.name}: image {row} holds NaN or infinity.")
        self._check_labels()

    def _check_labels(self) -> None:
        outside = (self.labels < 0) | (self.labels >= len(self.classes))
        if outside.any():
            row = int(np.argmax(outside))
            raise DataError(
                f"{self.name}: expected labels from 0 to {len(self.classes) - 1} ({len(self.classes)} classes); "
                f"got {int(self.labels[row])} at row {row} ({int(outside.sum())} labels are outside)."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int | slice | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.images[index], self.labels[index]

    def subset(self, index: slice | np.ndarray) -> ArrayDataset:
        """The rows at `index` as a data set of their own."""
        return ArrayDataset(self.images[index], self.labels[index], self.classes, self.name)

    def pixel_stats(self) -> tuple[float, float]:
        """Mean and standard deviation of all pixels on the scale 0 to 1, in float64."""
        scale = 1 / 255 if self.images.dtype == np.uint8 else 1.0
        total = squares = 0.0
        for start in range(
            0, len(self.images), 1000
        ):  # in parts: all pixels in float64 would take 8 times their memory
            part = self.images[start : start + 1000].astype(np.float64)
            total += float(part.sum())
            squares += float(np.square(part).sum())
        mean = total / self.images.size
        return mean * scale, max(squares / self.images.size - mean**2, 0.0) ** 0.5 * scale


class Splits(NamedTuple):
    """A training set and the test set that belongs to it."""

    train: ArrayDataset
    test: ArrayDataset
