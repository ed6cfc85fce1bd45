"""A comparison as JSON, for other programs.

Version 1. One object with

- "schema": "deepcore.compare", "version": 1; "deepcore": the version that wrote it; "command": how it was called, or ""
- "ok": whether rounding explains all that was seen; "headline": the verdict in a sentence; "sentences": the rest of it
- "settings", "steps", "seconds", "stopped", "losses", "power", "power_lost", "growth": as in `result.Comparison`
- "pairs": the names of every two devices
- "tracks": a list of `result.Track`. A track has its "quantity" (`result.Quantity` and its "label") and lists over the
  steps: "norm", "noise", "bound", "to_exact" by device, "between" by `result.pair_key`
- "events": a list of `result.Event`; its "quantity" is the place of that quantity in "tracks"; with "ratio"
- "verdicts": a list of `result.Verdict`, its "event" the place in "events" or null; "fault": the place in
  "verdicts" of the first fault, or null

The fields keep the names and meanings that `deepcore.lockstep.result` gives them; distances are rounded to 7 digits.
Numbers that JSON lacks are the texts "NaN", "Infinity" and "-Infinity". A later version may add fields; one that takes
away a field or changes a meaning has another number.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from deepcore.lockstep.report import words
from deepcore.lockstep.result import Comparison, Event, Track, Verdict

SCHEMA, VERSION = "deepcore.compare", 1
DIGITS = 7


def to_json(comparison: Comparison, command: str = "") -> str:
    """The whole comparison as JSON text; see the top of this file."""
    return json.dumps(to_dict(comparison, command), allow_nan=False, indent=None, separators=(",", ":")) + "\n"


def to_dict(comparison: Comparison, command: str = "") -> dict[str, Any]:
    """What `to_json` writes, as plain dictionaries, lists, texts and numbers."""
    places = {id(track.quantity): place for place, track in enumerate(comparison.tracks)}
    by_value = {track.quantity: place for place, track in enumerate(comparison.tracks)}
    events = [
        _event(event, places.get(id(event.quantity), by_value.get(event.quantity))) for event in comparison.events
    ]
    fault = comparison.fault
    tree = {
        "schema": SCHEMA,
        "version": VERSION,
        "deepcore": version("deepcore"),
        "command": command,
        "ok": comparison.ok,
        "headline": words.headline(comparison),
        "sentences": words.sentences(comparison),
        "settings": dataclasses.asdict(comparison.settings),
        "pairs": [list(pair) for pair in comparison.settings.pairs],
        "steps": comparison.steps,
        "seconds": comparison.seconds,
        "stopped": comparison.stopped,
        "power": _rounded(comparison.power),
        "power_lost": comparison.power_lost,
        "growth": comparison.growth,
        "losses": comparison.losses,
        "events": events,
        "verdicts": [_verdict(verdict, comparison) for verdict in comparison.verdicts],
        "fault": None if fault is None else next(i for i, v in enumerate(comparison.verdicts) if v is fault),
        "tracks": [_track(track) for track in comparison.tracks],
    }
    return _plain(tree)


def _track(track: Track) -> dict[str, Any]:
    return {
        "quantity": dataclasses.asdict(track.quantity) | {"label": track.quantity.label},
        "norm": _rounded(track.norm),
        "noise": _rounded(track.noise),
        "bound": _rounded(track.bound),
        "to_exact": {name: _rounded(values) for name, values in track.to_exact.items()},
        "between": {name: _rounded(values) for name, values in track.between.items()},
    }


def _event(event: Event, place: int | None) -> dict[str, Any]:
    fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    return fields | {"quantity": place, "label": event.quantity.label, "ratio": event.ratio}


def _verdict(verdict: Verdict, comparison: Comparison) -> dict[str, Any]:
    tree = dataclasses.asdict(verdict)
    place = next((i for i, event in enumerate(comparison.events) if event is verdict.event), None)
    if place is None and verdict.event in comparison.events:
        place = comparison.events.index(verdict.event)
    return tree | {"event": place, "is_fault": verdict.is_fault}


def _rounded(values: list[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


def _plain(value: Any) -> Any:
    """The tree with JSON's own types only."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if value is None or isinstance(value, str | bool | int):
        return value
    return _plain(value.item())  # a number of NumPy
