"""What a user sees while a training runs: a live bar in a terminal, one plain line per epoch anywhere else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from deepcore.train.callbacks.base import Callback

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from deepcore.train.trainer import Trainer

REFRESH_S = 0.1


class Progress(Callback):
    """Steps, epoch, loss, metrics, samples a second and the time left, in a terminal; a line per epoch elsewhere.

    console: a console of rich, by default one on the standard output.
    """

    order = 90  # after what adds to the figures of an epoch; a line that is shown has no checkpoint yet

    def __init__(self, console: Console | None = None):
        self._console = console
        self._bar: Any = None
        self._shown = 0.0

    @property
    def console(self) -> Console:
        """Where it is shown."""
        if self._console is None:
            from rich.console import Console

            self._console = Console()
        return self._console

    def on_start(self, trainer: Trainer) -> None:
        if not self.console.is_terminal:
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Live

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
        )
        self._bar = Live(*columns, console=self.console, expand=True)
        # Named, because the first step is slow where kernels must be compiled, and nothing moves meanwhile.
        self._task: TaskID = self._bar.add_task(
            "first step", total=trainer.total_steps, completed=trainer.step, figures=""
        )
        self._bar.start()

    def on_step(self, trainer: Trainer) -> None:
        if self._bar is None:
            return
        now = time.perf_counter()
        if now - self._shown < REFRESH_S and trainer.step != trainer.total_steps:
            return
        self._shown = now
        meter = trainer.read_meter()
        parts = [f"loss {meter.loss:.4f}", *(_figure(name, value) for name, value in meter.values.items())]
        if trainer.rows:
            last = trainer.rows[-1]
            parts += [_value(name, last[f"test_{name}"], "test") for name in meter.values if f"test_{name}" in last]
        parts.append(f"{meter.count / trainer.seconds:,.0f} {trainer.unit}/s")
        epoch = f"epoch {min(trainer.epoch + 1, trainer.epochs)}/{trainer.epochs}"
        self._bar.update(self._task, completed=trainer.step, description=epoch, figures="  ".join(parts))

    def on_epoch(self, trainer: Trainer) -> None:
        if self._bar is None:
            line = epoch_line(trainer.rows[-1], trainer.epochs)
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def on_end(self, trainer: Trainer) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def epoch_line(row: dict[str, Any], epochs: int) -> str:
    """The figures of an epoch as one line of text.

    >>> epoch_line({"epoch": 2, "lr": 0.1, "train_loss": 0.5, "test_accuracy": 0.9, "images_per_second": 1234.5}, 10)
    'epoch  2/10  loss 0.5000  test accuracy 90.00 %  1,234 images/s'
    """
    parts = [f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"]
    for name, value in row.items():
        kind, _, figure = name.partition("_")
        if kind in ("train", "test"):
            label = figure if kind == "train" else f"test {figure}"
            parts.append(_value(figure, value, label.replace("_", " ")))
        elif name.endswith("_per_second"):
            parts.append(f"{value:,.0f} {name.removesuffix('_per_second')}/s")
    return "  ".join(parts)


def _figure(name: str, value: float) -> str:
    return _value(name, value, "acc" if name == "accuracy" else name)


def _value(name: str, value: float, label: str) -> str:
    """A share of right answers in per cent, anything else as a number."""
    return f"{label} {100 * value:5.2f} %" if "accuracy" in name else f"{label} {value:.4f}"
