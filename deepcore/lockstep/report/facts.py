"""Numbers that all reports take from a comparison: distances in units of their bound, and relative to the quantity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from deepcore.lockstep.result import EXACT, Comparison, Event, Quantity, Track, pair_key

CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")


class Nearest(NamedTuple):
    """Where one quantity came nearest to its bound, or went farthest beyond it: the step, and the two that differ."""

    quantity: Quantity
    step: int
    a: str
    b: str
    distance: float
    bound: float
    norm: float

    @property
    def ratio(self) -> float:
        """The distance as a multiple of its bound."""
        return float(ratios([self.distance], [self.bound])[0])


def ratios(distances: Sequence[float], bounds: Sequence[float]) -> np.ndarray:
    """distance / bound, float64; 0 where both are 0, infinity where only the bound is or the distance is not a number.

    >>> ratios([1.0, 0.0, 2.0], [4.0, 0.0, 0.0]).tolist()
    [0.25, 0.0, inf]
    """
    distance, bound = _same_length(distances, bounds)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(distance == 0, 0.0, distance / bound)
    return np.where(np.isnan(ratio), np.inf, ratio)


def relative(distances: Sequence[float], norms: Sequence[float]) -> np.ndarray:
    """distance / norm, float64; NaN where that has no place on a log scale (a distance of 0, or no norm).

    >>> relative([1.0, 0.0], [4.0, 4.0]).tolist()
    [0.25, nan]
    """
    distance, norm = _same_length(distances, norms)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = distance / norm
    return np.where(np.isfinite(value) & (value > 0), value, np.nan)


def _same_length(a: Sequence[float], b: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays, as long as the shorter one: a run that was stopped may lack the last entry of some."""
    size = min(len(a), len(b))
    return np.asarray(a[:size], np.float64), np.asarray(b[:size], np.float64)


def series(comparison: Comparison, track: Track) -> Iterator[tuple[str, str, list[float]]]:
    """(a, b, distances) of the track: every device against EXACT, then every two devices."""
    for device in comparison.settings.devices:
        if device.name in track.to_exact:
            yield device.name, EXACT, track.to_exact[device.name]
    for a, b in comparison.settings.pairs:
        if pair_key(a, b) in track.between:
            yield a, b, track.between[pair_key(a, b)]


def nearest(comparison: Comparison) -> list[Nearest]:
    """For each quantity the place nearest to its bound; the nearest of all first."""
    found = [place for track in comparison.tracks if (place := _nearest_of(comparison, track)) is not None]
    return sorted(found, key=lambda place: (-place.ratio, place.quantity.index))


def _nearest_of(comparison: Comparison, track: Track) -> Nearest | None:
    best: Nearest | None = None
    for a, b, distances in series(comparison, track):
        values = ratios(distances, track.bound)
        if not values.size:
            continue
        step = int(values.argmax())
        place = Nearest(track.quantity, step, a, b, distances[step], track.bound[step], track.norm[step])
        if best is None or place.ratio > best.ratio:
            best = place
    return best


def largest_ratio(comparison: Comparison, step: int) -> float:
    """The largest distance of all at a step, as a multiple of its bound."""
    table = heat(comparison, comparison.tracks)[:, step]
    return float(np.nanmax(table, initial=0.0))


def heat(comparison: Comparison, tracks: Sequence[Track]) -> np.ndarray:
    """(quantities, steps) float64: the largest distance of each as a multiple of its bound; NaN for steps not run."""
    table = np.full((len(tracks), max(comparison.steps, 1)), np.nan)
    for row, track in zip(table, tracks, strict=True):
        for _, _, distances in series(comparison, track):
            values = ratios(distances, track.bound)[: row.size]
            row[: values.size] = np.fmax(row[: values.size], values)
    return table


def of_kind(comparison: Comparison, *kinds: str) -> list[Track]:
    """The tracks of these kinds, in the order of execution, without containers, whose values are those of their last
    module: each value is shown once."""
    return [
        track
        for track in comparison.tracks
        if track.quantity.kind in kinds
        and not (
            track.quantity.kind in ("output", "output_grad")
            and (track.quantity.type in CONTAINERS or not track.quantity.name)
        )
    ]


def track_of(comparison: Comparison, kind: str) -> Track | None:
    """The one track of a kind that there is once: "loss" or "weights"."""
    return next((track for track in comparison.tracks if track.quantity.kind == kind), None)


def step_to_show(comparison: Comparison) -> int:
    """The step whose layers are shown: that of the fault, else of the first event, else the last that says much."""
    fault = comparison.fault
    if fault is not None:
        return fault.step
    if comparison.first is not None:
        return comparison.first.step
    last = comparison.steps - 1
    if comparison.power_lost is not None and not comparison.settings.resync:
        last = min(last, comparison.power_lost - 1)
    return max(last, 0)


def events_by_step(comparison: Comparison) -> dict[int, list[Event]]:
    """The events, grouped by their step."""
    grouped: dict[int, list[Event]] = {}
    for event in comparison.events:
        grouped.setdefault(event.step, []).append(event)
    return grouped


def same_bits(comparison: Comparison) -> int:
    """How many steps from the first on all devices gave equal bits in every quantity."""
    equal = 0
    for step in range(comparison.steps):
        for track in comparison.tracks:
            if any(step < len(d) and d[step] != 0 for d in track.between.values()):
                return equal
        equal += 1
    return equal
