"""The programs that `deepcore check` prints: they stand alone, run, and agree where nothing is wrong."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore.check.measure import PARTS, comparisons, why_not
from deepcore.check.opdb import OpCase, all_cases
from deepcore.check.snippet import Unwritable, literal, op_expression, snippet

CASES = {case.name: case for case in all_cases()}
FEW = ("conv2d", "lstm", "embedding", "nms", "linalg.eigh", "add", "cat", "cross_entropy", "getitem", "log_softmax")


def programs(case: OpCase, dtypes: tuple[str, ...]) -> list[str]:
    """A program for the last comparison of each part of the first and the last sample of a case."""
    found = []
    samples = [sample for sample in case.make_samples() if not sample.empty]
    for sample in {id(s): s for s in (samples[0], samples[-1])}.values():
        for dtype in (d for d in dtypes if d in case.dtypes):
            for part in (p for p in PARTS if not why_not(case, sample, "cpu", dtype, p)):
                last = list(comparisons(case, sample, "cpu", dtype, part))[-1]
                found.append(snippet(case, sample, "cpu", dtype, part, last))
                found.append(snippet(case, sample, "cpu", dtype, part, None))
    return found


def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The program as a user would run it, in a folder without anything of deepcore's."""
    file = folder / "program.py"
    file.write_text(text)
    command = [sys.executable, "-W", "ignore", str(file)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def modules(text: str) -> set[str]:
    """The packages that a program imports."""
    nodes = list(ast.walk(ast.parse(text)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("names", [FEW, pytest.param(tuple(CASES), marks=pytest.mark.slow)], ids=["few", "all"])
def test_programs_agree_where_nothing_is_wrong(names: tuple[str, ...]) -> None:
    """Every kind of program, run here; it needs NumPy and deepcore only."""
    for name in names:
        for text in programs(CASES[name], ("float64", "float32", "bfloat16", "int64")):
            assert modules(text) <= {"numpy", "deepcore", "operator"}
            exec(compile(text, f"<program of {name}>", "exec"), {"__name__": "__main__"})


def test_a_program_in_a_process_of_its_own(tmp_path: Path) -> None:
    case = CASES["conv2d"]
    sample = case.make_samples()[0]
    last = list(comparisons(case, sample, "cpu", "float64", "double gradient"))[-1]
    done = run(snippet(case, sample, "cpu", "float64", "double gradient", last), tmp_path)
    assert (done.returncode, done.stdout) == (0, "they agree\n"), done.stderr
    wrong = snippet(case, sample, "cpu", "float64", "double gradient", last).replace(
        "expected = np.array(", "expected = 2 + ("
    )
    wrong = wrong.replace(", dtype='float64')  # a central", ")  # a central")
    done = run(wrong, tmp_path)
    assert done.returncode == 1
    assert "AssertionError: second derivative by variable" in done.stderr
    assert os.listdir(tmp_path) == ["program.py"]


def test_programs_name_the_op_as_a_user_does() -> None:
    assert op_expression(CASES["conv2d"]) == ("from deepcore import functional as F", "F.conv2d")
    assert op_expression(CASES["linalg.inv"])[1] in ("dc.linalg.inv", "F.inv")
    assert op_expression(CASES["add"]) == ("import operator", "operator.add")
    line, expression = op_expression(CASES["cat"])
    assert line == "from deepcore.check.opdb import all_cases"
    assert "case.name == 'cat'" in expression


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.array([1.5, np.nan, np.inf, -np.inf], np.float16),
        np.array(2.5),
        np.zeros((0, 3), np.float32),
        np.array([True, False]),
        np.linspace(0, 1, 100).astype(np.float32).reshape(10, 10),
        np.array([1.5, 3.0], ml_dtypes.bfloat16),
        [np.ones(2), (1, None, "a'b"), {"k": slice(1, None, 2)}, ...],
        (np.float64(0.1),),
    ],
    ids=lambda value: type(value).__name__,
)
def test_literals_give_the_same_value(value: object) -> None:
    names = {"np": np, "dc": dc, "nan": float("nan"), "inf": float("inf")}
    again = eval(literal(value), names)
    np.testing.assert_equal(again, value)
    if isinstance(value, np.ndarray):
        assert again.dtype == value.dtype


def test_long_arrays_are_broken_into_lines() -> None:
    assert max(map(len, literal(np.linspace(0, 1, 500)).splitlines())) < 125


def test_what_cannot_be_written_is_said() -> None:
    with pytest.raises(Unwritable, match="type function"):
        literal([lambda x: x])
    case = OpCase("odd", F.relu, np.abs, CASES["relu"].samples)
    sample = case.make_samples()[0]
    odd = type(sample)(sample.name, sample.args, {"way": object()}, sample.diff)
    assert snippet(case, odd, "cpu", "float32", "value", None).startswith(
        "# cannot be written out: a value of type object"
    )
