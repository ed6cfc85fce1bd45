"""Which op first makes a NaN or an infinity."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.autograd.observer import observe
from deepcore.lockstep.replica import Replica


class _Finder:
    """An observer that remembers the first op with a result that is not finite while its inputs were."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.found = ""

    def forward(self, fn: Any, arrays: list[Any]) -> Any:
        with fn.backend.quiet():
            result = fn.forward(*arrays)
        if not self.found and not all(_finite(fn, y) for y in (result if type(result) is tuple else (result,))):
            module = self.replica.recording.module
            came = "" if all(_finite(fn, x) for x in arrays) else ", which got one already"
            self.found = f"the first op to make one is {fn.name} in {module or 'the model or the loss'}{came}"
        return result

    def backward(self, fn: Any, grads: list[Any]) -> Any:
        return fn.backward(*grads)


def _finite(fn: Any, array: Any) -> bool:
    backend = fn.output_backend or fn.backend
    if isinstance(array, np.generic):  # NumPy's 0-d results are no arrays
        return array.dtype.kind != "f" or bool(np.isfinite(array))
    if not isinstance(array, backend.array_type):
        return True
    host = backend.to_host(array)
    return host.dtype.kind != "f" or bool(np.isfinite(host).all())


def first_non_finite(replica: Replica, batch: tuple[np.ndarray, ...], drawn: Any) -> str:
    """Words for the first op of a step's forward with a result that is not finite, "" inputs included."""
    finder = _Finder(replica)
    if not all(np.isfinite(a).all() for a in batch if a.dtype.kind == "f"):
        return "the batch itself holds one"
    with replica.running(drawn), observe(finder), replica.recording.on():
        replica.forward(batch)
    replica.recording.clear()
    return finder.found or "no op of the forward makes one"
