"""The one protocol of everything that listens to a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepcore.train.trainer import Trainer


class Callback:
    """What can listen to a training; every method may be left out.

    The events of a step come in the order in which they stand here. `order` sorts the callbacks of a trainer, those of
    the same order stay as they were given: what saves the state comes after all that change it.

    >>> class Rates(Callback):
    ...     def __init__(self):
    ...         self.rates = []
    ...     def on_update(self, trainer):
    ...         self.rates.append(trainer.lr)
    """

    order = 0

    def on_start(self, trainer: Trainer) -> None:
        """Before the first step, and before the first one after a resume."""

    def on_gradients(self, trainer: Trainer) -> None:
        """The gradients of an update are complete: the place to clip them."""

    def on_update(self, trainer: Trainer) -> None:
        """After each update of the weights; with `accumulate=4` that is every fourth step."""

    def on_step(self, trainer: Trainer) -> None:
        """After each batch; `trainer.read_meter()` fetches the running figures, at the cost of a wait."""

    def on_evaluation(self, trainer: Trainer) -> None:
        """The model is about to be evaluated or saved for use: the place to put other weights into it."""

    def on_evaluated(self, trainer: Trainer) -> None:
        """The evaluation is over: put back what `on_evaluation` changed."""

    def on_epoch(self, trainer: Trainer) -> None:
        """After each epoch and its evaluation; its line of figures is `trainer.rows[-1]`."""

    def on_stop(self, trainer: Trainer) -> None:
        """The training ends in the middle of an epoch, to go on later."""

    def on_nonfinite(self, trainer: Trainer, what: str) -> None:
        """A loss or a weight was NaN or infinite, as `what` says; after this the trainer raises RunError."""

    def on_end(self, trainer: Trainer) -> None:
        """After the last step, also when the training was stopped or failed."""

    def state_dict(self) -> dict[str, Any]:
        """What the callback must remember to go on as if it had not been stopped; empty for nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
