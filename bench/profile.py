"""Where the time of a training step goes, layer by layer.

The layers without layers of their own are run alone, on the inputs that they got within one step: forward, then the
gradients of input and parameters. This works alike in every framework whose modules are called as PyTorch's are.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore.bench.framework import Framework
from deepcore.bench.programs import Training
from deepcore.bench.result import LayerTime, Profile

REST = "(rest)"


def profile(framework: Framework, program: Training, steps: int) -> Profile:
    """Times of the layers of a prepared training; medians of `steps` runs."""
    model = program.model
    leaves = [(name, layer) for name, layer in model.named_modules() if not list(layer.children())]
    step_s = _median(framework, program.step, steps)
    program.backward()
    optimizer_s = _median(framework, program.optimizer.step, steps)
    inputs = _inputs_of(model, leaves, program.inputs)
    layers = [
        _layer(framework, name, layer, argument, wants, steps)
        for name, layer in leaves
        for argument, wants in inputs.get(name, ())
    ]
    rest = step_s - optimizer_s - sum(layer.forward_s + layer.backward_s for layer in layers)
    layers.append(LayerTime(REST, "", max(0.0, rest), 0.0))
    return Profile(program.workload.name, framework.name, step_s, optimizer_s, layers)


def _inputs_of(model: Any, leaves: list[tuple[str, Any]], x: Any) -> dict[str, list[tuple[Any, bool]]]:
    """The first argument of every call of each leaf within one forward pass, and whether it wants a gradient."""
    seen: dict[str, list[tuple[Any, bool]]] = {}

    def watched(name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(argument: Any, *more: Any) -> Any:
            seen.setdefault(name, []).append((argument.detach(), argument.requires_grad))
            return forward(argument, *more)

        return call

    for name, layer in leaves:
        layer.forward = watched(name, layer.forward)
    try:
        model(x)
    finally:
        for _, layer in leaves:
            del layer.forward  # what stood before it: the class's own
    return seen


def _layer(framework: Framework, name: str, layer: Any, argument: Any, wants: bool, steps: int) -> LayerTime:
    """Forward time and backward time of one layer; the first one of a model needs no gradient of its input."""
    x = argument.requires_grad_(True) if wants else argument
    parameters = list(layer.parameters())

    def forward() -> Any:
        y = layer(x)
        return y[0] if isinstance(y, tuple) else y

    forward_s = _median(framework, forward, steps)
    wanted = ([x] if wants else []) + parameters
    y = forward()
    rng = np.random.default_rng(0)
    gy = framework.tensor(rng.standard_normal(tuple(y.shape), dtype=np.float32))
    backward_s = _median(framework, lambda: framework.grad(y, wanted, gy), steps) if wanted else 0.0
    return LayerTime(name, type(layer).__name__, forward_s, backward_s)


def _median(framework: Framework, run: Callable[[], Any], steps: int) -> float:
    times = []
    for _ in range(steps + 1):
        framework.synchronize()
        start = time.perf_counter()
        run()
        framework.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
