"""The parts of `deepcore.compare`: the observer of Functions, Monte Carlo noise, replays, bounds and judgements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore.autograd.observer import observe
from deepcore.backends import get_backend
from deepcore.check.opdb import all_cases, outputs, to_tensors
from deepcore.lockstep.judge import judge, reduction_length
from deepcore.lockstep.ledger import FACTOR, JUMP, Ledger, distance, growth_per_step
from deepcore.lockstep.noise import PRODUCTS, Noise, TiedNoise
from deepcore.lockstep.recorded import close, moved_to
from deepcore.lockstep.replica import Entry, Key
from deepcore.lockstep.result import EXACT, Comparison, Device, Event, Quantity, Settings
from deepcore.lockstep.tape import Tape, calls
from deepcore.random import drawn_as
from lockstep_models import mlp

EPS = float(np.finfo(np.float32).eps)
FLOAT32 = np.dtype("float32")


class Watching:
    """An observer that notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def forward(self, fn: Any, arrays: list[Any]) -> Any:
        self.seen.append(f"{fn.name}({len(arrays)})")
        return fn.forward(*arrays)

    def backward(self, fn: Any, grads: list[Any]) -> Any:
        self.seen.append(f"{fn.name} backward")
        return fn.backward(*grads)


# --- the observer -----------------------------------------------------------------------------------------------------


def test_an_observer_sees_forward_backward_and_what_a_backward_calls() -> None:
    x, w = dc.ones(2, 3, requires_grad=True), dc.ones(4, 3, requires_grad=True)
    watching = Watching()
    with observe(watching):
        y = F.linear(x, w)
        y.backward(dc.ones_like(y))
    assert watching.seen[:2] == ["linear(3)", "linear backward"]
    assert "matmul(2)" in watching.seen[2:]
    count = len(watching.seen)
    F.linear(x, w)
    assert len(watching.seen) == count, "nobody watches outside"


def test_an_observer_can_be_suspended_and_ends_with_an_error() -> None:
    watching = Watching()
    with observe(watching), observe(None):
        dc.ones(2).exp()
    assert watching.seen == []
    with pytest.raises(dc.errors.ShapeError), observe(watching):
        F.linear(dc.ones(2, 3), dc.ones(4, 5))
    watching.seen.clear()
    dc.ones(2).exp()
    assert watching.seen == []


def test_an_array_that_an_observer_puts_in_place_is_the_one_that_is_saved() -> None:
    class Doubling(Watching):
        def forward(self, fn: Any, arrays: list[Any]) -> Any:
            arrays[:] = [2 * a for a in arrays]
            return fn.forward(*arrays)

    x = dc.tensor([3.0], requires_grad=True)
    with observe(Doubling()):
        y = x * x
    y.backward(dc.ones_like(y))
    assert y.item() == 36.0
    assert x.grad.item() == 12.0


# --- noise ------------------------------------------------------------------------------------------------------------


def test_noise_is_of_the_size_of_eps_and_leaves_whole_numbers() -> None:
    noise = Noise(EPS, EPS, 0)
    x = np.random.default_rng(0).normal(size=(100, 50)) * 10.0
    relative = (noise.add(x) - x) / x
    assert np.abs(relative).max() <= EPS * (1 + 1e-6)
    assert np.abs(relative).mean() == pytest.approx(EPS / 2, rel=0.05)
    whole = np.array([0.0, 1.0, -1.0, 7.0, np.inf, 1e300])
    np.testing.assert_array_equal(noise.add(whole), whole)
    assert noise.add(np.arange(3)).dtype.kind == "i"
    assert noise.add(None) is None
    assert noise.add(np.float64(0.5)).shape == ()
    assert np.isnan(noise.add(np.array([np.nan, 0.5]))[0])


def test_noise_keeps_probabilities_in_their_range_and_ties_where_asked() -> None:
    close = np.full(1000, 1 - 1e-12)
    assert Noise(EPS, EPS, 0).add(close).max() <= 1.0
    x = np.repeat(np.random.default_rng(1).normal(size=50), 3)
    tied = TiedNoise(EPS, EPS, 0).add(x).reshape(50, 3)
    assert (tied == tied[:, :1]).all()
    assert np.abs(tied[:, 0] - x[::3]).max() > 0
    independent = Noise(EPS, EPS, 0).add(x).reshape(50, 3)
    assert (independent != independent[:, :1]).any()


def test_noise_for_more_numbers_than_the_pool_holds() -> None:
    x = np.full((1 << 20) + 5, 0.5)
    y = Noise(EPS, EPS, 3).add(x)
    assert y.shape == x.shape
    assert 0 < np.abs(y / x - 1).max() <= EPS * (1 + 1e-6)


def test_noise_leaves_a_double_backward_right() -> None:
    """What is saved are the noisy arrays, still connected to the graph."""
    x = dc.tensor([0.3, 0.7], dtype="float64", requires_grad=True)
    with observe(Noise(1e-9, 1e-9, 0)):
        y = (dc.tanh(x) * x).sum()
        (g,) = dc.autograd.grad(y, x, create_graph=True)
        (gg,) = dc.autograd.grad(g.sum(), x)
    t = np.tanh(np.array([0.3, 0.7]))
    expected = 2 * (1 - t**2) - 2 * t * (1 - t**2) * np.array([0.3, 0.7])
    np.testing.assert_allclose(gg.numpy(), expected, rtol=1e-6)
    assert (gg.numpy() != expected).all()


def test_the_noise_of_a_sum_that_is_zero_is_that_of_what_adds_up() -> None:
    """The gradient of a bias before batch norm: zero but for rounding, and the noise says how much."""
    x = np.random.default_rng(0).normal(size=(64, 4))

    def bias_grad(observer: Any) -> np.ndarray:
        bias = dc.tensor(np.full(4, 0.3), requires_grad=True)
        with observe(observer):
            y = F.batch_norm(dc.tensor(x) + bias, None, None, training=True)
            (y**3).sum().backward()
        return bias.grad.numpy()

    assert np.abs(bias_grad(None)).max() < 1e-11
    assert 1e-7 < np.abs(bias_grad(Noise(EPS, EPS, 0))).max() < 1e-3


def test_drawn_as_gives_a_wide_run_the_numbers_of_a_narrow_one() -> None:
    dc.manual_seed(3)
    narrow, after = dc.randn(5), dc.rand(5)
    dc.manual_seed(3)
    with drawn_as("float32"):
        wide, later = dc.randn(5, dtype="float64"), dc.rand(5, dtype="float64")
    assert wide.dtype == np.float64
    np.testing.assert_array_equal(wide.numpy(), narrow.numpy())
    np.testing.assert_array_equal(later.numpy(), after.numpy())


# --- replays ----------------------------------------------------------------------------------------------------------


def replays(case: Any, device: str) -> list[str]:
    """What goes wrong when each Function that a case's first samples call is run alone."""
    backend, reference, faults = get_backend(device), get_backend("numpy"), []
    for sample in [s for s in case.make_samples() if not s.empty][:1]:
        args = to_tensors(sample.cast("float32"), device, sample.diff if case.differentiable else ())
        tape = Tape(lambda: "")
        with observe(tape):
            ys = [y for y in outputs(case.op(*args, **sample.kwargs)) if isinstance(y, dc.Tensor) and y.requires_grad]
            if ys:
                dc.autograd.backward(ys, [dc.ones_like(y) for y in ys])
        for app in tape.close():
            got, exact = app.run(backend, None), app.run(reference, np.float64)
            noisy = [app.run(reference, np.float64, Noise(EPS, EPS, i)) for i in range(3)]
            tied = [app.run(reference, np.float64, TiedNoise(EPS, EPS, 0))]
            plain = app.run(reference, FLOAT32)
            for side in (0, 1):
                for i, y in enumerate(exact[side]):
                    if y is None or got[side][i] is None or (side == 1 and not app.wants(i)):
                        continue
                    several = [s[side][i] for s in (noisy if y.dtype.kind == "f" else tied) if s[side][i] is not None]
                    length = reduction_length(app.sizes(with_grads=side == 1), y.size, app.name in PRODUCTS)
                    times = judge(got[side][i], y, several, plain[side][i], FLOAT32, length).times_allowed
                    if times > 1:
                        faults.append(f"{case.name}, {sample.name}: {app.name} {side} {i}: {times:.3g}")
    return faults


@pytest.mark.parametrize("case", all_cases()[::4], ids=str)
def test_every_op_can_be_run_alone_and_none_is_convicted(case: Any) -> None:
    assert replays(case, "cpu") == []


@pytest.mark.slow
@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_every_op_of_the_database_on_devices(case: Any, device: str) -> None:
    assert replays(case, device) == []


def test_a_tape_keeps_what_was_and_not_what_is_written_later() -> None:
    x = dc.tensor([1.0, 2.0], requires_grad=True)
    tape = Tape(lambda: "here")
    with observe(tape):
        y = (x * 2.0).sum()
        y.backward()
    with dc.no_grad():
        x.add_(100.0)
    mul, total = tape.close()
    assert (mul.name, mul.module, mul.number, total.number) == ("mul", "here", 0, 1)
    assert (total.backward, mul.backward) == (0, 1)
    out, grads = mul.run(get_backend("numpy"), np.float64)
    assert out[0].tolist() == [2.0, 4.0]
    assert grads[0].tolist() == [2.0, 2.0]


def test_the_calls_of_a_backend_are_recorded_and_it_is_left_as_it_was() -> None:
    backend = get_backend("cpu")
    before = dict(vars(backend))
    x = np.ones((2, 3), np.float32)
    found = calls(backend, lambda: backend.linear(x, np.ones((4, 3), np.float32), None))
    assert [name for name, *_ in found] == ["linear"], "not the methods that it calls itself"
    assert found[0][3].shape == (2, 4)
    assert vars(backend) == before


# --- judgements -------------------------------------------------------------------------------------------------------


def test_a_judgement_is_relative_to_the_noise() -> None:
    exact = np.array([1000.0, 1.0, 1e-3])
    noise = np.abs(exact) * EPS / math.sqrt(3.0)
    noisy = [exact + noise, exact - noise, exact + noise]
    right = judge(exact.astype(np.float32), exact, noisy, None, FLOAT32)
    assert right.times_allowed < 1
    wrong = judge(np.array([1001.0, 1.0, 1e-3], np.float32), exact, noisy, None, FLOAT32)
    assert wrong.times_allowed == pytest.approx(1.0 / (16 * EPS * 1000), rel=1e-3)
    assert (wrong.index, wrong.value, wrong.exact) == ((0,), 1001.0, 1000.0)
    worse_reference = judge(np.array([1001.0, 1.0, 1e-3], np.float32), exact, noisy, exact + 1.0, FLOAT32)
    assert worse_reference.times_allowed < 1


def test_judgements_of_integers_nan_infinity_shapes_and_nothing() -> None:
    places = np.array([0, 1, 2])
    assert judge(places, places, [places], None, FLOAT32).times_allowed == 0
    assert judge(np.array([0, 1, 3]), places, [places], None, FLOAT32).index == (2,)
    assert judge(np.array([0, 1, 3]), places, [np.array([0, 1, 9])], None, FLOAT32).times_allowed == 0
    one = np.array([1.0])
    assert judge(np.array([np.nan]), one, [one], None, FLOAT32).times_allowed == math.inf
    assert judge(np.array([np.inf]), one, [one], None, FLOAT32).times_allowed == math.inf
    for same in (np.nan, np.inf):
        assert judge(np.array([same]), np.array([same]), [np.array([same])], None, FLOAT32).times_allowed == 0
    assert judge(np.zeros(2), one, [one], None, FLOAT32).times_allowed == math.inf
    assert judge(np.zeros(0), np.zeros(0), [], None, FLOAT32).times_allowed == 0
    assert judge(np.float32(1.5), np.float64(1.5), [np.float64(1.5)], None, FLOAT32).times_allowed == 0


# --- bounds and events ------------------------------------------------------------------------------------------------


def ledger_of(distances: list[float], noise: list[float], forget_at: int = -1) -> Comparison:
    """A comparison with one quantity whose exact value is 1 and whose distances are given."""
    device = Device("a", "a", "A", "float32", EPS, EPS)
    other = Device("b", "b", "B", "float32", EPS, EPS)
    settings = Settings((device, other), device, 1, EPS, EPS, FACTOR, 3, 0, 0, False, "M", 1, "loss", "SGD")
    result = Comparison(settings)
    ledger = Ledger(settings, result)
    key = Key("loss", "loss", "", "M", ())
    for step, (d, n) in enumerate(zip(distances, noise, strict=True)):
        if step == forget_at:
            ledger.forget()
        ledger.start([Entry(key, np.array(1.0))])
        ledger.device("a", [Entry(key, np.array(1.0))], last=False)
        ledger.device("b", [Entry(key, np.array(1.0 + d))], last=True)
        ledger.noisy([Entry(key, np.array(1.0 + n))])
        ledger.finish()
        result.steps += 1
    return result


def test_the_bound_is_made_of_the_largest_noise_so_far() -> None:
    result = ledger_of([0.0] * 4, [1e-6, 4e-6, 2e-6, 1e-6])
    (track,) = result.tracks
    assert track.bound == pytest.approx([FACTOR * n for n in (1e-6, 4e-6, 4e-6, 4e-6)], rel=1e-6)
    assert track.noise == pytest.approx([1e-6, 4e-6, 2e-6, 1e-6], rel=1e-6)
    assert result.events == []
    assert ledger_of([0.0], [0.0]).tracks[0].bound == [FACTOR * EPS]
    assert ledger_of([0.0] * 2, [1e-3, 1e-6], forget_at=1).tracks[0].bound[1] == pytest.approx(FACTOR * 1e-6, rel=1e-6)


def test_a_jump_leaves_the_bound_at_once_and_a_drift_grows_across_it() -> None:
    jump = ledger_of([1e-7, 1e-7, 1e-3, 1e-3], [1e-6] * 4)
    assert [(e.step, e.a, e.b, e.shape) for e in jump.events] == [(2, "a", "b", "jump"), (2, "b", EXACT, "jump")]
    assert jump.events[0].ratio == pytest.approx(1e-3 / (FACTOR * 1e-6), rel=1e-3)
    drift = ledger_of([1e-6 * 1.9**t for t in range(6)], [1e-6] * 6)
    assert {(e.step, e.shape) for e in drift.events} == {(4, "drift")}
    first = ledger_of([1e-3], [1e-6])
    assert first.events[0].shape == "jump"
    # The noise jumps as well, though not as far: the model does that to rounding errors.
    explained = ledger_of([4e-6, 1e-3], [1e-6, 1e-4])
    assert {e.shape for e in explained.events} == {"drift"}
    back = ledger_of([1e-3, 0.0, 1e-3], [1e-6] * 3)
    assert [e.step for e in back.events] == [0, 0, 2, 2]
    assert JUMP > 1


def test_distances_and_growth() -> None:
    assert distance(np.array([3.0, np.inf]), np.array([0.0, np.inf])) == 3.0
    assert distance(np.array([np.nan]), np.array([np.nan])) == 0.0
    assert distance(np.array([np.nan]), np.array([1.0])) == math.inf
    assert growth_per_step([1.0, 2.0, 4.0, 8.0]) == pytest.approx(2.0)
    assert growth_per_step([1.0, 2.0]) == 1.0
    assert Event(0, Quantity(0, "loss", "loss", "", "M", ()), "a", "b", 1.0, 0.0, 1.0, "jump").ratio == math.inf


@pytest.mark.parametrize(
    ("kind", "name", "type_", "label"),
    [
        ("output", "", "LeNet", "output of the model (LeNet)"),
        ("grad", "fc.weight", "Linear", "gradient of fc.weight"),
        ("loss", "loss", "", "the loss"),
        ("weights", "weights", "", "all weights"),
    ],
)
def test_labels(kind: str, name: str, type_: str, label: str) -> None:
    assert Quantity(0, kind, name, "", type_, ()).label == label


def test_the_model_of_the_tests_has_what_they_need() -> None:
    assert [type(module).__name__ for module in mlp().children()][:4] == ["Linear", "BatchNorm1d", "ReLU", "Dropout"]


def test_the_length_of_a_sum_comes_from_sizes() -> None:
    assert reduction_length([12, 12], 12, False) == 1.0
    assert reduction_length([600, 3], 3, False) == 200.0
    n, o, d = 7, 5, 11
    assert reduction_length([n * d, o * d, o], n * o, True) == pytest.approx(d)
    assert reduction_length([n * o, n * d], o * d, True) == pytest.approx(n)
    assert reduction_length([], 4, True) == 1.0


def test_the_noise_of_nearly_equal_inputs_is_taken_over() -> None:
    def of(x: np.ndarray) -> Any:
        tape = Tape(lambda: "")
        with observe(tape):
            dc.tensor(x, requires_grad=True).exp().sum().backward()
        return tape.close()[0]

    x = np.array([0.5, 1.5])
    assert close(of(x), of(x + 1e-6))
    assert not close(of(x), of(x + 1e-2))
    assert not close(of(x), of(x[:1]))
    base, other = ([np.array([1.0, 2.0])], []), ([np.array([1.5, 2.5])], [])
    sample = ([np.array([1.25, 2.0])], [])
    assert moved_to(other, base, sample)[0][0].tolist() == [1.75, 2.5]
    places = ([np.array([3, 4])], [])
    assert moved_to(places, places, ([np.array([3, 5])], []))[0][0].tolist() == [3, 5]
