"""Comparisons for the tests of the reports: made up from a seed, in the form that the engine gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepcore import models
from deepcore.lockstep.result import (
    EXACT,
    Comparison,
    Device,
    Event,
    Quantity,
    Replay,
    Settings,
    Track,
    Verdict,
    pair_key,
)

EPS = 2.0**-23


def device(name: str, dtype: str = "float32") -> Device:
    """A device that computes in `dtype`."""
    eps = float(np.finfo(dtype).eps)
    return Device(name, name.split("@")[0], "Backend" if name == "numpy" else "CpuBackend", dtype, eps, eps)


def quantities(model: str, options: dict[str, Any]) -> list[Quantity]:
    """All that is compared in a step of the model."""
    module = models.create(model, **options)
    found: list[tuple[str, str, str, str, tuple[int, ...]]] = []
    outputs = [(name, type(m).__name__) for name, m in module.named_modules()]
    outputs = [*outputs[1:], outputs[0]]
    found += [("output", name, name, kind, (64, 8)) for name, kind in outputs]
    found += [("loss", "loss", "", "", ())]
    found += [("output_grad", name, name, kind, (64, 8)) for name, kind in reversed(outputs)]
    parameters = [(name, tuple(p.shape)) for name, p in module.named_parameters()]
    for kind, of_kind in (("grad", parameters[::-1]), ("update", parameters)):
        found += [(kind, name, name.rpartition(".")[0], "", shape) for name, shape in of_kind]
    found += [("weights", "weights", "", "", (1000,))]
    return [Quantity(i, *fields) for i, fields in enumerate(found)]


def comparison(
    names: Sequence[str] = ("numpy", "cpu"),
    steps: int = 20,
    model: str = "lenet",
    resync: int = 0,
    jump: tuple[int, str] | None = None,
    **options: Any,
) -> Comparison:
    """A run whose distances grow as rounding does; with `jump` = (step, module) that module's gradient goes wrong."""
    rng = np.random.default_rng(0)
    devices = tuple(device(name) for name in names)
    shadow = Device(EXACT, "numpy", "Backend", "float64", 2.0**-52, 2.0**-52)
    settings = Settings(
        devices, shadow, 4, EPS, EPS, 8.0, steps, 0, resync, False, type(models.create(model)).__name__, 61_706,
        "cross_entropy", "Adam(lr=0.005)",
    )  # fmt: skip
    result = Comparison(settings, steps=steps, seconds=12.5)
    for place in quantities(model, options):
        depth = 1 + place.index / 10
        growth = EPS * depth * np.exp(0.05 * np.arange(steps))
        norm = 3.0 * np.exp(-0.01 * np.arange(steps))
        track = Track(place, list(norm), list(growth * norm), list(8 * growth * norm))
        for d in devices:
            track.to_exact[d.name] = list(growth * norm * rng.uniform(0.4, 1.5, steps))
        for a, b in settings.pairs:
            track.between[pair_key(a, b)] = list(growth * norm * rng.uniform(0.5, 2.0, steps))
        result.tracks.append(track)
    for i, name in enumerate((*names, EXACT)):
        result.losses[name] = list(2.3 * np.exp(-0.05 * np.arange(steps)) + 1e-6 * i)
    result.power = list(8 * EPS * np.exp(0.05 * np.arange(steps)))
    result.growth = {pair_key(a, b): 1.05 for a, b in settings.pairs} | {"noise": 1.05}
    if jump is not None:
        _plant(result, *jump)
    return result


def _plant(result: Comparison, step: int, module: str) -> None:
    """Puts a fault of 1 % into the gradient at the output of `module` on the last device, from `step` on."""
    name = result.settings.devices[-1].name
    first = next(
        t.quantity.index for t in result.tracks if t.quantity.kind == "output_grad" and t.quantity.name == module
    )
    for track in result.tracks:
        if track.quantity.index < first and step == result.steps - 1:
            continue
        for s in range(step, result.steps):
            if track.quantity.index >= first or s > step:
                distance = 0.01 * track.norm[s]
                track.to_exact[name][s] = distance
                for key in track.between:
                    if name in key.split(" | "):
                        track.between[key][s] = distance
                if s == step:
                    result.events.append(
                        Event(s, track.quantity, name, EXACT, distance, track.bound[s], track.norm[s], "jump")
                    )
    worst = Replay(
        "max_pool2d", "backward", module, "MaxPool2d", name, name, "gradient of input 0", (64, 6, 28, 28),
        (0, 3, 27, 27), 0.0125, 0.0025, 1.7e5, 2.1e4,
    )  # fmt: skip
    others = tuple(
        Replay(op, direction, where, kind, d.name, d.name, "output", (64, 8), (1, 2), 0.5, 0.5, eps, allowed)
        for d in result.settings.devices
        for op, direction, where, kind, eps, allowed in (
            ("conv2d", "forward", "features.0", "Conv2d", 3.1, 0.11),
            ("linear", "backward", "classifier.1", "Linear", 2.2, 0.06),
        )
    )
    result.verdicts.append(
        Verdict(
            step, "op", f"Step {step}: max_pool2d backward in {module} is wrong on {name}.", result.events[0], worst,
            name, "CpuBackend.max_pool2d_grad",
            {"numpy": 0.0025, name: 0.0125}, 31, (worst, *others),
        )
    )  # fmt: skip
