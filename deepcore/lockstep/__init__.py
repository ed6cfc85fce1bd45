"""`deepcore.compare`: the same training on several devices in lockstep, and the first place where they differ.

- `result`: the plain data that a comparison returns;
- `run`: the loop; `replica`: one copy of the training; `places`: what a device may be;
- `noise`: Monte Carlo arithmetic; `ledger`: distances, bounds, events;
- `bisect`: one step again, op by op; `tape`, `judge`, `wording`: its parts.

docs/comparing.md explains the method.
"""

from __future__ import annotations

from deepcore.lockstep.result import (
    EXACT,
    KINDS,
    POWER_LOST,
    Comparison,
    Device,
    Event,
    Quantity,
    Replay,
    Settings,
    Track,
    Verdict,
    pair_key,
)
from deepcore.lockstep.run import compare

__all__ = [
    "EXACT",
    "KINDS",
    "POWER_LOST",
    "Comparison",
    "Device",
    "Event",
    "Quantity",
    "Replay",
    "Settings",
    "Track",
    "Verdict",
    "compare",
    "pair_key",
]
