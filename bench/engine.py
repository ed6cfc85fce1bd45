"""The run: every case on every candidate, results compared first, then timed round by round in turns.

A round of a case asks each candidate for one sample, one candidate after the other, and begins each time with another
one. What slows the machine down for a while therefore slows all of them, and the ratio of their medians stays.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deepcore.bench import fresh, samples
from deepcore.bench.crew import Crew
from deepcore.bench.framework import Framework
from deepcore.bench.initial import InitialWeights
from deepcore.bench.result import FAULTS, MEASURED, REFUSED, SKIPPED, Case, Fit, Measurement, Result
from deepcore.bench.spec import Prepared, Problem, Round, Spec
from deepcore.check.tolerance import errors

FEWEST = 5
"""Rounds of a case, however long it takes; fewer only where fewer were asked for."""
CASE_S = 60.0
"""What the rounds of one case may take, with all candidates, before their number is cut down towards FEWEST."""
SETTLE_S = 0.05
"""A pause before each sample: the threads of some libraries go on spinning for milliseconds after their last call, in a
process that has nothing to do any more, and would slow down whoever comes next. Short steps then run untimed once:
cores that slept wake up slowly."""
MOST_STEPS = 10_000
PROCESSES = {"import": 9, "first step": 5, "training": 3}
"""Samples of a case whose every sample is a process, by its program."""
COLD_PROCESSES = 2
KEPT = 3
"""Rounds that a case must have, if it is broken off, to be kept."""
PROFILE_STEPS = 7

Show = Callable[[int, int, str], None]
"""Called with how many cases are done, of how many, and what is being done."""


@dataclass
class Running:
    """A case while it is measured: who is still in it."""

    case: Case
    spec: Spec
    active: list[Framework] = field(default_factory=list)

    def drop(self, framework: Framework, found: Problem) -> None:
        """A candidate that failed is out, and keeps none of its samples."""
        self.of(framework).state, self.of(framework).reason = found.state, found.reason
        self.of(framework).samples.clear()
        self.active.remove(framework)

    def of(self, framework: Framework) -> Measurement:
        """Its measurement."""
        found = self.case.of(framework.name)
        assert found is not None
        return found


class Engine:
    """Runs specs on candidates and fills a `Result`, which is worth writing at any time."""

    def __init__(self, candidates: Sequence[Framework], result: Result, show: Show = lambda *_: None) -> None:
        self.candidates, self.result, self.show = list(candidates), result, show
        self.settings = result.settings
        self.crew = Crew()
        self.position = (0, 0)

    def run(self, specs: Sequence[Spec]) -> Result:
        """Measure; Ctrl-C ends it with what there is, and `Result.stopped` says so."""
        start = time.monotonic()
        with self.crew, InitialWeights(self.settings.seed) as self.weights:
            try:
                self._describe()
                if any(spec.program in ("op", "training", "inference") and not spec.fresh for spec in specs):
                    self._roof()
                for i, spec in enumerate(specs):
                    self.position = (i, len(specs))
                    self._say(spec.keys[0])
                    (self._fresh if spec.fresh else self._timed)(spec)
            except KeyboardInterrupt:
                done, total = self.position
                self.result.stopped = f"Ctrl-C after {done} of {total} cases"
            self.result.fits = fits(self.result)
            self.result.seconds = time.monotonic() - start
        return self.result

    def _say(self, text: str) -> None:
        self.show(*self.position, text)

    def _describe(self) -> None:
        for framework in list(self.candidates):
            self._say(f"starting {framework.name}")
            found = self.crew.ask(framework, self.settings.threads, "describe")
            if isinstance(found, Problem):
                self.result.absent[framework.name] = found.reason
                self.candidates.remove(framework)
            else:
                self.result.candidates.append(found)

    def _roof(self) -> None:
        self._say("the machine's peak")
        for framework in self.candidates[:1]:
            found = self.crew.ask(framework, self.settings.threads, "roof")
            self.result.roof = None if isinstance(found, Problem) else found

    # Cases in the candidates' own processes

    def _timed(self, spec: Spec) -> None:
        running = self._open(spec)
        prepared = self._prepare(running)
        self._compare(running, prepared)
        try:
            self._rounds(running)
            if spec.suite == "models" and spec.program == "training":
                self._profile(running)
        finally:
            self._close(running)

    def _open(self, spec: Spec) -> Running:
        running = Running(spec.case(""), spec)
        for framework in self.candidates:
            reason = framework.skips(spec)
            running.case.measurements.append(Measurement(framework.name, SKIPPED if reason else MEASURED, reason))
            if not reason:
                running.active.append(framework)
        return running

    def _ask(self, running: Running, framework: Framework, word: str, *arguments: Any) -> Any:
        return self.crew.ask(framework, running.spec.threads or self.settings.threads, word, *arguments)

    def _prepare(self, running: Running) -> dict[str, Prepared]:
        weights = self.weights.of(running.spec)
        answers: dict[str, Prepared] = {}
        for framework in list(running.active):
            self._say(f"{running.spec.keys[0]}: {framework.name} gets ready")
            found = self._ask(running, framework, "prepare", running.spec, self.settings.seed, weights)
            if isinstance(found, Problem):
                running.drop(framework, found)
            else:
                answers[framework.name] = found
                running.of(framework).note = found.note
        return answers

    def _compare(self, running: Running, prepared: Mapping[str, Prepared]) -> None:
        """Choose the baseline, and refuse those whose results differ from its."""
        case, order = running.case, sorted(running.active, key=lambda framework: framework.kind == "device")
        if not order:
            return
        case.baseline = order[0].name
        base = prepared[case.baseline]
        case.flops, case.bytes, case.allowed = base.flops, base.bytes, base.allowed
        for framework in order[1:]:
            error, what = difference(prepared[framework.name].results, base.results)
            running.of(framework).error = min(error, 1e300)
            if not error <= base.allowed:
                reason = f"{what} differs from {case.baseline}'s by {error:.3g}; {base.allowed:.3g} is allowed"
                running.drop(framework, Problem(REFUSED, reason))

    def _rounds(self, running: Running) -> None:
        """Warm-up rounds find out how many steps a round takes; then every candidate's samples in turns."""
        steps: dict[str, int] = {}
        seconds = 0.0
        for framework in list(running.active):
            found = Round(0.0)
            for _ in range(self.settings.warmup):
                found = self._round(running, framework, steps.get(framework.name, 1)) or found
                steps[framework.name] = min(MOST_STEPS, math.ceil(self.settings.round_s / max(found.seconds, 1e-7)))
            seconds += found.seconds * (steps[framework.name] + 1)
        rounds = self.settings.rounds
        if seconds * rounds > CASE_S:
            rounds = min(rounds, max(FEWEST, int(CASE_S / seconds)))
        for turn in range(rounds):
            self._say(f"{running.spec.keys[0]}: round {turn + 1} of {rounds}")
            first = turn % max(1, len(running.active))
            for framework in running.active[first:] + running.active[:first]:
                self._settle(running, framework, steps[framework.name])
                found_round = self._round(running, framework, steps[framework.name])
                if found_round is not None:
                    running.of(framework).steps = steps[framework.name]
                    _keep(running.of(framework), found_round)

    def _settle(self, running: Running, framework: Framework, steps: int) -> None:
        """Wait for the others to be still; then, where steps are short, run some that wake this one up again."""
        if len(running.active) > 1 and framework in running.active:
            time.sleep(SETTLE_S)
            if steps > 1:
                self._round(running, framework, steps)

    def _round(self, running: Running, framework: Framework, steps: int) -> Round | None:
        if framework not in running.active:
            return None
        found = self._ask(running, framework, "round", steps)
        if isinstance(found, Problem):
            running.drop(framework, found)
            return None
        return found

    def _profile(self, running: Running) -> None:
        for framework in running.active:
            if framework.layered:
                self._say(f"{running.spec.keys[0]}: layers on {framework.name}")
                found = self._ask(running, framework, "profile", PROFILE_STEPS)
                if not isinstance(found, Problem):
                    self.result.profiles.append(found)

    def _close(self, running: Running) -> None:
        """Take the case into the result: with as many rounds as all have, if it was broken off."""
        case = running.case
        rounds = min((len(running.of(framework).samples) for framework in running.active), default=0)
        if running.active and rounds < min(KEPT, self.settings.rounds):
            return
        for framework in running.active:
            for values in (running.of(framework).samples, running.of(framework).gpu_samples):
                del values[rounds:]
            del running.of(framework).launch_samples[rounds:]
        finish(case, self.settings.seed)
        self.result.cases.append(case)

    # Cases whose every sample is a process

    def _fresh(self, spec: Spec) -> None:
        parts = spec.parts or ((spec.part, spec.unit),)
        runs = [self._open(replace(spec, part=part, unit=unit)) for part, unit in parts]
        active, weights = list(runs[0].active), self.weights.of(spec)
        cold = bool(spec.arguments.get("cold"))
        count = min(self.settings.rounds, COLD_PROCESSES if cold else PROCESSES[spec.program])
        threads = spec.threads or self.settings.threads
        self.crew.close()  # idle processes would still hold memory
        try:
            for turn in range(count if cold else count + 1):  # the first one reads files and compiles: thrown away
                for framework in list(active):
                    self._say(f"{spec.keys[0]}: process {turn + 1} of {framework.name}")
                    found = fresh.sample(framework, spec, threads, self.settings.seed, weights)
                    if isinstance(found, Problem):
                        active.remove(framework)
                        for run in runs:
                            run.drop(framework, found)
                    elif cold or turn:
                        for run in runs:
                            run.of(framework).steps = 1
                            run.of(framework).samples.append(found[run.spec.part])
        finally:
            for run in runs:
                order = sorted(run.active, key=lambda framework: framework.kind == "device")
                run.case.baseline = order[0].name if order else ""
                if all(run.of(framework).samples for framework in run.active):
                    finish(run.case, self.settings.seed)
                    self.result.cases.append(run.case)


def _keep(measurement: Measurement, found: Round) -> None:
    measurement.samples.append(found.seconds)
    if found.gpu_seconds:
        measurement.gpu_samples.append(found.gpu_seconds)
        measurement.launch_samples.append(found.launch_seconds)


def difference(got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> tuple[float, str]:
    """The largest error of all results, and which result has it.

    It is relative to rms + |expected|, with the root mean square of all that the result holds: the tolerances are made
    for numbers of order one, and the mean of a loss makes gradients of a millionth.
    """
    worst = (0.0, "")
    for name, value in expected.items():
        other = got.get(name)
        if other is None or other.shape != value.shape:
            return math.inf, name
        scale = value[-1] or 1.0
        error = float(errors(other / scale, value / scale).max(initial=0.0))
        worst = max(worst, (error, name))
    return worst


def finish(case: Case, seed: int) -> None:
    """Medians, quartiles and ratios of a case whose samples are complete."""
    base = case.of(case.baseline)
    for measurement in case.measurements:
        if measurement.state != MEASURED or not measurement.samples:
            continue
        samples.summarise(measurement)
        if base is not None and base.samples and measurement is not base:
            least = 1.0 if case.unit == FAULTS else samples.TINY
            measurement.ratio = samples.paired_ratio(base.samples, measurement.samples, seed, least)


def fits(result: Result) -> list[Fit]:
    """A straight line in logarithms through every line of the suite "scaling" with at least two points."""
    lines: dict[tuple[str, str, str, str], list[tuple[float, float]]] = {}
    for case in result.cases:
        for measurement in case.measurements if case.axis else ():
            if measurement.state == MEASURED:
                key = case.name, case.part, case.axis, measurement.candidate
                lines.setdefault(key, []).append((case.at, measurement.median))
    found = []
    for key, points in lines.items():
        if len({at for at, _ in points}) >= 2:
            slope, low, high, factor = samples.exponent(*zip(*sorted(points), strict=True))
            found.append(Fit(*key, slope, low, high, factor, len(points)))
    return found
