"""Image sets in four IDX files, as MNIST and those that took over its format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepcore.data.dataset import ArrayDataset, Splits
from deepcore.data.reading.download import RemoteFile, Source, download
from deepcore.data.reading.idx import read_idx
from deepcore.errors import DataError


class IdxSet(NamedTuple):
    """A set of that kind: its files are training images, training labels, test images and test labels."""

    title: str
    name: str
    classes: Sequence[str]
    side: int
    files: tuple[RemoteFile, ...]
    mirrors: tuple[str, ...]
    megabytes: int


def find(file: RemoteFile, folders: Sequence[Path]) -> Path | None:
    """The file in one of the folders, plain or with `.gz`; None where it is absent."""
    plain = file.name.removesuffix(".gz")
    candidates = (folder / (plain + end) for folder in folders for end in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def load_idx_set(
    which: IdxSet, folders: Sequence[Path], target: Path, log: Callable[[str], None], fetch: bool = True
) -> Splits:
    """Training and test set (N, 1, S, S) uint8; missing files are downloaded to `target` if `fetch`.

    Raises DataError where a file is absent and cannot be downloaded, damaged, or does not fit its partner.
    """
    paths = {file: path for file in which.files if (path := find(file, folders)) is not None}
    missing = [file for file in which.files if file not in paths]
    if missing:
        source = Source(which.title, which.files, which.mirrors, target, which.megabytes)
        paths.update(download(source, missing, log, fetch))
    train_images, train_labels, test_images, test_labels = (paths[file] for file in which.files)
    return Splits(
        _read_pair(which, train_images, train_labels, "training set"),
        _read_pair(which, test_images, test_labels, "test set"),
    )


def _read_pair(which: IdxSet, image_path: Path, label_path: Path, part: str) -> ArrayDataset:
    name, side = f"{which.name} {part}", which.side
    images, labels = read_idx(image_path, rank=3), read_idx(label_path, rank=1)
    if len(images) != len(labels):
        raise DataError(f"{name}: {image_path} holds {len(images)} images but {label_path} holds {len(labels)} labels.")
    if not len(images):
        raise DataError(f"{name}: {image_path} holds no images.")
    if images.shape[1:] != (side, side):
        raise DataError(f"{name}: expected images of {side}x{side}; {image_path} holds {images.shape[1:]}.")
    return ArrayDataset(np.ascontiguousarray(images[:, None]), labels, which.classes, name)
