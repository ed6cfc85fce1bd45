"""Checkpoints in a run folder: every so many steps and after each epoch, the newest few, and the best."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepcore.errors import ConfigError, RunError
from deepcore.train import checkpoint
from deepcore.train.callbacks.base import Callback
from deepcore.train.callbacks.monitor import Best
from deepcore.train.run import RunFolder, write_atomic

if TYPE_CHECKING:
    from deepcore.train.trainer import Trainer


class Checkpoints(Callback):
    """Saves the whole state of the training after each epoch, when it is stopped, and every `every` steps (0: never).

    folder: a run folder, which is made where it is absent. keep: how many of the newest stay. monitor: a figure of the
    epoch's row, such as "test_loss"; the checkpoint where it is best stays as `checkpoints/best.safetensors`. mode:
    "min" or "max" of it; by default "max" for names with accuracy in them. `trainer.resume(folder)` goes on.

    Every file is written beside its place, synced and renamed. Raises RunError where the disk refuses.
    """

    order = 100  # after all whose state it saves

    def __init__(
        self,
        folder: str | Path | RunFolder,
        every: int = 0,
        keep: int = 2,
        monitor: str | None = None,
        mode: str | None = None,
    ):
        if every < 0 or keep < 1:
            raise ConfigError(f"Checkpoints: expected every >= 0 and keep >= 1; got every={every!r}, keep={keep!r}.")
        self.run = folder if isinstance(folder, RunFolder) else RunFolder(folder)
        self.every, self.keep = every, keep
        self.best = None if monitor is None else Best(monitor, mode)
        self.best_step = -1
        self._saved: tuple[int, int] | None = None
        self._held: int | None = None

    def on_start(self, trainer: Trainer) -> None:
        with _folder_errors(self.run.checkpoints):
            self.run.checkpoints.mkdir(parents=True, exist_ok=True)
        self._lock()
        self.run.clear_leftovers()
        self._clear_newer(trainer)
        trainer.way_on = self._way_on(trainer.saved_step)
        if self.best_step > 0 and self.best_step == trainer.step:  # killed between the checkpoint and the link to it
            self._link_best(self.best_step)

    def _lock(self) -> None:
        """Holds the folder as long as this process lives and trains. Raises RunError where another one has it."""
        import fcntl

        self._held = os.open(self.run.checkpoints, os.O_RDONLY)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = f"another training is running in {self.run}. Hint: wait for it, or stop it first."
            raise RunError(said) from None
        except OSError:  # a file system without locks
            pass

    def on_end(self, trainer: Trainer) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _clear_newer(self, trainer: Trainer) -> None:
        """Deletes the damaged checkpoints beyond the one that is gone on from; refuses those of another training."""
        last = -1 if trainer.saved_step is None else trainer.saved_step
        newer = [path for step, path in self.run.saved() if step > last]
        if newer and trainer.saved_step is None:
            raise RunError(
                f"{self.run} holds the checkpoints of a training; nothing in it was changed. "
                f'Hint: go on with it: trainer.resume("{self.run}"), or choose another folder.'
            )
        for path in newer:
            with contextlib.suppress(OSError):
                path.unlink()

    def on_step(self, trainer: Trainer) -> None:
        # The last step of an epoch is saved with the epoch's figures, a moment later.
        if self.every and trainer.step % self.every == 0 and trainer.position != trainer.steps_per_epoch:
            self.save(trainer)

    def on_epoch(self, trainer: Trainer) -> None:
        better = self.best is not None and self.best.improved(trainer.rows[-1])
        if better:
            self.best_step = trainer.step
        self.save(trainer)
        if better:
            self._link_best(trainer.step)

    def on_stop(self, trainer: Trainer) -> None:
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Writes a checkpoint, unless there is one of this very state, and deletes those that are too many."""
        now = (trainer.step, trainer.epoch)
        if now == self._saved:
            return
        trainer.check_finite()  # none that could not be gone on with
        checkpoint.save(self.run.checkpoint(trainer.step), trainer.state_dict())
        self._saved, trainer.saved_step = now, trainer.step
        trainer.way_on = self._way_on(trainer.step)
        self.run.prune(self.keep)

    def _way_on(self, step: int | None) -> str:
        """What to do when the disk does not take a file."""
        if step is None:
            return "make room or choose another folder, then start again; there is no checkpoint yet."
        how = f"deepcore train --resume {self.run}" if self.run.config.is_file() else f'trainer.resume("{self.run}")'
        return f"the checkpoint of step {step} is still good; when the disk takes files again: {how}"

    def _link_best(self, step: int) -> None:
        """Makes the checkpoint of a step the best one: a second name of the file, where the disk can do that."""
        source, beside = self.run.checkpoint(step), self.run.best.with_name(f".{self.run.best.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):
            os.link(source, beside)
            os.replace(beside, self.run.best)
            return
        with source.open("rb") as file:
            write_atomic(self.run.best, lambda copy: shutil.copyfileobj(file, copy))

    def state_dict(self) -> dict[str, Any]:
        return {} if self.best is None else {"best": self.best.value, "step": self.best_step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if self.best is not None:
            self.best.value = state["best"]
        self.best_step = int(state["step"])


@contextlib.contextmanager
def _folder_errors(folder: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise RunError(f"the folder {folder} could not be made: {(error.strerror or str(error)).lower()}.") from error
