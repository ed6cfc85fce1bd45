"""`deepcore check`: planted faults are found, the program that it prints shows them, nothing ends the run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import planted_faults
from deepcore import backends
from deepcore.check import runner, workers
from deepcore.check.opdb import OpCase, all_cases
from deepcore.check.results import Failure, Report
from deepcore.check.runner import Task, check, check_op

TESTS = Path(__file__).resolve().parent
CASES = {case.name: case for case in all_cases()}


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The faulty backend, registered for one test."""
    monkeypatch.setitem(backends._registered, "faulty", planted_faults.Faulty)
    yield "faulty"
    backends._cache.pop("faulty", None)


def failures_of(op: str, device: str, *dtypes: str) -> list[Failure]:
    return check_op(CASES[op], Task(op, device, dtypes or ("float64", "float32"))).failures


def run_program(text: str, device: str) -> subprocess.CompletedProcess[str]:
    """A printed program in a process of its own, where the faulty backend is there under the name `device`."""
    before = "import planted_faults\nfrom deepcore.backends import register\n"
    before += f"register({device!r}, planted_faults.Faulty if {device == 'faulty'} else planted_faults.Backend)\n"
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", before + text]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


# --- planted faults ---------------------------------------------------------------------------------------------------


def test_a_wrong_element_is_found_and_made_small(faulty: str) -> None:
    found = failures_of("conv2d", faulty, "float64")
    first = found[0]
    assert first.part == "value"
    assert first.index is not None
    assert float(first.got) - float(first.expected) == pytest.approx(0.01)
    assert first.wrong == 1
    assert first.limit is not None
    assert (first.limit.c, first.limit.eps) == (16.0, 2.0**-52)
    assert first.limit.allowed == 16 * 2.0**-52 * first.limit.length**0.5
    assert first.smallest in ("(1, 1, 1, 1), (1, 1, 1, 1), None", "(1, 1, 1, 1), (1, 1, 1, 1), (1,)")
    assert first.index == (0, 0, 0, 0)
    assert first.more > 0
    assert [failure.part for failure in found][:2] == ["value", "agreement"]


def test_the_program_shows_the_wrong_element_and_agrees_on_a_sound_device(faulty: str) -> None:
    first = failures_of("conv2d", faulty, "float64")[0]
    shown = run_program(first.snippet, "faulty")
    assert shown.returncode == 1, shown.stdout + shown.stderr
    assert "AssertionError: value 0 in float64: error" in shown.stderr
    assert "at (0, 0, 0, 0)" in shown.stderr
    sound = run_program(first.snippet.replace("'faulty'", "'numpy'"), "other")
    assert sound.returncode == 0, sound.stderr
    assert sound.stdout == "they agree\n"


def test_a_wrong_dtype_is_found(faulty: str) -> None:
    found = failures_of("sigmoid", faulty, "float64", "float32")
    assert {failure.dtype for failure in found} == {"float32"}
    assert found[0].message == "dtype of value 0: float64, expected float32"
    shown = run_program(found[0].snippet, "faulty")
    assert shown.returncode == 1
    assert "AssertionError" in shown.stderr


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_gradient_that_is_off_by_a_thousandth_is_found(faulty: str, dtype: str) -> None:
    found = failures_of("relu", faulty, dtype)
    assert [failure.part for failure in found][:2] == ["agreement", "gradient"]
    assert all(failure.what == "gradient of argument 0" for failure in found if failure.part != "double gradient")
    assert float(found[0].got) / float(found[0].expected) == pytest.approx(1.001)
    shown = run_program(found[0].snippet, "faulty")
    assert shown.returncode == 1
    assert "AssertionError: gradient of argument 0" in shown.stderr


def test_an_exception_is_a_failure_with_its_traceback(faulty: str) -> None:
    first = failures_of("max_pool2d", faulty, "float32")[0]
    assert first.message == "RuntimeError: planted"
    assert 'raise RuntimeError("planted")' in first.traceback
    shown = run_program(first.snippet, "faulty")
    assert shown.returncode == 1
    assert shown.stderr.endswith("RuntimeError: planted\n")


def test_a_sound_device_passes_with_all_that_can_be_compared() -> None:
    result = check_op(CASES["sigmoid"], Task("sigmoid", "cpu", ("float64", "float32")))
    assert result.failures == []
    double, single = result.cells
    assert set(double.parts) == {"value", "agreement", "gradient", "double gradient"}
    assert set(single.parts) == {"value", "agreement", "gradient"}
    assert double.cases == len(CASES["sigmoid"].make_samples())
    assert single.rounding is not None
    assert single.rounding.error_eps is not None
    assert 0 < single.rounding.error_eps < 16


def test_what_is_not_run_has_a_reason() -> None:
    result = check_op(CASES["argmax"], Task("argmax", "cpu", ("float32",)))
    assert {(item.part, item.reason) for item in result.not_run} == {
        ("gradient", "not differentiable"),
        ("double gradient", "not differentiable"),
    }
    none = check_op(CASES["conv2d"], Task("conv2d", "cpu", ("int32",)))
    assert (none.cells, [item.reason for item in none.not_run]) == ([], ["not in int32"])


def test_an_oracle_that_fails_is_a_failure_and_no_crash() -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("of the oracle")

    case = OpCase("broken", CASES["relu"].op, broken, CASES["relu"].samples)
    found = check_op(case, Task("broken", "numpy", ("float32",))).failures
    assert found[0].message == "ZeroDivisionError: of the oracle"


def test_another_seed_gives_other_numbers() -> None:
    case = CASES["sigmoid"]
    first, again, other = (case.make_samples(seed)[0].args[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


# --- many ops ---------------------------------------------------------------------------------------------------------


def some(*names: str) -> list[OpCase]:
    return [CASES[name] for name in names]


def test_a_run_over_a_few_ops(faulty: str) -> None:
    calls: list[tuple[int, int, str]] = []
    report = check(
        some("relu", "sigmoid", "tanh"),
        ["numpy", "cpu", faulty],
        ["float32"],
        progress=lambda *call: calls.append(call),
    )
    assert {(cell.op, cell.device) for cell in report.cells if cell.failures} == {
        ("relu", "faulty"),
        ("sigmoid", "faulty"),
    }
    assert [cell.op for cell in report.cells] == ["relu"] * 3 + ["sigmoid"] * 3 + ["tanh"] * 3
    assert calls[0] == (0, 9, "")
    assert calls[-1] == (9, 9, "tanh on faulty")
    assert not report.passed
    assert not report.stopped
    assert report.comparisons > 50


def test_fail_fast(faulty: str) -> None:
    report = check(some("tanh", "relu", "sigmoid"), [faulty], ["float32"], fail_fast=True)
    assert {failure.op for failure in report.failures} == {"relu"}
    assert report.stopped == "stopped at the first failure, after 2 of 3 ops and devices"


def test_ctrl_c_keeps_what_was_done() -> None:
    def interrupted(cases, tasks):
        yield from list(runner.in_this_process(cases, tasks))[:1]
        raise KeyboardInterrupt

    report = check(some("tanh", "relu"), ["numpy"], ["float32"], run=interrupted)
    assert [cell.op for cell in report.cells] == ["tanh"]
    assert report.stopped == "interrupted after 1 of 2 ops and devices"
    assert not report.passed


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the search path, of this process and of others, with a package that brings the faulty backends."""
    folder = planted_faults.install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{TESTS}")
    return folder


def test_processes_give_what_one_process_gives() -> None:
    cases, devices, dtypes = some("tanh", "relu", "nms"), ["numpy", "strict"], ["float64", "float32"]
    alone = check(cases, devices, dtypes)
    shared = check(cases, devices, dtypes, run=workers.InProcesses(2))

    def figures(report: Report) -> list[object]:
        return [(c.op, c.dtype, c.device, c.cases, c.parts) for c in report.cells]

    assert figures(alone) == figures(shared)


@pytest.mark.parametrize(
    ("name", "seconds", "said"),
    [
        ("dying", workers.ANSWER_S, "the process ended on its own, with status 3"),
        pytest.param("stuck", 10, "no answer within 10 s", marks=pytest.mark.slow),
    ],
)
def test_a_process_without_an_answer_is_a_failure_of_its_op(
    installed: Path, name: str, seconds: float, said: str
) -> None:
    report = check(some("relu", "tanh"), [name], ["float32"], run=workers.InProcesses(1, seconds))
    assert [(failure.op, failure.message) for failure in report.failures] == [("relu", said)]
    assert [cell.op for cell in report.cells] == ["tanh"]


def test_lanes() -> None:
    tasks = [Task("relu", device, ("float32",)) for device in ("numpy", "cpu", "cuda:0", "simulator")]
    host, cuda, simulator = workers.lanes_of(tasks, 8)
    assert [task.device for task in host.tasks] == ["cpu", "numpy"]
    assert (host.processes, cuda.processes, simulator.processes) == (2, 1, 1)
    assert (cuda.environment, simulator.environment) == ({}, {"NUMBA_ENABLE_CUDASIM": "1"})
    assert isinstance(workers.chosen(1, ["simulator"]), workers.InProcesses)
    assert workers.chosen(1, ["cpu"]) is runner.in_this_process
