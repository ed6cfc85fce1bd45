"""Suite "loader": images from disk to device, of the data sets that are here; nothing is downloaded for it."""

from __future__ import annotations

import os
from pathlib import Path

from deepcore.bench.spec import Spec

COUNTS = {"digits": (1797, 1437), "mnist": (70_000, 60_000), "cifar10": (60_000, 50_000)}
"""How many images are read, and how many of them a round of training sees."""
PICTURES = 10_000
"""JPEGs of CIFAR-10's test set in a zip; PyTorch's loader reads them with Pillow too."""


def specs(threads: int) -> list[Spec]:
    """Reading the files; one epoch of shuffled batches on the device; one of pictures that are decoded meanwhile."""
    cases = []
    for name, (read, trained) in COUNTS.items():
        about = {"data": name, "batch": 128, "images": True}
        cases.append(Spec("loader", name, "files to memory", "read", about, group="files to memory", items=read))
        cases.append(
            Spec("loader", name, "memory to device", "batches", about, "batch 128, shuffled", "memory to device",
                 items=trained)
        )  # fmt: skip
    packed = Path(os.environ.get("DEEPCORE_DATA", "data")).expanduser() / "cifar10" / "cifar10-jpg.zip"
    for workers in (0, 2):
        about = {"zip": str(packed), "folder": "test", "batch": 128, "workers": workers}
        size = f"batch 128, shuffled, {workers} workers"
        cases.append(
            Spec(
                "loader", "cifar10 JPEG", "zip to batches", "pictures", about, size, "pictures decoded", items=PICTURES
            )
        )
    return cases
