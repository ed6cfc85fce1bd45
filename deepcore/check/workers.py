"""Several processes for a check: the cores of a CPU, one for a GPU, one where CUDA is simulated.

A process gets one task at a time. One that dies, or does not answer in time, is a failure of the op that it was at;
a fresh one goes on with the rest.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from deepcore import machine
from deepcore.check.opdb import OpCase, all_cases
from deepcore.check.results import OpResult
from deepcore.check.runner import Task, check_op, in_this_process, without_answer

ANSWER_S = 600.0
"""An op that takes longer on one device is taken for stuck."""

READY = "ready"
"""What a process says when it has loaded all that it needs."""

SIMULATOR = "simulator"
SIMULATED = {"NUMBA_ENABLE_CUDASIM": "1"}
"""The simulator has to be chosen before Numba is imported, and then rules out the compiled kernels of the CPU."""


class Lane:
    """A queue of tasks with processes of one kind."""

    def __init__(self, tasks: Sequence[Task], processes: int, environment: dict[str, str]) -> None:
        self.tasks = list(reversed(tasks))
        self.environment = environment
        self.processes = min(processes, len(tasks))


class _Worker:
    """One process, and the task that it is at; none while it loads, or when there are no more."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.task: Task | None = None
        self.loading = True
        self.since = time.monotonic()
        context = multiprocessing.get_context("spawn")  # a fork would copy threads that do not run
        self.pipe, theirs = context.Pipe()
        self.process: Any = context.Process(target=_work, args=(theirs, list(sys.path)), daemon=True)
        with machine.variables(lane.environment):
            self.process.start()
        theirs.close()

    @property
    def busy(self) -> bool:
        return self.loading or self.task is not None

    def next(self) -> None:
        """Hand it the next task of its lane, if there is one."""
        self.loading = False
        self.task, self.since = (self.lane.tasks.pop() if self.lane.tasks else None), time.monotonic()
        if self.task is not None:
            with contextlib.suppress(OSError):  # it died between two tasks: its silence will be noticed
                self.pipe.send(self.task)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(pipe: Connection, path: list[str]) -> None:
    """The process: answers a task with its result until it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    sys.path[:] = path
    known = {case.name: case for case in all_cases()}
    pipe.send(READY)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(check_op(known[task.op], task))


def lanes_of(tasks: Sequence[Task], processes: int) -> list[Lane]:
    """One lane for devices of the host with so many processes, one for each other device with a single one."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        alone = task.device == SIMULATOR or task.device.startswith("cuda")
        groups.setdefault(task.device if alone else "", []).append(task)
    return [
        Lane(found, 1 if device else processes, SIMULATED if device == SIMULATOR else {})
        for device, found in groups.items()
    ]


class InProcesses:
    """What `runner.check` runs tasks by: called with cases and tasks, it yields results as they come."""

    def __init__(self, processes: int, answer_seconds: float = ANSWER_S) -> None:
        self.processes, self.answer_seconds = processes, answer_seconds

    def __call__(self, cases: Sequence[OpCase], tasks: Sequence[Task]) -> Iterator[tuple[Task, OpResult]]:
        workers = [_Worker(lane) for lane in lanes_of(tasks, self.processes) for _ in range(lane.processes)]
        try:
            while busy := [worker for worker in workers if worker.busy]:
                ready = wait([worker.pipe for worker in busy], timeout=1.0)
                for worker in busy:
                    answer = self._answer(worker, worker.pipe in ready)
                    if answer is None:
                        continue
                    task = worker.task
                    if answer == READY or isinstance(answer, OpResult):
                        worker.next()
                    else:
                        worker.end()
                        workers.remove(worker)
                        task = task or (worker.lane.tasks.pop() if worker.lane.tasks else None)
                        if worker.lane.tasks:
                            workers.append(_Worker(worker.lane))
                    if task is not None:
                        yield task, answer if isinstance(answer, OpResult) else without_answer(task, answer)
        finally:
            for worker in workers:
                worker.end()

    def _answer(self, worker: _Worker, ready: bool) -> OpResult | str | None:
        """The result, READY, or text that says why there is neither; None while it is still at work."""
        if ready:
            try:
                answer: OpResult | str = worker.pipe.recv()
                return answer
            except (EOFError, OSError):
                worker.process.join(5)
                return f"the process ended on its own, with status {worker.process.exitcode}"
        limit = ANSWER_S if worker.loading else self.answer_seconds
        if time.monotonic() - worker.since > limit:
            return f"no answer within {limit:g} s"
        return None


def chosen(processes: int, devices: Sequence[str]) -> Any:
    """How to run a check: in processes where there are several, or where a device needs one of its own."""
    if processes > 1 or SIMULATOR in devices:
        return InProcesses(processes)
    return in_this_process
