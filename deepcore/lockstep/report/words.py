"""A comparison in sentences, for somebody who reads about rounding for the first time. Every report says the same."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deepcore.lockstep.report import facts
from deepcore.lockstep.result import EXACT, POWER_LOST, Comparison, Event, Replay, Verdict, pair_key

DIRECTIONS = {
    "forward": "forward",
    "backward": "backward",
    "step": "the update of the weights",
    "buffer": "a buffer",
}
SHAPES = {"jump": "at once", "drift": "slowly"}


def number(value: float) -> str:
    """A measured number with two digits: `0.42`, `3.1e-06`, `0`.

    >>> number(0.4234), number(3.14e-6), number(0.0), number(1234.5), number(3.2e7)
    ('0.42', '3.1e-06', '0', '1,200', '3.2e+07')
    """
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return {math.inf: "infinite", -math.inf: "minus infinite"}.get(value, "not a number")
    if 100 <= abs(value) < 1e6:
        return f"{float(f'{value:.2g}'):,.0f}"
    return f"{value:.2g}" if 0.001 <= abs(value) < 100 else f"{value:.1e}"


def times(ratio: float) -> str:
    """`0.42 of`, `12 times`: a multiple of the bound, to be followed by "the bound".

    >>> times(0.4234), times(12.3), times(float("inf"))
    ('0.42 of', '12 times', 'beyond')
    """
    if not math.isfinite(ratio):
        return "beyond"
    return f"{number(ratio)} of" if ratio < 1 else f"{number(ratio)} times"


def listed(names: Sequence[str]) -> str:
    """`numpy, cpu and cuda`.

    >>> listed(["numpy"]), listed(["numpy", "cpu"]), listed(["a", "b", "c"])
    ('numpy', 'numpy and cpu', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def counted(count: int, thing: str) -> str:
    """`1 step`, `200 steps`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def headline(comparison: Comparison) -> str:
    """The verdict in one sentence."""
    devices = listed([device.name for device in comparison.settings.devices])
    fault = comparison.fault
    if fault is not None:
        return _fault_headline(fault)
    if not comparison.ok:
        return f"{devices} differ by more than rounding explains, and no single op is to blame"
    if not comparison.steps:
        return "Nothing was compared: not one step was run"
    if not comparison.events:
        return f"{devices} agree: rounding explains every difference"
    if comparison.verdicts:
        if all(event.b == EXACT for event in comparison.events):
            return f"{devices} agree; from {EXACT} they differ by more than the bound, and every op is right on its own"
        return f"{devices} come apart, and rounding explains it: every op is right on its own"
    return f"{devices} differ by more than the bound; the comparison ended before the cause was looked for"


def _fault_headline(fault: Verdict) -> str:
    where = f" in {place(fault.worst)}" if fault.worst is not None else ""
    op = fault.worst.op if fault.worst is not None else "an op"
    if fault.cause == "not repeatable":
        return f"{fault.device}: {op}{where} gives other bits each time"
    if fault.cause == "optimizer":
        return f"{fault.device}: the optimiser {op} changes the weights wrongly"
    if fault.cause == "buffer":
        return f"{fault.device}: the buffer {op}{where} is wrong"
    direction = " backward" if fault.worst is not None and fault.worst.direction == "backward" else ""
    if fault.worst is not None and math.isfinite(fault.worst.exact) and not math.isfinite(fault.worst.value):
        return f"{fault.device}: {op}{direction}{where} overflows, where {EXACT} has {number(fault.worst.exact)}"
    return f"{fault.device} computes {op}{direction} wrongly{where}"


def place(replay: Replay) -> str:
    """`conv1 (Conv2d)`, or `the model itself`."""
    if replay.module:
        return f"{replay.module} ({replay.type})" if replay.type else replay.module
    return f"the model ({replay.type})" if replay.type else "the model itself"


def sentences(comparison: Comparison) -> list[str]:
    """What stands under the headline: the cause, what was done, what was seen, how much it can say."""
    said = _causes(comparison)
    said.append(_what_was_done(comparison))
    said += _what_was_seen(comparison)
    said += _what_it_can_say(comparison)
    if comparison.stopped:
        said.append(f"The run ended before its {counted(comparison.settings.steps, 'step')}: {comparison.stopped}.")
    return [sentence for sentence in said if sentence]


def _what_was_done(comparison: Comparison) -> str:
    settings = comparison.settings
    return (
        f"{settings.model} ({settings.parameters:,} weights) was trained for {counted(comparison.steps, 'step')} on "
        f"{listed([d.name for d in settings.devices])} side by side, from the same bits, and once more in "
        f"{settings.shadow.dtype} as the measure. {len(comparison.tracks):,} outputs, gradients and updates were "
        "compared at each step."
    )


def _what_was_seen(comparison: Comparison) -> list[str]:
    if not comparison.steps:
        return []
    said = []
    equal = facts.same_bits(comparison)
    if equal:
        which = "all of them" if equal == comparison.steps else f"the first {counted(equal, 'step')}"
        said.append(f"In {which} the devices gave the same bits everywhere.")
    if comparison.first is not None:
        said.append(first_event(comparison.first))
    else:
        closest = next(iter(facts.nearest(comparison)), None)
        if closest is not None and closest.ratio > 0:
            said.append(
                f"The nearest to its bound was the {closest.quantity.label.removeprefix('the ')} "
                f"at step {closest.step}: {closest.a} and {closest.b} were {times(closest.ratio)} the bound apart."
            )
    return said + _drift(comparison)


def first_event(event: Event) -> str:
    """The first place where the bound was left, in a sentence."""
    against = "its float64 shadow" if event.b == EXACT else event.b
    size = f", {number(event.distance / event.norm)} of its size" if event.norm > 0 else ""
    return (
        f"The first place beyond the bound is the {event.quantity.label.removeprefix('the ')} at step {event.step}: "
        f"{event.a} is {number(event.distance)} from {against}{size}, {times(event.ratio)} the bound. "
        f"It left the bound {SHAPES.get(event.shape, event.shape)} (a {event.shape})."
    )


def _drift(comparison: Comparison) -> list[str]:
    """How far apart the weights are at the end, and how fast that grew."""
    weights = facts.track_of(comparison, "weights")
    if weights is None or not weights.norm or not weights.norm[-1]:
        return []
    said = []
    for a, b in comparison.settings.pairs:
        distances = weights.between.get(pair_key(a, b))
        if distances and distances[-1] > 0:
            growth = comparison.growth.get(pair_key(a, b), math.nan)
            fast = f", and that grows by {100 * (growth - 1):.2g} % a step" if growth > 1.005 else ""
            said.append(
                f"After the last step the weights of {a} and {b} are {number(distances[-1] / weights.norm[-1])} of "
                f"their size apart{fast}; rounding alone would explain {number(weights.bound[-1] / weights.norm[-1])}."
            )
    return said


def _causes(comparison: Comparison) -> list[str]:
    """What running the ops alone has found: the fault, or why there is none."""
    fault = comparison.fault
    if fault is not None:
        return [_ended(fault.text)]
    found = [verdict for verdict in comparison.verdicts if verdict.cause != "rounding" or verdict.event is not None]
    found.sort(key=lambda verdict: verdict.cause == "rounding")  # stable: what is not explained comes first
    said = [_ended(verdict.text) for verdict in found[:1]]
    if len(found) > 1:
        said.append(f"{counted(len(found) - 1, 'other step')} were looked at in the same way.")
    if comparison.ok and any(event.shape == "jump" for event in comparison.events):
        said.append(
            "A jump without a wrong op is what a ReLU or a max-pooling makes of rounding where two numbers are nearly "
            "equal: it decides the other way."
        )
    return said


def _ended(text: str) -> str:
    return text if text.endswith(".") or not text else text + "."


def _what_it_can_say(comparison: Comparison) -> list[str]:
    if comparison.power_lost is None:
        return []
    return [
        f"From step {comparison.power_lost} on, rounding alone explains differences of more than {POWER_LOST:.0%} of "
        "the typical quantity: training has amplified it so far that a comparison there says little. "
        "Compare fewer steps, a smaller learning rate, or bring the devices together again now and then (--resync 20)."
    ]
