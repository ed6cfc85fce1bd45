"""Ring 1 for whole ops: the CUDA kernels' Python code runs in Numba's simulator, behind the same op tests.

The simulator has to be chosen before numba is imported, so the tests of this ring run in a process of their own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deepcore.check.opdb import OpCase, all_cases, outputs, to_tensors

ROOT = Path(__file__).parents[1]
WITH_KERNELS = [case for case in all_cases() if case.kernels]
SIMULATING = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
OF_OPS = ("test_devices_agree_with_the_reference", "test_gradient")


@pytest.mark.skipif(SIMULATING, reason="this is the process inside")
def test_ops_with_kernels_in_the_simulator() -> None:
    """Values and gradients of every op that has kernels, in every dtype, on the samples that are tiny."""
    pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")
    smooth = [case for case in WITH_KERNELS if case.differentiable]
    nodes = [f"test_ops.py::{OF_OPS[0]}[simulator-{case.name}]" for case in WITH_KERNELS]
    nodes += [f"test_ops.py::{OF_OPS[1]}[simulator-{case.name}]" for case in smooth]
    nodes += [f"test_simulator.py::test_a_kernel_is_launched[{case.name}]" for case in WITH_KERNELS]
    paths = [str(ROOT / "tests" / node) for node in nodes]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--devices", "simulator", *paths]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) == len(nodes), done.stdout[-3000:]


@pytest.mark.skipif(not SIMULATING, reason="runs inside the test above, in the simulator")
@pytest.mark.parametrize("case", WITH_KERNELS, ids=str)
def test_a_kernel_is_launched(case: OpCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ring is not green because everything fell back to the reference."""
    from deepcore.backends import get_backend

    launcher = type(get_backend("simulator").launch)
    launched = []
    launch = launcher.__call__

    def counting(self, kernel, *args):
        launched.append(kernel)
        return launch(self, kernel, *args)

    monkeypatch.setattr(launcher, "__call__", counting)
    sample = next(s for s in case.make_samples() if s.tiny and not s.empty)
    args = to_tensors(sample.args, "simulator", sample.diff)
    y = outputs(case.op(*args, **sample.kwargs))[0]
    if y.requires_grad:
        y.sum().backward()
    assert launched
