"""`dc.amp.GradScaler`: steps that are skipped on the device, the scale's way, saving, and trainings in 16 bits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import data, nn, optim
from deepcore import functional as F
from deepcore.backends import get_backend
from deepcore.check.opdb import host
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError, DataError, DTypeError, RunError
from deepcore.optim.optimizer import Optimizer
from deepcore.train import checkpoint

SHAPES = [(3, 4), (5,)]
OPTIMIZERS: dict[str, Callable[[list[dc.Tensor]], Any]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.01),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True),
    "dampening": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
    "adam": lambda p: optim.Adam(p, lr=0.1, weight_decay=0.01),
    "amsgrad": lambda p: optim.AdamW(p, lr=0.1, amsgrad=True, maximize=True),
}


def parameters(device: str, dtype: str = "float32") -> list[dc.Tensor]:
    rng = np.random.default_rng(3)
    return [dc.tensor(rng.standard_normal(s), dtype=dtype, device=device, requires_grad=True) for s in SHAPES]


def gradients(steps: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(4)
    return [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(steps)]


def started(device: str = "cpu", **options: Any) -> dc.amp.GradScaler:
    """A scaler that has scaled a loss."""
    scaler = dc.amp.GradScaler(**options)
    scaler.scale(dc.ones((), device=device))
    return scaler


def set_grads(params: list[dc.Tensor], grads: list[np.ndarray], factor: float = 1.0) -> None:
    for param, grad in zip(params, grads, strict=True):
        param.grad = dc.tensor(grad * factor, dtype=param.dtype, device=param.device)


def state_arrays(optimizer: Optimizer) -> dict[tuple[int, str], np.ndarray]:
    """A copy of the optimizer's state, a step count as a number."""
    entries = {(i, key): v for i, entry in optimizer.state_dict()["state"].items() for key, v in entry.items()}
    return {k: host(v).copy() if isinstance(v, dc.Tensor) else np.asarray(float(v)) for k, v in entries.items()}


# --- a step -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_only_the_steps_with_an_infinity_are_skipped(device: str, name: str, wrong: float) -> None:
    """Parameters, state and step counts are those of a training that never met the bad steps, the first one too."""
    plain, scaled = parameters(device), parameters(device)
    a, b = OPTIMIZERS[name](plain), OPTIMIZERS[name](scaled)
    scaler, scales = started(device, init_scale=4096.0), []
    for step, grads in enumerate(gradients(7)):
        bad = step in (0, 1, 4)
        if not bad:
            set_grads(plain, grads)
            a.step()
        before = [host(p).copy() for p in scaled], state_arrays(b)
        set_grads(scaled, grads, scaler.get_scale())
        if bad:
            scaled[1].grad[2] = wrong
        scaler.step(b)
        if bad:
            for old, param in zip(before[0], scaled, strict=True):
                np.testing.assert_array_equal(old, host(param))
            for key, old in before[1].items():
                np.testing.assert_array_equal(old, state_arrays(b)[key])
        scaler.update()
        scales.append(scaler.get_scale())
    assert scales == [2048, 1024, 1024, 1024, 512, 512, 512]
    for mine, theirs in zip(scaled, plain, strict=True):
        assert_close(host(mine), host(theirs), "float32", 7)
    for key, value in state_arrays(a).items():
        assert_close(state_arrays(b)[key], value, "float32", 7)


def test_step_counts_do_not_advance(device: str) -> None:
    params = parameters(device)
    optimizer, scaler = optim.Adam(params), started(device)
    for step in range(5):
        set_grads(params, gradients(1)[0])
        if step in (1, 2):
            params[0].grad[0, 0] = np.nan
        scaler.step(optimizer)
        scaler.update()
    counts = [entry["step"].item() for entry in optimizer.state_dict()["state"].values()]
    assert counts == [3.0, 3.0]
    set_grads(params, gradients(1)[0])
    optimizer.step()  # without a scaler the count is the host's again
    assert [entry["step"] for entry in optimizer.state.values()] == [4, 4]
    scaler.step(optimizer)
    assert [entry["step"].item() for entry in optimizer.state.values()] == [5.0, 5.0]


def test_a_parameter_without_gradient_has_its_own_count() -> None:
    params = parameters("strict")
    optimizer, scaler = optim.Adam(params), started("strict")
    for step in range(4):
        set_grads(params, gradients(1)[0])
        if step in (1, 3):
            params[1].grad = None
        scaler.step(optimizer)
        scaler.update()
    assert [optimizer.state[p]["step"].item() for p in params] == [4.0, 2.0]


def test_unscale_shows_the_gradients(device: str) -> None:
    """For clipping: afterwards step() takes them as they are."""
    plain, scaled = parameters(device), parameters(device)
    a, b = optim.Adam(plain, lr=0.1), optim.Adam(scaled, lr=0.1)
    scaler = started(device, init_scale=1024.0)
    for grads in gradients(3):
        set_grads(plain, grads)
        set_grads(scaled, grads, 1024.0)
        scaler.unscale_(b)
        for param, grad in zip(scaled, grads, strict=True):
            assert host(param.grad).tobytes() == grad.astype("float32").tobytes()
        a.step()
        scaler.step(b)
        scaler.update()
    for mine, theirs in zip(scaled, plain, strict=True):
        assert_close(host(mine), host(theirs), "float32", 3)


def test_the_scale_grows_and_stays_finite(device: str) -> None:
    params = parameters(device)
    optimizer = optim.SGD(params, lr=0.1)
    scaler = started(device, init_scale=2.0**126, growth_factor=4.0, backoff_factor=0.25, growth_interval=2)
    scales = []
    for step in range(9):
        set_grads(params, [g * 1e-30 for g in gradients(1)[0]])
        if step in (1, 2):
            params[0].grad[0, 0] = np.inf
        scaler.step(optimizer)
        scaler.update()
        scales.append(int(np.log2(scaler.get_scale())))
    # down twice, then up after two good steps; 2 ** 128 would be infinite
    assert scales == [126, 124, 122, 122, 124, 124, 126, 126, 126]


def test_two_optimizers_and_two_losses(device: str) -> None:
    """One infinity skips the step of its optimizer only, and lowers the scale once."""
    params = parameters(device)
    one, two = optim.SGD(params[:1], lr=0.1), optim.SGD(params[1:], lr=0.1)
    before = [host(p).copy() for p in params]
    scaler = dc.amp.GradScaler(init_scale=8.0)
    losses = scaler.scale([params[0].sum(), (params[1] * 2).sum()])
    assert [type(losses), losses[0].item() / 8] == [list, pytest.approx(params[0].sum().item())]
    for loss in losses:
        loss.backward()
    params[0].grad[0, 0] = np.inf
    scaler.step(one)
    scaler.step(two)
    scaler.update()
    np.testing.assert_array_equal(host(params[0]), before[0])
    assert_close(host(params[1]), before[1] - 0.2, "float32")
    assert scaler.get_scale() == 4.0


class Plain(Optimizer):
    """An optimizer of a user's own, which knows nothing of scaling."""

    def _update(self, params: list[dc.Tensor], group: dict[str, Any]) -> None:
        for p in params:
            p.array -= group["lr"] * p.grad.array


def test_an_optimizer_of_ones_own(device: str) -> None:
    params = parameters(device)
    optimizer, scaler = Plain(params, {"lr": 0.5}), started(device, init_scale=16.0)
    start, (grads,) = [host(p).copy() for p in params], gradients(1)
    for bad in (True, False):
        set_grads(params, grads, scaler.get_scale())
        if bad:
            params[1].grad[0] = np.nan
        scaler.step(optimizer)
        scaler.update()
    for old, grad, param in zip(start, grads, params, strict=True):
        assert_close(host(param), old - 0.5 * grad, "float32")


def test_disabled_is_as_if_it_were_not_there() -> None:
    params = parameters("cpu")
    optimizer, scaler = optim.SGD(params, lr=1.0), dc.amp.GradScaler(enabled=False)
    loss = params[0].sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert scaler.state_dict() == {}
    assert (scaler.get_scale(), scaler.is_enabled()) == (1.0, False)
    scaler.load_state_dict({})


def test_no_transfer_in_ten_steps() -> None:
    backend, params = get_backend("strict"), parameters("strict")
    for make in OPTIMIZERS.values():
        optimizer, scaler = make(params), dc.amp.GradScaler("strict", growth_interval=2)
        before = dict(backend.transfers)
        for step in range(10):
            loss = (params[0].sum() + (params[1] ** 2).sum()) * (np.inf if step == 3 else 1.0)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        assert dict(backend.transfers) == before
        assert scaler.get_scale() == 2.0**19, "up after steps 1, 5, 7, 9, down after 3"


# --- master weights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_master_weights(device: str, half: str) -> None:
    """The masters move as float32 parameters would with the same gradients, the parameters are their rounding."""
    for make in (
        lambda p, **o: optim.SGD(p, lr=1e-4, momentum=0.9, **o),
        lambda p, **o: optim.Adam(p, lr=1e-5, **o),
        lambda p, **o: optim.AdamW(p, lr=1e-5, amsgrad=True, **o),
    ):
        narrow = parameters(device, half)
        wide = [dc.tensor(host(p).astype("float32"), device=device, requires_grad=True) for p in narrow]
        a, b, scaler = make(narrow, master_weights=True), make(wide), started(device, init_scale=4.0)
        lost = host(narrow[0]).copy()
        for step, grads in enumerate(gradients(6)):
            grads = [np.asarray(g, dtype=narrow[0].dtype).astype("float32") for g in grads]
            set_grads(narrow, grads, 4.0)
            if step == 2:
                narrow[0].grad[0, 0] = np.inf
            else:
                set_grads(wide, grads)
                b.step()
            scaler.step(a)
            scaler.update(4.0)
        for p, q in zip(narrow, wide, strict=True):
            master = a.state[p]["master"]
            assert master.dtype == np.float32
            assert_close(host(master), host(q), "float32", 6)
            assert host(p).tobytes() == host(master).astype(p.dtype).tobytes()
        assert (lost - host(a.state[narrow[0]]["master"]) != 0).all(), "steps below the spacing of 16 bits add up"


def test_master_weights_are_saved_and_follow_a_write() -> None:
    params = parameters("cpu", "bfloat16")
    optimizer = optim.AdamW(params, lr=1e-4, master_weights=True)
    set_grads(params, gradients(1)[0])
    optimizer.step()
    other = optim.AdamW(parameters("cpu", "bfloat16"), master_weights=True)
    other.load_state_dict(optimizer.state_dict())
    kept = [entry["master"] for entry in other.state_dict()["state"].values()]
    for entry, copy in zip(optimizer.state.values(), kept, strict=True):
        assert copy.dtype == np.float32
        assert host(entry["master"]).tobytes() == host(copy).tobytes()
    with dc.no_grad():
        params[0].fill_(3.0)
    optimizer.step()
    assert_close(host(optimizer.state[params[0]]["master"]), np.full(SHAPES[0], 3.0), "bfloat16")
    plain = parameters("cpu")
    optimizer = optim.Adam(plain, master_weights=True)
    set_grads(plain, gradients(1)[0])
    optimizer.step()
    assert "master" not in optimizer.state[plain[0]], "float32 needs none"


# --- order and input --------------------------------------------------------------------------------------------------


def test_order() -> None:
    params = parameters("cpu")
    optimizer, scaler = optim.SGD(params), dc.amp.GradScaler()
    for call in (scaler.step, scaler.unscale_):
        with pytest.raises(RunError, match="no call of scale"):
            call(optimizer)
    with pytest.raises(RunError, match="no call of scale"):
        scaler.update()
    scaler.scale(params[0].sum())
    with pytest.raises(RunError, match="an optimizer that was stepped; got none"):
        scaler.update()
    with pytest.raises(RunError, match="gradients in the optimizer; got none"):
        scaler.step(optimizer)
    set_grads(params, gradients(1)[0])
    scaler.unscale_(optimizer)
    with pytest.raises(RunError, match=r"one after unscale_\(\)"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RunError, match="a second one"):
        scaler.step(optimizer)
    with pytest.raises(RunError, match=r"one after step\(\)"):
        scaler.unscale_(optimizer)
    scaler.update()
    with pytest.raises(ConfigError, match="no closure"):
        scaler.step(optimizer, lambda: None)
    with pytest.raises(ConfigError, match="a tensor"):
        scaler.scale(3.0)
    scaler.update(128.0)
    assert scaler.get_scale() == 128.0
    scaler.update(dc.tensor(64.0))
    assert scaler.get_scale() == 64.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"init_scale": 0}, "init_scale"),
        ({"init_scale": np.nan}, "init_scale"),
        ({"device": 65536.0}, r"write GradScaler\(init_scale="),
        ({"growth_factor": 1.0}, "growth_factor > 1"),
        ({"growth_factor": 0.5}, "growth_factor"),
        ({"backoff_factor": 1.0}, "backoff_factor"),
        ({"backoff_factor": 0.0}, "backoff_factor > 0"),
        ({"growth_interval": 0}, "growth_interval"),
        ({"growth_interval": 2.5}, "growth_interval"),
    ],
)
def test_bad_arguments(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        dc.amp.GradScaler(**options)


def test_float16_gradients_are_not_unscaled_in_place() -> None:
    params = parameters("cpu", "float16")
    optimizer, scaler = optim.SGD(params), started()
    set_grads(params, gradients(1)[0])
    with pytest.raises(DTypeError, match="keep the parameters in float32"):
        scaler.unscale_(optimizer)


# --- saving -----------------------------------------------------------------------------------------------------------


def test_a_saved_scaler_goes_on_bit_for_bit(device: str, tmp_path: Path) -> None:
    """Stopped in the middle, written to a checkpoint and read: the same scales, parameters and state as in one go."""

    def run(first: int, last: int, saved: Any = None) -> tuple[Any, list[float]]:
        params = parameters(device)
        optimizer, scaler = optim.Adam(params, lr=0.1), dc.amp.GradScaler(init_scale=512.0, growth_interval=3)
        if saved is not None:
            for param, value in zip(params, saved["params"], strict=True):
                param.array[...] = get_backend(device).from_host(np.asarray(value))
            optimizer.load_state_dict(saved["optimizer"])
            scaler.load_state_dict(saved["scaler"])
        scales = []
        for step in range(first, last):
            optimizer.zero_grad()
            loss = sum(((p * p).sum() for p in params), dc.zeros((), device=device))
            scaler.scale(loss * (np.inf if step in (2, 7) else 1.0)).backward()
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
        state = {"params": [host(p) for p in params], "optimizer": optimizer.state_dict()}
        return {**state, "scaler": scaler.state_dict()}, scales

    whole, expected = run(0, 12)
    first, begun = run(0, 5)
    checkpoint.save(tmp_path / "state.safetensors", first)
    assert json.loads(json.dumps(first["scaler"])) == first["scaler"]
    second, ended = run(5, 12, checkpoint.load(tmp_path / "state.safetensors"))
    assert begun + ended == expected
    assert second["scaler"] == whole["scaler"]
    for a, b in zip(second["params"], whole["params"], strict=True):
        assert a.tobytes() == b.tobytes()
    for a, b in zip(second["optimizer"]["state"].values(), whole["optimizer"]["state"].values(), strict=True):
        assert {k: host(v).tobytes() for k, v in a.items()} == {k: host(v).tobytes() for k, v in b.items()}


def test_a_bad_state_changes_nothing() -> None:
    scaler = started(init_scale=8.0)
    good = scaler.state_dict()
    assert good["_growth_tracker"] == 0
    for bad, error, words in (
        ({}, DataError, "none for scale, growth_factor"),
        ({**good, "scale": -1.0}, ConfigError, "init_scale"),
        ({**good, "growth_interval": 0}, ConfigError, "growth_interval"),
    ):
        with pytest.raises(error, match=words):
            scaler.load_state_dict(bad)
    assert scaler.state_dict() == good


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_lenet_learns_digits(half: str) -> None:
    """LeNet on real digits under autocast comes as far as in float32."""
    train, test = data.load("digits")
    images, labels = dc.tensor(train.images), dc.tensor(train.labels)
    ends = {}
    for enabled in (False, True):
        dc.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(1, 4, 5, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(4 * 7 * 7, 32), nn.ReLU(), nn.Linear(32, 10)),
        )
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        scaler = dc.amp.GradScaler(enabled=enabled and half == "float16", growth_interval=20)
        for step in range(60):
            rows = slice(step % 22 * 64, step % 22 * 64 + 64)
            with dc.autocast(dtype=half, enabled=enabled):
                loss = F.cross_entropy(model(images[rows]), labels[rows])
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        model.eval()
        with dc.no_grad(), dc.autocast(dtype=half, enabled=enabled):
            right = model(dc.tensor(test.images)).argmax(1).numpy() == test.labels
        ends[enabled] = float(right.mean())
    assert ends[True] > 0.85
    assert abs(ends[True] - ends[False]) < 0.05


# --- the same as PyTorch ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_same_scales_and_parameters_as_pytorch() -> None:
    torch = pytest.importorskip("torch")
    options = {"init_scale": 256.0, "growth_factor": 3.0, "backoff_factor": 0.3, "growth_interval": 2}
    ours, mine = parameters("cpu"), dc.amp.GradScaler(**options)
    theirs, their = [torch.tensor(host(p), requires_grad=True) for p in ours], torch.amp.GradScaler("cpu", **options)
    a, b = optim.AdamW(ours, lr=0.1), torch.optim.AdamW(theirs, lr=0.1)
    for step in range(12):
        factor = np.inf if step in (3, 4, 8) else 1.0
        for params, optimizer, scaler in ((ours, a, mine), (theirs, b, their)):
            optimizer.zero_grad()
            scaler.scale(((params[0] ** 2).sum() + (params[1] ** 2).sum()) * factor).backward()
            scaler.step(optimizer)
            scaler.update()
        assert mine.get_scale() == their.get_scale()
    assert mine.state_dict() == their.state_dict()
    for x, y in zip(ours, theirs, strict=True):
        assert_close(host(x), y.detach().numpy(), "float32", 12)
    mine.load_state_dict(their.state_dict())
    their.load_state_dict(mine.state_dict())
