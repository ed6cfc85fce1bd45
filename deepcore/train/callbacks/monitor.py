"""The best value so far of a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from deepcore.errors import ConfigError, nearest


class Best:
    """The best value so far of the figure `name` of an epoch's row.

    mode: "min" or "max"; by default "max" for a name with accuracy in it, else "min". An improvement is larger than
    `min_delta`; NaN is none.

    >>> best = Best("test_loss")
    >>> [best.improved({"test_loss": loss}) for loss in (2.0, 1.5, 1.7)], best.value
    ([True, True, False], 1.5)
    """

    def __init__(self, name: str, mode: str | None = None, min_delta: float = 0.0):
        if mode not in (None, "min", "max"):
            raise ConfigError(f"expected mode 'min' or 'max'; got {mode!r}.")
        self.name, self.min_delta = name, min_delta
        self.mode = mode or ("max" if "accuracy" in name else "min")
        self.value: float | None = None

    def improved(self, row: Mapping[str, Any]) -> bool:
        """Whether the row has a better value than all before; it is then the best. Raises ConfigError for no value."""
        value = figure(row, self.name)
        if math.isnan(value):
            return False
        gain = math.inf if self.value is None else (self.value - value) * (1 if self.mode == "min" else -1)
        if gain <= self.min_delta:
            return False
        self.value = value
        return True


def figure(row: Mapping[str, Any], name: str) -> float:
    """A figure of an epoch. Raises ConfigError that names those there are."""
    if name not in row:
        raise ConfigError(f"there is no figure {name!r}; there are {', '.join(row)}.{nearest(name, row)}")
    return float(row[name])
