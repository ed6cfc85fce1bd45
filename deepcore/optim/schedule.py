"""The base of the learning-rate schedules.

Each step computes the next rate from the group's present one, as in PyTorch: so schedules can be chained, and a rate
that was changed by hand stays changed.
"""

from __future__ import annotations

import warnings
from typing import Any

from deepcore.errors import ConfigError
from deepcore.optim.optimizer import Optimizer


class LRScheduler:
    """The base: ``last_epoch`` counts the steps, ``get_lr`` computes the rate of each group at that step.

    last_epoch=-1 starts anew (and remembers each group's rate as "initial_lr"); a larger one goes on from there, with
    an optimiser whose groups have "initial_lr" (its state was loaded).
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ConfigError(f"{type(self).__name__}: expected an Optimizer; got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ConfigError(
                    f"{type(self).__name__}: expected groups with 'initial_lr' to go on from step {last_epoch}; "
                    "got groups without. Hint: load the optimizer's state first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._begin()

    # ---- what a schedule writes --------------------------------------------------------------------------------

    def get_lr(self) -> list[float]:
        """The rate of each group at step ``last_epoch``, from the rates at the step before."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr()")

    def _first_lr(self) -> list[float]:
        """The rates at step 0 whatever the present ones are: used when `SequentialLR` switches to this schedule."""
        return list(self.base_lrs)

    # ---- stepping ----------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Go one step on and set the rates."""
        if self._step_count == 1 and self.optimizer.steps_taken == 0:
            warnings.warn(
                "scheduler.step() was called before optimizer.step(): the first learning rate is left out",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self._advance()

    def get_last_lr(self) -> list[float]:
        """The rate of each group that was set last."""
        return list(self._last_lr)

    def _begin(self) -> None:
        """The step that sets the rates of the beginning; `_initial` tells get_lr that it is this one."""
        self._step_count = 1
        self._initial = True
        self._advance()
        self._initial = False

    def _advance(self) -> None:
        self.last_epoch += 1
        self._set_lr(self.get_lr())

    def _restart(self) -> None:
        """Start from step 0 at once, whatever the present rates are."""
        self.last_epoch = 0
        self._set_lr(self._first_lr())

    def _undo(self) -> None:
        """Take the first step back: `SequentialLR` takes it again when this schedule's time comes."""
        self.last_epoch -= 1

    def _set_lr(self, values: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            group["lr"] = lr
        self._last_lr = list(values)

    def _present(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    # ---- saving ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser (and functions, which cannot be stored)."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where `state_dict` was called; load the optimiser's state too."""
        vars(self).update(state_dict)


def per_group(owner: str, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """``value`` for each group: a list is checked for its length, one value is repeated. Raises ConfigError."""
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ConfigError(f"{owner}: expected {name} for {count} parameter groups; got {len(value)}")
    return list(value)


def positive_int(owner: str, name: str, value: Any) -> int:
    """``value`` if it is an integer of at least 1; raises ConfigError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{owner}: expected {name} to be an integer >= 1; got {value!r}")
    return value
