"""How long ``import deepcore`` takes, beside NumPy (which it stands on) and PyTorch (where that is installed).

Run it as ``python -m deepcore.bench.startup [--repeat N] [--json FILE]``. Every measurement is a fresh interpreter; the
first one of each package is thrown away, since it also reads the files from the disk.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from deepcore import machine

PACKAGES = ("numpy", "deepcore", "torch")

MEASURE = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import {package}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""


class Seconds(NamedTuple):
    """Time by the clock, and time on a processor: on a busy machine only the second says something of the package."""

    wall: float
    cpu: float


def import_seconds(package: str) -> Seconds:
    """Time of ``import package`` in a fresh interpreter; raises CalledProcessError where it fails."""
    # `-P`: a package of the current folder is not the installed one. Compiled modules are kept, as they are for a user:
    # otherwise most of the time would be that of Python's own compiler.
    command = [sys.executable, "-P", "-c", MEASURE.format(package=package)]
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=settings)
    wall, cpu = result.stdout.split()[-2:]
    return Seconds(float(wall), float(cpu))


def measure(packages: tuple[str, ...] = PACKAGES, repeat: int = 5) -> list[dict[str, str | float]]:
    """Best and median time of each package that is installed, turn by turn so that other load is shared out."""
    installed = [package for package in packages if importlib.util.find_spec(package)]
    seconds: dict[str, list[Seconds]] = {package: [] for package in installed}
    for turn in range(repeat + 1):
        for package in installed:
            elapsed = import_seconds(package)
            if turn > 0:
                seconds[package].append(elapsed)
    return [
        {
            "package": package,
            "version": importlib.metadata.version(package),
            "best_s": round(min(times.wall for times in seconds[package]), 4),
            "median_s": round(statistics.median(times.wall for times in seconds[package]), 4),
            "cpu_s": round(min(times.cpu for times in seconds[package]), 4),
        }
        for package in installed
    ]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print a table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m deepcore.bench.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5, help="fresh interpreters for each package")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    if options.repeat < 1:
        parser.error(f"--repeat: expected at least 1; got {options.repeat}")
    rows = measure(repeat=options.repeat)
    print(f"{'package':<10} {'version':<14} {'best ms':>8} {'median ms':>10} {'best CPU ms':>12}")
    for row in rows:
        best, median, cpu = (1e3 * float(row[key]) for key in ("best_s", "median_s", "cpu_s"))
        print(f"{row['package']:<10} {row['version']:<14} {best:8.0f} {median:10.0f} {cpu:12.0f}")
    if options.json:
        report = {
            "command": f"python -m deepcore.bench.startup --repeat {options.repeat}",
            "python": platform.python_version(),
            "machine": machine.describe(),
            "packages": rows,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
