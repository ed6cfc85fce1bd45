"""Optimisers over some steps and learning-rate schedules over some more, in both frameworks from the same weights."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from deepcore import optim
from deepcore.check.opdb import host
from deepcore.check.tolerance import tolerance
from deepcore.check.torch.arrays import to_numpy, to_torch
from deepcore.check.torch.compare import Difference, unlike, worst
from deepcore.creation import tensor

STEPS, EPOCHS = 20, 50

OPTIMISERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("SGD", {}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3}),
    ("SGD", {"lr": 0.05, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
    *((name, {}) for name in ("RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam")),
)
"""Those that deepcore has not are left out."""

SCHEDULES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.9**epoch}),
    ("StepLR", {"step_size": 7}),
    ("MultiStepLR", {"milestones": [5, 5, 20], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("LinearLR", {"start_factor": 0.1, "total_iters": 9}),
    ("LinearLR", {}),
    ("ConstantLR", {}),
    ("PolynomialLR", {"total_iters": 30, "power": 2.0}),
    ("CosineAnnealingLR", {"T_max": 12, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": EPOCHS + 1}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": EPOCHS + 1, "three_phase": True, "anneal_strategy": "linear"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 6}),
)


def optimisers() -> list[tuple[str, dict[str, Any]]]:
    return [(name, options) for name, options in OPTIMISERS if hasattr(optim, name)]


def schedules() -> list[tuple[str, dict[str, Any]]]:
    return [(name, options) for name, options in SCHEDULES if hasattr(optim.lr_scheduler, name)]


def compare_optimiser(name: str, options: dict[str, Any], device: str, dtype: str) -> Iterator[Difference]:
    """The weights after each of the steps down a curved function of two tensors, another function at each step."""
    rng = np.random.default_rng(0)
    start = [rng.uniform(-1, 1, shape).astype(dtype) for shape in ((3, 4), (5,))]
    slopes = [[rng.uniform(-1, 1, a.shape).astype(dtype) for a in start] for _ in range(STEPS)]
    ours = [tensor(a, device=device, requires_grad=True) for a in start]
    theirs = [to_torch(a, requires_grad=True) for a in start]
    mine = getattr(optim, name)(ours, **options)
    other = getattr(torch.optim, name)(theirs, **options)
    what = f"optim.{name}({', '.join(f'{k}={v!r}' for k, v in options.items())})"
    for step in range(STEPS):
        mine.zero_grad()
        other.zero_grad()
        for x, t, c in zip(ours, theirs, slopes[step], strict=True):
            (x.sin() * tensor(c, device=device) + x * x * 0.1).sum().backward()
            (t.sin() * to_torch(c) + t * t * 0.1).sum().backward()
        mine.step()
        other.step()
        for k, (x, t) in enumerate(zip(ours, theirs, strict=True)):
            a, b = host(x), to_numpy(t)
            if detail := unlike(a, b, tolerance(dtype, 16 * (step + 1))):  # rounding errors of all steps add up
                yield Difference(what, f"step {step + 1}", device, dtype, "value", f"{k}: {detail}", error=worst(a, b))
                return


def compare_schedule(name: str, options: dict[str, Any]) -> Iterator[Difference]:
    """The learning rates of two groups of parameters over the epochs."""
    what = f"optim.lr_scheduler.{name}({', '.join(k for k in options)})"
    mine = optim.SGD([{"params": [tensor(np.zeros(1), requires_grad=True)]}], lr=0.1, momentum=0.9)
    other = torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)]}], lr=0.1, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = getattr(optim.lr_scheduler, name)(mine, **options)
        theirs = getattr(torch.optim.lr_scheduler, name)(other, **options)
        for epoch in range(EPOCHS + 1):
            a, b = (
                np.array([g["lr"] for g in o.param_groups] + [g["momentum"] for g in o.param_groups])
                for o in (mine, other)
            )
            if detail := unlike(a, b, tolerance("float64", 16 * (epoch + 1))):
                yield Difference(what, f"epoch {epoch}", "", "float64", "value", detail, error=worst(a, b))
                return
            if not math.isclose(ours.get_last_lr()[0], float(a[0])):
                yield Difference(what, f"epoch {epoch}", "", "float64", "value", "get_last_lr() is not the rate in use")
                return
            if epoch < EPOCHS:
                mine.step()
                other.step()
                ours.step()
                theirs.step()
