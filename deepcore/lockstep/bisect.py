"""Which op is wrong: one step is run again, and each of its ops alone, on the inputs of each device.

Every application of a Function in the step is kept as it was on each device (deepcore.lockstep.tape). Each is then run
alone, forward and backward, with the inputs, options and incoming gradients of one device, on every device and in
float64 on the reference, and judged (deepcore.lockstep.judge). An op that is right on its own inputs is right, however
far the two runs have drifted apart; so a ReLU that two devices enter on different sides of zero convicts nobody. Then
come the optimiser, from one device's parameters and gradients, and the modules that write buffers, from one device's
inputs.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepcore.autograd import wrap
from deepcore.autograd.observer import observe
from deepcore.backends import get_backend
from deepcore.lockstep import wording
from deepcore.lockstep.judge import SAMPLES, Judgement, judge, reduction_length
from deepcore.lockstep.noise import PRODUCTS, Noise, TiedNoise
from deepcore.lockstep.recorded import Run, close, method_error, moved_to, record, rounded, rounded_run
from deepcore.lockstep.replica import Replica, State
from deepcore.lockstep.result import Event, Replay, Verdict
from deepcore.lockstep.tape import Application, calls, tensors_of
from deepcore.random import default_generator
from deepcore.tensor import Tensor

REPEATS = 3
"""How often an op is given the same bits on the device whose inputs they are."""

KEPT = 20
"""Replays in a verdict."""


class Who(NamedTuple):
    """Whose replay it is: the first fields of a Replay."""

    op: str
    direction: str
    module: str
    type: str
    device: str
    inputs_of: str


class Bisection:
    """The bisection of one step.

    replicas: of the devices; exact: the float64 shadow; starts: the states of the replicas at the start of the step;
    drawn: the dtype that random numbers are drawn in.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        exact: Replica,
        starts: Sequence[State],
        batch: tuple[np.ndarray, ...],
        step: int,
        drawn: Any,
        seed: int,
    ) -> None:
        self.runs = [Run(r, s) for r, s in zip(replicas, starts, strict=True)]
        self.exact, self.batch, self.step, self.drawn, self.seed = exact, batch, step, drawn, seed
        self.reference = get_backend("numpy")
        self.replays: list[Replay] = []
        self.places: dict[int, tuple[int, int]] = {}
        self.skipped: list[str] = []

    def verdict(self, event: Event | None) -> Verdict:
        """Run everything; the replicas are left as they were."""
        with self._undone():
            for run in self.runs:
                record(run, self.batch, self.drawn)
            other = wording.different_programs(self.runs)
            if other:
                return Verdict(self.step, "unexplained", other, event, None)
            count = len(self.runs[0].applications)
            amplifier = wording.Amplifier([run.replica.name for run in self.runs])
            for k in range(count):
                try:
                    self._replay(k, amplifier)
                except Exception as error:  # a Function that cannot run outside of its graph; the others still can
                    app = self.runs[0].applications[k]
                    self.skipped.append(f"{app.name} in {app.module or 'the model'} ({type(error).__name__}: {error})")
            guilty = self._first_guilty()
            if guilty is not None:
                return self._op_verdict(event, guilty, count)
            self._replay_updates()
            self._replay_buffers()
            return self._other_verdict(event, count, amplifier)

    @contextlib.contextmanager
    def _undone(self) -> Iterator[None]:
        """Inside, the replicas may be used at will."""
        replicas = [run.replica for run in self.runs] + [self.exact]
        states = [replica.save() for replica in replicas]
        random = default_generator.get_state()
        try:
            yield
        finally:
            for replica, state in zip(replicas, states, strict=True):
                replica.load(state)
                replica.optimizer.zero_grad()
            default_generator.set_state(random)

    # ---- ops

    def _replay(self, k: int, amplifier: wording.Amplifier) -> None:
        """The k-th application, with each device's inputs, on each device."""
        own = []
        first: dict[Any, Any] = {}
        for run in self.runs:
            app = run.applications[k]
            exact: dict[Any, Any] = {}
            near = run is not self.runs[0] and close(app, self.runs[0].applications[k])
            for other in self.runs:
                device = other.replica
                cast = None if device.dtype == run.replica.dtype else device.dtype
                got = self._on(device, app, cast)
                if device.dtype not in exact:
                    given = app if cast is None else rounded(app, cast)
                    known = first.get(device.dtype) if near else None
                    exact[device.dtype] = self._in_float64(given, device, known)
                    first.setdefault(device.dtype, exact[device.dtype])
                same = [True, True]
                if other is run:
                    own.append((app, got[0]))
                    again = [self._on(device, app, cast) for _ in range(REPEATS - 1)]
                    same = [all(_equal(got[side], more[side]) for more in again) for side in (0, 1)]
                self._judge(app, device, run.replica.name, got, exact[device.dtype], same)
        amplifier.see(own)

    def _on(self, replica: Replica, app: Application, cast: Any) -> Any:
        with replica.running(self.drawn):
            return app.run(replica.backend, cast)

    def _in_float64(self, app: Application, device: Replica, known: Any) -> tuple[Any, list[Any], list[Any], Any]:
        """(exact, noisy, noisy with ties kept, in the device's dtype) results on the reference; noise of its size.

        known: the same for inputs that are nearly equal: their noise is taken over, which saves most of the work.
        """
        eps, product_eps = self._eps(device)
        exact = app.run(self.reference, np.float64)
        if known is not None:
            base, noisy, tied, plain = known
            moved = [moved_to(exact, base, sample) for sample in (*noisy, *tied, plain)]
            return exact, moved[: len(noisy)], moved[len(noisy) : -1], moved[-1]
        noisy = [
            app.run(self.reference, np.float64, Noise(eps, product_eps, 7919 * self.seed + 31 * app.number + i))
            for i in range(SAMPLES)
        ]
        tied = []
        if any(y is not None and y.dtype.kind in "iub" for y in exact[0]):
            tied = [app.run(self.reference, np.float64, TiedNoise(eps, product_eps, 0))]
        return exact, noisy, tied, app.run(self.reference, device.dtype)

    def _eps(self, replica: Replica) -> tuple[float, float]:
        described = replica.place.describe(replica.dtype)
        return described.eps, described.product_eps

    def _judge(self, app: Application, device: Replica, inputs_of: str, got: Any, exact: Any, same: Any) -> None:
        right, noisy, tied, plain = exact
        for side, direction in enumerate(("forward", "backward")):
            judged: list[tuple[str, Judgement]] = []
            for i, y in enumerate(right[side]):
                if y is None or i >= len(got[side]) or got[side][i] is None or (side == 1 and not app.wants(i)):
                    continue
                taken = noisy if y.dtype.kind == "f" else tied
                samples = [sample[side][i] for sample in taken if sample[side][i] is not None]
                several = len(right[side]) > 1
                what = (f"output {i}" if several else "output") if side == 0 else f"gradient of input {i}"
                length = reduction_length(app.sizes(with_grads=side == 1), y.size, app.name in PRODUCTS)
                judged.append((what, judge(got[side][i], y, samples, plain[side][i], device.dtype, length)))
            if judged:
                name, kind = app.name, type(self.exact.modules[app.module]).__name__
                self._keep(
                    (side, app.number if side == 0 else app.backward),
                    Who(name, direction, app.module, kind, device.name, inputs_of),
                    judged,
                    same[side],
                )

    def _keep(self, place: tuple[int, int], who: Who, judged: list[tuple[str, Judgement]], same: bool) -> None:
        what, worst = max(judged, key=lambda pair: pair[1].times_allowed)
        replay = Replay(
            *who,
            what,
            worst.shape,
            worst.index,
            worst.value,
            worst.exact,
            worst.error_eps,
            worst.times_allowed,
            same,
        )
        self.places[id(replay)] = place
        self.replays.append(replay)

    def _first_guilty(self) -> Replay | None:
        """Of the first wrong op in the order of execution, the replay with the largest error."""
        wrong = [r for r in self.replays if r.times_allowed > 1.0 or not r.repeatable]
        if not wrong:
            return None
        first = min(self.places[id(r)] for r in wrong)
        here = [r for r in wrong if self.places[id(r)] == first]
        return max(here, key=lambda r: (not r.repeatable, r.times_allowed))

    def _op_verdict(self, event: Event | None, guilty: Replay, count: int) -> Verdict:
        number = self.places[id(guilty)]
        run = next(r for r in self.runs if r.replica.name == guilty.inputs_of)
        app = next(a for a in run.applications if (a.number if number[0] == 0 else a.backward) == number[1])
        replica = next(r.replica for r in self.runs if r.replica.name == guilty.device)
        method = self._method(app, replica, guilty, run.replica)
        cause = "op" if guilty.repeatable else "not repeatable"
        values = self._values(app, guilty, run.replica)
        draft = Verdict(self.step, cause, "", event, guilty, guilty.device, method, values, count, self._worst())
        return dataclasses.replace(draft, text=wording.text(draft))

    def _values(self, app: Application, guilty: Replay, owner: Replica) -> dict[str, float]:
        """The worst element on every device, given the same inputs."""
        values = {}
        for run in self.runs:
            cast = None if run.replica.dtype == owner.dtype else run.replica.dtype
            outputs, grads = self._on(run.replica, app, cast)
            results = outputs if guilty.direction == "forward" else grads
            at = int(guilty.result.split()[-1]) if guilty.result != "output" else 0
            array = results[at] if at < len(results) else None
            if array is not None and array.shape == guilty.shape:
                values[run.replica.name] = float(array[guilty.index])
        return values

    def _method(self, app: Application, replica: Replica, guilty: Replay, owner: Replica) -> str:
        """The method of the backend that the op called and that is the farthest from the reference's."""
        backend = replica.backend
        cast = None if replica.dtype == owner.dtype else replica.dtype
        forward_only = dataclasses.replace(app, grads=None)
        with replica.running(self.drawn):
            found = calls(backend, lambda: app.run(backend, cast))
            before = len(calls(backend, lambda: forward_only.run(backend, cast)))
        found = found[:before] if guilty.direction == "forward" else found[before:]
        worst, name = -1.0, ""
        for method, args, kwargs, result in found:
            error = method_error(backend, method, args, kwargs, result)
            if error > worst:
                worst, name = error, method
        if not name:
            return ""
        owners = [cls for cls in type(backend).__mro__ if name in vars(cls)]
        return f"{owners[0].__name__}.{name}"

    def _worst(self) -> tuple[Replay, ...]:
        """The worst replay of each op, module and direction."""
        best: dict[tuple[str, str, str], Replay] = {}
        for r in self.replays:
            key = (r.op, r.direction, r.module)
            if key not in best or r.times_allowed > best[key].times_allowed:
                best[key] = r
        return tuple(sorted(best.values(), key=lambda r: -r.times_allowed)[:KEPT])

    # ---- the optimiser and buffers

    def _replay_updates(self) -> None:
        """The optimiser's step, from each device's parameters, state and gradients, on each device."""
        kind = type(self.exact.optimizer).__name__

        def step(replica: Replica, run: Run, noise: Noise | None) -> dict[str, np.ndarray]:
            replica.load(run.start)
            replica.optimizer.zero_grad()
            for name, grad in run.grads.items():
                param = replica.parameters[name]
                param.grad = wrap(replica.array(grad, param.dtype), replica.backend)
            replica.noise = noise
            if noise is not None:
                for name in run.grads:
                    noise.add_(replica.parameters[name].array)
            with replica.running(self.drawn):
                replica.update()
            replica.noise = None
            results = {name: replica.host(replica.parameters[name]).copy() for name in run.grads}
            for name in run.grads:
                for key, value in replica.optimizer.state.get(replica.parameters[name], {}).items():
                    if isinstance(value, Tensor):
                        results[f"{name}, {key}"] = replica.host(value).copy()
            return results

        for run in self.runs:
            if run.grads:
                self._replay_parts(run, step, (2, 0), lambda part: (kind, "step", part.rpartition(".")[0]))

    def _replay_buffers(self) -> None:
        """Each module that writes buffers, called with each device's inputs, on each device."""
        for i, name in enumerate(self.runs[0].modules):

            def call(replica: Replica, run: Run, noise: Noise | None, name: str = name) -> dict[str, np.ndarray]:
                replica.load(run.start)
                args, random = run.modules[name]
                default_generator.set_state(random)
                module = replica.modules[name]
                with replica.running(self.drawn), observe(noise):
                    module(*tensors_of(args, replica.backend, replica.dtype))
                results = {}
                for key, buffer in module.named_buffers(recurse=False):
                    if buffer.dtype.kind in "fV":
                        value = replica.host(buffer).copy()
                        full = f"{name}.{key}" if name else key
                        results[full] = value if noise is None else noise.add(value)
                return results

            for run in self.runs:
                if name in run.modules:
                    self._replay_parts(run, call, (3, i), lambda part, name=name: (part, "buffer", name))  # type: ignore[misc]

    def _replay_parts(
        self,
        run: Run,
        compute: Callable[[Replica, Run, Noise | None], dict[str, np.ndarray]],
        place: tuple[int, int],
        who: Callable[[str], tuple[str, str, str]],
    ) -> None:
        """Named results of a whole module or optimiser: on each device against the float64 shadow."""
        for other in self.runs:
            device = other.replica
            eps, product_eps = self._eps(device)
            given = run if device.dtype == run.replica.dtype else rounded_run(run, device.dtype)
            got = compute(device, given, None)
            again = compute(device, given, None)
            exact = compute(self.exact, given, None)
            noisy = [compute(self.exact, given, Noise(eps, product_eps, 101 * self.seed + i)) for i in range(SAMPLES)]
            for part, right in exact.items():
                if part not in got:
                    continue
                judged = judge(got[part], right, [sample[part] for sample in noisy], None, device.dtype)
                op, direction, module = who(part.partition(",")[0])
                kind = type(self.exact.modules.get(module)).__name__
                same = bool(np.array_equal(got[part], again[part], equal_nan=True))
                names = Who(op, direction, module, kind, device.name, run.replica.name)
                self._keep(place, names, [(part, judged)], same)

    def _other_verdict(self, event: Event | None, count: int, amplifier: wording.Amplifier) -> Verdict:
        guilty = self._first_guilty()
        if guilty is None:
            nearest = max(self.replays, key=lambda r: r.times_allowed, default=None)
            draft = Verdict(
                self.step, "rounding", "", event, nearest, "", "", {}, count, self._worst(), amplifier.text()
            )
            return dataclasses.replace(draft, text=wording.text(draft) + wording.skipped(self.skipped))
        cause = "not repeatable" if not guilty.repeatable else "optimizer" if guilty.direction == "step" else "buffer"
        method = ""
        if guilty.direction == "step":
            replica = next(r.replica for r in self.runs if r.replica.name == guilty.device)
            method = self._update_method(replica)
        values = {
            r.device: r.value
            for r in self.replays
            if r.result == guilty.result and r.inputs_of == guilty.inputs_of and r.index == guilty.index
        }
        draft = Verdict(self.step, cause, "", event, guilty, guilty.device, method, values, count, self._worst())
        return dataclasses.replace(draft, text=wording.text(draft))

    def _update_method(self, replica: Replica) -> str:
        """The method of the backend that the optimiser calls, where it is one."""
        run = next(r for r in self.runs if r.replica is replica)
        replica.load(run.start)
        for name, grad in run.grads.items():
            replica.parameters[name].grad = wrap(replica.array(grad), replica.backend)
        with replica.running(self.drawn):
            names = {name for name, *_ in calls(replica.backend, replica.update)}
        if len(names) != 1:
            return ""
        (name,) = names
        owners = [cls for cls in type(replica.backend).__mro__ if name in vars(cls)]
        return f"{owners[0].__name__}.{name}"


def _equal(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two runs of an op gave the same bits."""
    pairs = zip(a, b, strict=True)
    return all(x is y or np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in pairs)
