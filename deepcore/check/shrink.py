"""The smallest case that still fails: fewer options, then shorter axes, then simpler numbers.

A step is kept where the case still fails; `fails` also refuses cases that the oracle or the reference do not take. The
search is greedy and depends on nothing random. Every step makes the case smaller by a measure that cannot shrink for
ever, and the number of tries is bounded, so it ends; a limit in seconds stands behind that for slow ops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepcore.check.opdb import Sample
from deepcore.dtypes import is_floating

TRIES = 400
SECONDS = 10.0
FEW = 32
"""Up to so many elements are made simple one by one."""


@dataclass(frozen=True)
class Shrunk:
    """The smallest sample that was found, and how."""

    sample: Sample
    tries: int
    stopped: str = ""
    """Why the search ended before it was through; empty where it was."""

    def __str__(self) -> str:
        return f"{self.tries} cases tried" + (f", stopped: {self.stopped}" if self.stopped else "")


class _OutOfTries(Exception):
    pass


def shrink(
    sample: Sample,
    fails: Callable[[Sample], bool],
    passes: Sequence[Callable[[Sample], Iterator[Sample]]] | None = None,
    tries: int = TRIES,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Shrunk:
    """The smallest sample for which `fails` still holds.

    `passes` gives the steps to try, (without_options, shorter, simpler) where nothing else is said.
    """
    search = _Search(sample, fails, tries, clock() + seconds, clock)
    passes = (without_options, shorter, simpler) if passes is None else passes
    try:
        while sum(search.improve(candidates) for candidates in passes):  # all of them in each round
            pass
    except _OutOfTries as limit:
        return Shrunk(search.best, search.tried, str(limit))
    return Shrunk(search.best, search.tried)


class _Search:
    def __init__(
        self, sample: Sample, fails: Callable[[Sample], bool], tries: int, end: float, clock: Callable[[], float]
    ) -> None:
        self.best, self.fails, self.limit, self.end, self.clock = sample, fails, tries, end, clock
        self.tried = 0

    def improve(self, candidates: Callable[[Sample], Iterator[Sample]]) -> bool:
        """Take the first candidate that fails, again and again until none does; says whether one did."""
        improved = False
        while (smaller := self._first(candidates)) is not None:
            self.best, improved = smaller, True
        return improved

    def _first(self, candidates: Callable[[Sample], Iterator[Sample]]) -> Sample | None:
        for candidate in candidates(self.best):
            if self.tried >= self.limit:
                raise _OutOfTries("more are not allowed")
            if self.clock() > self.end:
                raise _OutOfTries("its time was up")
            self.tried += 1
            if self.fails(candidate):
                return candidate
        return None


def without_options(sample: Sample) -> Iterator[Sample]:
    """The sample without one keyword argument, so that its default holds; all at once first."""
    if len(sample.kwargs) > 1:
        yield replace(sample, kwargs={})
    for name in sample.kwargs:
        yield replace(sample, kwargs={k: v for k, v in sample.kwargs.items() if k != name})


def shorter(sample: Sample) -> Iterator[Sample]:
    """The sample with shorter axes: all of one length together, pairs of them in two arguments, one alone.

    Axes of equal length mostly belong together (the channels of an image and of a kernel).
    """
    axes = [(i, axis) for i, a in enumerate(sample.args) if isinstance(a, np.ndarray) for axis in range(a.ndim)]
    lengths: dict[int, list[tuple[int, int]]] = {}
    for i, axis in axes:
        lengths.setdefault(sample.args[i].shape[axis], []).append((i, axis))
    for length in sorted((n for n in lengths if n > 1), reverse=True):
        together = lengths[length]
        groups = [together]
        if len(together) > 2:
            groups += [[a, b] for k, a in enumerate(together) for b in together[k + 1 :] if a[0] != b[0]]
        if len(together) > 1:
            groups += [[a] for a in together]
        for group in groups:
            for size in sorted({1, length // 2, length - 1}):
                for part in (slice(None, size), slice(length - size, None)):  # from the start, then from the end
                    yield _cut(sample, group, part)


def _cut(sample: Sample, axes: list[tuple[int, int]], part: slice) -> Sample:
    args = list(sample.args)
    for i, axis in axes:
        args[i] = args[i][(slice(None),) * axis + (part,)].copy()
    return replace(sample, args=tuple(args))


def simpler(sample: Sample) -> Iterator[Sample]:
    """The sample with simpler numbers: arrays of ones or zeros, rounded arrays, then rounded elements.

    Floating numbers do not become zero, where many ops have a kink.
    """
    for i, a in enumerate(sample.args):
        if isinstance(a, np.ndarray) and a.size:
            for b in _simpler_arrays(a):
                if complexity(b) < complexity(a):
                    yield replace(sample, args=(*sample.args[:i], b, *sample.args[i + 1 :]))


def _simpler_arrays(a: np.ndarray) -> Iterator[np.ndarray]:
    if a.dtype.kind in "iub":
        yield np.zeros_like(a)
        return
    if not is_floating(a.dtype):
        return
    yield np.ones_like(a)
    rounded = [_rounded(a, digits) for digits in (0, 1, 2)]
    yield from rounded
    if a.size <= FEW:
        for at in np.ndindex(a.shape):
            for b in (np.ones_like(a), *rounded):
                one = a.copy()
                one[at] = b[at]
                yield one


def _rounded(a: np.ndarray, digits: int) -> np.ndarray:
    """Rounded to so many decimals; what would be zero becomes the smallest such number of its sign."""
    step = 10.0**-digits
    return np.where((np.round(a, digits) == 0) & (a != 0), np.copysign(step, a), np.round(a, digits)).astype(a.dtype)


def complexity(a: np.ndarray) -> int:
    """How much there is to read: the digits of all elements; a one or a zero counts as nothing."""
    return sum(0 if v in (0, 1) else len(repr(v)) for v in np.asarray(a).reshape(-1).tolist())


def describe(sample: Sample) -> str:
    """The arguments in a line: ``(1, 2, 3, 3), (1, 2, 1, 1), None, stride=2``."""
    parts: list[Any] = [str(a.shape) if isinstance(a, np.ndarray) else repr(a) for a in sample.args]
    return ", ".join([*parts, *(f"{name}={value!r}" for name, value in sample.kwargs.items())])
