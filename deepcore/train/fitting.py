"""Whether values from a file are of the kind that a training works with: a whole file may still say nonsense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deepcore.errors import DataError

if TYPE_CHECKING:
    from deepcore.train.trainer import Trainer

LARGEST = 2**64 - 1  # of a whole number: those of random streams have 64 bits
FORMAT = 1  # of what Trainer.state_dict returns


def check_state(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Raises DataError where a state does not belong to a trainer that is made like this one."""
    about = state["about"]
    if about["format"] != FORMAT:
        raise DataError(f"it is of format {about['format']}, written by deepcore {about['deepcore']}")
    callbacks = trainer.named_callbacks()
    for name in state["callbacks"]:
        if name not in callbacks:
            raise DataError(f"the state has one of the callback {name}, which this trainer lacks")
    for name, callback in callbacks.items():
        if own := callback.state_dict():
            if name not in state["callbacks"]:
                raise DataError(f"the state has none of the callback {name}")
            if type(callback).__module__.startswith("deepcore."):  # those of a user know their own values
                check_like(own, state["callbacks"][name], name, loose=True)
    groups = state["optimizer"]["param_groups"]
    check_like(trainer.optimizer.state_dict()["param_groups"], groups, "optimizer.param_groups", loose=True)
    loader: Any = trainer.train_loader
    if state["loader"] is not None:
        own = {key: value for key, value in loader.state_dict().items() if type(value) is int}
        check_like(own, state["loader"], "loader")
    check_like(trainer.counters(), state["counters"], "counters")
    counters = state["counters"]
    for name, value in counters.items():
        _expect(value >= 0, "no negative number", value, f"counters.{name}")
    steps = trainer.steps_per_epoch
    if steps is not None:
        _expect(counters["position"] <= steps, f"at most {steps}", counters["position"], "counters.position")
    good = counters["pending"] <= min(trainer.accumulate - 1, counters["position"])
    _expect(good, "fewer batches than a group has", counters["pending"], "counters.pending")
    check_like(trainer.meter.state_dict(), state["meter"], "meter")
    check_rows(state["rows"], "rows")


def check_like(own: Any, saved: Any, name: str, loose: bool = False) -> None:
    """Raises DataError that names the first value in `saved` which is no other value of what `own` is.

    A number may have another size, a list another length, and what is None may become a number. Arrays are left to
    those who take them. With `loose` a whole number may become another number, as a learning rate of 1 does.

    >>> check_like({"epoch": 0, "best": None}, {"epoch": 3, "best": 0.5}, "counters")
    >>> check_like({"epoch": 0}, {"epoch": "three"}, "counters")
    Traceback (most recent call last):
    deepcore.errors.DataError: counters.epoch: expected a whole number; got a str
    """
    if isinstance(own, Mapping):
        _expect(isinstance(saved, Mapping), "values by name", saved, name)
        for key, value in own.items():
            _expect(key in saved, f"a value {key!r}", saved, name)
            check_like(value, saved[key], f"{name}.{key}", loose)
    elif isinstance(own, list | tuple):
        _expect(isinstance(saved, list | tuple), "a list", saved, name)
        for i, value in enumerate(saved if own else ()):
            check_like(own[min(i, len(own) - 1)], value, f"{name}.{i}", loose)
    elif own is None:
        _expect(type(saved) in (int, float, type(None)), "a number or nothing", saved, name)
    elif isinstance(own, bool | str):
        _expect(type(saved) is type(own), f"a {type(own).__name__}", saved, name)
    elif isinstance(own, int) and not loose:
        _expect(type(saved) is int, "a whole number", saved, name)
        _expect(abs(saved) <= LARGEST, f"at most {LARGEST} in size", saved, name)
    elif isinstance(own, int | float):
        _expect(type(saved) in (int, float), "a number", saved, name)


def check_rows(rows: Any, name: str) -> None:
    """Raises DataError unless `rows` is a list of figures by name, each with its step."""
    _expect(isinstance(rows, list), "a list", rows, name)
    for row in rows:
        _expect(isinstance(row, Mapping) and type(row.get("step")) is int, "figures with their step", row, name)
        for key, value in row.items():
            _expect(isinstance(key, str) and type(value) in (int, float, type(None)), f"a number as {key}", value, name)


def _expect(good: bool, what: str, found: Any, name: str) -> None:
    if not good:
        raise DataError(f"{name}: expected {what}; got {_shown(found)}")


def _shown(value: Any) -> str:
    return f"{value:.6g}" if type(value) in (int, float) and abs(value) < 1e300 else f"a {type(value).__name__}"
