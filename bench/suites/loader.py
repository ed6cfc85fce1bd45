"""Suite "loader": images from disk to device, of the data sets that are here; nothing is downloaded for it."""

from __future__ import annotations

from deepcore.bench.spec import Spec

COUNTS = {"digits": (1797, 1437), "mnist": (70_000, 60_000), "cifar10": (60_000, 50_000)}
"""How many images are read, and how many of them a round of training sees."""


def specs(threads: int) -> list[Spec]:
    """Reading the files, and one epoch of shuffled batches on the device."""
    cases = []
    for name, (read, trained) in COUNTS.items():
        about = {"data": name, "batch": 128, "images": True}
        cases.append(Spec("loader", name, "files to memory", "read", about, group="files to memory", items=read))
        cases.append(
            Spec("loader", name, "memory to device", "batches", about, "batch 128, shuffled", "memory to device",
                 items=trained)
        )  # fmt: skip
    return cases
