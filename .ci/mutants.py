#!/usr/bin/env python
"""Break the kernels, backends and functions in 200 small ways, and see whether the tests notice.

    python .ci/cover.py && python .ci/mutants.py [--seed 0] [--count 200] [--jobs 1] [--again]

Each mutant is one change of .ci/mutate.py, in a copy of the repository. The tests that reach its line (build/coverage/
knows) run, the fastest of each kind first, until one fails; a mutant that makes them hang counts as killed. Writes
bench/results/mutants.json. Survivors with a reason in .ci/survivors.toml are not printed again. Exit status 1 where
less than 90 % were killed. `--again` runs the survivors of the last run once more; `--also` adds all tests of a file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, zip_longest
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from cover import FOLDER, MODES, ROOT
from coverage import CoverageData
from mutate import Mutant, drawn

RESULTS = ROOT / "bench" / "results" / "mutants.json"
LEAST = 90.0  # percent killed
BUDGET_S, MOST_TESTS, PATIENCE_S = 60.0, 300, 600.0


class Tests:
    """Which tests reach a line, and how long they take."""

    def __init__(self) -> None:
        self.data = CoverageData(f"{FOLDER}/data")
        self.data.read()
        lines = chain.from_iterable(path.read_text().splitlines() for path in FOLDER.glob("times.*"))
        self.seconds = {name: float(time) for name, time in (line.split("\t") for line in lines)}
        self.contexts: dict[str, dict[int, list[str]]] = {}

    def reaching(self, mutant: Mutant) -> list[str]:
        """`mode|test`, the fastest of each test function in turn, within the budget."""
        if mutant.file not in self.contexts:
            self.contexts[mutant.file] = self.data.contexts_by_lineno(mutant.file)
        lines = self.contexts[mutant.file]
        found: set[str] = set()
        # a default value, or a constant of the module, is reached by whatever test imports it first
        once = mutant.statement == mutant.function[0]
        narrow = mutant.function if once else (mutant.statement, mutant.statement)
        for first, last in (narrow, mutant.function, (1, 10**6)):
            found = found or {c for n in lines if first <= n <= last for c in lines[n] if c in self.seconds}
        found = {name for name in found if "test_every_function_has_an_entry" not in name}  # it needs them all
        if not mutant.file.startswith("kernels") and any("[numpy" in name for name in found):
            found = {name for name in found if "[cpu" not in name or mutant.file.startswith("backends/cpu")}
        kinds = defaultdict(list)
        for name in sorted(found, key=lambda name: (self.seconds[name], name)):
            kinds[name.partition("[")[0].partition("|")[2] + name.partition("[")[2][:3]].append(name)
        chosen, spent = [], 0.0
        for name in filter(None, chain.from_iterable(zip_longest(*kinds.values()))):
            spent += self.seconds[name]
            if chosen and (spent > BUDGET_S or len(chosen) >= MOST_TESTS):
                break
            chosen.append(name)
        if mutant.file.startswith("kernels/cuda"):  # the code for the GPU: it compiles, and without a spill
            family = f"{Path(mutant.file).stem}."
            chosen += [n for n in self.seconds if "test_cubin.py" in n and f"[{family}" in n and "-float32-sm_80" in n]
        return list(dict.fromkeys(chosen))


def scratch_copy(folder: Path) -> Path:
    """A copy that is importable from its root: the packages that are installed inside others become links."""
    ignored = shutil.ignore_patterns(".git", "build", "*.egg-info", ".*_cache", ".hypothesis", "runs")
    shutil.copytree(ROOT, folder, symlinks=True, ignore=ignored)
    mapped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    for package, place in mapped.items():
        link = folder.joinpath(*package.split("."))
        if not link.exists():
            link.symlink_to(os.path.relpath(folder / place, link.parent))
    return folder


def judge(mutant: Mutant, tests: list[str], also: list[str], copy: Path) -> dict[str, Any]:
    """Run the tests on the mutant; what came of it."""
    before, after = mutant.diff()
    path, start = copy / mutant.file, time.perf_counter()
    source, times = path.read_bytes(), path.stat()
    verdict, by = "survived", "no test reaches it" if not tests else ""
    path.write_bytes(mutant.applied(source))
    try:
        for chosen, simulated in batches(tests, also):
            if verdict == "survived":
                verdict, by = outcome(chosen, simulated, mutant, copy)
    finally:
        path.write_bytes(source)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    seconds = round(time.perf_counter() - start, 1)
    facts = {"file": mutant.file, "line": mutant.line, "kind": mutant.kind, "before": before, "after": after}
    return {**facts, "verdict": verdict, "by": by, "tests": len(tests), "seconds": seconds}


def batches(tests: list[str], also: list[str]) -> Iterator[tuple[list[str], bool]]:
    """(tests, whether in the simulator) of one process each: first the few that need no other files."""
    plain = [name.partition("|")[2] for name in tests if not name.startswith("simulator|")]
    simulated = [name.partition("|")[2] for name in tests if name.startswith("simulator|")]
    of_ops = [name for name in plain if name.startswith(("tests/test_ops.py", "tests/test_backends.py"))]
    yield from (
        (list(dict.fromkeys(names)), where)
        for names, where in (
            (simulated[:12], True),
            (of_ops[:12], False),
            (simulated[12:], True),
            ([name for name in plain if name not in of_ops[:12]] + also, False),
        )
        if names
    )


def outcome(chosen: list[str], simulated: bool, mutant: Mutant, copy: Path) -> tuple[str, str]:
    """(killed or survived, by which test)."""
    with tempfile.TemporaryDirectory() as own:
        only = Path(own) / "only"
        only.write_text("\n".join(chosen))
        environment = {**os.environ, **MODES["simulator" if simulated else "normal"], "REACH_ONLY": str(only)}
        environment |= {"PYTHONPATH": f"{copy}{os.pathsep}{copy / '.ci'}", "PYTHONDONTWRITEBYTECODE": "1"}
        if mutant.file.startswith("kernels/cpu"):  # Numba's cache looks at the kernel's own file, not at its helpers'
            environment["NUMBA_CACHE_DIR"] = own
        files = dict.fromkeys(name.partition("::")[0] for name in chosen)
        named = (device for device in ("numpy", "cpu", "strict", "simulator") if any(f"[{device}" in n for n in chosen))
        devices = f"--devices={','.join(named) or 'numpy'}"
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfE", "-p", "reach", "-p", "no:cacheprovider", devices]
        try:
            done = subprocess.run(
                [*command, *files],
                cwd=copy,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "killed", "timeout"
    if done.returncode in (0, 5):
        return "survived", "" if done.returncode == 0 else "no test was found"
    failed = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - |$)", done.stdout, re.MULTILINE)
    return "killed", failed[1] if failed else f"exit status {done.returncode}"


def explained() -> set[tuple[str, str, str]]:
    """Survivors with a reason."""
    entries = tomllib.loads((ROOT / ".ci" / "survivors.toml").read_text()).get("survivor", [])
    return {(entry["file"], entry["before"], entry["after"]) for entry in entries}


def main() -> int:
    """Draw, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="only the survivors of the last run")
    parser.add_argument("--also", nargs="*", default=[], metavar="FILE", help="run all tests of these files too")
    options = parser.parse_args()
    mutants = drawn(options.seed, options.count)
    results: dict[tuple, dict] = {}
    if options.again:
        old = {(r["file"], r["before"], r["after"]): r for r in json.loads(RESULTS.read_text())["mutants"]}
        killed = [m for m in mutants if old.get((m.file, *m.diff()), {}).get("verdict") == "killed"]
        results = {(m.file, m.line, *m.diff()): old[m.file, *m.diff()] | {"line": m.line} for m in killed}
        mutants = [m for m in mutants if m not in killed]
    tests = Tests()
    with tempfile.TemporaryDirectory(prefix="deepcore-mutants.") as scratch, ThreadPoolExecutor(options.jobs) as pool:
        copies: SimpleQueue[Path] = SimpleQueue()
        for i in range(options.jobs):
            copies.put(scratch_copy(Path(scratch) / str(i)))

        def judged(mutant: Mutant) -> dict[str, Any]:
            copy = copies.get()
            try:
                return judge(mutant, tests.reaching(mutant), options.also, copy)
            finally:
                copies.put(copy)

        for n, result in enumerate(pool.map(judged, mutants), 1):
            results[result["file"], result["line"], result["before"], result["after"]] = result
            place = f"{result['file']}:{result['line']}"
            print(f"{n:4} {result['verdict']:9}{result['seconds']:6.0f} s  {place}  {result['by']}")
            print(f"{'':10}- {result['before']}\n{'':10}+ {result['after']}", flush=True)
            write(list(results.values()), options.seed)
    return summary(list(results.values()))


def write(results: list[dict[str, Any]], seed: int) -> None:
    """The results so far."""
    killed = sum(r["verdict"] == "killed" for r in results)
    facts = {"seed": seed, "count": len(results), "killed": killed, "mutants": results}
    RESULTS.write_text(json.dumps(facts, indent=1) + "\n")


def summary(results: list[dict[str, Any]]) -> int:
    """Print the survivors without a reason, and the rate; the exit status."""
    known = explained()
    survivors = [r for r in results if r["verdict"] != "killed"]
    new = [r for r in survivors if (r["file"], r["before"], r["after"]) not in known]
    for r in new:
        print(f"\n{r['file']}:{r['line']} ({r['kind']}) {r['by']}\n- {r['before']}\n+ {r['after']}")
    share = 100 * (1 - len(survivors) / max(1, len(results)))
    killed = f"{len(results) - len(survivors)} of {len(results)} killed, {share:.1f} %"
    print(f"\n{killed}; {len(new)} survivors without a reason")
    return int(share < LEAST)


if __name__ == "__main__":
    sys.exit(main())
