"""Data sets, loaders and transforms.

`train, test = data.load("digits")`, then `for images, labels in data.DataLoader(train, 64, shuffle=True)`.
"""

from __future__ import annotations

from collections.abc import Callable

from deepcore.data import text, transforms
from deepcore.data.combining import ConcatDataset, Subset, TensorDataset, k_fold, random_split
from deepcore.data.dataset import ArrayDataset, Dataset, IterableDataset, Splits
from deepcore.data.loading.collate import default_collate
from deepcore.data.loading.loader import DataLoader
from deepcore.data.loading.streams import sample_generator
from deepcore.data.reading.tables import CSVDataset, load_arrays
from deepcore.data.sets.image_folder import ImageFolder
from deepcore.data.sets.named import CIFAR10, CIFAR100, KMNIST, MNIST, FashionMNIST
from deepcore.data.text import TextWindows, Vocabulary
from deepcore.data.transforms import *  # noqa: F403
from deepcore.errors import ConfigError, nearest

Log = Callable[[str], None]


def _digits(log: Log) -> Splits:
    from deepcore.data.sets.digits import load_digits

    return load_digits()


def _mnist(log: Log) -> Splits:
    from deepcore.data.sets.mnist import load_mnist

    return load_mnist(log)


def _fashion_mnist(log: Log) -> Splits:
    from deepcore.data.sets.mnist_like import FASHION_MNIST, load_mnist_like

    return load_mnist_like(FASHION_MNIST, log)


def _kmnist(log: Log) -> Splits:
    from deepcore.data.sets.mnist_like import KMNIST, load_mnist_like

    return load_mnist_like(KMNIST, log)


def _cifar10(log: Log) -> Splits:
    from deepcore.data.sets.cifar import load_cifar10

    return load_cifar10(log)


def _cifar100(log: Log) -> Splits:
    from deepcore.data.sets.cifar import load_cifar100

    return load_cifar100(log)


LOADERS: dict[str, Callable[[Log], Splits]] = {
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "kmnist": _kmnist,
    "mnist": _mnist,
}
"""Data sets by name; each loader takes a function that shows one line to the user."""


def names() -> list[str]:
    """Names that `load` knows."""
    return sorted(LOADERS)


def load(name: str, log: Callable[[str], None] = print) -> Splits:
    """Training and test set of the named data; `log` shows one line where a download starts.

    Raises ConfigError for an unknown name, DataError where files are missing or damaged.

    >>> train, test = load("digits")
    >>> train.images.shape, len(test)
    ((1437, 1, 32, 32), 360)
    """
    if name not in LOADERS:
        raise ConfigError(f"unknown data set {name!r}; there are {', '.join(names())}.{nearest(name, LOADERS)}")
    return LOADERS[name](log)


__all__ = [
    "CIFAR10",
    "CIFAR100",
    "KMNIST",
    "MNIST",
    "ArrayDataset",
    "CSVDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "FashionMNIST",
    "ImageFolder",
    "IterableDataset",
    "Splits",
    "Subset",
    "TensorDataset",
    "TextWindows",
    "Vocabulary",
    "default_collate",
    "k_fold",
    "load",
    "load_arrays",
    "names",
    "random_split",
    "sample_generator",
    "text",
    "transforms",
    *transforms.__all__,
]
