"""Checks of constructor arguments: a wrong one is a ConfigError that names the module and the argument."""

from __future__ import annotations

import operator
from typing import Any

from deepcore.errors import ConfigError

Pair = tuple[int, int]


def integer(owner: str, name: str, value: Any, minimum: int = 1) -> int:
    """``value`` as an int that is at least ``minimum``; raises ConfigError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = minimum - 1
    if isinstance(value, bool) or number < minimum:
        raise ConfigError(f"{owner}: expected {name} to be an integer >= {minimum}; got {value!r}")
    return number


def pair(owner: str, name: str, value: Any, minimum: int = 1) -> Pair:
    """``value`` as (h, w): one integer means both; raises ConfigError.

    >>> pair("Conv2d", "stride", 2)
    (2, 2)
    """
    h, w = numbers(owner, name, value, 2, minimum)
    return h, w


def numbers(owner: str, name: str, value: Any, count: int, minimum: int = 1) -> tuple[int, ...]:
    """``value`` as ``count`` integers: one integer means all; raises ConfigError.

    >>> numbers("Conv3d", "stride", 2, 3)
    (2, 2, 2)
    """
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * count
    if len(values) != count:
        several = "" if count == 1 else " or two" if count == 2 else f" or {count}"
        raise ConfigError(f"{owner}: expected {name} to be one integer{several}; got {value!r}")
    return tuple(integer(owner, name, v, minimum) for v in values)


def probability(owner: str, name: str, value: Any) -> float:
    """``value`` as a float in [0, 1]; raises ConfigError."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise ConfigError(f"{owner}: expected {name} between 0 and 1; got {value!r}")
    return number


def choice(owner: str, name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """``value`` if it is one of ``allowed``; raises ConfigError."""
    if value not in allowed:
        raise ConfigError(f"{owner}: expected {name} to be one of {', '.join(allowed)}; got {value!r}")
    return value
