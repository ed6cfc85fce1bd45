"""`deepcore.compare` finds planted faults by name, and finds none where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn, optim
from deepcore.autograd import Function
from deepcore.lockstep import EXACT, Comparison, Verdict, pair_key
from lockstep_models import (
    MODELS,
    BiasedVariance,
    BorderStride,
    EarlyRead,
    FromStepSeven,
    LastTie,
    LostStep,
    NaNLoss,
    NoAdamCorrection,
    ScaledPool,
    ShiftedDropout,
    WrongMomentum,
    images,
    lenet,
    rows,
)


def found(model: str, backend: type, steps: int = 3, **options: Any) -> tuple[Comparison, Verdict]:
    """The comparison of numpy with a broken backend, and the fault that it names."""
    result = dc.compare(*MODELS[model], ("numpy", backend), steps, **options)
    assert result.fault is not None, [v.text for v in result.verdicts]
    assert not result.ok
    assert result.fault.text
    return result, result.fault


# --- the three faults of the notes ------------------------------------------------------------------------------------


def test_a_wrong_stride_at_the_border_is_found() -> None:
    result, fault = found("lenet", BorderStride)
    assert (fault.step, fault.cause, fault.device) == (0, "op", "BorderStride")
    assert fault.method == "BorderStride.conv2d"
    worst = fault.worst
    assert worst is not None
    assert (worst.op, worst.direction, worst.module, worst.type) == ("conv2d", "forward", "0", "Conv2d")
    assert worst.index[-1] == 11, "the last column"
    assert worst.times_allowed > 1000
    assert fault.values["BorderStride"] == worst.value
    assert fault.values["numpy"] == pytest.approx(worst.exact, rel=1e-5)
    assert result.first is not None
    assert (result.first.step, result.first.quantity.name, result.first.shape) == (0, "0", "jump")
    assert "conv2d forward in 0 (Conv2d) is wrong on BorderStride" in fault.text


def test_an_unsynchronised_write_is_found() -> None:
    result, fault = found("residual", EarlyRead)
    assert (fault.step, fault.cause, fault.device) == (0, "not repeatable", "EarlyRead")
    assert fault.method == "EarlyRead.batch_norm_grad"
    worst = fault.worst
    assert worst is not None
    # The last batch norm of the forward is the first of the backward.
    assert (worst.op, worst.direction, worst.module) == ("batch_norm", "backward", "block2.norm2")
    assert not worst.repeatable
    assert result.first is not None
    assert result.first.quantity.name == "block2.norm2.bias"


def test_a_gradient_scaled_by_1_001_is_found() -> None:
    result, fault = found("lenet", ScaledPool)
    assert (fault.step, fault.cause, fault.device) == (0, "op", "ScaledPool")
    assert fault.method == "ScaledPool.max_pool2d_grad"
    worst = fault.worst
    assert worst is not None
    assert (worst.op, worst.direction, worst.module) == ("max_pool2d", "backward", "5")
    assert worst.value / worst.exact == pytest.approx(1.001, rel=1e-5)
    assert result.first is not None
    assert (result.first.quantity.kind, result.first.quantity.name) == ("output_grad", "4")


# --- and more ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "backend", "op", "direction", "module", "method"),
    [
        ("mlp", BiasedVariance, "batch_norm", "forward", "1", "batch_norm_train"),
        ("mlp", ShiftedDropout, "dropout", "forward", "3", "dropout"),
        ("lstm", LostStep, "lstm", "backward", "lstm", "lstm_grad"),
    ],
)
def test_a_wrong_op_is_found(model: str, backend: type, op: str, direction: str, module: str, method: str) -> None:
    _, fault = found(model, backend, 2)
    assert (fault.step, fault.cause, fault.device) == (0, "op", backend.__name__)
    assert fault.worst is not None
    assert (fault.worst.op, fault.worst.direction, fault.worst.module) == (op, direction, module)
    assert fault.method == f"{backend.__name__}.{method}"


def test_a_wrong_momentum_is_found_at_the_first_step_that_has_one() -> None:
    result, fault = found("mlp", WrongMomentum)
    assert (fault.step, fault.cause, fault.device) == (1, "optimizer", "WrongMomentum")
    assert fault.method == "WrongMomentum.sgd_update"
    assert fault.worst is not None
    assert (fault.worst.op, fault.worst.direction) == ("SGD", "step")
    assert result.first is not None
    assert result.first.quantity.kind == "update"


def test_a_wrong_optimiser_is_found() -> None:
    _, fault = found("mlp", NoAdamCorrection, 2, optimizer_fn=lambda params: optim.Adam(params, lr=0.003))
    assert (fault.step, fault.cause, fault.method) == (0, "optimizer", "NoAdamCorrection.adam_update")


def test_a_fault_that_shows_from_step_seven_on_is_found_there() -> None:
    result, fault = found("mlp", FromStepSeven, 9)
    assert (fault.step, fault.cause, fault.method) == (7, "op", "FromStepSeven.linear")
    assert result.first is not None
    assert result.first.step == 7
    assert result.first.shape == "jump"


class _WithPlaces(nn.Module):
    """Max-pooling that asks for the places of the maxima."""

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        return F.max_pool2d(x, 2, return_indices=True)[0]


def test_the_other_of_two_equal_maxima_is_found_without_any_event() -> None:
    """Which of two equal pixels gets the gradient moves no norm here; the bisection at the end sees it."""

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        x, targets = images(4, 1, 12)(step)
        return np.round(3 * x) / np.float32(10), targets

    def model() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 2, 1), _WithPlaces(), nn.Flatten(), nn.Linear(72, 4))

    result = dc.compare(model, batch, ("numpy", LastTie), 2)
    fault = result.fault
    assert fault is not None
    assert fault.worst is not None
    assert (fault.worst.op, fault.worst.direction, fault.worst.result) == ("max_pool2d", "forward", "output 1")
    assert fault.method == "LastTie.max_pool2d"


class BiasedRunning(nn.BatchNorm1d):
    """On device cpu the running variance is that of the batch without Bessel's correction."""

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        old = self.running_var.clone()
        y = super().forward(x)
        if x.device == "cpu":
            n = x.shape[0]
            with dc.no_grad():
                self.running_var.copy_(old * 0.9 + (self.running_var - old * 0.9) * ((n - 1) / n))
        return y


def test_a_wrong_running_variance_is_found() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(10, 8), BiasedRunning(8), nn.ReLU(), nn.Linear(8, 4))

    result = dc.compare(model, rows(16, 10), ("numpy", "cpu"), 2)
    assert result.first is not None
    assert (result.first.quantity.kind, result.first.quantity.name) == ("buffer", "1.running_var")
    verdict = result.verdicts[0]
    # The extra ops of that device are themselves the difference: it runs another program.
    assert verdict.cause in ("buffer", "unexplained")


class QuietlyBiased(nn.BatchNorm1d):
    """The same by writing into the array, past every op."""

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        y = super().forward(x)
        if x.device == "cpu":
            self.running_var.array *= 0.99
            self.running_var._bump_version()
        return y


def test_a_buffer_that_is_written_wrongly_past_all_ops_is_found() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(10, 8), QuietlyBiased(8), nn.ReLU(), nn.Linear(8, 4))

    result = dc.compare(model, rows(16, 10), ("numpy", "cpu"), 2)
    fault = result.fault
    assert fault is not None
    assert (fault.cause, fault.device, fault.step) == ("buffer", "cpu", 0)
    assert fault.worst is not None
    assert (fault.worst.module, fault.worst.result) == ("1", "1.running_var")


class Scaled(nn.Module):
    """Multiplies by a number that depends on the device."""

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        return x * (1.001 if x.device == "cpu" else 1.0)


def test_a_constant_that_depends_on_the_device_is_said_to_be_no_rounding() -> None:
    result = dc.compare(lambda: nn.Sequential(nn.Linear(10, 4), Scaled()), rows(16, 10), ("numpy", "cpu"), 2)
    assert not result.ok
    assert result.verdicts[0].cause == "unexplained"
    assert "1.001" in result.verdicts[0].text


def test_a_nan_on_one_device_only_ends_the_run_with_its_op() -> None:
    result, fault = found("mlp", NaNLoss)
    assert result.steps == 0
    assert "nan on NaNLoss at step 0" in result.stopped
    assert "cross_entropy" in result.stopped
    assert (fault.cause, fault.method) == ("op", "NaNLoss.softmax_cross_entropy")


# --- no fault, no alarm -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_numpy_and_cpu_agree(name: str) -> None:
    result = dc.compare(*MODELS[name], ("numpy", "cpu"), 6)
    assert result.ok, [v.text for v in result.verdicts]
    assert result.events == []
    assert result.steps == 6
    assert result.power[0] < 1e-4
    (verdict,) = result.verdicts
    assert verdict.cause == "rounding"
    assert verdict.replayed >= 8
    assert verdict.worst is not None
    assert verdict.worst.times_allowed < 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", MODELS)
def test_numpy_and_cpu_agree_for_a_hundred_steps(name: str, seed: int) -> None:
    result = dc.compare(*MODELS[name], ("numpy", "cpu"), 100, seed=seed)
    assert result.ok, [v.text for v in result.verdicts]


@pytest.mark.parametrize("devices", [("cpu", "cpu@float16"), ("cpu", "cpu@float64"), ("numpy", "strict", "cpu")])
def test_precisions_and_three_devices_agree(devices: tuple[str, ...]) -> None:
    result = dc.compare(*MODELS["lstm" if "cpu@float64" in devices else "mlp"], devices, 3)
    assert result.ok, [v.text for v in result.verdicts]
    assert result.events == []
    assert set(result.losses) == {*devices, EXACT}
    assert result.settings.eps == max(device.eps for device in result.settings.devices)
    assert len(result.settings.pairs) == len(devices) * (len(devices) - 1) // 2


def test_random_numbers_of_the_model_are_the_same_in_every_precision() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(10, 4)

        def forward(self, x: dc.Tensor) -> dc.Tensor:
            return self.head(F.dropout(x + dc.randn_like(x), 0.2))

    result = dc.compare(Noisy, rows(8, 10), ("cpu", "cpu@float64"), 3)
    assert result.ok
    assert result.events == []


# --- what is recorded -------------------------------------------------------------------------------------------------


def test_every_quantity_is_recorded_in_the_order_of_execution() -> None:
    result = dc.compare(*MODELS["mlp"], ("numpy", "cpu"), 2)
    kinds = [track.quantity.kind for track in result.tracks]
    assert sorted(set(kinds)) == ["buffer", "grad", "loss", "output", "output_grad", "update", "weights"]
    assert kinds[:7] == ["output"] * 7
    names = {kind: [t.quantity.name for t in result.tracks if t.quantity.kind == kind] for kind in set(kinds)}
    assert names["output"] == ["0", "1", "2", "3", "4", "5", "6"]
    assert names["output_grad"] == names["output"][::-1]
    assert names["buffer"] == ["1.running_mean", "1.running_var"]
    assert names["grad"] == names["update"][::-1]
    assert [t.quantity.index for t in result.tracks] == list(range(len(result.tracks)))
    for track in result.tracks:
        series = [track.norm, track.noise, track.bound, *track.to_exact.values(), *track.between.values()]
        assert all(len(values) == 2 for values in series)
        assert set(track.between) == {pair_key("numpy", "cpu")}
    assert result.losses["numpy"][0] == pytest.approx(result.losses[EXACT][0], rel=1e-6)
    assert result.settings.shadow.device == "numpy", "cpu is compared, so it cannot be the judge"
    assert result.settings.parameters == 10 * 16 + 16 + 32 + 16 * 12 + 12 + 12 * 4 + 4


def test_a_comparison_repeats_itself() -> None:
    first, second = (dc.compare(*MODELS["mlp"], ("numpy", "cpu"), 3, seed=4) for _ in range(2))
    assert [t.noise for t in first.tracks] == [t.noise for t in second.tracks]
    assert first.losses == second.losses


def test_the_default_generator_is_left_as_it_was() -> None:
    before = dc.get_rng_state()
    dc.compare(*MODELS["mlp"], ("numpy", "cpu"), 1)
    assert dc.get_rng_state() == before


def test_resync_puts_the_copies_together_again() -> None:
    result = dc.compare(*MODELS["mlp"], ("numpy", "cpu"), 6, resync=3)
    weights = result.tracks[-1]
    assert weights.quantity.kind == "weights"
    assert weights.noise[3] < weights.noise[2]
    assert result.ok
    assert result.events == []


def test_stop_at_first_and_on_step() -> None:
    result = dc.compare(*MODELS["lenet"], ("numpy", BorderStride), 5, stop_at_first=True)
    assert result.steps == 1
    assert "first event" in result.stopped
    seen = []

    def on_step(step: int, so_far: Comparison) -> bool:
        seen.append((step, so_far.steps))
        return step == 1

    result = dc.compare(lenet, images(4, 1, 12), ("numpy", "cpu"), 5, on_step=on_step)
    assert seen == [(0, 1), (1, 2)]
    assert "on_step" in result.stopped


def test_lost_power_is_reported() -> None:
    result = dc.compare(*MODELS["residual"], ("cpu", "cpu@float16"), 4)
    assert result.power_lost is not None
    assert result.power[result.power_lost] > 0.1


class Stubborn(Function):
    """Runs inside of its model only."""

    inside = False

    def forward(self, x: Any) -> Any:
        if not Stubborn.inside:
            raise RuntimeError("not here")
        return x * 1.0

    def backward(self, gy: Any) -> Any:
        return gy


def test_an_op_that_cannot_be_run_alone_is_said_not_to_be_judged() -> None:
    class Model(nn.Linear):
        def forward(self, x: dc.Tensor) -> dc.Tensor:
            Stubborn.inside = True
            y = Stubborn()(super().forward(x))
            Stubborn.inside = False
            return y

    result = dc.compare(lambda: Model(10, 4), rows(8, 10), ("numpy", "cpu"), 1)
    assert result.ok
    assert "Not judged, because they cannot be run alone: stubborn in the model" in result.verdicts[0].text
    assert result.verdicts[0].replayed > 3


def test_the_example_of_the_page_runs() -> None:
    page = (Path(__file__).parent.parent / "docs" / "comparing.md").read_text(encoding="utf-8")
    code = page.split("```python")[1].split("```")[0].replace("steps=100", "steps=2")
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["result"].ok
