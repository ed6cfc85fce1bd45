"""`python -m deepcore.check.torch`: without PyTorch it says so; with it, both agree or there is a reason why not.

The default suite has no PyTorch, so all but the first two tests are skipped there. They compare a part of what the
command compares; `bench/results/torch_agreement.json` is what the whole of it said.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepcore.check.opdb import OpCase, Sample, all_cases, sample

RESULTS = Path(__file__).resolve().parent.parent / "bench" / "results" / "torch_agreement.json"
HAVE_TORCH = importlib.util.find_spec("torch") is not None
with_torch = pytest.mark.skipif(not HAVE_TORCH, reason="PyTorch is not installed")
BY_NAME = {case.name: case for case in all_cases()}


def test_without_pytorch_it_says_so_and_exits_2() -> None:
    """In an interpreter that does not find PyTorch."""
    code = (
        "import importlib.util as u, runpy, sys\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest)\n"
        "sys.argv = ['torch']\n"
        "runpy.run_module('deepcore.check.torch', run_name='__main__')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stderr.startswith("deepcore.check.torch: expected PyTorch")
    assert "pip install torch" in result.stderr
    assert not result.stdout


def test_the_committed_report_has_no_difference_without_a_reason() -> None:
    report = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert report["without_a_reason"] == 0
    assert report["ops"] > 150
    assert report["cases"] > 10_000
    assert {"command", "machine", "torch", "numpy", "python"} <= set(report)


@with_torch
@pytest.mark.parametrize("name", ["add", "softmax", "conv2d", "lstm", "cross_entropy", "linalg.svd", "sort", "pad"])
def test_ops_agree(name: str) -> None:
    from deepcore.check.torch.run import op_row

    row = op_row(BY_NAME[name], ("numpy", "cpu"), drawn=4, special=False)
    assert row.cases > 10
    assert not row.unexplained, "\n".join(d.key for d in row.unexplained)


@with_torch
def test_every_op_is_found_or_listed() -> None:
    from deepcore.check.torch.counterpart import counterpart
    from deepcore.check.torch.extra import entries
    from deepcore.check.torch.translated import ABSENT, TRANSLATED

    found = {case.name: counterpart(case) for case in entries()}
    assert {name for name, op in found.items() if op is None} == set(ABSENT)
    assert set(TRANSLATED) <= set(found)


@with_torch
@pytest.mark.parametrize("index", [0, 12, 22, 60, 66])
def test_modules_agree(index: int) -> None:
    from deepcore.check.torch import modules

    for training in (True, False):
        found = list(modules.compare_module(modules.CASES[index], "cpu", "float32", training))
        assert not found, found[0].key


@with_torch
def test_optimisers_and_schedules_agree() -> None:
    from deepcore.check.torch.run import training_rows

    for row in training_rows(("cpu",)):
        assert row.cases
        assert not row.unexplained, f"{row.name}: {row.unexplained[0].key}"


@with_torch
def test_every_parameter_that_differs_has_a_reason() -> None:
    from deepcore.check.torch.run import signature_rows

    rows = list(signature_rows())
    assert sum(row.cases for row in rows) > 300
    assert not [f"{d.op}: {d.detail}" for row in rows for d in row.unexplained]


# --- the comparison itself sees what it should ------------------------------------------------------------------------


def _wrong(**changes: Any) -> OpCase:
    """exp, with one thing that PyTorch's exp does not do."""
    from dataclasses import replace

    return replace(BY_NAME["exp"], **changes)


@with_torch
@pytest.mark.parametrize(
    ("op", "kind"),
    [
        (lambda x: x.exp() * 1.0001, "value"),
        (lambda x: x.exp().detach() + (x - x.detach()) * 1.001 * x.exp().detach(), "gradient"),
        (lambda x: x.exp().detach() * (x - x.detach() + 1), "second gradient"),
        (lambda x: x.exp().unsqueeze(0), "value"),
        (lambda x: (x.exp(), x), "outputs"),
        (lambda x: x.exp().float(), "dtype"),
        (lambda x: x.no_such_method(), "crash"),
    ],
)
def test_it_finds_a_planted_fault(op: Any, kind: str) -> None:
    import torch

    from deepcore.check.torch.compare import compare

    one: Sample = sample("one", np.array([0.5, 1.0, -1.5]))
    found = list(compare(_wrong(op=op), torch.exp, one, "cpu", "float64"))
    assert kind in {d.kind for d in found}


@with_torch
def test_it_finds_a_refusal_of_one_side_only() -> None:
    import torch

    from deepcore.check.opdb import bad
    from deepcore.check.torch.compare import compare, compare_bad

    one = sample("one", np.ones((2, 3)), np.ones((3, 2)))
    found = list(compare(BY_NAME["add"], lambda x, y: x, one, "numpy", "float64"))
    assert [d.kind for d in found] == ["refusal"]
    assert "only deepcore refuses" in found[0].detail
    assert compare_bad(BY_NAME["add"], torch.add, bad("no", ValueError, "", np.ones(3), np.ones(2))) is None
    assert compare_bad(BY_NAME["add"], torch.add, bad("yes", ValueError, "", np.ones(3), np.ones(1))) is not None


@with_torch
def test_a_reason_explains_no_more_than_it_says() -> None:
    from deepcore.check.torch.reasons import REASONS, reason_for

    assert reason_for("binary_cross_entropy", "second gradient: mean (float64): 0: ...", 1e-12)
    assert not reason_for("binary_cross_entropy", "second gradient: mean (float64): 0: ...", 1e-3)
    assert not reason_for("exp", "value: 2-d (float64): 0: ...", 1e-3)
    assert all(reason.because for reason in REASONS)


@with_torch
def test_the_last_line_and_the_exit_status(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from deepcore.check.torch.__main__ import main

    assert (
        main(["--op", "exp", "--op", "nms", "--device", "numpy", "--random", "2", "--json", str(tmp_path / "a")]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    report = json.loads((tmp_path / "a").read_text(encoding="utf-8"))
    assert lines[-1] == f"1 ops, {report['cases']} cases compared, 0 differences, 1 ops PyTorch has not (listed)"
    assert report["without_a_reason"] == 0
    with pytest.raises(SystemExit):
        main(["--op", "no_such_op"])
