"""The distances of a comparison, the bound that rounding explains, and the events at which a distance leaves it.

    noise(t) = largest distance, at step t, of a noisy shadow from the exact one
    bound(t) = FACTOR * max(noise(0), ..., noise(t), eps * norm(t))

so the bound of each quantity is measured, grows with depth and steps as rounding errors do in this very model, and has
one constant for everything. A distance between two devices, or of a device from the exact shadow, that is above the
bound is an event when it was not so at the step before.

Jump or drift: rounding errors, and slow faults, grow by some factor a step. A distance that is more than JUMP times
the largest distance so far, while the noise did not grow as much in that step, left the bound at once: a jump. So did
one that is JUMP times its bound at the first step (or at the first after a resync), which has nothing before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from deepcore.errors import RunError, message
from deepcore.lockstep.replica import Entry, Key
from deepcore.lockstep.result import EXACT, POWER_LOST, Comparison, Event, Quantity, Settings, Track, pair_key

FACTOR = 8.0
"""The bound in units of the noise."""

JUMP = 8.0
"""Growth within one step, beyond the noise's own, that is a jump."""


def norm(x: np.ndarray) -> float:
    """The L2 norm in float64."""
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(x.astype(np.float64).reshape(-1)))


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The L2 norm of a - b in float64; NaN and infinity differ from everything but themselves, infinitely."""
    with np.errstate(all="ignore"):
        d = norm(a.astype(np.float64) - b)
        if not math.isfinite(d):
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            d = norm(np.where(same, 0.0, a.astype(np.float64) - b))
    return d if math.isfinite(d) else math.inf


class Ledger:
    """Fills the tracks and events of a Comparison, step by step."""

    def __init__(self, settings: Settings, result: Comparison) -> None:
        self.settings, self.result = settings, result
        self.keys: list[Key] = []
        self.exact: list[Entry] = []
        self.held: dict[str, list[Entry]] = {}
        # By track: the largest noise and the largest distance of each pair since the last resync.
        self.largest: list[float] = []
        self.before: list[dict[tuple[str, str], float]] = []
        self.outside: list[set[tuple[str, str]]] = []

    def start(self, exact: list[Entry]) -> None:
        """A new step, with what the exact shadow computed."""
        if not self.keys:
            self.keys = [entry.key for entry in exact]
            names = [d.name for d in self.settings.devices]
            for i, key in enumerate(self.keys):
                track = Track(Quantity(i, key.kind, key.name, key.module, key.type, key.shape))
                track.to_exact = {name: [] for name in names}
                track.between = {pair_key(a, b): [] for a, b in self.settings.pairs}
                self.result.tracks.append(track)
            self.forget()
        self.exact, self.held = exact, {}
        self.check(f"the {EXACT} shadow", exact)
        for track, entry in zip(self.result.tracks, exact, strict=True):
            track.norm.append(norm(entry.value))
            track.noise.append(0.0)

    def forget(self) -> None:
        """After a resync all copies are equal again: what was largest before it no longer matters."""
        self.largest = [0.0] * len(self.keys)
        self.before = [{} for _ in self.keys]
        self.outside = [set() for _ in self.keys]

    def check(self, name: str, entries: Sequence[Entry]) -> None:
        """Raise RunError unless a replica computed the same quantities, in the same order, as those before it."""
        step = self.result.steps
        for expected, entry in zip(self.keys, entries, strict=False):
            if entry.key != expected:
                hint = "the model takes another way there; forward must not depend on the device or on rounding"
                found = f"{_words(entry.key)} on {name}, at step {step}"
                raise RunError(message("compare", f"{_words(expected)}, as at the start of the run", found, hint))
        if len(entries) != len(self.keys):
            found = f"{len(entries)} on {name}, at step {step}"
            raise RunError(message("compare", f"{len(self.keys)} quantities, as at the start of the run", found))

    def device(self, name: str, entries: list[Entry], last: bool) -> None:
        """What a device computed at this step; `last` when no other device comes after it."""
        self.check(name, entries)
        for i, (track, entry) in enumerate(zip(self.result.tracks, entries, strict=True)):
            track.to_exact[name].append(distance(entry.value, self.exact[i].value))
            for other, held in self.held.items():
                track.between[pair_key(other, name)].append(distance(held[i].value, entry.value))
        if not last:
            self.held[name] = entries

    def noisy(self, entries: list[Entry]) -> None:
        """What a noisy shadow computed at this step."""
        self.check("a noisy shadow", entries)
        for i, (track, entry) in enumerate(zip(self.result.tracks, entries, strict=True)):
            track.noise[-1] = max(track.noise[-1], distance(entry.value, self.exact[i].value))

    def finish(self) -> list[Event]:
        """Close the step: bounds, events (all that are outside of their bound now), power."""
        self.exact, self.held = [], {}
        new, outside, parts = [], [], []
        for i, track in enumerate(self.result.tracks):
            grown = max(self.largest[i], track.noise[-1])
            growth = grown / self.largest[i] if self.largest[i] > 0 else 1.0
            self.largest[i] = grown
            bound = FACTOR * max(grown, self.settings.eps * track.norm[-1])
            track.bound.append(bound)
            if track.norm[-1] > 0:
                parts.append(bound / track.norm[-1])
            for event in self._events(i, track, bound, growth):
                outside.append(event)
                if (event.a, event.b) not in self.outside[i]:
                    new.append(event)
            self.outside[i] = {(e.a, e.b) for e in outside if e.quantity is track.quantity}
        self.result.events += new
        self.result.power.append(float(np.median(parts)) if parts else 0.0)
        if self.result.power_lost is None and self.result.power[-1] > POWER_LOST:
            self.result.power_lost = len(self.result.power) - 1
        return outside

    def _events(self, i: int, track: Track, bound: float, growth: float) -> list[Event]:
        """The distances of one quantity that are outside of the bound at this step."""
        found = []
        measured = {pair: track.between[pair_key(*pair)][-1] for pair in self.settings.pairs}
        measured |= {(name, EXACT): values[-1] for name, values in track.to_exact.items()}
        for (a, b), d in measured.items():
            previous = self.before[i].get((a, b))
            if d > bound:
                shape = "jump" if _jumps(d, previous, bound, growth) else "drift"
                step = len(track.bound) - 1
                found.append(Event(step, track.quantity, a, b, d, bound, track.norm[-1], shape))
            self.before[i][a, b] = max(d, previous or 0.0)
        return found


def _jumps(d: float, previous: float | None, bound: float, growth: float) -> bool:
    if previous is None:
        return d > JUMP * bound
    return d > JUMP * growth * max(previous, bound / FACTOR / growth)


def _words(key: Key) -> str:
    return f"{key.kind} {key.name or 'of the model'} ({key.type}) {key.shape}"


def growth_per_step(values: Sequence[float]) -> float:
    """The factor by which a series grows in a step: a line through its logarithms; 1.0 for fewer than 3 steps."""
    points = [(t, math.log(v)) for t, v in enumerate(values) if v > 0 and math.isfinite(v)]
    if len(points) < 3:
        return 1.0
    t, y = np.array(points).T
    return float(np.exp(np.polyfit(t, y, 1)[0]))
