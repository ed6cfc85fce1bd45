"""How long ``import deepcore`` takes, beside NumPy (which it stands on) and PyTorch (where that is installed).

Run it as ``python -m deepcore.bench.startup [--repeat N] [--json FILE]``. Every measurement is a fresh interpreter; the
first one of each package is thrown away, since it also reads the files from the disk.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

PACKAGES = ("numpy", "deepcore", "torch")

# A user's own shell starts in an unknown folder: `-P` keeps the current one out of the search path.
MEASURE = "import time; start = time.perf_counter(); import {package}; print(time.perf_counter() - start)"


def import_seconds(package: str) -> float:
    """Seconds that ``import package`` takes in a fresh interpreter; raises CalledProcessError where it fails."""
    command = [sys.executable, "-P", "-c", MEASURE.format(package=package)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(packages: tuple[str, ...] = PACKAGES, repeat: int = 5) -> list[dict[str, str | float]]:
    """Best and median import time in seconds of each package that is installed, turn by turn so that load is shared."""
    installed = [package for package in packages if importlib.util.find_spec(package)]
    seconds: dict[str, list[float]] = {package: [] for package in installed}
    for turn in range(repeat + 1):
        for package in installed:
            elapsed = import_seconds(package)
            if turn > 0:
                seconds[package].append(elapsed)
    return [
        {
            "package": package,
            "version": importlib.metadata.version(package),
            "best_s": round(min(seconds[package]), 4),
            "median_s": round(statistics.median(seconds[package]), 4),
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
    print(f"{'package':<10} {'version':<14} {'best ms':>8} {'median ms':>10}")
    for row in rows:
        print(
            f"{row['package']:<10} {row['version']:<14} {1e3 * float(row['best_s']):8.0f} "
            f"{1e3 * float(row['median_s']):10.0f}"
        )
    if options.json:
        report = {
            "command": f"python -m deepcore.bench.startup --repeat {options.repeat}",
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            "packages": rows,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
