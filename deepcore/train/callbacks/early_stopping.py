"""An end to a training that has stopped getting better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepcore.errors import ConfigError
from deepcore.train.callbacks.base import Callback
from deepcore.train.callbacks.monitor import Best

if TYPE_CHECKING:
    from deepcore.train.trainer import Trainer


class EarlyStopping(Callback):
    """Ends the training after `patience` epochs in a row in which `monitor` was not better than before.

    monitor: a figure of the epoch's row. mode: "min" or "max" of it. min_delta: what is no more than this is no
    improvement. `triggered` says whether it ended the training.
    """

    def __init__(self, monitor: str = "test_loss", patience: int = 5, mode: str | None = None, min_delta: float = 0.0):
        if patience < 1:
            raise ConfigError(f"EarlyStopping: expected patience >= 1; got {patience!r}.")
        self.best = Best(monitor, mode, min_delta)
        self.patience, self.waited, self.triggered = patience, 0, False

    def on_epoch(self, trainer: Trainer) -> None:
        self.waited = 0 if self.best.improved(trainer.rows[-1]) else self.waited + 1
        if self.waited >= self.patience and not trainer.finished:
            self.triggered = True
            trainer.finish()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best.value, "waited": self.waited, "triggered": self.triggered}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best.value, self.waited, self.triggered = state["best"], state["waited"], state["triggered"]
