"""The figures of a training as event files for TensorBoard."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepcore.errors import ConfigError, RunError
from deepcore.train.callbacks.base import Callback
from deepcore.train.callbacks.figures import ORDER, STEPS

if TYPE_CHECKING:
    from deepcore.train.trainer import Trainer


class TensorBoard(Callback):
    """Event files for TensorBoard: the figures of each epoch, and every `every` steps the loss and the learning rate.

    They are written by tensorboardX: `pip install tensorboardX`. Look with `tensorboard --logdir FOLDER`. Raises
    RunError where the disk refuses.
    """

    order = ORDER

    def __init__(self, folder: str | Path, every: int = STEPS):
        if every < 1:
            raise ConfigError(f"TensorBoard: expected every >= 1; got {every!r}.")
        self.folder, self.every = Path(folder), every
        self._file: Any = None

    @staticmethod
    def require() -> Any:
        """What writes the files: a class of tensorboardX. Raises ConfigError where that is not installed."""
        # Not its SummaryWriter, whose thread writes behind our back: where that dies of a full disk, the training would
        # wait for it for ever.
        try:
            from tensorboardX import event_file_writer
        except ImportError as error:
            raise ConfigError("TensorBoard: tensorboardX is not installed. Hint: pip install tensorboardX") from error
        return event_file_writer.EventsWriter

    def on_start(self, trainer: Trainer) -> None:
        make = self.require()
        from tensorboardX.proto.event_pb2 import SessionLog

        with self._disk():
            self.folder.mkdir(parents=True, exist_ok=True)
            # The name has the second in it; two processes, or two trainings of one, may begin in the same.
            self._file = make(str(self.folder / "events"), f".{os.getpid()}.{trainer.step}")
            if trainer.step:  # what another process wrote beyond the checkpoint is hidden
                self._write(trainer.step + 1, session_log=SessionLog(status=SessionLog.START))

    def on_step(self, trainer: Trainer) -> None:
        if trainer.step % self.every == 0:
            trainer.read_meter()
            with self._disk():
                self._scalars(trainer.step, {"step/loss": trainer.step_losses[-1], "step/lr": trainer.lr})

    def on_epoch(self, trainer: Trainer) -> None:
        values = {}
        for name, value in trainer.rows[-1].items():
            kind, _, figure = name.partition("_")
            if kind in ("train", "test"):  # one chart for a figure, with a line each
                values[f"{figure}/{kind}"] = value
            elif name not in ("epoch", "step"):
                values[name] = value
        with self._disk():
            self._scalars(trainer.step, values)
            self._file.flush()

    def on_end(self, trainer: Trainer) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # a training that ends because the disk is full has said so
                self._file.close()
            self._file = None

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        from tensorboardX.summary import scalar

        for name, value in values.items():
            self._write(step, summary=scalar(name, value))

    def _write(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._file.write_event(Event(wall_time=time.time(), step=step, **content))

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"{self.folder} could not be written: {(error.strerror or str(error)).lower()}.") from error
