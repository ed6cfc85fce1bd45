"""Optimisers against their formulas, written down again here for one array in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import deepcore as dc
from deepcore import nn, optim
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError, DataError, DeviceError

STEPS = 6
SHAPES = [(3, 4), (5,), (2, 1, 3)]


def host(tensor: dc.Tensor) -> np.ndarray:
    return tensor.backend.to_host(tensor.array)


def gradients(seed: int = 0, steps: int = STEPS) -> list[list[np.ndarray]]:
    """One gradient a step and parameter."""
    rng = np.random.default_rng(seed)
    return [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(steps)]


def start() -> list[np.ndarray]:
    rng = np.random.default_rng(99)
    return [rng.standard_normal(shape) for shape in SHAPES]


def make_params(device: str, dtype: str = "float64") -> list[dc.Tensor]:
    return [dc.tensor(value, dtype=dtype, device=device, requires_grad=True) for value in start()]


def set_grads(params: list[dc.Tensor], grads: list[np.ndarray | None]) -> None:
    for param, grad in zip(params, grads, strict=True):
        param.grad = None if grad is None else dc.tensor(grad, dtype=param.dtype, device=param.device)


def sgd(p, grads, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False):
    """Sutskever et al. 2013 in PyTorch's form."""
    velocity = None
    for g in grads:
        g = (-g if maximize else g) + weight_decay * p
        if momentum:
            velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
            g = g + momentum * velocity if nesterov else velocity
        p = p - lr * g
    return p


def adam(
    p, grads, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False, decoupled=False
):
    """Kingma and Ba 2014, algorithm 1; decoupled: Loshchilov and Hutter 2017, algorithm 2."""
    m = v = largest = np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        g = -g if maximize else g
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        largest = np.maximum(largest, v)
        m_hat = m / (1 - betas[0] ** t)
        v_hat = (largest if amsgrad else v) / (1 - betas[1] ** t)
        p = p - lr * m_hat / (np.sqrt(v_hat) + eps)
    return p


def adamw(p, grads, weight_decay=1e-2, **options):
    return adam(p, grads, weight_decay=weight_decay, decoupled=True, **options)


def adagrad(
    p, grads, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10, maximize=False
):
    """Duchi et al. 2011, section 1.3."""
    total = np.full_like(p, initial_accumulator_value)
    for t, g in enumerate(grads):
        g = (-g if maximize else g) + weight_decay * p
        total = total + g**2
        p = p - lr / (1 + t * lr_decay) * g / (np.sqrt(total) + eps)
    return p


CASES: list[tuple[type, Callable, dict]] = [
    (optim.SGD, sgd, {"lr": 0.1}),
    (optim.SGD, sgd, {}),
    (optim.SGD, sgd, {"lr": 0.1, "weight_decay": 0.05, "maximize": True}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01, "maximize": True}),
    (optim.Adam, adam, {}),
    (optim.Adam, adam, {"lr": 0.05, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.Adam, adam, {"lr": 0.05, "amsgrad": True, "maximize": True}),
    (optim.AdamW, adamw, {}),
    (optim.AdamW, adamw, {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    (optim.Adagrad, adagrad, {}),
    (optim.Adagrad, adagrad, {"lr": 0.5, "lr_decay": 0.1, "weight_decay": 0.2, "initial_accumulator_value": 0.3}),
    (optim.Adagrad, adagrad, {"eps": 1e-3, "maximize": True}),
]
IDS = [f"{kind.__name__}-{'-'.join(options) or 'defaults'}" for kind, _, options in CASES]


@pytest.mark.parametrize(("kind", "formula", "options"), CASES, ids=IDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_formula(device: str, kind: type, formula: Callable, options: dict, dtype: str) -> None:
    params = make_params(device, dtype)
    optimizer = kind(params, **options)
    steps = gradients()
    for grads in steps:
        set_grads(params, grads)
        optimizer.step()
        for param, grad in zip(params, grads, strict=True):
            np.testing.assert_array_equal(host(param.grad), grad.astype(dtype), err_msg="gradients are only read")
    for i, (param, value) in enumerate(zip(params, start(), strict=True)):
        expected = formula(value, [grads[i] for grads in steps], **options)
        assert param.dtype == np.dtype(dtype)
        assert_close(host(param), expected, dtype, STEPS * STEPS)


@pytest.mark.parametrize(("kind", "formula", "options"), CASES, ids=IDS)
def test_state_round_trip(device: str, kind: type, formula: Callable, options: dict) -> None:
    """Stopped, saved as arrays, loaded on this device and gone on: the same bits as without the stop."""
    whole = make_params(device)
    optimizer = kind(whole, **options)
    for grads in gradients():
        set_grads(whole, grads)
        optimizer.step()

    first = make_params(device)
    optimizer = kind(first, **options)
    for grads in gradients()[:3]:
        set_grads(first, grads)
        optimizer.step()
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["params"] == [0, 1, 2]
    arrays = {
        str(i): {key: host(value) if isinstance(value, dc.Tensor) else value for key, value in state.items()}
        for i, state in saved["state"].items()
    }
    second = [dc.tensor(host(param), device=device, requires_grad=True) for param in first]
    optimizer = kind(second, lr=123.0)
    optimizer.load_state_dict({"state": arrays, "param_groups": saved["param_groups"]})
    assert optimizer.param_groups[0]["lr"] == options.get("lr", kind([leaf()]).defaults["lr"])
    for grads in gradients()[3:]:
        set_grads(second, grads)
        optimizer.step()
    for a, b in zip(whole, second, strict=True):
        np.testing.assert_array_equal(host(a), host(b))


def test_state_names_and_place(device: str) -> None:
    params = make_params(device)
    for kind, options, keys in (
        (optim.SGD, {"momentum": 0.9}, {"momentum_buffer"}),
        (optim.Adam, {}, {"step", "exp_avg", "exp_avg_sq"}),
        (optim.AdamW, {"amsgrad": True}, {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}),
        (optim.Adagrad, {}, {"step", "sum"}),
    ):
        optimizer = kind(params, lr=0.1, **options)
        set_grads(params, gradients()[0])
        optimizer.step()
        state = optimizer.state_dict()["state"]
        assert set(state) == {0, 1, 2}
        for i, entry in state.items():
            assert set(entry) == keys
            tensors = [value for value in entry.values() if isinstance(value, dc.Tensor)]
            assert all(t.device == device and t.shape == SHAPES[i] and t.dtype == np.float64 for t in tensors)


def test_parameters_without_gradient_wait(device: str) -> None:
    """A gradient that comes late starts its own velocity and its own bias correction."""
    for kind, formula, options in (
        (optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
        (optim.Adam, adam, {"lr": 0.1}),
    ):
        params = make_params(device)
        optimizer = kind(params, **options)
        seen: list[list[np.ndarray]] = [[], [], []]
        for step, grads in enumerate(gradients()):
            present = [True, step >= 2, step % 2 == 0]
            given = [grad if here else None for grad, here in zip(grads, present, strict=True)]
            for i, grad in enumerate(given):
                seen[i] += [] if grad is None else [grad]
            set_grads(params, given)
            optimizer.step()
        for param, value, grads in zip(params, start(), seen, strict=True):
            assert_close(host(param), formula(value, grads, **options), np.float64, STEPS * STEPS)
    untouched = make_params(device)
    optimizer = optim.AdamW(untouched)
    optimizer.step()
    assert not optimizer.state
    np.testing.assert_array_equal(host(untouched[0]), start()[0])


def test_groups_have_their_own_options() -> None:
    params = make_params("cpu")
    optimizer = optim.SGD([{"params": params[0], "lr": 0.5}, {"params": params[1:2], "name": "rest"}], lr=0.1)
    optimizer.add_param_group({"params": [params[2]], "momentum": 0.9, "lr": 0.2})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1, 0.2]
    assert [group["params"] for group in optimizer.state_dict()["param_groups"]] == [[0], [1], [2]]
    steps = gradients()
    for grads in steps:
        set_grads(params, grads)
        optimizer.step()
    options = [{"lr": 0.5}, {"lr": 0.1}, {"lr": 0.2, "momentum": 0.9}]
    for i, (param, value) in enumerate(zip(params, start(), strict=True)):
        expected = sgd(value, [grads[i] for grads in steps], **options[i])
        assert_close(host(param), expected, np.float64, STEPS * STEPS)
    assert "Parameter Group 2" in repr(optimizer)


def test_mixed_devices_and_dtypes_in_one_group() -> None:
    value = np.ones(3)
    params = [
        dc.tensor(value, dtype=dtype, device=device, requires_grad=True)
        for device in ("cpu", "numpy", "strict")
        for dtype in ("float32", "float64")
    ]
    optimizer = optim.Adam(params, lr=0.1)
    set_grads(params, [value] * len(params))
    optimizer.step()
    for param in params:
        assert_close(host(param), value - 0.1 / (1 + 1e-8), param.dtype, 3)


def test_closure_and_zero_grad() -> None:
    x = dc.tensor([3.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.1)

    def closure() -> dc.Tensor:
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    with dc.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert x.item() == pytest.approx(2.4)
    optimizer.zero_grad(set_to_none=False)
    assert x.grad.item() == 0.0
    optimizer.zero_grad()
    assert x.grad is None


def test_step_is_seen_by_the_tape() -> None:
    """A graph whose weights were stepped cannot be gone back through with the new weights."""
    w = dc.tensor([2.0], requires_grad=True)
    x = dc.tensor([3.0], requires_grad=True)
    loss = (w * x).sum()
    loss.backward(retain_graph=True)
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="in place"):
        loss.backward()


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adagrad, optim.Adam, optim.AdamW])
def test_training_learns(device: str, kind: type) -> None:
    """A network with every kind of parameter learns the parity of four bits."""
    dc.manual_seed(1)
    bits = np.array([[i >> k & 1 for k in range(4)] for i in range(16)], dtype=np.float32)
    x, t = dc.tensor(bits, device=device), dc.tensor(bits.sum(axis=1).astype(np.int64) % 2, device=device)
    model = nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), nn.Tanh(), nn.Linear(32, 2)).to(device)
    options = {"lr": 0.2, "momentum": 0.9} if kind is optim.SGD else {"lr": 0.02}
    optimizer = kind(model.parameters(), **options)
    for _ in range(150):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), t)
        loss.backward()
        optimizer.step()
    assert (host(model(x)).argmax(axis=1) == host(t)).all(), f"loss {loss.item()}"


# --- bad input --------------------------------------------------------------------------------------------------------


def leaf() -> dc.Tensor:
    return dc.zeros(2, requires_grad=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optim.SGD([]), "empty list"),
        (lambda: optim.SGD(leaf()), r"one tensor. Hint: write \[tensor\]"),
        (lambda: optim.SGD(["w"]), "got str"),
        (lambda: optim.SGD([leaf() * 2]), "leaf"),
        (lambda: optim.SGD([leaf()] * 2), "once"),
        (lambda: optim.SGD([{"lr": 1}]), "params"),
        (lambda: optim.SGD([{"params": [leaf()], "learning_rate": 1}]), "learning_rate"),
        (lambda: optim.SGD([leaf()], lr=-1), "lr >= 0; got -1"),
        (lambda: optim.SGD([leaf()], lr="fast"), "lr"),
        (lambda: optim.SGD([leaf()], lr=math.nan), "lr"),
        (lambda: optim.SGD([leaf()], momentum=-0.1), "momentum"),
        (lambda: optim.SGD([leaf()], weight_decay=-1), "weight_decay"),
        (lambda: optim.SGD([leaf()], nesterov=True), "momentum > 0"),
        (lambda: optim.SGD([leaf()], nesterov=True, momentum=0.9, dampening=0.1), "dampening"),
        (lambda: optim.SGD([{"params": [leaf()], "lr": -2}]), "lr >= 0; got -2"),
        (lambda: optim.Adam([leaf()], betas=(0.9, 1.0)), r"betas\[1\] < 1"),
        (lambda: optim.Adam([leaf()], betas=0.9), "two numbers"),
        (lambda: optim.Adam([leaf()], eps=-1), "eps"),
        (lambda: optim.AdamW([leaf()], weight_decay=-1), "AdamW"),
        (lambda: optim.Adagrad([leaf()], lr_decay=-1), "lr_decay"),
    ],
)
def test_bad_arguments(make: Callable, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


def test_bad_state_changes_nothing() -> None:
    params = make_params("cpu")
    optimizer = optim.Adam(params, lr=0.5)
    set_grads(params, gradients()[0])
    optimizer.step()
    good = optimizer.state_dict()
    one_more = {**good["param_groups"][0], "params": [0, 1, 2, 3]}
    wrong_shape = {**good["state"], 1: {**good["state"][1], "exp_avg": np.zeros(7)}}
    for bad, words in (
        ({}, "param_groups"),
        ({**good, "param_groups": [one_more]}, r"\[3\] parameters; the state has \[4\]"),
        ({**good, "param_groups": []}, "groups"),
        ({**good, "state": {9: {}}}, "entry 9"),
        ({**good, "state": wrong_shape}, r"exp_avg of shape \(5,\); got \(7,\)"),
    ):
        with pytest.raises(DataError, match=words):
            optimizer.load_state_dict(bad)
    with pytest.raises(ConfigError, match="lr"):
        optimizer.load_state_dict({**good, "param_groups": [{**good["param_groups"][0], "lr": -1}]})
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["params"][0] is params[0]
    assert len(optimizer.state) == 3


def test_moving_the_model_under_the_state() -> None:
    model = nn.Linear(2, 2)
    optimizer = optim.Adam(model.parameters())
    model(dc.ones(1, 2)).sum().backward()
    optimizer.step()
    model.to("numpy")
    with pytest.raises(DeviceError, match=r"after model\.to"):
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert all(
        value.device == "numpy" for value in optimizer.state[model.weight].values() if not isinstance(value, int)
    )


# --- the same as PyTorch ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "formula", "options"), CASES, ids=IDS)
def test_same_as_pytorch(kind: type, formula: Callable, options: dict) -> None:
    """20 steps in float64, and PyTorch's own state goes on here."""
    torch = pytest.importorskip("torch")
    ours = make_params("cpu")
    theirs = [torch.tensor(value, requires_grad=True) for value in start()]
    a, b = kind(ours, **options), getattr(torch.optim, kind.__name__)(theirs, **options)
    assert {key: b.defaults[key] for key in a.defaults} == a.defaults
    for step, grads in enumerate(gradients(steps=20)):
        set_grads(ours, grads)
        for param, grad in zip(theirs, grads, strict=True):
            param.grad = torch.tensor(grad)
        a.step(), b.step()
        if step == 9:
            a.load_state_dict(b.state_dict())
    for mine, their in zip(ours, theirs, strict=True):
        assert_close(host(mine), their.detach().numpy(), np.float64, 400)
    assert set(a.state_dict()["state"]) == set(b.state_dict()["state"]) or not a.state
