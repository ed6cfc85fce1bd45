"""What the Trainer costs beside a loop written by hand: LeNet, batch 128, 28 x 28, Adam, epochs of MNIST's length.

Run it as ``python -m deepcore.bench.trainer [--rounds N] [--steps N] [--json FILE]``. Both train in one process, a step
of one after a step of the other: what slows the machine slows both. Of the Trainer the whole call of `train` counts,
with its checkpoints. A ratio is that of the medians over epochs, with the interval of a bootstrap over epochs.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import deepcore as dc
from deepcore import functional as F
from deepcore import machine, models, optim, train
from deepcore.bench.samples import paired_ratio
from deepcore.train.meter import Metric

BATCH, STEPS, ROUNDS = 128, 469, 5  # MNIST has 469 batches
KEPT = 32  # different batches, far more than a cache holds
LR = 1e-4

Batch = tuple[dc.Tensor, dc.Tensor]
Step = Callable[[Batch], None]


def made() -> tuple[Any, optim.Optimizer]:
    """LeNet and its optimiser, the same ones each time."""
    dc.manual_seed(0)
    model = models.create("lenet", num_classes=10, in_channels=1, image_size=28)
    return model, optim.Adam(model.parameters(), lr=LR)


def schedule_of(optimizer: optim.Optimizer) -> optim.lr_scheduler.LRScheduler:
    """A schedule longer than any measurement."""
    return optim.lr_scheduler.CosineAnnealingLR(optimizer, 10**6)


def by_hand(figures: bool, scheduled: bool) -> Step:
    """A step as one writes it by hand, with mean loss and accuracy, and with a schedule, where that is said."""
    model, optimizer = made()
    schedule = schedule_of(optimizer)
    sums = [0.0, 0.0, 0.0]

    def step(batch: Batch) -> None:
        images, labels = batch
        optimizer.zero_grad()
        output = model(images)
        loss = F.cross_entropy(output, labels)
        loss.backward()
        optimizer.step()
        if scheduled:
            schedule.step()
        if figures:
            sums[0] += loss.item() * len(labels)
            sums[1] += (output.detach().argmax(dim=1) == labels).sum().item()
            sums[2] += len(labels)

    return step


class Turns:
    """A loader that makes a step of `other` before each batch that it gives, and keeps both times apart."""

    def __init__(self, batches: list[Batch], steps: int, other: Step):
        self.batches, self.steps, self.other = batches, steps, other
        self.others = 0.0  # seconds in `other`, of the running epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        count = len(self.batches)
        for i in range(self.steps):
            start = time.perf_counter()
            self.other(self.batches[(i + count // 2) % count])
            self.others += time.perf_counter() - start
            yield self.batches[i % count]


def epoch(batches: list[Batch], steps: int, figures: bool, callbacks: list[train.Callback]) -> tuple[float, float]:
    """Seconds of a step, by hand and by the Trainer, of an epoch that both begin anew."""
    turns = Turns(batches, steps, by_hand(figures, bool(callbacks)))
    model, optimizer = made()
    metrics: dict[str, Metric] = {"accuracy": train.accuracy} if figures else {}
    trainer = train.Trainer(model, F.cross_entropy, optimizer, turns, metrics=metrics, callbacks=callbacks)
    if callbacks:
        trainer.use([train.Schedule(schedule_of(optimizer))])
    start = time.perf_counter()
    trainer.train()
    whole = time.perf_counter() - start
    return turns.others / steps, (whole - turns.others) / steps


def of_the_command(folder: Path) -> list[train.Callback]:
    """The callbacks that `deepcore train` always has, and limits."""
    return [
        train.Checkpoints(folder, monitor="train_loss"),
        train.Limits(minutes=600, memory=10**6),
        train.MetricsCSV(folder),
        train.MetricsJSON(folder),
        train.NanGuard(folder),
    ]


def measure(rounds: int = ROUNDS, steps: int = STEPS) -> list[dict[str, Any]]:
    """A row for each way to use the Trainer: milliseconds of a step by hand and with it, and the ratio."""
    rng = np.random.default_rng(0)
    batches = [
        (dc.tensor(rng.normal(size=(BATCH, 1, 28, 28)).astype("float32")), dc.tensor(rng.integers(0, 10, BATCH)))
        for _ in range(KEPT)
    ]
    ways: list[tuple[str, bool, Callable[[Path], list[train.Callback]]]] = [
        ("the bare steps", False, lambda folder: []),
        ("with accuracy", True, lambda folder: []),
        ("with accuracy and the callbacks of deepcore train", True, of_the_command),
    ]
    rows = []
    with tempfile.TemporaryDirectory() as home:
        for name, figures, callbacks in ways:
            turns = [epoch(batches, steps, figures, callbacks(Path(home) / str(i))) for i in range(rounds + 1)]
            bare, trained = zip(*turns[1:], strict=True)  # in the first one kernels may have been compiled
            ratio = paired_ratio(trained, bare)
            rows.append(
                {
                    "way": name,
                    "by_hand_ms": round(1e3 * float(np.median(bare)), 4),
                    "trainer_ms": round(1e3 * float(np.median(trained)), 4),
                    "ratio": round(ratio.value, 4),
                    "low": round(ratio.low, 4),
                    "high": round(ratio.high, 4),
                }
            )
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure, print a table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m deepcore.bench.trainer", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="epochs")
    parser.add_argument("--steps", type=int, default=STEPS, help="batches of an epoch")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.steps < 1:
        parser.error(f"expected at least 1 round and 1 step; got {options.rounds} and {options.steps}")
    rows = measure(options.rounds, options.steps)
    print(f"{'':<50} {'by hand ms':>10} {'Trainer ms':>10}  ratio")
    for row in rows:
        times = f"{row['by_hand_ms']:10.3f} {row['trainer_ms']:10.3f}"
        print(f"{row['way']:<50} {times}  {row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f})")
    if options.json:
        report = {
            "command": f"python -m deepcore.bench.trainer --rounds {options.rounds} --steps {options.steps}",
            "python": platform.python_version(),
            "machine": machine.describe(),
            "rows": rows,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
