"""Fashion-MNIST (Xiao et al. 2017) and Kuzushiji-MNIST (Clanuwat et al. 2018), in the format of MNIST."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from deepcore.data.dataset import Splits
from deepcore.data.reading import places
from deepcore.data.reading.download import RemoteFile
from deepcore.data.reading.idx_set import IdxSet, load_idx_set


def _files(*md5: str) -> tuple[RemoteFile, ...]:
    """The four files by the MD5 of their gzip wrapping, of which there is one."""
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    return tuple(RemoteFile(f"{name}.gz", digest, archive=True) for name, digest in zip(names, md5, strict=True))


FASHION_MNIST = IdxSet(
    "Fashion-MNIST",
    "fashion-mnist",
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    28,
    _files(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    megabytes=31,
)
KMNIST = IdxSet(
    "KMNIST",
    "kmnist",
    ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    28,
    _files(
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    ),
    ("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
    megabytes=21,
)
TORCHVISION = {"fashion-mnist": "FashionMNIST/raw", "kmnist": "KMNIST/raw"}


def load_mnist_like(
    which: IdxSet, log: Callable[[str], None] = print, root: str | Path | None = None, fetch: bool = True
) -> Splits:
    """60,000 training and 10,000 test images (N, 1, 28, 28) uint8; see `load_mnist`."""
    cache = places.cache_folder(which.name)
    folders = places.folders(which.name, cache, root, (TORCHVISION[which.name],))
    return load_idx_set(which, folders, places.target(which.name, cache, root), log, fetch)
