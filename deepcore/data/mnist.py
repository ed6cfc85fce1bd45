"""MNIST from its four IDX files: in `$DEEPCORE_DATA/mnist`, in the cache folder, or downloaded into it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from deepcore.data.dataset import ArrayDataset, Splits
from deepcore.data.download import RemoteFile, Source, download
from deepcore.data.idx import read_idx
from deepcore.errors import DataError

CLASSES = tuple("0123456789")
SIDE = 28


TRAIN_IMAGES = RemoteFile("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb")
TRAIN_LABELS = RemoteFile("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624")
TEST_IMAGES = RemoteFile("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea")
TEST_LABELS = RemoteFile("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637")
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def cache_folder() -> Path:
    """`~/.cache/deepcore/mnist`, or what the operating system has in its place."""
    import pooch

    return Path(pooch.os_cache("deepcore")) / "mnist"


def folders() -> list[Path]:
    """Where the files are looked for, in this order."""
    named = os.environ.get("DEEPCORE_DATA")
    return ([Path(named).expanduser() / "mnist"] if named else []) + [cache_folder()]


def find(file: RemoteFile) -> Path | None:
    """The file in one of the folders, plain or with `.gz`; None where it is absent."""
    candidates = (folder / (file.name + end) for folder in folders() for end in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def load_mnist(log: Callable[[str], None] = print) -> Splits:
    """60,000 training and 10,000 test images (N, 1, 28, 28) uint8.

    Files that are missing are downloaded, after one line through `log`.

    Raises DataError where a file is absent and cannot be downloaded, damaged, or does not fit its partner.
    """
    paths = {file: path for file in FILES if (path := find(file)) is not None}
    missing = [file for file in FILES if file not in paths]
    if missing:
        source = Source("MNIST", FILES, MIRRORS, cache_folder(), megabytes=12)
        paths.update(download(source, missing, log))
    return Splits(
        _read_pair(paths[TRAIN_IMAGES], paths[TRAIN_LABELS], "mnist training set"),
        _read_pair(paths[TEST_IMAGES], paths[TEST_LABELS], "mnist test set"),
    )


def _read_pair(image_path: Path, label_path: Path, name: str) -> ArrayDataset:
    images, labels = read_idx(image_path, rank=3), read_idx(label_path, rank=1)
    if len(images) != len(labels):
        raise DataError(f"{name}: {image_path} holds {len(images)} images but {label_path} holds {len(labels)} labels.")
    if not len(images):
        raise DataError(f"{name}: {image_path} holds no images.")
    if images.shape[1:] != (SIDE, SIDE):
        raise DataError(f"{name}: expected images of {SIDE}x{SIDE}; {image_path} holds {images.shape[1:]}.")
    return ArrayDataset(np.ascontiguousarray(images[:, None]), labels, CLASSES, name)
