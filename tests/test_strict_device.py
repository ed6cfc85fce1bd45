"""Ring 3: the framework on a fake device that refuses every implicit copy to the host, and counts the explicit ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn, optim
from deepcore.backends import get_backend
from deepcore.errors import DeviceError


@contextlib.contextmanager
def transfers(to_device: int, to_host: int) -> Iterator[None]:
    """The block copies exactly so often."""
    backend = get_backend("strict")
    before = dict(backend.transfers)
    yield
    counted = {way: backend.transfers[way] - before[way] for way in before}
    assert counted == {"to_device": to_device, "to_host": to_host}


def lenet() -> nn.Module:
    """LeNet-5 on 28x28 images, with batch normalisation and dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 32),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(32, 10),
    )


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, 4)


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4),
    "adam": lambda p: optim.Adam(p, lr=1e-3),
    "adamw": lambda p: optim.AdamW(p, lr=1e-3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lenet_trains_with_two_transfers_a_step(name: str) -> None:
    """Images and labels go to the device; nothing comes back and nothing else goes there."""
    dc.manual_seed(0)
    model = lenet().to("strict")
    optimizer = OPTIMIZERS[name](model.parameters())
    images, labels = batch()
    losses = []
    for _ in range(3):
        with transfers(to_device=2, to_host=0):
            x, y = dc.tensor(images, device="strict"), dc.tensor(labels, device="strict")
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with transfers(to_device=0, to_host=1):
            losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_evaluation_copies_nothing_but_the_result() -> None:
    model = lenet().to("strict").eval()
    images, labels = batch()
    x, y = dc.tensor(images, device="strict"), dc.tensor(labels, device="strict")
    with dc.no_grad(), transfers(to_device=0, to_host=0):
        correct = (model(x).argmax(dim=1) == y).sum()
    with transfers(to_device=0, to_host=1):
        assert 0 <= correct.item() <= 4


def test_augmentation_stays_on_the_device() -> None:
    """Random affine resampling: noise, grid and sampling are made where the images are."""
    x = dc.tensor(batch()[0], device="strict")
    with transfers(to_device=0, to_host=0):
        theta = dc.rand(4, 2, 3, device="strict") * 0.1
        moved = F.grid_sample(x, F.affine_grid(theta, x.shape), padding_mode="border")
    assert moved.device == "strict"


def test_same_steps_as_the_reference() -> None:
    """The strict device computes what the reference computes, bit for bit."""

    def train(device: str) -> list[np.ndarray]:
        dc.manual_seed(1)
        model = lenet().to(device)
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        images, labels = batch()
        for _ in range(2):
            loss = F.cross_entropy(model(dc.tensor(images, device=device)), dc.tensor(labels, device=device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return [p.detach().cpu().numpy() for p in model.parameters()]

    for a, b in zip(train("strict"), train("numpy"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_moving_a_model_moves_each_tensor_once() -> None:
    model = lenet()
    arrays = len(list(model.parameters())) + len(list(model.buffers()))
    with transfers(to_device=arrays, to_host=0):
        model.to("strict")
    assert all(p.device == "strict" for p in model.parameters())


@pytest.mark.parametrize(
    "hidden_copy",
    [
        lambda t: np.asarray(t.array),
        lambda t: float(t.array.sum()),
        lambda t: bool(t.array.any()),
        lambda t: t.array + np.ones(2),
        lambda t: np.ones(2) + t.array,
        lambda t: np.add(t.array, 1.0),
        lambda t: [1, 2, 3][t.array.argmax()],
        lambda t: t.array.tolist(),
    ],
    ids=["asarray", "float", "bool", "mix", "mix reversed", "ufunc", "index", "tolist"],
)
def test_the_device_refuses_hidden_copies(hidden_copy) -> None:
    """What the ring stands on: a device that would let these through would prove nothing."""
    with pytest.raises((DeviceError, TypeError)):
        hidden_copy(dc.ones(2, device="strict"))
