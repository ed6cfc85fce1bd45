"""Pictures in one folder for each class, on the disk or in a zip."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepcore.data.dataset import Dataset
from deepcore.data.reading.damage import read_member, read_whole, reading
from deepcore.data.reading.picture import LARGEST_BYTES, SUFFIXES, decode_picture
from deepcore.errors import ConfigError, DataError, message, nearest

MODES = ("RGB", "L")


class ImageFolder(Dataset):
    """Pictures under `root/<class>/`, however deep: a sample is (picture (C, H, W) uint8, label).

    root: a folder, a zip file, or a folder in a zip (`pictures.zip/train`); of a zip nothing is unpacked to the disk.
    Classes are the names of the folders, sorted; samples are sorted by class and name. JPEG, PNG, BMP, WebP and GIF are
    read, when they are asked for. mode: "RGB" or "L". size: (height, width), or one number for both, that pictures of
    another size are resampled to: those of one batch have to be equal. transform: called with each picture, an array.
    Raises DataError where there are no pictures, and, with its name, for one that is damaged.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[np.ndarray], Any] | None = None,
        *,
        size: int | tuple[int, int] | None = None,
        mode: str = "RGB",
    ):
        if mode not in MODES:
            raise ConfigError(message("ImageFolder", "mode as RGB or L", f"mode={mode!r}", nearest(str(mode), MODES)))
        both = (size, size) if isinstance(size, int) else size
        if both is not None and (len(both) != 2 or any(type(side) is not int or side < 1 for side in both)):
            raise ConfigError(message("ImageFolder", "size as (height, width), at least 1", f"size={size!r}"))
        self.root, self.transform, self.size, self.mode = Path(root), transform, both, mode
        self._files: _Files = _open(self.root)
        found: dict[str, list[str]] = {}
        for name in self._files.names():
            folder, slash, _ = name.partition("/")
            if slash and name.lower().endswith(SUFFIXES):
                found.setdefault(folder, []).append(name)
        if not found:
            expected = f"pictures at {self.root}/<class>/ ({', '.join(SUFFIXES)})"
            raise DataError(message("ImageFolder", expected, "none"))
        self.classes = tuple(sorted(found))
        self.class_to_idx = {name: label for label, name in enumerate(self.classes)}
        self.samples = [(name, label) for label, folder in enumerate(self.classes) for name in sorted(found[folder])]
        self.labels = np.array([label for _, label in self.samples], np.int64)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, np.int64]:
        name, _ = self.samples[index]
        what = f"{self.root}/{name}"
        picture = decode_picture(self._files.read(name), what, self.mode, self.size)
        return picture if self.transform is None else self.transform(picture), self.labels[index]


class _Files:
    """Names below a folder, parts joined with "/", and the contents of one of them."""

    def names(self) -> Iterator[str]:
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        raise NotImplementedError


class _OnDisk(_Files):
    def __init__(self, root: Path):
        self.root = root

    def names(self) -> Iterator[str]:
        with reading(self.root, "folder", hint=""):
            # A class may be a link to a folder; links further down are not followed, or they could lead in circles.
            for folder in sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir()):
                for place, _, files in os.walk(self.root / folder):
                    inside = Path(place).relative_to(self.root).as_posix()
                    yield from (f"{inside}/{file}" for file in files)

    def read(self, name: str) -> bytes:
        return read_whole(self.root / name, LARGEST_BYTES)


class _InZip(_Files):
    """Below `prefix` in a zip. The file is opened once for each process; threads take turns at its index."""

    def __init__(self, path: Path, prefix: str):
        self.path, self.prefix = path, prefix
        self._open()

    def _open(self) -> None:
        self._lock = threading.Lock()
        with reading(self.path, "zip"):
            self._archive = zipfile.ZipFile(self.path)

    def names(self) -> Iterator[str]:
        for name in self._archive.namelist():
            if name.startswith(self.prefix) and not name.endswith("/"):
                yield name[len(self.prefix) :]

    def read(self, name: str) -> bytes:
        with reading(f"{self.path}/{self.prefix}{name}", "file in the zip"), self._lock:
            return read_member(self._archive, self._archive.getinfo(self.prefix + name), LARGEST_BYTES)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "prefix": self.prefix}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.prefix = state["path"], state["prefix"]
        self._open()


def _open(root: Path) -> _Files:
    if root.is_dir():
        return _OnDisk(root)
    for path in (root, *root.parents):
        if path.is_file():
            inside = root.relative_to(path).as_posix()
            return _InZip(path, "" if inside == "." else f"{inside}/")
    raise DataError(f"ImageFolder: there is no folder or zip file {root}.")
