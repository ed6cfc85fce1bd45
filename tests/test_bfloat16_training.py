"""Modules, files, optimizers and a training in bfloat16."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import data, nn, optim
from deepcore import functional as F
from deepcore.check.opdb import host
from deepcore.check.tolerance import assert_close
from deepcore.layers import Affine, Relu, SoftmaxWithLoss
from deepcore.train import checkpoint

BF = dc.bfloat16


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers in bfloat16."""
    return np.random.default_rng(seed).standard_normal(shape).astype(BF)


def same_bits(got: Any, expected: Any) -> bool:
    """Whether two arrays have one dtype and one content."""
    return got.dtype == expected.dtype and got.shape == expected.shape and got.tobytes() == expected.tobytes()


def test_modules_change_their_dtype() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    x = dc.randn(4, 1, 4, 4)
    for change, dtype in (
        (lambda m: m.bfloat16(), BF),
        (lambda m: m.half(), np.float16),
        (lambda m: m.float(), np.float32),
        (lambda m: m.double(), np.float64),
        (lambda m: m.to(BF), BF),
        (lambda m: m.to("bfloat16"), BF),
        (lambda m: m.to("cpu", "bfloat16"), BF),
    ):
        assert change(model) is model
        assert {t.dtype for t in (*model.parameters(), *model.buffers())} == {np.dtype(dtype), np.dtype("int64")}
        y = model(x.to(dtype))
        assert y.dtype == dtype
        y.sum().backward()
        assert {p.grad.dtype for p in model.parameters()} == {np.dtype(dtype)}


def randn(*shape: int) -> dc.Tensor:
    return dc.randn(*shape, dtype=BF, requires_grad=True)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.LSTM(4, 5, 2, bidirectional=True), (6, 3, 4)),
        (lambda: nn.GRU(4, 5), (6, 3, 4)),
        (lambda: nn.LayerNorm(8), (3, 8)),
        (lambda: nn.RMSNorm(8), (3, 8)),
        (lambda: nn.GroupNorm(2, 4), (2, 4, 5)),
        (lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True), (2, 4, 5, 5)),
        (lambda: nn.BatchNorm2d(4).eval(), (2, 4, 5, 5)),
        (lambda: nn.ConvTranspose2d(4, 3, 3, 2), (2, 4, 5, 5)),
        (lambda: nn.Conv1d(2, 3, 2, padding="same", padding_mode="circular"), (1, 2, 8)),
        (lambda: nn.PReLU(4), (2, 4)),
        (lambda: nn.LocalResponseNorm(2), (1, 4, 3)),
        (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), (1, 1, 4, 4)),
    ],
    ids=[
        "LSTM",
        "GRU",
        "LayerNorm",
        "RMSNorm",
        "GroupNorm",
        "InstanceNorm2d",
        "BatchNorm2d",
        "ConvTranspose2d",
        "Conv1d",
        "PReLU",
        "LRN",
        "Upsample",
    ],
)
@pytest.mark.filterwarnings("error")
def test_modules_stay_in_it(make: Any, shape: tuple[int, ...]) -> None:
    model, x = make().bfloat16(), randn(*shape)
    y = model(x)
    y = y[0] if isinstance(y, tuple) else y
    y.sum().backward()
    assert {t.dtype for t in (y, x.grad, *(p.grad for p in model.parameters()))} == {BF}
    assert {b.dtype for b in model.buffers() if b.is_floating_point()} <= {BF}


def test_attention_stays_in_it() -> None:
    model, x = nn.MultiheadAttention(8, 2).bfloat16(), randn(5, 2, 8)
    y, weights = model(x, x, x)
    y.sum().backward()
    assert {t.dtype for t in (y, weights, x.grad, *(p.grad for p in model.parameters()))} == {BF}


def test_state_is_cast_when_loaded() -> None:
    wide, narrow = nn.Linear(4, 3), nn.Linear(4, 3).bfloat16()
    narrow.load_state_dict(wide.state_dict())
    assert same_bits(narrow.weight.detach().numpy(), wide.weight.detach().numpy().astype(BF))
    wide.load_state_dict({k: host(v) for k, v in narrow.state_dict().items()})
    assert wide.weight.dtype == np.float32
    assert (wide.weight.detach().numpy() == narrow.weight.detach().numpy().astype(np.float32)).all()


def test_files(tmp_path: Path) -> None:
    model = nn.Linear(4, 3).bfloat16()
    path = tmp_path / "model.safetensors"
    checkpoint.save_model(path, model.state_dict(), {"name": "linear"})
    assert b'"dtype":"BF16"' in path.read_bytes()[:400]
    # A fresh interpreter has not loaded ml_dtypes when it meets the file.
    code = f"""
from pathlib import Path
from deepcore import nn
from deepcore.train import checkpoint
weights, info = checkpoint.load_model(Path({str(path)!r}))
model = nn.Linear(4, 3)
model.load_state_dict(weights)
print(info["name"], weights["weight"].dtype, model.weight.dtype, float(model.weight.sum()))
"""
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    name, stored, loaded, total = run.stdout.split()
    assert (name, stored, loaded) == ("linear", "bfloat16", "float32"), run.stderr
    assert_close(float(total), host(model.weight).astype(np.float64).sum(), "float32", 12)


def test_copies() -> None:
    x = dc.tensor(numbers(3), requires_grad=True)
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert same_bits(host(y), host(x))
        assert y.requires_grad


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
        lambda p: optim.Adam(p, lr=0.01, weight_decay=0.01),
        lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
    ],
    ids=["sgd", "adam", "adamw"],
)
def test_optimizers(device: str, make: Any) -> None:
    ends = []
    for dtype in (BF, np.float64):
        p = nn.Parameter(dc.tensor(numbers(50).astype(dtype), device=device))
        optimizer = make([p])
        for step in range(3):
            p.grad = dc.tensor(numbers(50, seed=step).astype(dtype), device=device)
            optimizer.step()
        assert p.dtype == dtype
        ends.append(host(p))
    assert_close(ends[0], ends[1], BF)


def test_layers_of_the_book() -> None:
    affine, relu, last = Affine(numbers(4, 3), numbers(3, seed=1)), Relu(), SoftmaxWithLoss()
    loss = last.forward(relu.forward(affine.forward(numbers(5, 4, seed=2))), np.array([0, 2, 1, 1, 0]))
    dx = affine.backward(relu.backward(last.backward()))
    assert dx.dtype == affine.dW.dtype == affine.db.dtype == BF
    assert np.isfinite(float(loss))


def test_training_follows_float32() -> None:
    """A network on the digits, parameters, gradients and velocity in bfloat16, learns as in float32."""
    train, test = data.load("digits")
    images = dc.tensor(train.images.reshape(len(train.images), -1)[:, ::4])
    labels = dc.tensor(train.labels)
    losses, right = {}, {}
    for dtype in (dc.float32, BF):
        dc.manual_seed(0)
        model = nn.Sequential(nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 10)).to(dtype)
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        losses[dtype] = []
        for step in range(150):
            rows = slice(step % 14 * 100, step % 14 * 100 + 100)
            loss = F.cross_entropy(model(images[rows].to(dtype)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[dtype].append(loss.item())
        with dc.no_grad():
            scores = model(dc.tensor(test.images.reshape(len(test.images), -1)[:, ::4]).to(dtype))
        right[dtype] = float((scores.argmax(1).numpy() == test.labels).mean())
    narrow, wide = losses[BF], losses[dc.float32]
    assert np.mean(narrow[-14:]) < narrow[0] / 4
    assert_close(narrow[0], wide[0], BF)
    assert abs(np.mean(narrow[-14:]) - np.mean(wide[-14:])) < 0.1
    assert right[BF] > 0.85
    assert abs(right[BF] - right[dc.float32]) < 0.05
