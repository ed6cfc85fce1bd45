"""No CPU kernel reads or writes outside of its arrays, also where the values come out right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepcore.check.opdb import all_cases

TESTS = Path(__file__).parent
ON_CPU_ONLY = ("rnn", "roi_align", "scaled_dot_product_attention")  # ops with a CPU kernel and none for CUDA


@pytest.mark.slow
def test_kernels_stay_inside_their_arrays(tmp_path: Path) -> None:
    """The kernels run with Numba's bounds checks, compiled anew: an index outside raises IndexError."""
    names = [case.name for case in all_cases() if case.kernels or case.name in ON_CPU_ONLY]
    nodes = [f"test_ops.py::test_devices_agree_with_the_reference[cpu-{name}]" for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--devices", "cpu"]
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    paths = [str(TESTS / node) for node in (*nodes, "test_large_shapes.py")]
    done = subprocess.run(
        [*command, *paths], cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
