"""Samples that take a process of their own: imports, first steps, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deepcore.bench import environment, workloads
from deepcore.bench.crew import Worker
from deepcore.bench.framework import Framework
from deepcore.bench.result import FAILED
from deepcore.bench.spec import Problem, Spec
from deepcore.bench.startup import import_seconds
from deepcore.bench.worker import problem

LIMIT_S = 600
MEMORY_STEPS = 5

FIRST_STEP = """
import time
start = time.perf_counter()
{opening}
import importlib.util
import numpy
found = importlib.util.spec_from_file_location("workloads", {file!r})
workloads = importlib.util.module_from_spec(found)
found.loader.exec_module(workloads)
work = workloads.WORKLOADS[{name!r}]
model = place(work.build(nn, F, False))
optimizer = getattr(optim, work.optimizer[0])(model.parameters(), **work.optimizer[1])
x, target = map(put, work.batch(numpy.random.default_rng(0), {batch}))
loss = work.loss(F, model(x), target)
optimizer.zero_grad()
loss.backward()
optimizer.step()
value = loss.item()
print(time.perf_counter() - start)
"""
"""A user's program up to the end of its first step. `opening` imports the framework, with nothing imported before."""


def sample(framework: Framework, spec: Spec, threads: int, seed: int, weights: str) -> dict[str, float] | Problem:
    """One process: its figures by part."""
    try:
        if spec.program == "import":
            return {spec.part: import_seconds(framework.imports).wall}
        if spec.program == "first step":
            return {spec.part: first_step(framework, spec, threads)}
        with Worker(framework, threads) as worker:
            return worker.ask("memory", spec, seed, weights, MEMORY_STEPS)
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or [f"status {error.returncode}"]
        return Problem(FAILED, last[0][:300])
    except (OSError, subprocess.SubprocessError) as error:
        return problem(error)


def first_step(framework: Framework, spec: Spec, threads: int) -> float:
    """Seconds from the first import to the end of the first training step."""
    code = FIRST_STEP.format(
        opening=framework.opening(threads),
        file=workloads.__file__,
        name=spec.arguments["workload"],
        batch=spec.arguments["batch"],
    )
    variables = environment.threads_for(threads) | framework.environment(threads)
    if not spec.arguments.get("cold"):
        return _run(code, variables)
    with tempfile.TemporaryDirectory(prefix="deepcore-bench-") as folder:
        return _run(code, variables | framework.cold(Path(folder)))


def _run(code: str, variables: Mapping[str, str]) -> float:
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, env=settings | dict(variables),
        timeout=LIMIT_S, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return float(done.stdout.split()[-1])
