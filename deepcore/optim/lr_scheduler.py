"""Learning-rate schedules with PyTorch's formulas. Call ``scheduler.step()`` after ``optimizer.step()``."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from deepcore.errors import ConfigError
from deepcore.optim.one_cycle import OneCycleLR
from deepcore.optim.optimizer import Optimizer
from deepcore.optim.plateau import ReduceLROnPlateau
from deepcore.optim.schedule import LRScheduler, per_group, positive_int

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LambdaLR(LRScheduler):
    """initial_lr * f(step), with one function f or one for each group.

    >>> import deepcore as dc
    >>> from deepcore import optim
    >>> optimizer = optim.SGD([dc.zeros(1, requires_grad=True)], lr=0.4)
    >>> LambdaLR(optimizer, lambda step: 1 / (step + 1)).get_last_lr()
    [0.4]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = per_group("LambdaLR", "lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    def _first_lr(self) -> list[float]:
        return self.get_lr()

    def state_dict(self) -> dict[str, Any]:
        return {key: value for key, value in super().state_dict().items() if key != "lr_lambdas"}


class StepLR(LRScheduler):
    """Times gamma every ``step_size`` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = positive_int("StepLR", "step_size", step_size)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._initial or self.last_epoch % self.step_size:
            return self._present()
        return [lr * self.gamma for lr in self._present()]


class MultiStepLR(LRScheduler):
    """Times gamma at every step listed in ``milestones`` (a step listed twice counts twice)."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        times = 0 if self._initial else self.milestones[self.last_epoch]
        return [lr * self.gamma**times for lr in self._present()]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "milestones": dict(self.milestones)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        # Keys arrive as text from formats such as JSON.
        self.milestones = Counter({int(step): times for step, times in self.milestones.items()})


class ExponentialLR(LRScheduler):
    """Times gamma at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._initial:
            return self._present()
        return [lr * self.gamma for lr in self._present()]


class LinearLR(LRScheduler):
    """A factor that goes in a straight line from start_factor to end_factor in ``total_iters`` steps: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ConfigError(f"LinearLR: expected 0 < start_factor <= 1; got {start_factor!r}")
        if not 0 <= end_factor <= 1:
            raise ConfigError(f"LinearLR: expected 0 <= end_factor <= 1; got {end_factor!r}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = positive_int("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self._present()]
        if self._initial or self.last_epoch > self.total_iters:
            return self._present()
        # The ratio of the factors at this step and at the step before.
        change = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * change
        return [lr * (1.0 + change / before) for lr in self._present()]

    def _first_lr(self) -> list[float]:
        return [base * self.start_factor for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """eta_min + (initial_lr - eta_min) * (1 + cos(pi * step / T_max)) / 2 (Loshchilov and Hutter 2016, eq. 5)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = positive_int("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._initial:
            return self._present()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The step before was at eta_min, where a ratio would divide by zero: leave it by the first difference.
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [lr + (base - self.eta_min) * rise for lr, base in zip(self._present(), self.base_lrs, strict=True)]
        ratio = self._height(self.last_epoch) / self._height(self.last_epoch - 1)
        return [ratio * (lr - self.eta_min) + self.eta_min for lr in self._present()]

    def _height(self, step: int) -> float:
        return 1 + math.cos(math.pi * step / self.T_max)


class SequentialLR(LRScheduler):
    """One schedule after the other: schedulers[i] runs from step milestones[i - 1] on, counted from its own step 0.

    >>> import deepcore as dc
    >>> from deepcore import optim
    >>> optimizer = optim.SGD([dc.zeros(1, requires_grad=True)], lr=1.0)
    >>> warm = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> cool = ExponentialLR(optimizer, gamma=0.1)
    >>> schedule = SequentialLR(optimizer, [warm, cool], milestones=[2])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     optimizer.step()
    ...     schedule.step()
    >>> [round(rate, 3) for rate in rates]
    [0.5, 0.75, 1.0, 0.1]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ConfigError(
                "SequentialLR: expected one milestone fewer than schedulers; "
                f"got {len(schedulers)} schedulers and {len(milestones)} milestones"
            )
        if any(scheduler.optimizer is not optimizer for scheduler in schedulers):
            raise ConfigError("SequentialLR: expected schedulers of the same optimizer")
        if list(milestones) != sorted(milestones):
            raise ConfigError(f"SequentialLR: expected milestones in rising order; got {milestones!r}")
        self.optimizer = optimizer
        self.schedulers = list(schedulers)
        self.milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        # The schedules took their first step when they were made; only the one of step 0 shall have.
        for scheduler in self.schedulers:
            scheduler._undo()
        self._begin()

    def _undo(self) -> None:
        for scheduler in self.schedulers:
            scheduler._undo()

    def step(self) -> None:
        self.last_epoch += 1
        i = bisect_right(self.milestones, self.last_epoch)
        scheduler = self.schedulers[i]
        if i > 0 and self.milestones[i - 1] == self.last_epoch:
            scheduler._restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def _begin(self) -> None:
        first = self.schedulers[bisect_right(self.milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()

    def _restart(self) -> None:
        self.last_epoch = 0
        first = self.schedulers[bisect_right(self.milestones, 0)]
        first._restart()
        self._last_lr = first.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        state = {key: value for key, value in vars(self).items() if key not in ("optimizer", "schedulers")}
        return {**state, "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        for scheduler, saved in zip(self.schedulers, state.pop("schedulers"), strict=True):
            scheduler.load_state_dict(saved)
        vars(self).update(state)
