"""The sentences of a verdict, and what in a step made a difference grow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepcore.lockstep.ledger import distance, norm
from deepcore.lockstep.result import Replay, Verdict
from deepcore.lockstep.tape import Application, Held


def number(x: float) -> str:
    """A number in few digits."""
    return "infinity" if math.isinf(x) else f"{x:,.0f}" if 100 <= abs(x) < 1e6 else f"{x:.3g}"


def where(replay: Replay) -> str:
    """`in layer1.conv (Conv2d)`."""
    return f"in {replay.module} ({replay.type})" if replay.module else "outside of any sub-module"


def text(verdict: Verdict) -> str:
    """The sentences of a verdict."""
    worst = verdict.worst
    if verdict.cause == "rounding":
        if worst is None:
            return f"Step {verdict.step}: nothing was computed."
        close = f"The nearest to its allowance is {worst.op} {worst.direction} {where(worst)} on {worst.device}"
        grown = f" {verdict.amplifier}" if verdict.amplifier else ""
        return (
            f"Step {verdict.step}: rounding. Each of {verdict.replayed} ops is right on its own inputs, on every "
            f"device, and so are the update and the buffers. {close}: {number(worst.times_allowed)} of it.{grown}"
        )
    assert worst is not None
    called = f", method {verdict.method}" if verdict.method else ""
    subject = {
        "step": f"the update of {worst.op}",
        "buffer": f"the buffer {worst.op}",
    }.get(worst.direction, f"{worst.op} {worst.direction} {where(worst)}")
    if not worst.repeatable:
        return (
            f"Step {verdict.step}: {subject} is not repeatable on {verdict.device}{called}: the same bits went in "
            f"several times and other bits came out. Something is read before it is written, or written twice."
        )
    element = f"[{', '.join(map(str, worst.index))}]" if worst.index else ""
    over = " (it overflows)" if math.isinf(worst.value) and math.isfinite(worst.exact) else ""
    size = (
        f": an error of {number(worst.error_eps)} eps, {number(worst.times_allowed)} times what the tolerance table "
        "allows."
        if math.isfinite(worst.times_allowed)
        else "."
    )
    return (
        f"Step {verdict.step}: {subject} is wrong on {verdict.device}{called}. With the inputs of {worst.inputs_of}, "
        f"{worst.result}{element} is {worst.value:.9g}{over} and in float64 {worst.exact:.9g}{size}"
    )


def skipped(ops: Sequence[str]) -> str:
    """The ops that could not be judged, as a sentence to append; "" for none."""
    return f" Not judged, because they cannot be run alone: {'; '.join(ops)}." if ops else ""


def different_programs(runs: Sequence[Any]) -> str:
    """Why two runs are not the same program: other ops, or other constants; "" if they are."""
    first = runs[0]
    for run in runs[1:]:
        a, b = first.replica.name, run.replica.name
        for x, y in zip(first.applications, run.applications, strict=False):
            if (x.name, x.kind, x.module) != (y.name, y.kind, y.module):
                return (
                    f"The devices run different programs: op {x.number} is {x.name} in {x.module or 'the model'} on "
                    f"{a}, {y.name} in {y.module or 'the model'} on {b}."
                )
            for u, v in zip(x.inputs, y.inputs, strict=False):
                if isinstance(u, bool | int | float) and isinstance(v, bool | int | float) and u != v:
                    place = x.module or "the model"
                    return (
                        f"The devices run different programs: {x.name} in {place} gets the number {u!r} on {a} and "
                        f"{v!r} on {b}; something outside of the recorded ops differs."
                    )
        if len(first.applications) != len(run.applications) and first.finite == run.finite:
            return (
                f"The devices run different programs: {len(first.applications)} ops on {a}, "
                f"{len(run.applications)} on {b}."
            )
    return ""


class Amplifier:
    """Finds the op after which the first two devices differ the most, compared with before it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.growth = 1.0
        self.words = ""

    def see(self, own: Sequence[tuple[Application, Sequence[Any]]]) -> None:
        """own: for each device the application and its outputs on its own inputs."""
        (a, outs_a), (b, outs_b) = own[0], own[1]
        before = _relative(_floats(a.inputs), _floats(b.inputs))
        after = _relative(_arrays(outs_a), _arrays(outs_b))
        if before <= 0 or not math.isfinite(after):
            return
        if after / before > self.growth:
            self.growth = after / before
            place = a.module or "the model"
            self.words = (
                f"The difference between {self.names[0]} and {self.names[1]} grows the most in {a.name} in {place}: "
                f"{number(self.growth)} times{_flips(a, b, outs_a, outs_b)}."
            )

    def text(self) -> str:
        """One sentence, or ""."""
        return self.words


def _floats(inputs: Sequence[Any]) -> list[np.ndarray]:
    return [x.array for x in inputs if isinstance(x, Held) and x.array.dtype.kind == "f"]


def _arrays(outputs: Sequence[Any]) -> list[np.ndarray]:
    return [y for y in outputs if y is not None and y.dtype.kind == "f"]


def _relative(xs: Sequence[np.ndarray], ys: Sequence[np.ndarray]) -> float:
    """The largest relative distance of two lists of arrays."""
    pairs = [(x, y) for x, y in zip(xs, ys, strict=False) if x.shape == y.shape and norm(x) > 0]
    return max((distance(x, y) / norm(x) for x, y in pairs), default=0.0)


def _flips(a: Application, b: Application, outs_a: Sequence[Any], outs_b: Sequence[Any]) -> str:
    """Branches that the two devices take differently: a sign at a kink, another place of a maximum."""
    places = [(x, y) for x, y in zip(outs_a, outs_b, strict=False) if x is not None and x.dtype.kind in "iub"]
    if "relu" in a.name or a.name in ("prelu", "abs", "hardtanh"):
        pairs = zip(_floats(a.inputs)[:1], _floats(b.inputs)[:1], strict=True)
        places += [(x > 0, y > 0) for x, y in pairs]
    for x, y in places:
        if x.shape == y.shape and (x != y).any():
            count = int((x != y).sum())
            at = tuple(int(i) for i in np.argwhere(x != y)[0])
            return f", where {count} of {x.size} elements take another branch, the first at {at}"
    return ""
