"""Results, specs and peers for the tests of `deepcore bench`."""

from __future__ import annotations

from pathlib import Path

from deepcore.bench.engine import finish
from deepcore.bench.result import MEASURED, Candidate, Case, Machine, Measurement, Result, Settings
from deepcore.bench.spec import Spec
from deepcore.bench.suites.op_table import BACKWARD, BY_NAME
from deepcore.bench.suites.ops import op_spec

PEER = """
from deepcore.bench.framework import Device

class Fake(Device):
    name, kind, about = "{name}", "peer", "deepcore's reference under another name"

    def __init__(self):
        super().__init__("numpy")
        self.device, self.name = "numpy", "{name}"

    def start(self, threads):
        self.name = "numpy"
        super().start(threads)
        self.name = "{name}"

    def tensor(self, array, grad=False):
        return self.top.tensor(array, device="numpy", requires_grad=grad)

    def model(self, build, weights):
        self.name = "numpy"
        return super().model(build, weights)

    {more}

PEER = Fake
"""
WRONG = """
    def op(self, name):
        right = super().op(name)
        return lambda *a, **k: right(*a, **k) * 1.01
"""
RAISES = """
    def round(self, step, steps):
        raise MemoryError("out of memory")
"""
DIES = """
    def round(self, step, steps):
        import os
        os._exit(7)
"""
ABSENT = """
    def absent(self):
        return "it is not installed: pip install it"
"""


def write_peer(folder: Path, name: str = "fake", more: str = "") -> Path:
    """A file with a peer that is deepcore's reference under another name."""
    file = folder / f"{name}.py"
    file.write_text(PEER.replace("{name}", name).replace("    {more}\n", more), encoding="utf-8")
    return file


def settings(rounds: int = 3) -> Settings:
    """Rounds of no least length."""
    return Settings(["ops"], "", 1, rounds, 1, 1e-6, 0)


def empty(rounds: int = 3) -> Result:
    """A result before anything is measured."""
    machine = Machine("Linux x86_64", "a processor", 2, ["avx2"], 2**33, [], 0.1)
    return Result(
        "deepcore bench", "2026-01-01T00:00:00+00:00", 0.0, "", "", "3.11.0", machine, settings(rounds), [], {}
    )


def spec(part: str = BACKWARD, op: str = "softmax", shape: tuple[int, ...] = (3, 5)) -> Spec:
    """A tiny op."""
    return op_spec("ops", BY_NAME[op], part, (shape,))


def measured(samples: dict[str, list[float]], name: str = "relu", unit: str = "s") -> Result:
    """A result with one case; candidates named like torch are peers."""
    result = empty()
    result.candidates = [
        Candidate(n, "peer" if n.startswith("torch") else "device", f"about {n}", {}, 2, []) for n in samples
    ]
    result.cases = [case_of(samples, name, unit)]
    return result


def case_of(samples: dict[str, list[float]], name: str = "relu", unit: str = "s") -> Case:
    """A measured case."""
    baseline = next((n for n in samples if n.startswith("torch")), next(iter(samples)))
    case = Case("ops", name, "forward", "256x1024", "activation", unit, baseline, flops=2.0e6, bytes=1.0e6)
    case.measurements = [Measurement(n, MEASURED, samples=values, steps=4) for n, values in samples.items()]
    finish(case, seed=0)
    return case
