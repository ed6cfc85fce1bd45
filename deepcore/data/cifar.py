"""CIFAR-10 (Krizhevsky 2009): from its official binary archive, or from a zip of pictures; no pickle is ever read.

Looked for in `$DEEPCORE_DATA/cifar10`, then in the cache folder; where neither has it, the archive is downloaded.

Format: six files of 10,000 records; a record is one byte of label, then 3072 bytes of pixels, red, green, blue, each
32 rows of 32 (https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version").
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from deepcore.data.dataset import ArrayDataset, Splits
from deepcore.data.download import RemoteFile, Source, download
from deepcore.data.picture_zip import Arrays, PictureZip, load_decoded
from deepcore.errors import DataError

Log = Callable[[str], None]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE  # bytes
RECORDS = 10_000  # in each file
TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("test_batch.bin",)

ARCHIVE = RemoteFile("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", archive=True)
MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
UNPACKED = "cifar-10-batches-bin"
PICTURES = "cifar10-jpg.zip"
PER_CLASS = {"train": 5000, "test": 1000}
PICKLED = ("cifar-10-python.tar.gz", "cifar-10-batches-py")


def cache_folder() -> Path:
    """`~/.cache/deepcore/cifar10`, or what the operating system has in its place."""
    import pooch

    return Path(pooch.os_cache("deepcore")) / "cifar10"


def folders() -> list[Path]:
    """Where the data is looked for, in this order."""
    named = os.environ.get("DEEPCORE_DATA")
    return ([Path(named).expanduser() / "cifar10"] if named else []) + [cache_folder()]


def find() -> Path | None:
    """The archive, the folder that it unpacks to, or the zip of pictures; None where there is none of them."""
    candidates = (folder / name for folder in folders() for name in (ARCHIVE.name, UNPACKED, PICTURES))
    return next((path for path in candidates if path.exists()), None)


def load_cifar10(log: Log = print) -> Splits:
    """50,000 training and 10,000 test images (N, 3, 32, 32) uint8.

    The archive keeps the official order. A zip of pictures is sorted by class, and where it holds JPEG, its pixels
    differ a little from the official ones; it is decoded once, then kept in the cache folder.

    Raises DataError where the data is absent and cannot be downloaded, or a file is damaged or of another kind.
    """
    path = find()
    if path is None:
        _note_pickles(log)
        source = Source("CIFAR-10", (ARCHIVE,), MIRRORS, cache_folder(), megabytes=163)
        path = download(source, [ARCHIVE], log)[ARCHIVE]
    arrays = _read(path, log)
    return Splits(
        *(
            ArrayDataset(arrays[f"{part}_images"], arrays[f"{part}_labels"], CLASSES, f"cifar10 {title} set")
            for part, title in (("train", "training"), ("test", "test"))
        )
    )


def _read(path: Path, log: Log) -> Arrays:
    if path.name == PICTURES:
        layout = PictureZip("CIFAR-10", CLASSES, SIDE, PER_CLASS)
        return load_decoded(path, layout, cache_folder() / "cifar10-jpg.npz", log)
    files = read_folder(path) if path.is_dir() else read_archive(path)
    return _split("train", [files[name] for name in TRAIN_FILES]) | _split("test", [files[name] for name in TEST_FILES])


def read_archive(path: Path) -> dict[str, np.ndarray]:
    """The records of each file in the tar.gz, by the file's name; nothing is unpacked to the disk."""
    files = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = Path(member.name).name
                if name in TRAIN_FILES + TEST_FILES and member.isfile():
                    _check_size(path, name, member.size)
                    content = archive.extractfile(member)
                    assert content is not None  # it is for members that are no files
                    files[name] = _records(path, name, content.read())
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: the archive is truncated or damaged ({error}). Hint: fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return _complete(path, files)


def read_folder(path: Path) -> dict[str, np.ndarray]:
    """The records of each file in the folder that the archive unpacks to, by the file's name."""
    files = {}
    for name in TRAIN_FILES + TEST_FILES:
        if (path / name).is_file():
            try:
                _check_size(path, name, (path / name).stat().st_size)
                files[name] = _records(path, name, (path / name).read_bytes())
            except OSError as error:
                raise DataError(f"{path / name}: cannot be read ({error.strerror or error}).") from error
    return _complete(path, files)


def _complete(path: Path, files: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    missing = [name for name in TRAIN_FILES + TEST_FILES if name not in files]
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} missing; it must hold the six files of the binary version.")
    return files


def _check_size(path: Path, name: str, size: int) -> None:
    if size != RECORDS * RECORD:
        raise DataError(
            f"{path}: expected {name} of {RECORDS * RECORD:,} bytes ({RECORDS:,} records of {RECORD}); got {size:,}. "
            "Hint: it is truncated or of another data set; fetch it again."
        )


def _records(path: Path, name: str, content: bytes) -> np.ndarray:
    """(RECORDS, RECORD) uint8, with every label checked."""
    _check_size(path, name, len(content))
    records = np.frombuffer(content, np.uint8).reshape(RECORDS, RECORD)
    largest = int(records[:, 0].max(initial=0))
    if largest >= len(CLASSES):
        row = int(records[:, 0].argmax())
        raise DataError(f"{path}: {name} has label {largest} in record {row}; labels go from 0 to {len(CLASSES) - 1}.")
    return records


def _split(part: str, files: list[np.ndarray]) -> Arrays:
    records = np.concatenate(files)
    images = np.ascontiguousarray(records[:, 1:]).reshape(-1, 3, SIDE, SIDE)
    return {f"{part}_images": images, f"{part}_labels": records[:, 0].copy()}


def _note_pickles(log: Log) -> None:
    """Says why the edition that Python programs use most is passed over."""
    for path in (folder / name for folder in folders() for name in PICKLED):
        if path.exists():
            log(f"note: {path} is passed over: it holds pickles, and loading a pickle can run any code")
