"""The figures of a training in files: CSV, JSON lines, and a picture of the curves."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepcore.errors import ConfigError, RunError
from deepcore.train import plots
from deepcore.train.callbacks.base import Callback
from deepcore.train.fitting import check_rows
from deepcore.train.run import RunFolder, write_atomic

if TYPE_CHECKING:
    from deepcore.train.trainer import Trainer

# Before the checkpoint: a line too many is dropped when the run goes on, a line too few would be lost.
ORDER = 50

STEPS = 25  # from one line for a step to the next: each reads a loss from the device


class MetricsCSV(Callback):
    """`metrics.csv` in a run folder: a line for each epoch, written anew after each."""

    order = ORDER

    def __init__(self, folder: str | Path | RunFolder):
        self.run = folder if isinstance(folder, RunFolder) else RunFolder(folder)

    def on_epoch(self, trainer: Trainer) -> None:
        self.run.path.mkdir(parents=True, exist_ok=True)
        self.run.write_metrics(trainer.rows)


class MetricsJSON(Callback):
    """`metrics.jsonl` in a run folder: an object a line, for every `every` steps and for each epoch.

    `{"step": 10, "loss": 2.1, "lr": 0.001}` is a step (its own loss, not a mean), and one with "epoch" in it has the
    figures of that epoch. What is no finite number is null.
    """

    order = ORDER

    def __init__(self, folder: str | Path | RunFolder, every: int = STEPS):
        if every < 1:
            raise ConfigError(f"MetricsJSON: expected every >= 1; got {every!r}.")
        self.run = folder if isinstance(folder, RunFolder) else RunFolder(folder)
        self.every = every
        self._waiting: list[dict[str, Any]] = []

    def on_start(self, trainer: Trainer) -> None:
        """Takes out what a checkpoint that is gone on from knows nothing of, and a line that was cut off."""
        self.run.path.mkdir(parents=True, exist_ok=True)
        if not self.run.log.is_file():
            if os.path.lexists(self.run.log):  # a pipe would be waited for
                raise RunError(f"{self.run.log} is not a file. Hint: move it away; training goes on without it.")
            return
        lines = self.run.log.read_text("utf-8", "replace").splitlines()
        lines = [line for line in lines if _step(line) <= trainer.step]
        written = {_step(line) for line in lines}
        self._waiting = [entry for entry in self._waiting if entry["step"] not in written]
        write_atomic(self.run.log, lambda file: file.write("".join(f"{line}\n" for line in lines).encode()))

    def on_step(self, trainer: Trainer) -> None:
        if trainer.step % self.every == 0:
            trainer.read_meter()
            self._waiting.append({"step": trainer.step, "loss": trainer.step_losses[-1], "lr": trainer.lr})

    def on_epoch(self, trainer: Trainer) -> None:
        self._waiting.append(trainer.rows[-1])
        self._write()

    def on_end(self, trainer: Trainer) -> None:
        with contextlib.suppress(RunError):  # a training that ends because the disk is full has said so
            self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        try:
            with self.run.log.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(_finite(entry)) + "\n" for entry in self._waiting)
        except OSError as error:
            raise RunError(f"{self.run.log} could not be written: {(error.strerror or str(error)).lower()}.") from error
        self._waiting = []

    def state_dict(self) -> dict[str, Any]:
        return {"waiting": list(self._waiting)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        check_rows(state["waiting"], "MetricsJSON.waiting")
        self._waiting = [dict(entry) for entry in state["waiting"]]


def _step(line: str) -> float:
    """The step of a line; beyond all others for one that is no object of ours."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.inf


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


class Curves(Callback):
    """A picture (PNG) of the loss and of every metric by epoch, drawn anew every `every` epochs and after the last."""

    order = ORDER

    def __init__(self, path: str | Path, title: str = "", every: int = 10):
        self.path, self.title, self.every = Path(path), title, every

    def on_epoch(self, trainer: Trainer) -> None:
        if trainer.finished or trainer.epoch % self.every == 0:
            plots.save_figure(plots.curves(trainer.rows, self.title), self.path)
