"""The processes of the candidates, seen from the program that times them."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Mapping
from typing import Any

from deepcore import machine
from deepcore.bench import environment
from deepcore.bench.framework import Framework
from deepcore.bench.result import FAILED
from deepcore.bench.spec import Problem
from deepcore.bench.worker import work

ANSWER_S = 900.0
"""A candidate that does not answer for so long is taken for stuck: torch.compile of a large model takes minutes."""


class Worker:
    """One process of one candidate; `ask` sends a question and waits for the answer."""

    def __init__(self, framework: Framework, threads: int, variables: Mapping[str, str] | None = None) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy libraries that have their threads already
        self.pipe, theirs = context.Pipe()
        self.alive = True
        wanted = environment.threads_for(threads) | framework.environment(threads) | dict(variables or {})
        arguments = (theirs, list(sys.path), framework.source or framework.name, framework.kind, threads)
        self.process: Any = context.Process(target=work, args=arguments, daemon=True)
        with machine.variables(wanted):
            self.process.start()
        theirs.close()

    def ask(self, word: str, *arguments: Any) -> Any:
        """The answer; a `Problem` where the process has ended or is stuck, after which it is no longer `alive`."""
        try:
            self.pipe.send((word, *arguments))
            end = time.monotonic() + ANSWER_S
            while not self.pipe.poll(0.5):
                if time.monotonic() > end:
                    self.close()
                    return Problem(FAILED, f"no answer within {ANSWER_S:.0f} s")
            return self.pipe.recv()
        except (EOFError, OSError):
            self.alive = False
            self.process.join(5)
            return Problem(FAILED, f"its process ended with status {self.process.exitcode}")

    def close(self) -> None:
        """End the process. One that waits for a question may put its things away first; any other is killed."""
        self.alive = False
        self.pipe.close()
        self.process.join(1)
        self.process.kill()
        self.process.join()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        if self.alive:
            self.close()


class Crew:
    """A process for each candidate, started when it is first asked, kept until it ends or other threads are wanted."""

    def __init__(self) -> None:
        self.workers: dict[str, Worker] = {}
        self.threads = 0

    def ask(self, framework: Framework, threads: int, word: str, *arguments: Any) -> Any:
        """The answer of that candidate's process."""
        if threads != self.threads:
            self.close()
            self.threads = threads
        worker = self.workers.get(framework.name)
        if worker is None or not worker.alive:
            worker = self.workers[framework.name] = Worker(framework, threads)
        return worker.ask(word, *arguments)

    def close(self) -> None:
        """End all processes."""
        for worker in self.workers.values():
            if worker.alive:
                worker.close()
        self.workers.clear()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
