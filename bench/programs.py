"""What a candidate does in a case, written once for every framework: an op, a training step, inference.

A program is made with the framework, the arguments of its spec, the seed and the model's weights. `results` runs it for
the first time and returns what is compared between candidates; after that `step` is timed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from deepcore.bench.framework import Framework
from deepcore.bench.suites.op_table import FORWARD, make_inputs, op_of
from deepcore.bench.workloads import WORKLOADS, Workload

OUTPUT, GRADIENT = 1e-4, 1e-3
"""How far outputs of a whole model in float32, and losses and gradients of its training, may be apart, relative to
rms + |value|. An op has its tolerance from the table of the checks; in a model errors pass through dozens of ops, and
where two numbers are nearly equal, rounding decides which of them a maximum takes. PyTorch's two layouts of images
differ by 5e-6 and 3e-4; with bfloat16 in between, models differ by some 1e-3 to 1e-2."""

Weights = Mapping[str, np.ndarray]


class Program(Protocol):
    """What can be timed."""

    allowed: float
    flops: float
    bytes: float

    def results(self) -> dict[str, Any]:
        """Arrays on the host, by name."""

    def step(self) -> Any:
        """One step."""


class Op:
    """One op: forward without a tape, or the gradients of some inputs from a kept graph."""

    def __init__(self, framework: Framework, arguments: Mapping[str, Any], seed: int, weights: Weights) -> None:
        self.framework = framework
        op, shapes = op_of(arguments)
        self.part = arguments["part"]
        arrays = make_inputs(op, shapes, np.random.default_rng(seed))
        wanted = [] if self.part == FORWARD else op.wanted(self.part, shapes)
        tensors = [framework.tensor(array, i in wanted) for i, array in enumerate(arrays)]
        self.run: Callable[[], Any] = lambda: op.call(framework.op, *tensors)
        if self.part == FORWARD:
            self.step = self._forward
            y = self._forward()
            made = [y]
        else:
            y = self.run()
            rng = np.random.default_rng([seed, 1])
            gy = framework.tensor(rng.standard_normal(tuple(y.shape), dtype=np.float32))
            inputs = [tensors[i] for i in wanted]
            self.step = lambda: framework.grad(y, inputs, gy)
            made = [arrays[i] for i in wanted]
        multiplied = op.flops(shapes, tuple(y.shape))
        self.flops = multiplied * max(1, len(wanted))
        self.bytes = op.traffic(self.part, arrays, tuple(y.shape), wanted)
        length = op.length(shapes)
        if self.part != FORWARD:
            size = int(np.prod(y.shape))
            length = max([length, *(max(multiplied / 2, size) / max(1, array.size) for array in made)])
        self.allowed = op.allowed(int(length))

    def _forward(self) -> Any:
        with self.framework.top.no_grad():
            return self.run()

    def results(self) -> dict[str, Any]:
        found = self.step()
        if self.part == FORWARD:
            return {"the output": self.framework.numpy(found)}
        return {f"gradient {i}": self.framework.numpy(gradient) for i, gradient in enumerate(found)}


class _Model:
    """A workload's model with its data in a framework."""

    allowed, flops, bytes = OUTPUT, 0.0, 0.0

    def __init__(self, framework: Framework, arguments: Mapping[str, Any], seed: int, weights: Weights) -> None:
        self.framework = framework
        self.workload: Workload = WORKLOADS[arguments["workload"]]
        rng = np.random.default_rng(seed)
        self.x, self.target = self.workload.batch(rng, arguments["batch"], arguments["extent"])
        self.model = framework.model(self.workload.build, weights)


class Training(_Model):
    """A training step: forward, loss, backward, optimiser."""

    allowed = GRADIENT

    def __init__(self, framework: Framework, arguments: Mapping[str, Any], seed: int, weights: Weights) -> None:
        super().__init__(framework, arguments, seed, weights)
        name, settings = self.workload.optimizer
        self.optimizer = getattr(framework.optim, name)(self.model.parameters(), **settings)
        self.inputs, self.targets = framework.tensor(self.x), framework.tensor(self.target)
        self.called = framework.for_training(self.model)

    def backward(self) -> Any:
        """Everything but the optimiser's step; returns the loss."""
        loss = self.workload.loss(self.framework.F, self.called(self.inputs), self.targets)
        self.optimizer.zero_grad()
        loss.backward()
        return loss

    def step(self) -> Any:
        loss = self.backward()
        self.optimizer.step()
        return loss

    def results(self) -> dict[str, Any]:
        """Two losses with a step between them, and the norm of each parameter's gradient as a share of all together."""
        numpy = self.framework.numpy
        first = self.backward()
        norms = np.array([np.linalg.norm(numpy(p.grad).astype(np.float64)) for p in self.model.parameters()])
        self.optimizer.step()
        second = self.step()
        whole = np.linalg.norm(norms)
        return {
            "the loss": numpy(first),
            "the gradient": whole,
            "the share of each parameter in the gradient": norms / max(whole, 1e-30),
            "the loss after a step": numpy(second),
        }


class Inference(_Model):
    """A forward pass in evaluation mode without a tape; `optimised` with the call that makes inference faster."""

    def __init__(self, framework: Framework, arguments: Mapping[str, Any], seed: int, weights: Weights) -> None:
        super().__init__(framework, arguments, seed, weights)
        self.model.eval()
        with framework.top.no_grad():
            self.called = framework.for_inference(self.model, self.x, bool(arguments.get("optimised")))
        self.inputs = framework.tensor(self.x)

    def step(self) -> Any:
        with self.framework.top.no_grad():
            return self.called(self.inputs)

    def results(self) -> dict[str, Any]:
        return {"the output": self.framework.numpy(self.step())}


class Read:
    """Read a data set from its files."""

    allowed, flops, bytes = 0.0, 0.0, 0.0

    def __init__(self, framework: Framework, arguments: Mapping[str, Any], seed: int, weights: Weights) -> None:
        self.name = arguments["data"]

    def step(self) -> Any:
        from deepcore import data

        with contextlib.redirect_stdout(None):
            return data.load(self.name, log=lambda line: None)

    def results(self) -> dict[str, Any]:
        train, test = self.step()
        return {"how many": np.array([len(train), len(test)])}


class Batches(Read):
    """Every training image once, in shuffled batches on the device, normalised to float32."""

    def __init__(self, framework: Framework, arguments: Mapping[str, Any], seed: int, weights: Weights) -> None:
        super().__init__(framework, arguments, seed, weights)
        from deepcore import data

        train, _ = super().step()
        self.loader = data.DataLoader(train, arguments["batch"], shuffle=True, device=framework.name)
        self.normalize = data.Normalize(*train.pixel_stats())

    def step(self) -> Any:
        return sum(len(self.normalize(images)) for images, _ in self.loader)

    def results(self) -> dict[str, Any]:
        return {"how many": np.array(self.step())}


class Pictures:
    """Every picture of a folder in a zip once, decoded, in shuffled batches."""

    allowed, flops, bytes = 0.0, 0.0, 0.0

    def __init__(self, framework: Framework, arguments: Mapping[str, Any], seed: int, weights: Weights) -> None:
        path = Path(arguments["zip"])
        if arguments["workers"]:
            # A candidate is a daemon, which may have no children; those of a loader end by themselves.
            multiprocessing.current_process().daemon = False
        self.loader = framework.pictures(path, arguments["folder"], arguments["batch"], arguments["workers"])
        self.framework = framework

    def step(self) -> Any:
        return sum(len(labels) for _, labels in self.loader)

    def results(self) -> dict[str, Any]:
        """How often each level of gray occurs: the same in any order, if every pixel is."""
        levels = np.zeros(256, np.int64)
        for images, _ in self.loader:
            levels += np.bincount(self.framework.numpy(images).reshape(-1), minlength=256)
        return {"levels": levels}


PROGRAMS: dict[str, Callable[..., Program]] = {
    "op": Op,
    "training": Training,
    "inference": Inference,
    "read": Read,
    "batches": Batches,
    "pictures": Pictures,
}
