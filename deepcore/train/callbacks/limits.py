"""An end to a training that takes too long or too much memory, with everything saved."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from deepcore.errors import ConfigError
from deepcore.train.callbacks.base import Callback

if TYPE_CHECKING:
    from deepcore.train.trainer import Trainer

MIB = 2**20
LOOK_EVERY_S = 0.2  # asking the system for the memory at every step would cost more than a step of a small model


class Limits(Callback):
    """Stops the training after the step with which `minutes` are over, or in which the process holds `memory` MiB.

    0 is no limit. The time is that of this process since the training began or went on: a run that is resumed has all
    of it again. `trainer.stopped` says what was reached.
    """

    order = 80

    def __init__(self, minutes: float = 0.0, memory: float = 0.0):
        if minutes < 0 or memory < 0:
            raise ConfigError(f"Limits: expected no negative limits; got minutes={minutes!r}, memory={memory!r}.")
        self.minutes, self.memory = minutes, memory

    def on_start(self, trainer: Trainer) -> None:
        self._started = time.monotonic()
        self._looked = 0.0

    def on_step(self, trainer: Trainer) -> None:
        now = time.monotonic()
        if self.minutes and now - self._started >= 60 * self.minutes:
            trainer.stop(f"the limit of {self.minutes:g} minutes is reached")
        if self.memory and now - self._looked >= LOOK_EVERY_S:
            self._looked = now
            held = resident_memory() / MIB
            if held >= self.memory:
                trainer.stop(f"the process holds {held:,.0f} MiB of memory, the limit is {self.memory:,.0f} MiB")


def resident_memory() -> int:
    """Bytes of memory that this process holds now; where the system does not say that, the most that it has held."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
