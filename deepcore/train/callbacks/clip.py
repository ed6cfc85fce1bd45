"""Limits to the gradients of an update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepcore.errors import ConfigError
from deepcore.nn.utils import clip_grad_norm_, clip_grad_value_
from deepcore.train.callbacks.base import Callback

if TYPE_CHECKING:
    from deepcore.train.trainer import Trainer


class ClipGradients(Callback):
    """Before each update: every gradient is cut to [-value, value], then all are scaled together to `norm` at most.

    0 leaves one of them out. Source: Pascanu et al. 2013 for the norm.
    """

    def __init__(self, norm: float = 0.0, value: float = 0.0):
        if not (norm >= 0 and value >= 0 and norm + value > 0):
            raise ConfigError(f"ClipGradients: expected norm > 0 or value > 0; got norm={norm!r}, value={value!r}.")
        self.norm, self.value = norm, value

    def on_gradients(self, trainer: Trainer) -> None:
        parameters = list(trainer.model.parameters())
        if self.value:
            clip_grad_value_(parameters, self.value)
        if self.norm:
            clip_grad_norm_(parameters, self.norm)
