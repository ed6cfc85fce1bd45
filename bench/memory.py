"""What a training takes of memory, seen from inside its process: resident set and page faults, or the GPU's memory."""

from __future__ import annotations

import contextlib
import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepcore.bench.framework import Framework
from deepcore.bench.suites.memory import ABOVE, FAULTS_A_STEP, PEAK

WARM_UP = 3
"""Steps before page faults are counted: what is kept from step to step has been allocated by then."""


def measure(framework: Framework, make: Callable[[], Any], steps: int) -> dict[str, float]:
    """Run the steps of what `make` builds; returns bytes at the peak, those of them after the import, and page faults.

    On a CUDA device the bytes are those that its memory pool has taken.
    """
    gc.collect()
    before = _resident()
    _forget_peak()
    program = make()
    for _ in range(WARM_UP):
        program.step()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        program.step()
    framework.synchronize()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    peak = _peak()
    figures = {PEAK: float(peak), ABOVE: float(max(0, peak - before)), FAULTS_A_STEP: faults / steps}
    if on_device := framework.device_bytes():
        figures[PEAK] = figures[ABOVE] = float(on_device)
    return figures


def _status(field: str) -> int:
    """Bytes that /proc/self/status gives for a field; 0 where there is none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(field):
                return 1024 * int(line.split()[1])
    return 0


def _resident() -> int:
    return _status("VmRSS:") or _peak()


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM:") or unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _forget_peak() -> None:
    """Make the peak begin anew, where Linux lets a process do that: imports may have taken more for a moment."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
