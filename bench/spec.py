"""What a suite asks to be measured, before anybody has measured it: plain values, which travel between processes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deepcore.bench.result import SECONDS, Case


@dataclass(frozen=True)
class Spec:
    """One case of a suite. `program` names the function of `programs.PROGRAMS` that gets `arguments`."""

    suite: str
    name: str
    part: str
    program: str
    arguments: dict[str, Any] = field(default_factory=dict)
    size: str = ""
    group: str = ""
    unit: str = SECONDS
    items: float = 0.0
    axis: str = ""
    at: float = 0.0
    threads: int = 0
    """Where it is not the number of the whole run; else 0."""
    fresh: bool = False
    """Whether each sample takes a process of its own, which ends with it."""
    parts: tuple[tuple[str, str], ...] = ()
    """Where one process yields several figures: (part, unit) of each; a case is made of every one."""

    def case(self, baseline: str) -> Case:
        """The empty case of the result."""
        return Case(
            suite=self.suite,
            name=self.name,
            part=self.part,
            size=self.size,
            group=self.group or self.name,
            unit=self.unit,
            baseline=baseline,
            items=self.items,
            axis=self.axis,
            at=self.at,
        )

    @property
    def keys(self) -> list[str]:
        """The `Case.key` of each of its cases."""
        return [replace(self, part=part).case("").key for part, _ in self.parts or ((self.part, self.unit),)]


@dataclass
class Prepared:
    """A candidate's answer once it is ready to be timed."""

    results: dict[str, np.ndarray]
    """A part of what it computed, by name, the same part in every candidate; see `digest`."""
    allowed: float = 0.0
    """The largest difference that may be timed, relative to rms + |value|."""
    flops: float = 0.0
    bytes: float = 0.0
    note: str = ""


@dataclass
class Problem:
    """A candidate's answer where it cannot: `state` is SKIPPED or FAILED of `result`."""

    state: str
    reason: str


@dataclass
class Round:
    """A candidate's answer to a round of steps: seconds for each step."""

    seconds: float
    gpu_seconds: float = 0.0
    launch_seconds: float = 0.0


MOST_NUMBERS = 1 << 16


def digest(array: Any) -> np.ndarray:
    """At most `MOST_NUMBERS` numbers of an array, at places that depend on its shape only, and its root mean square.

    Whole outputs would be hundreds of megabytes between processes. The places are drawn at random, without replacement.
    """
    array = np.asarray(array)
    flat = np.ascontiguousarray(array).reshape(-1).astype(np.float64)
    mean_square = float(np.sqrt(np.mean(flat**2))) if flat.size else 0.0
    if flat.size > MOST_NUMBERS:
        rng = np.random.default_rng(array.shape)
        flat = flat[np.sort(rng.choice(flat.size, MOST_NUMBERS, replace=False))]
    return np.append(flat, mean_square)
