"""Ring 1 for whole ops: the CUDA kernels' Python code runs in Numba's simulator, behind the same op tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from opdb import all_cases

ROOT = Path(__file__).parents[1]


def test_ops_with_kernels_pass_in_the_simulator() -> None:
    """The op tests on device "simulator", in a process of its own: the simulator is chosen before numba is imported."""
    pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")
    names = [case.name for case in all_cases() if case.kernels]
    assert names
    tests = (
        "test_values_in_every_dtype",
        "test_devices_agree_with_the_reference",
        "test_gradient",
        "test_same_bits_again",
    )
    nodes = [f"{ROOT}/tests/test_ops.py::{test}[simulator-{name}]" for test in tests for name in names]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--devices", "simulator", *nodes]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) == len(nodes), done.stdout[-3000:]
