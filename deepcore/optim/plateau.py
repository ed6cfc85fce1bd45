"""A learning rate that falls when a figure stops getting better."""

from __future__ import annotations

import math

from deepcore.errors import ConfigError
from deepcore.optim.optimizer import Optimizer
from deepcore.optim.schedule import LRScheduler, per_group


class ReduceLROnPlateau(LRScheduler):
    """Times `factor` when the value given to `step` was not better for more than `patience` steps.

    mode: "min" or "max" is better. threshold: what counts as better, as a share of the best ("rel") or as a difference
    ("abs"). cooldown: steps after a change that do not count. min_lr: for all groups, or one for each. A change of no
    more than eps is not made. Raises ConfigError for values that cannot be. The definition is PyTorch's.

    >>> import deepcore as dc
    >>> from deepcore import optim
    >>> optimizer = optim.SGD([dc.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ReduceLROnPlateau(optimizer, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ConfigError(f"ReduceLROnPlateau: expected an Optimizer; got {type(optimizer).__name__}")
        if not 0 < factor < 1:
            raise ConfigError(f"ReduceLROnPlateau: expected 0 < factor < 1; got {factor!r}")
        for name, value, known in (("mode", mode, ("min", "max")), ("threshold_mode", threshold_mode, ("rel", "abs"))):
            if value not in known:
                raise ConfigError(f"ReduceLROnPlateau: expected {name} {known[0]!r} or {known[1]!r}; got {value!r}")
        self.optimizer = optimizer
        self.mode, self.factor, self.patience, self.cooldown = mode, factor, patience, cooldown
        self.threshold, self.threshold_mode, self.eps = threshold, threshold_mode, eps
        self.min_lrs = per_group("ReduceLROnPlateau", "min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self._present()

    def step(self, metrics: float) -> None:  # type: ignore[override]
        """Take in the value of this epoch, and lower the rates where it is time."""
        value = float(metrics)
        self.last_epoch += 1
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._present()

    def _better(self, value: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            return sign * value < sign * self.best * (1 - sign * self.threshold)
        return sign * value < sign * self.best - self.threshold

    def _reduce(self) -> None:
        for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lower = max(group["lr"] * self.factor, low)
            if group["lr"] - lower > self.eps:
                group["lr"] = lower
