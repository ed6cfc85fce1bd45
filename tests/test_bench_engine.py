"""The engine of `deepcore bench`: compared first, then timed in turns, each candidate in a process of its own."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench_examples import DIES, RAISES, WRONG, empty, spec, write_peer
from deepcore.bench import engine, peers, suites
from deepcore.bench.engine import Engine
from deepcore.bench.framework import CudaTimer, Device, Framework
from deepcore.bench.programs import Op
from deepcore.bench.result import FAILED, MEASURED, REFUSED, SKIPPED, Case, Measurement, Result, Roof
from deepcore.bench.spec import MOST_NUMBERS, Prepared, Problem, Round, Spec, digest
from deepcore.bench.suites.memory import PARTS
from deepcore.bench.suites.models import model_spec
from deepcore.bench.suites.op_table import BACKWARD, FORWARD, OPS, OpEntry
from deepcore.bench.suites.ops import op_spec


class Script:
    """Stands in for the processes: answers by a script and keeps who was asked for what."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answers = answers

    def ask(self, framework: Framework, threads: int, word: str, *arguments: Any) -> Any:
        self.asked.append((framework.name, word))
        found = self.answers.get(word, {}).get(framework.name)
        if callable(found):
            return found()
        if found is None:
            found = {
                "prepare": Prepared({"the output": np.array([1.0, 1.0])}, 1e-5, 8.0, 4.0),
                "round": Round(0.001),
                "roof": Roof(1.0, 1.0, "", ""),
            }.get(word, Problem(FAILED, "nothing"))
        return found

    def close(self) -> None:
        self.asked.append(("", "close"))

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def candidate(name: str, kind: str = "device") -> Framework:
    found = Device("numpy")
    found.name, found.kind = name, kind
    return found


def scripted(names: dict[str, str], rounds: int = 4, **answers: Any) -> tuple[Result, Script]:
    """What comes out of a run of one case whose processes answer by a script."""
    describe = {name: SimpleNamespace(name=name, kind=kind) for name, kind in names.items()}
    script = Script(describe=describe, **answers)
    run = Engine([candidate(name, kind) for name, kind in names.items()], empty(rounds))
    run.crew = script  # type: ignore[assignment]
    return run.run([spec()]), script


THREE = {"cpu": "device", "numpy": "device", "torch": "peer"}


def test_candidates_take_turns_and_another_one_begins_each_round() -> None:
    found, script = scripted(THREE)
    rounds = [name for name, word in script.asked if word == "round"]
    warm_up, timed = rounds[:3], rounds[3:]
    assert warm_up == ["cpu", "numpy", "torch"]
    turns = [timed[i : i + 3] for i in range(0, len(timed), 3)]
    assert turns[0] == ["cpu", "numpy", "torch"]
    assert turns[1] == ["numpy", "torch", "cpu"]
    assert turns[2] == ["torch", "cpu", "numpy"]
    assert len(turns) == 4
    case = found.cases[0]
    assert case.baseline == "torch"
    assert {len(m.samples) for m in case.measurements} == {4}
    assert case.of("cpu").ratio.value == 1.0  # type: ignore[union-attr]
    assert case.of("torch").ratio is None  # type: ignore[union-attr]


def test_a_candidate_with_another_result_is_never_timed() -> None:
    other = Prepared({"the output": np.array([1.001, 1.0])}, 1e-5)
    found, script = scripted(THREE, prepare={"cpu": other})
    refused = found.cases[0].of("cpu")
    assert refused is not None
    assert (refused.state, refused.samples) == (REFUSED, [])
    assert "the output differs from torch's by 0.0005; 1e-05 is allowed" in refused.reason
    assert ("cpu", "round") not in script.asked
    assert found.cases[0].of("numpy").state == MEASURED  # type: ignore[union-attr]


@pytest.mark.parametrize("value", [np.array([np.nan, 1.0]), np.array([1.0, 1.0, 1.0])])
def test_nan_and_other_shapes_are_refused(value: np.ndarray) -> None:
    found, _ = scripted(THREE, prepare={"cpu": Prepared({"the output": value}, 1e-5)})
    assert found.cases[0].of("cpu").state == REFUSED  # type: ignore[union-attr]
    assert found.cases[0].of("cpu").error > 1.0  # type: ignore[union-attr, operator]


def test_a_candidate_that_fails_on_the_way_keeps_no_samples() -> None:
    answers = iter([Round(0.001), Round(0.001), Problem(FAILED, "MemoryError: out of memory")])
    found, _ = scripted(THREE, round={"numpy": lambda: next(answers)})
    failed = found.cases[0].of("numpy")
    assert failed is not None
    assert (failed.state, failed.reason, failed.samples) == (FAILED, "MemoryError: out of memory", [])
    assert len(found.cases[0].of("cpu").samples) == 4  # type: ignore[union-attr]


def test_without_the_first_peer_the_next_is_the_baseline() -> None:
    found, _ = scripted(THREE, prepare={"torch": Problem(FAILED, "no")})
    assert found.cases[0].baseline == "cpu"
    found, _ = scripted(THREE, prepare=dict.fromkeys(THREE, Problem(FAILED, "no")))
    assert found.cases[0].baseline == ""
    assert {m.state for m in found.cases[0].measurements} == {FAILED}


def test_one_that_does_not_start_is_absent() -> None:
    run = Engine([candidate("cpu")], empty())
    run.crew = Script(describe={"cpu": Problem(FAILED, "ImportError: no")})  # type: ignore[assignment]
    found = run.run([spec()])
    assert found.absent == {"cpu": "ImportError: no"}
    assert found.candidates == []


@pytest.mark.parametrize(("after", "kept"), [(3 * 4 + 1, 3), (3, 0)])
def test_ctrl_c_keeps_what_was_measured(after: int, kept: int) -> None:
    """`after` so many rounds; a case with fewer than three for each candidate is not kept."""
    count = 0

    def interrupted() -> Round:
        nonlocal count
        count += 1
        if count > after // 3:
            raise KeyboardInterrupt
        return Round(0.001)

    found, _ = scripted(THREE, rounds=9, round={"torch": interrupted})
    assert found.stopped == "Ctrl-C after 0 of 1 cases"
    assert [{len(m.samples) for m in case.measurements} for case in found.cases] == ([{kept}] if kept else [])


def test_a_slow_case_gets_fewer_rounds() -> None:
    found, _ = scripted({"numpy": "device"}, rounds=50, round={"numpy": Round(3.0)})
    assert len(found.cases[0].measurements[0].samples) == 10  # with a step before each, 60 s hold 10
    found, _ = scripted({"numpy": "device"}, rounds=50, round={"numpy": Round(300.0)})
    assert len(found.cases[0].measurements[0].samples) == engine.FEWEST


def test_short_steps_are_repeated_within_a_round() -> None:
    run = Engine([candidate("numpy")], empty(rounds=1))
    run.settings.round_s = 0.02
    run.crew = Script(describe={"numpy": SimpleNamespace()}, round={"numpy": Round(0.0003)})  # type: ignore[assignment]
    assert run.run([spec()]).cases[0].measurements[0].steps == 67


def test_gradients_of_a_millionth_are_compared_as_such() -> None:
    small = digest(np.full(9, 1e-6))
    assert engine.difference({"g": small}, {"g": small * 1.1})[0] == pytest.approx(0.1 / 1.1 / 2)


def test_a_large_array_is_compared_at_the_same_places() -> None:
    array = np.random.default_rng(0).standard_normal((3, 400, 401))
    first = digest(array)
    assert first.shape == (MOST_NUMBERS + 1,)
    assert first[-1] == pytest.approx(np.sqrt(np.mean(array**2)))
    np.testing.assert_array_equal(first, digest(array.copy()))
    assert digest(np.float32(3.0)).tolist() == [3.0, 3.0]


# Real processes


def real(folder: Path, specs: list[Spec], rounds: int = 2, **more: str) -> Result:
    """A run on the device "numpy" and peers that are it under another name, with a difference."""
    found: list[Framework] = [Device("numpy")]
    found += [peers.find(str(write_peer(folder, name, code))) for name, code in more.items()]
    return Engine(found, empty(rounds)).run(specs)


def test_processes(tmp_path: Path) -> None:
    """Four candidates at once: one right, one wrong, one that raises, one whose process ends."""
    found = real(tmp_path, [spec(), spec(part="forward")], right="", wrong=WRONG, raises=RAISES, dies=DIES)
    assert [candidate.name for candidate in found.candidates] == ["numpy", "right", "wrong", "raises", "dies"]
    for case in found.cases:
        states = {m.candidate: (m.state, m.reason) for m in case.measurements}
        assert states["numpy"] == states["right"] == (MEASURED, "")
        assert states["wrong"][0] == REFUSED
        assert states["raises"] == (FAILED, "MemoryError: out of memory")
        assert states["dies"] == (FAILED, "its process ended with status 7")
        assert case.baseline == "right"
        assert case.of("numpy").error == 0.0  # type: ignore[union-attr]
    assert found.candidates[0].threads == 1
    assert found.candidates[0].blas
    assert found.roof is not None
    assert found.roof.gemm_flops_per_s > 1e8


def test_models_memory_and_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Engine, "_roof", lambda self: None)
    training = model_spec("models", "mlp", "training", batch=2)
    memory = model_spec("memory", "mlp", "training", batch=2, fresh=True, parts=PARTS)
    found = real(tmp_path, [training, model_spec("models", "mlp", "inference", batch=2), memory], rounds=1)
    assert {m.state for case in found.cases for m in case.measurements} == {MEASURED}
    assert [case.part for case in found.cases] == ["training", "inference", *(part for part, _ in PARTS)]
    peak = found.cases[2].of("numpy")
    assert peak is not None
    assert 2e7 < peak.median < 1e9
    profile = next(p for p in found.profiles if p.candidate == "numpy")
    assert [layer.kind for layer in profile.layers] == ["Linear", "ReLU", "Linear", "ReLU", "Linear", ""]
    assert all(layer.backward_s > 0 for layer in profile.layers[:-1])
    assert profile.step_s > profile.optimizer_s > 0


def test_a_skipped_case_says_why() -> None:
    class Picky(Device):
        def skips(self, spec: Spec) -> str:
            return "no ops"

    picky = Picky("numpy")
    run = Engine([picky], empty())
    run.crew = Script(describe={"numpy": SimpleNamespace()})  # type: ignore[assignment]
    case = run.run([spec()]).cases[0]
    assert (case.measurements[0].state, case.measurements[0].reason) == (SKIPPED, "no ops")


# Suites and clocks


def test_specs_travel_and_have_names_of_their_own() -> None:
    specs = suites.choose(["all"], "", threads=4)
    assert pickle.loads(pickle.dumps(specs)) == specs
    keys = [key for spec in specs for key in spec.keys]
    assert len(set(keys)) == len(keys)
    assert {spec.suite for spec in specs} == set(suites.SUITES)
    assert [spec.at for spec in specs if spec.axis == "threads" and spec.name == "mlp"] == [1, 2, 4]


def test_gpu_time_is_taken_between_events_and_host_time_apart() -> None:
    """A fake GPU: launching takes no time, and the work of a step 2 ms on the GPU's own clock."""
    gpu = SimpleNamespace(done=0.0)

    class Event:
        def record(self) -> None:
            gpu.done = self.at = max(gpu.done, time.perf_counter())

        def synchronize(self) -> None:
            time.sleep(max(0.0, self.at - time.perf_counter()))

    cuda = SimpleNamespace(Event=Event, get_elapsed_time=lambda first, last: 1e3 * (last.at - first.at))

    def step() -> None:
        gpu.done = max(gpu.done, time.perf_counter()) + 0.002

    found = CudaTimer(cuda, lambda: time.sleep(max(0.0, gpu.done - time.perf_counter()))).round(step, 10)
    assert found.gpu_seconds == pytest.approx(0.002, rel=0.05)
    assert found.launch_seconds < 0.001
    assert found.seconds >= 0.0019


def test_gpu_times_go_into_the_result() -> None:
    found, _ = scripted({"cuda": "device"}, rounds=3, round={"cuda": Round(0.003, 0.002, 0.0001)})
    measurement = found.cases[0].measurements[0]
    assert measurement.gpu_samples == [0.002] * 3
    assert measurement.launch_samples == [0.0001] * 3


def test_scaling_lines_are_fitted() -> None:
    found = empty()
    for n in (1.0, 2.0, 4.0):
        case = Case("scaling", "matmul", "forward", f"{n}", "product", "s", "cpu", axis="side", at=n)
        case.measurements = [Measurement("cpu", MEASURED, samples=[n**3]), Measurement("torch", SKIPPED, "no")]
        engine.finish(case, 0)
        found.cases.append(case)
    (fit,) = engine.fits(found)
    assert (fit.candidate, fit.exponent, fit.points) == ("cpu", 3.0, 3)


@pytest.mark.parametrize("entry", OPS, ids=lambda entry: entry.name)
def test_every_op_of_the_table_runs_both_ways(entry: OpEntry) -> None:
    """At its smallest size on the device "cpu"; the names and arguments are those of PyTorch too."""
    device = Device("cpu")
    device.start(1)
    for part in (FORWARD, BACKWARD) if entry.backward else (FORWARD,):
        case = op_spec("ops", entry, part, entry.sizes[0])
        program = Op(device, case.arguments, 0, {})
        found = program.results()
        assert all(np.isfinite(value).all() and np.any(value) for value in found.values())
        assert program.bytes > 0
        assert program.flops > 0
        assert 0 < program.allowed < 0.1
