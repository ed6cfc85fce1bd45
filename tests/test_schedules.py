"""Learning-rate schedules against their formulas as functions of the step."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest

import deepcore as dc
from deepcore import optim
from deepcore.errors import ConfigError
from deepcore.optim import lr_scheduler as schedules


def make_optimizer(*rates: float, kind: type = optim.SGD, **options: object) -> optim.Optimizer:
    """One group for each rate."""
    groups = [{"params": [dc.zeros(1, requires_grad=True)], "lr": rate} for rate in rates]
    return kind(groups, **options)


def walk(optimizer: optim.Optimizer, scheduler: schedules.LRScheduler, steps: int) -> list[list[float]]:
    """The rates of all groups at steps 0 .. steps - 1."""
    rates = []
    for _ in range(steps):
        rates.append([group["lr"] for group in optimizer.param_groups])
        assert scheduler.get_last_lr() == rates[-1]
        optimizer.step()
        scheduler.step()
    return rates


def cosine(base: float, step: int, period: int, low: float = 0.0) -> float:
    return low + (base - low) * (1 + math.cos(math.pi * step / period)) / 2


def warm_cosine_step(base: float, step: int) -> float:
    if step < 3:
        return base * (0.5 + 0.5 * step / 3)
    return cosine(base, step - 3, 6) if step < 9 else base * 0.1 ** (step - 9)


FORMULAS: list[tuple[str, Callable, Callable[[float, int], float]]] = [
    ("StepLR", lambda o: schedules.StepLR(o, 3, 0.5), lambda base, i: base * 0.5 ** (i // 3)),
    (
        "MultiStepLR",
        lambda o: schedules.MultiStepLR(o, [2, 5, 5], 0.1),
        lambda base, i: base * 0.1 ** ((i >= 2) + 2 * (i >= 5)),
    ),
    ("ExponentialLR", lambda o: schedules.ExponentialLR(o, 0.9), lambda base, i: base * 0.9**i),
    ("LambdaLR", lambda o: schedules.LambdaLR(o, lambda i: 1 / (i + 1)), lambda base, i: base / (i + 1)),
    (
        "LambdaLR per group",
        lambda o: schedules.LambdaLR(o, [lambda i: 0.5**i, lambda i: 0.5**i]),
        lambda base, i: base * 0.5**i,
    ),
    ("LinearLR", lambda o: schedules.LinearLR(o, 0.2, 0.8, 4), lambda base, i: base * (0.2 + 0.6 * min(i, 4) / 4)),
    ("CosineAnnealingLR", lambda o: schedules.CosineAnnealingLR(o, 5), lambda base, i: cosine(base, i, 5)),
    (
        "CosineAnnealingLR eta_min",
        lambda o: schedules.CosineAnnealingLR(o, 4, 0.01),
        lambda base, i: cosine(base, i, 4, 0.01),
    ),
    (
        "SequentialLR",
        lambda o: schedules.SequentialLR(
            o, [schedules.LinearLR(o, 0.5, 1.0, 3), schedules.CosineAnnealingLR(o, 6), schedules.StepLR(o, 1)], [3, 9]
        ),
        warm_cosine_step,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "formula"), [case[1:] for case in FORMULAS], ids=[case[0] for case in FORMULAS])
def test_formula(make: Callable, formula: Callable) -> None:
    optimizer = make_optimizer(0.4, 1.0)
    for i, rates in enumerate(walk(optimizer, make(optimizer), 12)):
        assert rates == pytest.approx([formula(0.4, i), formula(1.0, i)], rel=1e-9, abs=1e-15), f"step {i}"


@pytest.mark.parametrize(("make", "formula"), [case[1:] for case in FORMULAS], ids=[case[0] for case in FORMULAS])
def test_resumed_after_any_step(make: Callable, formula: Callable) -> None:
    optimizer = make_optimizer(0.4, 1.0)
    scheduler = make(optimizer)
    walk(optimizer, scheduler, 5)
    saved, rates = json.loads(json.dumps(scheduler.state_dict())), optimizer.state_dict()
    later = make_optimizer(0.4, 1.0)
    resumed = make(later)
    later.load_state_dict(rates)
    resumed.load_state_dict(saved)
    assert walk(later, resumed, 7) == walk(optimizer, scheduler, 7)


# --- one cycle --------------------------------------------------------------------------------------------------------


def between(start: float, end: float, part: float, strategy: str) -> float:
    if strategy == "linear":
        return start + (end - start) * part
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def one_cycle(step: int, top: float, total: int, strategy: str, three_phase: bool) -> tuple[float, float]:
    """(rate, momentum) at a step, for pct_start 0.3, div_factor 25, final_div_factor 100."""
    start, end = top / 25, top / 2500
    peak, last = 0.3 * total - 1, total - 1
    if step <= peak:
        part = step / peak
        return between(start, top, part, strategy), between(0.95, 0.85, part, strategy)
    if three_phase and step <= 2 * peak:
        part = (step - peak) / peak
        return between(top, start, part, strategy), between(0.85, 0.95, part, strategy)
    if three_phase:
        return between(start, end, (step - 2 * peak) / (last - 2 * peak), strategy), 0.95
    part = (step - peak) / (last - peak)
    return between(top, end, part, strategy), between(0.85, 0.95, part, strategy)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("kind", [optim.SGD, optim.AdamW])
def test_one_cycle(strategy: str, three_phase: bool, kind: type) -> None:
    optimizer = make_optimizer(9.0, 9.0, kind=kind)
    scheduler = schedules.OneCycleLR(
        optimizer,
        max_lr=[0.1, 0.2],
        epochs=4,
        steps_per_epoch=10,
        anneal_strategy=strategy,
        three_phase=three_phase,
        final_div_factor=100.0,
    )
    for step in range(40):
        for group, top in zip(optimizer.param_groups, (0.1, 0.2), strict=True):
            rate, momentum = one_cycle(step, top, 40, strategy, three_phase)
            found = group["momentum"] if kind is optim.SGD else group["betas"][0]
            assert (group["lr"], found) == pytest.approx((rate, momentum), rel=1e-9), f"step {step}"
        optimizer.step()
        scheduler.step()
    with pytest.raises(ConfigError, match="at most 40 steps"):
        scheduler.step()


def test_one_cycle_without_momentum_and_resumed() -> None:
    def make(optimizer: optim.Optimizer) -> schedules.OneCycleLR:
        return schedules.OneCycleLR(optimizer, 0.1, total_steps=20, cycle_momentum=False)

    optimizer = make_optimizer(1.0, momentum=0.7)
    scheduler = make(optimizer)
    walk(optimizer, scheduler, 8)
    assert optimizer.param_groups[0]["momentum"] == 0.7
    later = make_optimizer(1.0, momentum=0.7)
    resumed = make(later)
    later.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    assert walk(later, resumed, 10) == walk(optimizer, scheduler, 10)


@pytest.mark.parametrize(("total", "pct"), [(1, 0.3), (3, 0.3), (10, 0.1), (10, 0.0), (10, 1.0)])
def test_one_cycle_of_few_steps(total: int, pct: float) -> None:
    """Phases of no length at all do not divide by zero."""
    optimizer = make_optimizer(1.0, momentum=0.9)
    scheduler = schedules.OneCycleLR(optimizer, 0.1, total_steps=total, pct_start=pct)
    assert all(math.isfinite(rate) for (rate,) in walk(optimizer, scheduler, total))


# --- what the base does -----------------------------------------------------------------------------------------------


def test_schedules_chain_and_respect_changes() -> None:
    optimizer = make_optimizer(1.0)
    steps, decay = schedules.StepLR(optimizer, 2, 0.5), schedules.ExponentialLR(optimizer, 0.9)
    for _ in range(4):
        optimizer.step()
        steps.step()
        decay.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5**2 * 0.9**4)
    optimizer.param_groups[0]["lr"] = 2.0
    decay.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1.8)


def test_last_epoch_goes_on() -> None:
    optimizer = make_optimizer(1.0)
    with pytest.raises(ConfigError, match="initial_lr"):
        schedules.ExponentialLR(optimizer, 0.5, last_epoch=3)
    optimizer.param_groups[0]["initial_lr"] = 1.0
    scheduler = schedules.LambdaLR(optimizer, lambda i: 0.5**i, last_epoch=3)
    assert scheduler.last_epoch == 4
    assert scheduler.get_last_lr() == [0.5**4]


def test_wrong_order_warns() -> None:
    optimizer = make_optimizer(1.0)
    scheduler = schedules.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match=r"before optimizer\.step"):
        scheduler.step()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda o: schedules.StepLR(o, 0), "step_size"),
        (lambda o: schedules.StepLR("sgd", 1), "Optimizer"),
        (lambda o: schedules.CosineAnnealingLR(o, 0), "T_max"),
        (lambda o: schedules.LinearLR(o, start_factor=0), "start_factor"),
        (lambda o: schedules.LinearLR(o, end_factor=2), "end_factor"),
        (lambda o: schedules.LambdaLR(o, [abs, abs]), "lr_lambda"),
        (lambda o: schedules.OneCycleLR(o, 0.1), "total_steps"),
        (lambda o: schedules.OneCycleLR(o, 0.1, total_steps=0), "total_steps"),
        (lambda o: schedules.OneCycleLR(o, 0.1, epochs=2), "steps_per_epoch"),
        (lambda o: schedules.OneCycleLR(o, [0.1, 0.2], total_steps=5), "max_lr"),
        (lambda o: schedules.OneCycleLR(o, 0.1, total_steps=5, pct_start=2), "pct_start"),
        (lambda o: schedules.OneCycleLR(o, 0.1, total_steps=5, anneal_strategy="sin"), "anneal_strategy"),
        (lambda o: schedules.OneCycleLR("sgd", 0.1, total_steps=5), "Optimizer"),
        (lambda o: schedules.SequentialLR(o, [], []), "milestone"),
        (lambda o: schedules.SequentialLR(o, [schedules.StepLR(o, 1)], [3]), "milestone"),
        (lambda o: schedules.SequentialLR(o, [schedules.StepLR(make_optimizer(1.0), 1)], []), "same optimizer"),
    ],
)
def test_bad_arguments(make: Callable, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make(make_optimizer(1.0))


# --- the same as PyTorch ----------------------------------------------------------------------------------------------

PEERS: list[tuple[str, Callable]] = [
    ("step", lambda lib, o: lib.StepLR(o, 7, 0.3)),
    ("multi", lambda lib, o: lib.MultiStepLR(o, [3, 20], 0.2)),
    ("exponential", lambda lib, o: lib.ExponentialLR(o, 0.97)),
    ("linear", lambda lib, o: lib.LinearLR(o, 0.1, 0.9, 12)),
    ("cosine", lambda lib, o: lib.CosineAnnealingLR(o, 9, 0.001)),
    ("lambda", lambda lib, o: lib.LambdaLR(o, lambda i: 0.9**i)),
    ("cycle", lambda lib, o: lib.OneCycleLR(o, 0.3, total_steps=60)),
    ("cycle 3", lambda lib, o: lib.OneCycleLR(o, 0.3, total_steps=61, three_phase=True, anneal_strategy="linear")),
    (
        "sequence",
        lambda lib, o: lib.SequentialLR(o, [lib.LinearLR(o, 0.1, 1.0, 5), lib.CosineAnnealingLR(o, 20)], [5]),
    ),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [peer[1] for peer in PEERS], ids=[peer[0] for peer in PEERS])
def test_same_as_pytorch(make: Callable) -> None:
    torch = pytest.importorskip("torch")
    ours = make_optimizer(0.5, momentum=0.9)
    theirs = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5, momentum=0.9)
    a, b = make(schedules, ours), make(torch.optim.lr_scheduler, theirs)
    for step in range(60):
        found = [ours.param_groups[0][key] for key in ("lr", "momentum")]
        assert found == [theirs.param_groups[0][key] for key in ("lr", "momentum")], f"step {step}"
        for thing in (ours, theirs, a, b):
            thing.step()
