"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): from their official archives, or from a zip of pictures.

Looked for in `$DEEPCORE_DATA/cifar10` (or `cifar100`), then in the cache folder; where neither has it, the binary
archive is downloaded. The archive for Python programs is read too, but never unpickled: see `pickled.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from deepcore.data.dataset import ArrayDataset, Splits
from deepcore.data.reading import cifar_files, places
from deepcore.data.reading.cifar_files import Edition
from deepcore.data.reading.download import RemoteFile, Source, download
from deepcore.data.reading.picture_zip import Arrays, PictureZip, load_decoded

Log = Callable[[str], None]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
RECORD = 1 + cifar_files.PIXELS  # bytes
RECORDS = 10_000  # in each file
TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("test_batch.bin",)
ARCHIVE = RemoteFile("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", archive=True)
MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
PICTURES = "cifar10-jpg.zip"
PER_CLASS = {"train": 5000, "test": 1000}

_NAMES_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
CLASSES_100 = tuple(_NAMES_100.split())
ARCHIVE_100 = RemoteFile("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", archive=True)
RECORDS_100 = {"train": 50_000, "test": 10_000}


def _edition() -> Edition:
    return Edition(
        "CIFAR-10",
        CLASSES,
        ("label",),
        {"train": dict.fromkeys(TRAIN_FILES, RECORDS), "test": dict.fromkeys(TEST_FILES, RECORDS)},
        "labels",
        (ARCHIVE.name, "cifar-10-batches-bin", "cifar-10-python.tar.gz", "cifar-10-batches-py"),
    )


def _edition_100() -> Edition:
    return Edition(
        "CIFAR-100",
        CLASSES_100,
        ("coarse label", "label"),
        {part: {f"{part}.bin": count} for part, count in RECORDS_100.items()},
        "fine_labels",
        (ARCHIVE_100.name, "cifar-100-binary", "cifar-100-python.tar.gz", "cifar-100-python"),
    )


def cache_folder() -> Path:
    """Where downloads of CIFAR-10 and its decoded pictures are kept."""
    return places.cache_folder("cifar10")


def find(root: str | Path | None = None) -> Path | None:
    """CIFAR-10's archive, the folder that it unpacks to, or the zip of pictures; None where there is none of them."""
    return _find((*_edition().places, PICTURES), places.folders("cifar10", cache_folder(), root))


def _find(names: Sequence[str], folders: Sequence[Path]) -> Path | None:
    return next((path for folder in folders for name in names if (path := folder / name).exists()), None)


def load_cifar10(log: Log = print, root: str | Path | None = None, fetch: bool = True) -> Splits:
    """50,000 training and 10,000 test images (N, 3, 32, 32) uint8.

    The archives keep the official order. A zip of pictures is sorted by class, and where it holds JPEG, its pixels
    differ a little from the official ones; it is decoded once, then kept in the cache folder.

    Raises DataError where the data is absent and cannot be downloaded, or a file is damaged or of another kind.
    """
    path = find(root)
    if path is not None and path.name == PICTURES:
        layout = PictureZip("CIFAR-10", CLASSES, SIDE, PER_CLASS)
        arrays = load_decoded(path, layout, cache_folder() / "cifar10-jpg.npz", log)
        return _splits("cifar10", CLASSES, arrays)
    folder = places.target("cifar10", cache_folder(), root)
    return _load("cifar10", _edition(), ARCHIVE, path, folder, log, fetch)


def load_cifar100(log: Log = print, root: str | Path | None = None, fetch: bool = True) -> Splits:
    """50,000 training and 10,000 test images (N, 3, 32, 32) uint8 of 100 classes (the "fine" labels).

    Raises DataError as `load_cifar10` does.
    """
    edition, cache = _edition_100(), places.cache_folder("cifar100")
    path = _find(edition.places, places.folders("cifar100", cache, root))
    return _load("cifar100", edition, ARCHIVE_100, path, places.target("cifar100", cache, root), log, fetch)


def _load(
    name: str, edition: Edition, archive: RemoteFile, path: Path | None, folder: Path, log: Log, fetch: bool
) -> Splits:
    if path is None:
        source = Source(edition.title, (archive,), MIRRORS, folder, megabytes=163)
        path = download(source, [archive], log, fetch)[archive]
    return _splits(name, edition.classes, cifar_files.read(path, edition))


def _splits(name: str, classes: tuple[str, ...], arrays: Arrays) -> Splits:
    return Splits(
        *(
            ArrayDataset(arrays[f"{part}_images"], arrays[f"{part}_labels"], classes, f"{name} {title} set")
            for part, title in (("train", "training"), ("test", "test"))
        )
    )
