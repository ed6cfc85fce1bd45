"""Which op first makes a NaN or an infinity."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.autograd.finite import Finder
from deepcore.autograd.observer import observe
from deepcore.lockstep.replica import Replica


def first_non_finite(replica: Replica, batch: tuple[np.ndarray, ...], drawn: Any) -> str:
    """Words for the first op of a step's forward with a result that is not finite, "" inputs included."""
    if not all(np.isfinite(a).all() for a in batch if a.dtype.kind == "f"):
        return "the batch itself holds one"
    finder = Finder(lambda: replica.recording.module)
    with replica.running(drawn), observe(finder), replica.recording.on():
        replica.forward(batch)
    replica.recording.clear()
    if finder.first is None:
        return "no op of the forward makes one"
    came = "" if finder.first.fresh else ", which got one already"
    return f"the first op to make one is {finder.first.op} in {finder.first.module or 'the model or the loss'}{came}"
