"""How much processor time a command takes: what other work on the machine does not change much."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Sequence

TURNS = 12


def least_processor_time(command: Sequence[str], limit: float) -> tuple[float, str]:
    """(seconds, what it printed) of the quickest of a few runs; the first below `limit` seconds ends it.

    Other work makes a measurement longer, never shorter.
    """
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", "OPENBLAS_NUM_THREADS": "1"}
    # As at a user's: with compiled modules on disk, which this variable would forbid to write.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    best, printed = float("inf"), ""
    for _ in range(TURNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        best, printed = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), done.stdout
        if best < limit:
            break
    return best, printed
