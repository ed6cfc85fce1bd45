#!/usr/bin/env python
"""Measure which lines and branches of backends/, kernels/ and deepcore/functions/ the tests reach.

    python .ci/cover.py [--html]

The tests run in three modes: normally; with the CUDA kernels in Numba's simulator; and with CPU kernels whose machine
code notes its lines, since coverage.py does not see it (counted.py). Tests of anything else are left out. Exit status 1
where less than 95 % of a folder's lines are reached, or where a test failed. All that is written lies in
build/coverage/; .ci/mutants.py reads there which tests reach a line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "coverage"
MEASURED = ("backends", "kernels", "deepcore/functions")
LEAST = 95.0  # percent of lines

# tests of the measured folders themselves, besides tests/test_ops.py
OF_PARTS = (
    *("autograd_rules", "backends", "bad_input", "bfloat16", "bounds", "cpu_threads", "cubin", "cuda_backend"),
    *("cuda_gemm", "detection", "distributions", "doctests", "elementary", "gamma_distributions", "information"),
    *("layers", "nn", "nn_*", "op_details", "override", "properties", "random_bits", "rare_arguments"),
    *("repeatability", "special", "strict_backend", "strict_device", "tensor", "tensor_*"),
)
OF_CPU_KERNELS = (
    *(
        "backends",
        "conv_algorithms",
        "cpu_optim",
        "cpu_products",
        "cpu_sharing",
        "cpu_vector",
        "elementary",
        "inference",
    ),
    *("large_shapes", "recurrent_cpu", "winograd", "winograd_weight"),
)
# these repeat calls that other tests make
REPEATS = "not_contiguous or same_bits_again or left_untouched or freed or entry_is_complete"
INSIDE = "devices_agree or (test_gradient and not 16_bits) or kernel_is_launched"

MODES = {
    "normal": {},
    "counted": {},
    "simulator": {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_NUM_THREADS": "1"},
}


def jobs() -> list[tuple[str, list[str]]]:
    """(mode, arguments of pytest) of each process."""
    parts = [str(p.relative_to(ROOT)) for name in OF_PARTS for p in sorted(ROOT.glob(f"tests/test_{name}.py"))]
    counted = [f"tests/test_{name}.py" for name in OF_CPU_KERNELS]
    return [
        ("normal", parts),
        ("normal", ["tests/test_ops.py", "--devices=numpy", "-k", f"not ({REPEATS})"]),
        ("simulator", ["tests/test_ops.py", "tests/test_simulator.py", "--devices=simulator", "-k", INSIDE]),
        ("simulator", ["tests/simulator/kernels.py"]),
        ("counted", ["tests/test_ops.py", "tests/test_random_bits.py", "--devices=cpu", "-k", f"not ({REPEATS})"]),
        ("counted", counted),
    ]


def run(number: int, mode: str, arguments: list[str]) -> tuple[str, int, str, float]:
    """Run one process under coverage.py; (its name, exit status, output, seconds)."""
    start = time.perf_counter()
    environment = {
        **os.environ,
        **MODES[mode],
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT / ".ci"), os.environ.get("PYTHONPATH")))),
        "REACH_MODE": mode,
        "REACH_TIMES": str(FOLDER / f"times.{number}"),
    }
    measuring = [sys.executable, "-m", "coverage", "run", f"--data-file={FOLDER}/data", "--parallel-mode"]
    testing = ["-m", "pytest", "-q", "-p", "reach", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        [*measuring, *testing], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    name = f"{mode}: pytest {' '.join(arguments if len(arguments) < 5 else arguments[:1])}"
    return name, done.returncode, done.stdout[-8000:] + done.stderr[-2000:], time.perf_counter() - start


def coverage(*arguments: str) -> str:
    """The output of a command of coverage.py on the combined data."""
    command = [sys.executable, "-m", "coverage", arguments[0], f"--data-file={FOLDER}/data", *arguments[1:]]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def table() -> bool:
    """Print what is not reached, then the shares; whether they suffice."""
    coverage("json", "-o", f"{FOLDER}/coverage.json")
    files = json.loads((FOLDER / "coverage.json").read_text())["files"]
    print(f"\n{'file':46}{'lines':>7}{'missed':>8}{'branches':>10}{'missed':>8}  lines missed")
    shares = []
    for folder in MEASURED:
        totals = dict.fromkeys(("num_statements", "missing_lines", "num_branches", "missing_branches"), 0)
        for name, found in sorted(files.items()):
            if name.startswith(f"{folder}/"):
                numbers = {key: found["summary"][key] for key in totals}
                if name.startswith("kernels/cpu/"):  # of compiled code only the lines are known
                    numbers |= {"num_branches": 0, "missing_branches": 0}
                totals = {key: totals[key] + numbers[key] for key in totals}
                if numbers["missing_lines"] or numbers["missing_branches"]:
                    print(row(name, numbers) + "  " + spans(found["missing_lines"]))
        shares.append((folder, totals))
    enough = True
    print()
    for folder, totals in shares:
        reached = 100 * (1 - totals["missing_lines"] / max(1, totals["num_statements"]))
        branches = 100 * (1 - totals["missing_branches"] / max(1, totals["num_branches"]))
        print(f"{row(folder, totals)}  {reached:.1f} % of lines, {branches:.1f} % of branches")
        enough = enough and reached >= LEAST
    return enough


def row(name: str, numbers: dict[str, int]) -> str:
    """One line of the table."""
    return f"{name:46}" + "".join(f"{n:>{w}}" for n, w in zip(numbers.values(), (7, 8, 10, 8), strict=True))


def spans(lines: list[int]) -> str:
    """[1, 2, 3, 7] as "1-3 7"."""
    found: list[list[int]] = []
    for line in lines:
        if found and line == found[-1][1] + 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return " ".join(f"{a}-{b}" if b > a else str(a) for a, b in found)


def main() -> int:
    """Run, combine, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--html", action="store_true", help="also write build/coverage/html/index.html")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in (*FOLDER.glob("data*"), *FOLDER.glob("times*")):
        old.unlink()
    failed = False
    with ThreadPoolExecutor(
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ) as pool:
        for name, status, output, seconds in pool.map(
            lambda job: run(*job), [(i, *job) for i, job in enumerate(jobs())]
        ):
            print(f"{seconds:6.0f} s  {name}  {output.strip().splitlines()[-1] if output.strip() else ''}", flush=True)
            if status:
                print(output)
                failed = True
    coverage("combine")
    if options.html:
        coverage("html", "-d", f"{FOLDER}/html", "--show-contexts")
    enough = table()
    print(
        "\n"
        + ("" if enough else f"less than {LEAST:g} % of the lines of a folder\n")
        + ("a test failed" if failed else "")
    )
    return int(failed or not enough)


if __name__ == "__main__":
    sys.exit(main())
