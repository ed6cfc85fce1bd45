"""The process of one candidate: it answers one question at a time, over a pipe, until the pipe is closed.

Questions are tuples of a word and its arguments; the answer to any may be a `Problem`.

- ("describe",): a `Candidate`, once the framework is imported
- ("prepare", spec, seed, weights): a `Prepared`; what was prepared before is dropped. `weights` is a file or ""
- ("round", steps): a `Round`
- ("profile", steps): a `Profile` of the training that is prepared
- ("memory", spec, seed, weights, steps): a dict of figures by part, see `memory`
- ("roof",): a `Roof`
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from deepcore.bench import candidates, environment
from deepcore.bench.framework import Framework
from deepcore.bench.result import FAILED, Candidate
from deepcore.bench.spec import Prepared, Problem, Round, Spec, digest


def work(pipe: Connection, path: list[str], name: str, kind: str, threads: int) -> None:
    """The body of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    sys.path[:] = path
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # what an exporter or a compiler has to say
    try:
        desk = Desk(candidates.make(name, kind), threads)
    except Exception as error:
        pipe.send(problem(error))
        return
    while True:
        try:
            word, *arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = getattr(desk, word)(*arguments)
        except Exception as error:  # it is the answer; the next question may do better
            answer = problem(error)
        pipe.send(answer)


def problem(error: BaseException) -> Problem:
    """An exception as an answer: its name and the first lines of its text."""
    text = " ".join(str(error).split())
    return Problem(FAILED, f"{type(error).__name__}: {text[:300]}")


class Desk:
    """The questions."""

    def __init__(self, framework: Framework, threads: int) -> None:
        framework.start(threads)
        self.framework, self.threads = framework, threads
        self.program: Any = None

    def describe(self) -> Candidate:
        framework = self.framework
        return Candidate(
            framework.name,
            framework.kind,
            framework.about,
            environment.versions(framework.packages),
            self.threads,
            environment.blas(),
        )

    def prepare(self, spec: Spec, seed: int, weights: str) -> Prepared:
        self.program = None
        gc.collect()
        self.program = self._program(spec, seed, weights)
        found = self.program.results()
        self.framework.synchronize()
        results = {name: digest(value) for name, value in found.items()}
        note = getattr(self.program, "note", "")
        return Prepared(results, self.program.allowed, self.program.flops, self.program.bytes, note)

    def round(self, steps: int) -> Round:
        if steps > 1:  # wakes threads and fills caches after another process had its turn
            self.program.step()
        return self.framework.round(self.program.step, steps)

    def profile(self, steps: int) -> Any:
        from deepcore.bench.profile import profile

        return profile(self.framework, self.program, steps)

    def memory(self, spec: Spec, seed: int, weights: str, steps: int) -> dict[str, float]:
        from deepcore.bench.memory import measure

        return measure(self.framework, lambda: self._program(spec, seed, weights), steps)

    def roof(self) -> Any:
        from deepcore.bench.roof import measure

        return measure(self.threads)

    def _program(self, spec: Spec, seed: int, weights: str) -> Any:
        from deepcore.bench.programs import PROGRAMS

        return PROGRAMS[spec.program](self.framework, spec.arguments, seed, load(weights))


def load(weights: str) -> Mapping[str, np.ndarray]:
    """The arrays of an .npz file by name; nothing for ""."""
    if not weights:
        return {}
    with np.load(Path(weights)) as file:
        return {name: file[name] for name in file.files}
