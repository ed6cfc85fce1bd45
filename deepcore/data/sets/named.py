"""Known image sets as classes with torchvision's names: `CIFAR10("data", train=False, download=True)`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepcore.data.dataset import ArrayDataset, Splits
from deepcore.data.sets import cifar, mnist, mnist_like


class _Named(ArrayDataset):
    """The training set, or the test set, of a known image set: (N, C, H, W) uint8 with labels, all in memory.

    root: the folder to look in, and to download to; without one, `$DEEPCORE_DATA` and the cache folder. Folders that
    torchvision made are read too. Transforms come after the loader, on whole batches: see `deepcore.data.transforms`.
    Raises DataError where the files are absent and `download` is False, or damaged.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        train: bool = True,
        download: bool = False,
        log: Callable[[str], None] = print,
    ):
        found = self._load(log, root, download)[0 if train else 1]
        super().__init__(found.images, found.labels, found.classes, found.name)
        self.train = train

    def _load(self, log: Callable[[str], None], root: str | Path | None, fetch: bool) -> Splits:
        raise NotImplementedError


class MNIST(_Named):
    """60,000 and 10,000 handwritten digits (N, 1, 28, 28)."""

    def _load(self, log: Callable[[str], None], root: str | Path | None, fetch: bool) -> Splits:
        return mnist.load_mnist(log, root, fetch)


class FashionMNIST(_Named):
    """60,000 and 10,000 pieces of clothing (N, 1, 28, 28)."""

    def _load(self, log: Callable[[str], None], root: str | Path | None, fetch: bool) -> Splits:
        return mnist_like.load_mnist_like(mnist_like.FASHION_MNIST, log, root, fetch)


class KMNIST(_Named):
    """60,000 and 10,000 letters in cursive Japanese (N, 1, 28, 28)."""

    def _load(self, log: Callable[[str], None], root: str | Path | None, fetch: bool) -> Splits:
        return mnist_like.load_mnist_like(mnist_like.KMNIST, log, root, fetch)


class CIFAR10(_Named):
    """50,000 and 10,000 photographs of ten classes (N, 3, 32, 32)."""

    def _load(self, log: Callable[[str], None], root: str | Path | None, fetch: bool) -> Splits:
        return cifar.load_cifar10(log, root, fetch)


class CIFAR100(_Named):
    """50,000 and 10,000 photographs of a hundred classes (N, 3, 32, 32)."""

    def _load(self, log: Callable[[str], None], root: str | Path | None, fetch: bool) -> Splits:
        return cifar.load_cifar100(log, root, fetch)
