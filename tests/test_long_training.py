"""A training of 10,000 steps keeps its memory: `pytest -m slow tests/test_long_training.py` (about two minutes)."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIMIT_KIB = 2048  # over 9,000 steps: less than a quarter of a number a step

PROGRAM = """
import sys
import numpy as np
import deepcore as dc
from deepcore import functional as F, models, optim

steps, warm = int(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
model = models.create("lenet", num_classes=10, in_channels=1, image_size=28)
optimizer = optim.Adam(model.parameters())

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4

for step in range(steps):
    x = dc.tensor(rng.standard_normal((32, 1, 28, 28), dtype=np.float32))
    loss = F.cross_entropy(model(x), dc.tensor(rng.integers(0, 10, 32)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step == warm:
        before = resident()
print(before, resident())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the resident memory is read from /proc")
def test_memory_stays_flat() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", PROGRAM, "10000", "1000"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    assert after - before < LIMIT_KIB, f"{before} KiB after 1,000 steps, {after} KiB after 10,000"
