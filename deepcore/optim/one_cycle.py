"""The one-cycle schedule (Smith and Topin 2017): the rate up and down once, the momentum down and up."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from deepcore.errors import ConfigError
from deepcore.optim.optimizer import Optimizer
from deepcore.optim.schedule import LRScheduler, per_group, positive_int


class _Phase(NamedTuple):
    """A stretch of the cycle: its last step, and the names of the group's values at its two ends."""

    end_step: float
    start_lr: str
    end_lr: str
    start_momentum: str
    end_momentum: str


class OneCycleLR(LRScheduler):
    """From max_lr / div_factor up to max_lr, then down to that / final_div_factor; call step() after every batch.

    total_steps, or epochs * steps_per_epoch: the length of the cycle; pct_start: the share in which the rate rises.
    anneal_strategy: "cos" or "linear". cycle_momentum: momentum (or beta1) goes from max_momentum to base_momentum and
    back. three_phase: down as long as up, then on to the end. Raises ConfigError for values that cannot be, and for
    steps beyond the end.

    >>> import deepcore as dc
    >>> from deepcore import optim
    >>> optimizer = optim.SGD([dc.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule = OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    >>> round(optimizer.param_groups[0]["lr"], 6), optimizer.param_groups[0]["momentum"]
    (0.004, 0.95)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ConfigError(f"OneCycleLR: expected an Optimizer; got {type(optimizer).__name__}")
        if not isinstance(pct_start, int | float) or not 0 <= pct_start <= 1:
            raise ConfigError(f"OneCycleLR: expected pct_start between 0 and 1; got {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ConfigError(f"OneCycleLR: expected anneal_strategy 'cos' or 'linear'; got {anneal_strategy!r}")
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        self.three_phase = three_phase
        max_lrs = per_group("OneCycleLR", "max_lr", max_lr, optimizer)
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if cycle_momentum:
            self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _start_momentum(self, optimizer: Optimizer, base: Any, top: Any, last_epoch: int) -> None:
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ConfigError(
                f"OneCycleLR: expected an optimizer with momentum or betas; got {type(optimizer).__name__}. "
                "Hint: pass cycle_momentum=False"
            )
        bases = per_group("OneCycleLR", "base_momentum", base, optimizer)
        tops = per_group("OneCycleLR", "max_momentum", top, optimizer)
        if last_epoch == -1:
            for group, low, high in zip(optimizer.param_groups, bases, tops, strict=True):
                group["base_momentum"], group["max_momentum"] = low, high

    def _phases(self) -> list[_Phase]:
        top = float(self.pct_start * self.total_steps) - 1
        end = self.total_steps - 1
        up = _Phase(top, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if not self.three_phase:
            return [up, _Phase(end, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        bottom = float(2 * self.pct_start * self.total_steps) - 2
        down = _Phase(bottom, "max_lr", "initial_lr", "base_momentum", "max_momentum")
        return [up, down, _Phase(end, "initial_lr", "min_lr", "max_momentum", "max_momentum")]

    def _place(self) -> tuple[_Phase, float]:
        """The phase of the present step, and how much of it is over (0 to 1)."""
        step, start = self.last_epoch, 0.0
        phases = self._phases()
        for phase in phases:
            if step <= phase.end_step or phase is phases[-1]:
                break
            start = phase.end_step
        length = phase.end_step - start
        return phase, (step - start) / length if length else 1.0

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ConfigError(f"OneCycleLR: expected at most {self.total_steps} steps; got step {self.last_epoch}")
        phase, part = self._place()
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                _set_momentum(group, self._between(group[phase.start_momentum], group[phase.end_momentum], part))
        return [
            self._between(group[phase.start_lr], group[phase.end_lr], part) for group in self.optimizer.param_groups
        ]

    def _first_lr(self) -> list[float]:
        return self.get_lr()

    def _between(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "linear":
            return (end - start) * part + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)


def _set_momentum(group: dict[str, Any], value: float) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is not None:
        return positive_int("OneCycleLR", "total_steps", total_steps)
    if epochs is None or steps_per_epoch is None:
        raise ConfigError("OneCycleLR: expected total_steps, or epochs and steps_per_epoch; got neither")
    steps = positive_int("OneCycleLR", "steps_per_epoch", steps_per_epoch)
    return positive_int("OneCycleLR", "epochs", epochs) * steps
