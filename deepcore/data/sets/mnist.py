"""MNIST from its four IDX files: in `$DEEPCORE_DATA/mnist`, in the cache folder, or downloaded into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepcore.data.dataset import Splits
from deepcore.data.reading import idx_set, places
from deepcore.data.reading.download import RemoteFile

CLASSES = tuple("0123456789")
SIDE = 28

# Of the unpacked bytes: the files are passed around in several gzip wrappings.
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
    """Where downloads are kept."""
    return places.cache_folder("mnist")


def folders(root: str | Path | None = None) -> list[Path]:
    """Where the files are looked for, in this order; `MNIST/raw` in a root is torchvision's place."""
    return places.folders("mnist", cache_folder(), root, ("MNIST/raw",))


def find(file: RemoteFile) -> Path | None:
    """The file in one of the folders, plain or with `.gz`; None where it is absent."""
    return idx_set.find(file, folders())


def load_mnist(log: Callable[[str], None] = print, root: str | Path | None = None, fetch: bool = True) -> Splits:
    """60,000 training and 10,000 test images (N, 1, 28, 28) uint8.

    Files that are missing are downloaded, after one line through `log`, unless `fetch` is False.

    Raises DataError where a file is absent and cannot be downloaded, damaged, or does not fit its partner.
    """
    which = idx_set.IdxSet("MNIST", "mnist", CLASSES, SIDE, FILES, MIRRORS, megabytes=12)
    return idx_set.load_idx_set(which, folders(root), places.target("mnist", cache_folder(), root), log, fetch)
