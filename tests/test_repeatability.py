"""The same seed gives the same run: within a device bit for bit, across devices within rounding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn, optim
from deepcore.check.oracles import basic as oracles

STEPS = 100


def small_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64, 10),
    )


def train(device: str, steps: int, seed: int = 0) -> tuple[list[np.ndarray], list[float]]:
    """(initial weights, losses) of a small network on fixed noise."""
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(16, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, 16)
    dc.manual_seed(seed)
    model = small_net().to(device)
    first = [p.detach().cpu().numpy().copy() for p in model.parameters()]
    optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    x, y = dc.tensor(images, device=device), dc.tensor(labels, device=device)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return first, losses


def test_same_seed_same_bits(device: str) -> None:
    if device == "simulator":
        pytest.skip("the simulator is for single ops")
    assert train(device, 20)[1] == train(device, 20)[1]


def test_another_seed_is_another_run() -> None:
    assert train("cpu", 3, seed=0)[1] != train("cpu", 3, seed=1)[1]


def test_devices_start_equal_and_stay_close(device: str) -> None:
    """Weights equal bit for bit at the start; losses of the first 100 steps within 1e-4."""
    if device == "simulator":
        pytest.skip("the simulator is for single ops")
    first, losses = train(device, STEPS)
    first_ref, losses_ref = train("numpy", STEPS)
    for a, b in zip(first, first_ref, strict=True):
        assert a.tobytes() == b.tobytes()
    np.testing.assert_allclose(losses, losses_ref, rtol=1e-4)
    assert losses[-1] < losses[0]


def test_same_bits_in_another_process() -> None:
    """Nothing depends on addresses, hash seeds or the order of imports."""
    code = "from test_repeatability import train; print([x.hex() for x in train('cpu', 5)[1]])"
    here = str([x.hex() for x in train("cpu", 5)[1]])
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_masks_agree_with_philox(device: str, dtype: str) -> None:
    """The mask is the one that the stream's definition gives, on every device, also for the second draw."""
    dc.manual_seed(11)
    x = dc.ones(5, 7, dtype=dtype, device=device)
    for draw in range(2):
        got = F.dropout(x, 0.3).cpu().numpy()
        expected = oracles.dropout(np.ones((5, 7)), 0.3, 11, offset=9 * draw)  # 35 words are 9 blocks of 4
        np.testing.assert_array_equal(got != 0, expected != 0)


def test_philox_oracle_gives_the_published_vectors() -> None:
    """Known answers of Random123 (kat_vectors, philox4x32 10): counter and key all zero."""
    words = [int(w) for w in oracles.philox_words(0, 0, 4)]
    assert words == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
