"""Pictures in a zip, as a data set that any framework's loader takes: what users of Pillow write."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np


class PackedPictures:
    """`dataset[i]` is (picture (3, H, W) uint8, label), of `folder/<class>/*.jpg` in the zip."""

    def __init__(self, path: Path, folder: str):
        self.path = path
        with zipfile.ZipFile(path) as archive:
            names = sorted(n for n in archive.namelist() if n.startswith(f"{folder}/") and n.endswith(".jpg"))
        classes = sorted({name.split("/")[1] for name in names})
        self.samples = [(name, classes.index(name.split("/")[1])) for name in names]
        self.archive: zipfile.ZipFile | None = None  # opened in the process that reads

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        from PIL import Image

        if self.archive is None:
            self.archive = zipfile.ZipFile(self.path)
        name, label = self.samples[index]
        with Image.open(io.BytesIO(self.archive.read(name))) as picture:
            return np.array(picture.convert("RGB")).transpose(2, 0, 1), label
