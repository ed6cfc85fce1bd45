"""`compare`: the same training on several devices, step by step, beside a float64 shadow and noisy copies of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore import functional as F
from deepcore import optim
from deepcore.backends import get_backend
from deepcore.dtypes import finfo
from deepcore.errors import ConfigError, RunError, got, message
from deepcore.lockstep.batches import check_repeats, fetch
from deepcore.lockstep.bisect import Bisection
from deepcore.lockstep.ledger import FACTOR, Ledger, growth_per_step
from deepcore.lockstep.noise import Noise
from deepcore.lockstep.overflow import first_non_finite
from deepcore.lockstep.places import Place, find
from deepcore.lockstep.replica import Entry, Replica, State
from deepcore.lockstep.result import EXACT, Comparison, Event, Quantity, Settings, Track, pair_key
from deepcore.nn import Module
from deepcore.random import default_generator

BISECTIONS = 10
"""At most so many steps of a run are bisected on the way; after the first fault none is."""

WORSE = 4.0
"""A step is bisected when something left its bound, or when the worst ratio is so many times the last bisected one."""


def sgd(params: Any) -> Any:
    """The optimiser of a comparison that names none: SGD with learning rate 0.1 and momentum 0.9."""
    return optim.SGD(params, lr=0.1, momentum=0.9)


def compare(
    model_fn: Callable[[], Module],
    batch_fn: Callable[[int], Any],
    devices: Any = ("numpy", "cpu"),
    steps: int = 100,
    *,
    loss_fn: Callable[..., Any] = F.cross_entropy,
    optimizer_fn: Callable[[Any], Any] = sgd,
    seed: int = 0,
    shadows: int = 2,
    resync: int = 0,
    stop_at_first: bool = False,
    on_step: Callable[[int, Comparison], Any] | None = None,
) -> Comparison:
    """Train a model on two or more devices in lockstep, and find the first step, module and op where they differ.

    model_fn: builds the model; the weights are made once, on the first device, and copied. batch_fn(step): (inputs...,
    targets), NumPy arrays or tensors on the host; the loss is loss_fn(model(*inputs), targets).
    devices: two or more of "cpu", "cuda:0", "cpu@float16" (the same device in another precision; also @float32,
    @float64, @tf32), "path/to/file.py:ClassName" (a subclass of Backend), any registered device, or a Backend class.
    optimizer_fn: makes the optimiser from the parameters. seed: of weights, dropout and noise.
    shadows: noisy float64 copies, which measure what rounding explains. resync: every so many steps all copies take
    over the first device's state (0: never). stop_at_first: end after the first step with an event or a fault.
    on_step(step, comparison): called after each step; the run ends when it returns True.

    docs/comparing.md says how it works and how to read the result. Raises ConfigError, DeviceError, DataError and
    RunError for what cannot be compared.

    >>> import numpy as np
    >>> import deepcore as dc
    >>> def batch(step):
    ...     random = np.random.default_rng(step)
    ...     return random.normal(size=(8, 4)).astype("float32"), random.integers(0, 3, 8)
    >>> dc.compare(lambda: dc.nn.Linear(4, 3), batch, ("numpy", "cpu"), steps=3).ok
    True
    """
    for name, value, least in (("steps", steps, 1), ("shadows", shadows, 1), ("resync", resync, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(message("compare", f"{name} as a whole number, at least {least}", f"{name}={value!r}"))
    random = default_generator.get_state()
    try:
        run = _Lockstep(find(devices), model_fn, batch_fn, loss_fn, optimizer_fn, steps, seed, shadows, resync)
        return run.all(stop_at_first, on_step)
    finally:
        default_generator.set_state(random)


class _Lockstep:
    """A comparison that is running."""

    def __init__(
        self,
        places: list[Place],
        model_fn: Callable[[], Module],
        batch_fn: Callable[[int], Any],
        loss_fn: Callable[..., Any],
        optimizer_fn: Callable[[Any], Any],
        steps: int,
        seed: int,
        shadows: int,
        resync: int,
    ) -> None:
        def build(place: Place, noise: Noise | None = None) -> Replica:
            default_generator.manual_seed(seed)
            return Replica(place, model_fn, optimizer_fn, loss_fn, noise)

        self.batch_fn, self.seed = batch_fn, seed
        self.replicas = [build(place) for place in places]
        first = self.replicas[0]
        _check_deterministic(first, build(places[0]))
        described = [replica.place.describe(replica.dtype) for replica in self.replicas]
        self.coarsest = max((replica.dtype for replica in self.replicas), key=lambda d: finfo(d).eps)
        shadow = _shadow_place(places)
        self.exact = build(shadow)
        eps, product_eps = max(d.eps for d in described), max(d.product_eps for d in described)
        self.noisy = [build(shadow, Noise(eps, product_eps, 1000 * seed + i)) for i in range(shadows)]
        start = first.save()
        for name, value in start.tensors.items():
            if value.dtype.kind in "fV":
                start.tensors[name] = value.astype(self.coarsest)
        for replica in self.everyone:
            _check_same_model(first, replica)
            replica.load(start)
        self.settings = Settings(
            tuple(described),
            shadow.describe(np.dtype(np.float64)),
            shadows,
            eps,
            product_eps,
            FACTOR,
            steps,
            seed,
            resync,
            False,
            type(first.model).__name__,
            sum(int(p.array.size) for p in first.parameters.values()),
            getattr(loss_fn, "__name__", type(loss_fn).__name__),
            type(first.optimizer).__name__,
        )
        self.worst: tuple[float, int, list[State]] | None = None
        self.bisected: dict[int, float] = {}

    @property
    def everyone(self) -> list[Replica]:
        return [*self.replicas, self.exact, *self.noisy]

    def all(self, stop_at_first: bool, on_step: Callable[[int, Comparison], Any] | None) -> Comparison:
        """Every step, and at the end the bisection of the worst one."""
        began = time.perf_counter()
        settings = Settings(**{**vars(self.settings), "stop_at_first": stop_at_first})
        result = Comparison(settings, losses={name: [] for name in (*[d.name for d in settings.devices], EXACT)})
        ledger = Ledger(settings, result)
        for step in range(settings.steps):
            if settings.resync and step and step % settings.resync == 0:
                self._resync()
                ledger.forget()
            batch = fetch(self.batch_fn, step, self.coarsest)
            if step == 0:
                check_repeats(self.batch_fn, step, batch, self.coarsest)
            starts = [replica.save() for replica in self.replicas]
            if not self._step(step, batch, starts, ledger, result):
                break
            events = ledger.finish()
            result.steps = step + 1
            self._bisect_if_new(step, batch, starts, events, result)
            self._remember_worst(step, starts, result)
            if on_step is not None and on_step(step, result):
                result.stopped = f"on_step asked for it after step {step}"
                break
            if stop_at_first and (result.events or result.fault):
                result.stopped = f"the first event, at step {step}"
                break
        self._bisect_worst(result)
        weights = result.tracks[-1] if result.tracks else Track(Quantity(0, "weights", "weights", "", "", ()))
        for a, b in settings.pairs:
            result.growth[pair_key(a, b)] = growth_per_step(weights.between.get(pair_key(a, b), ()))
        result.growth["noise"] = growth_per_step(weights.noise)
        result.seconds = time.perf_counter() - began
        return result

    # ---- one step

    def _step(
        self, step: int, batch: tuple[np.ndarray, ...], starts: list[State], ledger: Ledger, result: Comparison
    ) -> bool:
        """Run a step everywhere; False where it ends the run because a device's loss is no number any more."""
        random = starts[0].random
        exact = self._run(self.exact, batch, random)
        loss = _loss(exact)
        if not np.isfinite(loss):
            default_generator.set_state(random)
            where = first_non_finite(self.exact, batch, self.coarsest)
            hint = "the training itself diverges, in float64 too: lower the learning rate, or look at the data"
            raise RunError(message("compare", "a finite loss", f"{loss} at step {step}; {where}", hint))
        ledger.start(exact)
        losses, words = {}, None
        for replica, start in zip(self.replicas, starts, strict=True):
            entries = self._run(replica, batch, random, start)
            words = words or default_generator.get_state()
            if default_generator.get_state() != words:
                found = f"another number on {replica.name} than on {self.replicas[0].name}, at step {step}"
                raise RunError(message("compare", "every device to draw as many random numbers", found))
            losses[replica.name] = _loss(entries)
            if not np.isfinite(losses[replica.name]):
                self._broken(replica, step, batch, starts, losses[replica.name], result)
                return False
            ledger.device(replica.name, entries, last=replica is self.replicas[-1])
        after = default_generator.get_state()
        for noisy in self.noisy:
            ledger.noisy(self._run(noisy, batch, random))
        default_generator.set_state(after)
        for name, value in (losses | {EXACT: loss}).items():
            result.losses[name].append(value)
        return True

    def _run(
        self, replica: Replica, batch: tuple[np.ndarray, ...], random: tuple[int, int], start: State | None = None
    ) -> list[Entry]:
        default_generator.set_state(random)
        return replica.step(batch, self.coarsest, start)

    def _resync(self) -> None:
        state = self.replicas[0].save()
        for replica in self.everyone:
            replica.load(state)

    def _broken(
        self,
        replica: Replica,
        step: int,
        batch: tuple[np.ndarray, ...],
        starts: list[State],
        loss: float,
        result: Comparison,
    ) -> None:
        """A loss that is no number on one device only: a finding, and the end of the run."""
        for track in result.tracks:  # this step is not complete: take back what stands of it
            for series in (track.norm, track.noise, *track.to_exact.values(), *track.between.values()):
                del series[step:]
        replica.load(starts[self.replicas.index(replica)])
        where = first_non_finite(replica, batch, self.coarsest)
        result.stopped = f"the loss is {loss} on {replica.name} at step {step}, and finite in float64; {where}"
        result.verdicts.append(self._bisection(step, batch, starts).verdict(None))

    # ---- bisection

    def _bisection(self, step: int, batch: tuple[np.ndarray, ...], starts: list[State]) -> Bisection:
        return Bisection(self.replicas, self.exact, starts, batch, step, self.coarsest, self.seed)

    def _bisect_if_new(
        self, step: int, batch: tuple[np.ndarray, ...], starts: list[State], events: list[Event], result: Comparison
    ) -> None:
        if not events or result.fault or len(self.bisected) >= BISECTIONS:
            return
        ratio = max(event.ratio for event in events)
        new = [event for event in result.events if event.step == step]
        known = max(self.bisected.values(), default=0.0)
        if not new and ratio < WORSE * known:
            return
        self.bisected[step] = ratio
        result.verdicts.append(self._bisection(step, batch, starts).verdict((new or events)[0]))

    def _remember_worst(self, step: int, starts: list[State], result: Comparison) -> None:
        ratio = max(
            (
                d / track.bound[-1]
                for track in result.tracks
                if track.bound[-1] > 0
                for d in (*[s[-1] for s in track.between.values()], *[s[-1] for s in track.to_exact.values()])
            ),
            default=0.0,
        )
        if self.worst is None or ratio > self.worst[0]:
            self.worst = ratio, step, starts

    def _bisect_worst(self, result: Comparison) -> None:
        """At the end, with or without events: the step whose distance came nearest to its bound, or left it most."""
        if self.worst is None or result.fault or self.worst[1] in self.bisected:
            return
        _, step, starts = self.worst
        batch = fetch(self.batch_fn, step, self.coarsest)
        event = next((e for e in result.events if e.step == step), None)
        result.verdicts.append(self._bisection(step, batch, starts).verdict(event))


def _loss(entries: list[Entry]) -> float:
    return next(float(e.value.reshape(())) for e in entries if e.key.kind == "loss")


def _shadow_place(places: list[Place]) -> Place:
    """Where the shadows run: on "cpu", which is faster, unless a compared device is made of its kernels.

    A fault that is planted in one backend must not be in the shadow too. "numpy" is the plain formulas that every
    other backend is checked against, so it is the shadow whenever "cpu", or a subclass of it, is compared.
    """
    cpu = get_backend("cpu")
    compared = any(isinstance(place.backend, type(cpu)) for place in places)
    return Place(EXACT, get_backend("numpy") if compared else cpu, np.dtype(np.float64))


def _check_deterministic(first: Replica, again: Replica) -> None:
    """Raise ConfigError unless model_fn made the same model twice from one seed."""
    _check_same_model(first, again)
    for name, tensor in (first.parameters | first.buffers).items():
        other = (again.parameters | again.buffers)[name]
        if not np.array_equal(first.host(tensor), again.host(other), equal_nan=tensor.dtype.kind == "f"):
            hint = "draw initial weights from deepcore's generator (nn.init, dc.randn), which compare seeds"
            found = f"other values in {name} at a second call with the same seed"
            raise ConfigError(message("compare", "model_fn to build the same model each time", found, hint))


def _check_same_model(first: Replica, other: Replica) -> None:
    """Raise ConfigError unless two replicas have the same tensors."""
    a, b = first.parameters | first.buffers, other.parameters | other.buffers
    different = sorted(set(a) ^ set(b)) + [name for name in a if name in b and a[name].shape != b[name].shape]
    if different:
        name = different[0]
        values = {key: t for key, t in (("once", a.get(name)), ("then", b.get(name))) if t is not None}
        found = f"{name}: {got(**values)}"
        raise ConfigError(message("compare", "model_fn to build the same model each time", found))
