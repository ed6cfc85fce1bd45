"""Readers of CIFAR's own files: binary records or pickled batches, in a tar.gz or in the folder that it unpacks to.

Binary format: a record is one byte of label (CIFAR-100: coarse, then fine), then 3072 bytes of pixels, red, green,
blue, each 32 rows of 32. Pickled batches are dicts with `data` (N, 3072) uint8 and a list of labels
(https://www.cs.toronto.edu/~kriz/cifar.html).
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcore.data.reading.damage import Bounded, read_whole, reading
from deepcore.data.reading.pickled import read_pickle
from deepcore.errors import DataError

SIDE = 32
PIXELS = 3 * SIDE * SIDE
LARGEST_BYTES = 300 << 20  # that an archive unpacks to; the real ones have 177 MB
MOST_MEMBERS = 100


class Edition(NamedTuple):
    """One of the two data sets: the bytes before the pixels of a record, and each part's files with their records."""

    title: str
    classes: tuple[str, ...]
    head: tuple[str, ...]
    files: Mapping[str, Mapping[str, int]]
    pickled_labels: str
    """Under which name a pickled batch has its labels."""
    places: tuple[str, ...]
    """Names of the binary archive and its folder, then of the archive for Python and its folder."""

    @property
    def record(self) -> int:
        """Bytes in a record."""
        return len(self.head) + PIXELS


def read(path: Path, edition: Edition) -> dict[str, np.ndarray]:
    """`train_images` (N, 3, 32, 32) and `train_labels` (N,) uint8, and the same of `test`.

    Raises DataError where a file is missing, damaged, or of another data set.
    """
    pickled = path.name in edition.places[2:]
    counts = {
        name.removesuffix(".bin") if pickled else name: count
        for files in edition.files.values()
        for name, count in files.items()
    }
    # A pickle holds names beside the pixels, and an old one may need two bytes for one.
    largest = {name: (4 if pickled else 1) * count * edition.record for name, count in counts.items()}
    contents = (_from_folder if path.is_dir() else _from_archive)(path, largest, exact=not pickled)
    missing = [name for name in counts if name not in contents]
    if missing:
        kind = "version for Python" if pickled else "binary version"
        raise DataError(f"{path}: {', '.join(missing)} missing; it must hold the {len(counts)} files of the {kind}.")
    parse: Callable[..., Any] = _batch if pickled else _records
    arrays = {}
    for part, files in edition.files.items():
        names = [name.removesuffix(".bin") if pickled else name for name in files]
        found = [parse(path, name, contents.pop(name), counts[name], edition) for name in names]
        arrays[f"{part}_images"] = np.concatenate([images for images, _ in found]).reshape(-1, 3, SIDE, SIDE)
        arrays[f"{part}_labels"] = np.concatenate([labels for _, labels in found])
    return arrays


def _from_archive(path: Path, largest: Mapping[str, int], exact: bool) -> dict[str, bytes]:
    """The contents of the named files in the tar.gz; nothing is unpacked to the disk."""
    contents = {}
    with reading(path, "archive"), gzip.open(path, "rb") as unpacked:
        stream: Any = Bounded(unpacked, path, LARGEST_BYTES)
        # As a stream: a header that leads backwards, for ever, is an error then.
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for number, member in enumerate(archive):
                if number == MOST_MEMBERS:
                    raise DataError(f"{path}: more than {MOST_MEMBERS} files, too many for this data set.")
                name = member.name.rsplit("/", 1)[-1]
                if name in largest and member.isfile():
                    _check_size(path, name, member.size, largest[name], exact)
                    content = archive.extractfile(member)
                    assert content is not None  # it is for members that are no files
                    contents[name] = content.read()
    return contents


def _from_folder(path: Path, largest: Mapping[str, int], exact: bool) -> dict[str, bytes]:
    contents = {}
    for name, size in largest.items():
        if (path / name).is_file():
            with reading(path / name, "file"):
                _check_size(path, name, (path / name).stat().st_size, size, exact)
            contents[name] = read_whole(path / name, size)
    return contents


def _check_size(path: Path, name: str, size: int, largest: int, exact: bool) -> None:
    if size > largest or (exact and size != largest):
        most = "" if exact else "at most "
        raise DataError(
            f"{path}: expected {name} of {most}{largest:,} bytes; got {size:,}. "
            "Hint: it is truncated or of another data set; fetch it again."
        )


def _records(path: Path, name: str, content: bytes, count: int, edition: Edition) -> tuple[np.ndarray, np.ndarray]:
    """(count, 3072) pixels and (count,) labels of a binary file, with every label checked."""
    _check_size(path, name, len(content), count * edition.record, exact=True)
    records = np.frombuffer(content, np.uint8).reshape(count, edition.record)
    labels = records[:, len(edition.head) - 1]
    _check_labels(path, name, labels, edition)
    return records[:, len(edition.head) :], labels.copy()


def _batch(path: Path, name: str, content: bytes, count: int, edition: Edition) -> tuple[np.ndarray, np.ndarray]:
    """The same of a pickled batch."""
    batch = read_pickle(content, f"{path}: {name}")
    pixels, labels = (batch.get(key) if isinstance(batch, dict) else None for key in ("data", edition.pickled_labels))
    if not isinstance(pixels, np.ndarray) or pixels.shape != (count, PIXELS) or not isinstance(labels, list):
        raise DataError(
            f"{path}: expected {name} to hold `data` ({count}, {PIXELS}) uint8 and the list "
            f"`{edition.pickled_labels}`. Hint: it is of another data set; fetch it again."
        )
    if len(labels) != count or any(type(label) is not int or not 0 <= label < 256 for label in labels):
        raise DataError(f"{path}: expected {count:,} labels in {name}, whole numbers; got {len(labels):,} entries.")
    array = np.array(labels, np.uint8)
    _check_labels(path, name, array, edition)
    return pixels, array


def _check_labels(path: Path, name: str, labels: np.ndarray, edition: Edition) -> None:
    largest = int(labels.max(initial=0))
    if largest >= len(edition.classes):
        row = int(labels.argmax())
        raise DataError(
            f"{path}: {name} has label {largest} in record {row}; labels go from 0 to {len(edition.classes) - 1}."
        )
