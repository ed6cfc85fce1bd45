"""Data sets, loaders and transforms.

`train, test = data.load("digits")`, then `for images, labels in data.DataLoader(train, 64, shuffle=True)`.
"""

from __future__ import annotations

from collections.abc import Callable

from deepcore.data import transforms
from deepcore.data.combining import ConcatDataset, Subset, TensorDataset, k_fold, random_split
from deepcore.data.dataset import ArrayDataset, Dataset, IterableDataset, Splits
from deepcore.data.loading.collate import default_collate
from deepcore.data.loading.loader import DataLoader
from deepcore.data.loading.streams import sample_generator
from deepcore.data.transforms import *  # noqa: F403
from deepcore.errors import ConfigError, nearest


def _digits(log: Callable[[str], None]) -> Splits:
    from deepcore.data.digits import load_digits

    return load_digits()


def _mnist(log: Callable[[str], None]) -> Splits:
    from deepcore.data.mnist import load_mnist

    return load_mnist(log=log)


def _cifar10(log: Callable[[str], None]) -> Splits:
    from deepcore.data.cifar import load_cifar10

    return load_cifar10(log=log)


LOADERS: dict[str, Callable[[Callable[[str], None]], Splits]] = {
    "cifar10": _cifar10,
    "digits": _digits,
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
    "ArrayDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "IterableDataset",
    "Splits",
    "Subset",
    "TensorDataset",
    "default_collate",
    "k_fold",
    "load",
    "names",
    "random_split",
    "sample_generator",
    "transforms",
    *transforms.__all__,
]
