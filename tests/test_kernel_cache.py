"""Machine code on disk is used as long as the text of its sources is the same, and no longer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepcore.kernels.cpu import compiler

HELPER = """
from deepcore.kernels.cpu.compiler import kernel

@kernel(inlined=True)
def factor():
    return {factor}
"""
KERNEL = """
from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.helper_of_a_test import factor

@kernel()
def triple(x):
    return x * factor()
"""
# The two files belong to the package without being written into its folder.
PROGRAM = """
import sys
from pathlib import Path
from deepcore.kernels import cpu
from deepcore.kernels.cpu import compiler
cpu.__path__.append(sys.argv[1])
compiler.FOLDER = Path(sys.argv[1])
from deepcore.kernels.cpu.kernel_of_a_test import triple
print(triple(2), "hit" if sum(triple.stats.cache_hits.values()) else "compiled")
"""


@pytest.fixture
def run(tmp_path: Path):
    """Write both files with a factor and call the kernel in a fresh interpreter: (value, hit or compiled)."""

    def call(factor: int, touch: bool = False) -> tuple[str, str]:
        helper, kernel = tmp_path / "helper_of_a_test.py", tmp_path / "kernel_of_a_test.py"
        for path, text in ((helper, HELPER.format(factor=factor)), (kernel, KERNEL)):
            if touch or not path.exists() or path.read_text() != text:
                path.write_text(text)
        if touch:
            os.utime(kernel, (1, 1))
        environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | {"PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        value, how = done.stdout.split()
        return value, how

    return call


def test_a_change_in_a_helper_is_seen_and_a_new_copy_of_the_same_text_is_not(run) -> None:
    assert run(3) == ("6", "compiled")
    assert run(3) == ("6", "hit")
    assert run(3, touch=True) == ("6", "hit")  # as after an installation of the same version
    assert run(5) == ("10", "compiled")


def test_sources_are_found_through_imports() -> None:
    gates = compiler.FOLDER / "gates.py"
    assert {"gates.py", "elementary.py", "compiler.py"} <= {path.name for path in compiler.sources(gates)}
