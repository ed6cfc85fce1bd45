"""Learning-rate schedules, by update or by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepcore.errors import ConfigError
from deepcore.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from deepcore.train.callbacks.base import Callback
from deepcore.train.callbacks.monitor import figure

if TYPE_CHECKING:
    from deepcore.train.trainer import Trainer


class Schedule(Callback):
    """Steps a schedule of `optim.lr_scheduler` after every update of the weights, or after every epoch.

    every: "update" or "epoch"; ReduceLROnPlateau goes by epochs, and by the figure `monitor` of their rows. Several
    schedules of one optimiser multiply their factors, as in PyTorch.
    """

    def __init__(self, scheduler: LRScheduler, every: str | None = None, monitor: str = "test_loss"):
        self.by_figure = isinstance(scheduler, ReduceLROnPlateau)
        self.scheduler, self.monitor = scheduler, monitor
        self.every = every or ("epoch" if self.by_figure else "update")
        if self.every not in ("update", "epoch"):
            raise ConfigError(f"Schedule: expected every to be 'update' or 'epoch'; got {every!r}.")
        if self.by_figure and self.every != "epoch":
            raise ConfigError("Schedule: ReduceLROnPlateau goes by epochs; got every='update'.")

    def on_update(self, trainer: Trainer) -> None:
        # The last update has no next one, for which a one-cycle schedule would not have a rate.
        if self.every == "update" and (trainer.total_steps is None or trainer.step < trainer.total_steps):
            self.scheduler.step()

    def on_epoch(self, trainer: Trainer) -> None:
        if self.every != "epoch" or trainer.finished:
            return
        if self.by_figure:
            self.scheduler.step(figure(trainer.rows[-1], self.monitor))  # type: ignore[call-arg]
        else:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.scheduler.load_state_dict(dict(state))
