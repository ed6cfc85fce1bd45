"""What a user sees while a training runs: a live bar in a terminal, one plain line per epoch anywhere else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from deepcore.train.trainer import Callback, Trainer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

REFRESH_S = 0.1


def epoch_line(row: dict[str, Any], epochs: int) -> str:
    """The figures of an epoch as one line of text."""
    width = len(str(epochs))
    return (
        f"epoch {row['epoch']:>{width}}/{epochs}  "
        f"loss {row['train_loss']:.4f}  accuracy {100 * row['train_accuracy']:5.2f} %  "
        f"test loss {row['test_loss']:.4f}  test accuracy {100 * row['test_accuracy']:5.2f} %  "
        f"{row['images_per_second']:,.0f} images/s"
    )


def make(console: Console) -> Callback:
    """The bar for a terminal, the lines for a file or a pipe."""
    return Bar(console) if console.is_terminal else Lines(console)


class Lines(Callback):
    """One line per epoch."""

    def __init__(self, console: Console):
        self.console = console

    def on_epoch(self, trainer: Trainer) -> None:
        line = epoch_line(trainer.rows[-1], trainer.config.epochs)
        self.console.print(line, highlight=False, soft_wrap=True)


class Bar(Callback):
    """A bar over all steps with loss, accuracy and images per second of the running epoch."""

    def __init__(self, console: Console):
        self.console = console
        self._shown = 0.0

    def on_start(self, trainer: Trainer) -> None:
        self._progress = self._make()
        # Named, because the first step is slow where kernels must be compiled, and nothing moves meanwhile.
        self._task: TaskID = self._progress.add_task(
            "first step", total=trainer.total_steps, completed=trainer.step, figures=""
        )
        self._progress.start()

    def _make(self) -> Progress:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
        )
        return Progress(*columns, console=self.console, expand=True)

    def on_step(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        last = trainer.step == trainer.total_steps
        if now - self._shown < REFRESH_S and not last:
            return
        self._shown = now
        meter = trainer.read_meter()
        figures = f"loss {meter.loss:.4f}  acc {100 * meter.accuracy:5.2f} %"
        if trainer.rows:
            figures += f"  test {100 * trainer.rows[-1]['test_accuracy']:5.2f} %"
        figures += f"  {meter.count / trainer.seconds:,.0f} images/s"
        epoch = f"epoch {min(trainer.epoch + 1, trainer.config.epochs)}/{trainer.config.epochs}"
        self._progress.update(self._task, completed=trainer.step, description=epoch, figures=figures)

    def on_end(self, trainer: Trainer) -> None:
        self._progress.stop()
