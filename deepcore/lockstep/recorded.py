"""One step on one device, recorded so that its parts can be run again alone, also rounded to another device's dtype."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepcore.autograd.observer import observe
from deepcore.backends import get_backend
from deepcore.lockstep.ledger import distance, norm
from deepcore.lockstep.replica import Replica, State
from deepcore.lockstep.tape import Application, Held, Tape, hold, release
from deepcore.nn import Module
from deepcore.random import default_generator


@dataclass
class Run:
    """One device's step, as it was recorded."""

    replica: Replica
    start: State
    applications: list[Application] = field(default_factory=list)
    grads: dict[str, np.ndarray] = field(default_factory=dict)
    modules: dict[str, tuple[Any, tuple[int, int]]] = field(default_factory=dict)
    """For each module with floating buffers: the arguments of its first call, and the generator's state then."""
    finite: bool = True


def record(run: Run, batch: tuple[np.ndarray, ...], drawn: Any) -> None:
    """The step once more on one device, with every application kept."""
    replica = run.replica
    replica.load(run.start)
    replica.optimizer.zero_grad()
    recording = replica.recording
    tape = Tape(lambda: recording.module)

    def watch(name: str, module: Module, args: tuple[Any, ...]) -> None:
        if name not in run.modules and any(b.dtype.kind in "fV" for b in module.buffers(recurse=False)):
            run.modules[name] = hold(args, replica.backend), default_generator.get_state()

    recording.watch_inputs = watch
    try:
        with replica.running(drawn), observe(tape), recording.on():
            loss = replica.forward(batch)
            run.finite = bool(np.isfinite(replica.host(loss)).all())
            if run.finite:
                loss.backward()
    finally:
        recording.watch_inputs = None
        recording.clear()
    run.applications = tape.close()
    for name, param in replica.parameters.items():
        if param.grad is not None:
            run.grads[name] = replica.host(param.grad).copy()


def rounded(app: Application, dtype: np.dtype) -> Application:
    """An application whose floating values are rounded to a device's dtype."""
    backend = get_backend("numpy")

    def cast(value: Any) -> Any:
        return hold(release(value, backend, dtype), backend)

    grads = None if app.grads is None else cast(app.grads)
    return dataclasses.replace(app, options=cast(app.options), inputs=cast(app.inputs), grads=grads)


def rounded_run(run: Run, dtype: np.dtype) -> Run:
    """A run whose state and gradients are rounded to a device's dtype."""

    def cast(value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype.kind in "fV":
            return value.astype(dtype)
        if isinstance(value, Held):
            return Held(cast(value.array))
        if isinstance(value, dict):
            return {k: cast(v) for k, v in value.items()}
        if type(value) in (tuple, list):
            return type(value)(cast(v) for v in value)
        return value

    start = State(cast(run.start.tensors), cast(run.start.optimizer), run.start.random)
    return Run(run.replica, start, run.applications, cast(run.grads), cast(run.modules))


NEAR = 1e-3
"""Inputs of two devices that differ relatively by less than that have the same noise."""


def close(a: Application, b: Application) -> bool:
    """Whether an op's inputs and gradients on two devices are nearly equal."""
    pairs = zip([*a.inputs, *(a.grads or [])], [*b.inputs, *(b.grads or [])], strict=False)
    for x, y in pairs:
        if isinstance(x, Held) != isinstance(y, Held):
            return False
        if not isinstance(x, Held) or x.array.dtype.kind not in "fV":
            continue
        if x.array.shape != y.array.shape or distance(x.array, y.array) > NEAR * norm(x.array):
            return False
    return True


def moved_to(exact: Any, base: Any, sample: Any) -> Any:
    """A run's results with the difference that `sample` has from `base`."""

    def moved(e: Any, b: Any, s: Any) -> Any:
        if e is None or b is None or s is None or e.shape != s.shape:
            return None
        if e.dtype.kind not in "fV":
            return np.where(s == b, e, s)
        with np.errstate(all="ignore"):
            return e + (s.astype(np.float64) - b)

    return tuple(
        [moved(*three) for three in zip(*sides, strict=False)] for sides in zip(exact, base, sample, strict=True)
    )


def method_error(backend: Any, method: str, args: Any, kwargs: Any, result: Any) -> float:
    """How far a method's result is from the reference's in float64, relative to its norm."""
    reference = get_backend("numpy")
    wide = release(hold(list(args), backend), reference, np.float64)
    named = release(hold(kwargs, backend), reference, np.float64)
    try:
        with reference.quiet():
            right = getattr(reference, method)(*wide, **named)
    except Exception:  # what only this backend has, or takes
        return 0.0
    worst = 0.0
    pairs = zip(
        result if type(result) is tuple else (result,), right if type(right) is tuple else (right,), strict=False
    )
    for y, z in pairs:
        if isinstance(y, backend.array_type) and y.shape == z.shape:
            d = distance(reference.to_host(z), backend.to_host(y))
            worst = max(worst, d / (norm(z) or 1.0))
    return worst
