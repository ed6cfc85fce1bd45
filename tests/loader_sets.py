"""Small data sets for the tests of loaders; worker processes import this module."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np

from deepcore.backends import get_backend
from deepcore.data import Dataset, sample_generator


class Mixed(Dataset):
    """Samples with an array, a number, text, and a number drawn at random."""

    def __init__(self, count: int = 23):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> dict[str, Any]:
        drawn = sample_generator().uniform((), np.float64, get_backend("numpy"))
        return {"pixels": np.full((2, 3), i, np.float32), "pair": (i, f"row {i}"), "drawn": float(drawn)}


class Growing(Mixed):
    """Samples whose batches get larger, and which are longest in the middle of the set."""

    def __getitem__(self, i: int) -> np.ndarray:
        return np.full(1000 * (1 + i // 4), i, np.int32)


class Wide(Mixed):
    """One number a row, for batches of very many rows."""

    batched = True

    def __getitem__(self, rows: Any) -> tuple[np.ndarray, ...]:
        return (np.stack([rows] * 4, axis=1),)


class Faulty(Mixed):
    """Row 5 fails in the way that `fault` names."""

    def __init__(self, fault: str):
        super().__init__(12)
        self.fault = fault

    def __getitem__(self, i: int) -> int:
        if i == 5 and self.fault == "error":
            raise KeyError("a label that nobody knows")
        if i == 5 and self.fault == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if i == 5 and self.fault == "exit":
            os._exit(3)
        if i == 5 and self.fault == "asleep":
            time.sleep(60 if os.environ.get("DEEPCORE_NUM_THREADS") == "1" else 1)
        return i


class Unloadable(Mixed):
    """Can be sent, but not be made again."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise OSError("no such disk")


class Who(Mixed):
    """Which process reads a row."""

    def __getitem__(self, i: int) -> int:
        return os.getpid()
