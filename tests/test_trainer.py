"""The generic trainer: any model, loss, loader and metric; its events; each callback against what it should do."""

from __future__ import annotations

import errno
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn, optim
from deepcore.check.tolerance import assert_close
from deepcore.data import ArrayDataset, DataLoader
from deepcore.errors import ConfigError, DataError, RunError
from deepcore.optim import lr_scheduler
from deepcore.random import Generator
from deepcore.train import (
    EMA,
    Callback,
    Checkpoints,
    ClipGradients,
    Curves,
    EarlyStopping,
    Limits,
    MetricsCSV,
    MetricsJSON,
    RunFolder,
    Schedule,
    TensorBoard,
    Trainer,
    accuracy,
)
from deepcore.train.callbacks.limits import resident_memory
from deepcore.train.callbacks.monitor import Best

Batches = list[tuple[np.ndarray, np.ndarray]]


def lines(count: int = 48, size: int = 8, noise: float = 0.0) -> Batches:
    """Batches (x (n, 3), y (n, 1)) of a straight line."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3)).astype(np.float32)
    y = (x @ np.array([[1.0], [-2.0], [0.5]]) + noise * rng.normal(size=(count, 1))).astype(np.float32)
    return [(x[i : i + size], y[i : i + size]) for i in range(0, count, size)]


def regression(batches: Batches | Any, lr: float = 0.05, device: str = "numpy", **options: Any) -> Trainer:
    dc.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(device)
    return Trainer(model, F.mse_loss, optim.SGD(model.parameters(), lr=lr), batches, **options)


def weights(trainer: Trainer) -> dict[str, np.ndarray]:
    return {name: value.detach().cpu().numpy().copy() for name, value in trainer.model.named_parameters()}


# --- models, losses, loaders, metrics ---------------------------------------------------------------------------------


def mean_error(output: dc.Tensor, target: dc.Tensor) -> dc.Tensor:
    return (output - target).abs().mean()


def errors(output: dc.Tensor, target: dc.Tensor) -> dc.Tensor:
    return (output - target).abs().reshape(-1)


def host_error(output: dc.Tensor, target: dc.Tensor) -> float:
    return float(np.abs(output.cpu().numpy() - target.cpu().numpy()).mean())


def test_regression_with_metrics_of_the_user(device: str) -> None:
    batches = lines(44)  # the last batch is smaller
    metrics = {"mean": mean_error, "each": errors, "host": host_error}
    trainer = regression(batches, device=device, epochs=20, test_loader=batches, metrics=metrics)
    assert trainer.train()
    row = trainer.rows[-1]
    assert list(row) == [
        *("epoch", "step", "lr", "train_loss", "train_mean", "train_each", "train_host"),
        *("test_loss", "test_mean", "test_each", "test_host", "seconds", "samples_per_second"),
    ]
    assert row["train_loss"] < 0.2 * trainer.rows[0]["train_loss"]
    x, y = (np.concatenate(part) for part in zip(*batches, strict=True))
    with dc.no_grad():
        output = trainer.model(dc.tensor(x, device=trainer.device)).cpu().numpy()
    # Means over samples, not over batches, whatever the metric returns.
    assert_close(row["test_loss"], np.square(output - y).mean(), "float32", 44)
    for name in ("mean", "each", "host"):
        assert_close(row[f"test_{name}"], np.abs(output - y).mean(), "float32", 44)


def test_sequence_model() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(5, 8, batch_first=True), nn.Linear(8, 5)

        def forward(self, x: dc.Tensor, scale: dc.Tensor) -> tuple[dc.Tensor, dc.Tensor]:
            states, _ = self.lstm(x * scale)
            return self.head(states), states

    def loss(output: tuple[dc.Tensor, dc.Tensor], target: dc.Tensor) -> dc.Tensor:
        return F.cross_entropy(output[0].reshape(-1, 5), target.reshape(-1))

    def right(output: tuple[dc.Tensor, dc.Tensor], target: dc.Tensor) -> dc.Tensor:
        return (output[0].argmax(dim=2) == target).float().mean(dim=1)

    tokens = np.arange(16 * 6).reshape(16, 6) % 5  # the next one is always one more
    inputs = np.eye(5, dtype=np.float32)[tokens]
    batches = [(inputs, np.float32(2.0), (tokens + 1) % 5)]
    model = Last()
    trainer = Trainer(
        model, loss, optim.Adam(model.parameters(), lr=0.05), batches, epochs=25, metrics={"accuracy": right}
    )
    trainer.train()
    assert trainer.rows[-1]["train_accuracy"] == 1.0


def test_classifier_on_a_loader_with_soft_labels() -> None:
    soft = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    right = accuracy(dc.tensor([[2.0, 1.0], [2.0, 1.0]]), dc.tensor(soft))
    assert right.numpy().tolist() == [True, False]


class Unsized:
    """Batches without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(lines())


def test_loader_without_a_length_does_the_same() -> None:
    sized, unsized = regression(lines(), epochs=2), regression(Unsized(), epochs=2)
    assert sized.train()
    assert unsized.train()
    assert (sized.total_steps, unsized.total_steps) == (12, None)
    for name, value in weights(sized).items():
        np.testing.assert_array_equal(value, weights(unsized)[name])


def test_loader_that_understates_its_length_is_named() -> None:
    class Longer(Unsized):
        def __len__(self) -> int:
            return 4

    with pytest.raises(DataError, match="train_loader gave more batches than its length, 4"):
        regression(Longer()).train()


def test_what_cannot_be_trained_with_is_named() -> None:
    with pytest.raises(DataError, match=r"no batch in epoch 2. Hint: give what can be iterated over again"):
        regression(iter(lines()), epochs=2).train()
    with pytest.raises(DataError, match=r"expected batches \(\*inputs, target\); got a ndarray"):
        regression([np.zeros(3)]).train()
    with pytest.raises(ConfigError, match="epochs to be a whole number of at least 1; got 0"):
        regression(lines(), epochs=0)
    with pytest.raises(ConfigError, match=r"metric odd: expected a number, or one value for each .* got \(2, 2\)"):
        regression(lines(), metrics={"odd": lambda o, t: dc.zeros(2, 2)}).train()
    with pytest.raises(ConfigError, match=r"there is no figure 'test_los'.*Did you mean 'test_loss'"):
        regression(lines(), test_loader=lines(), callbacks=[EarlyStopping("test_los")]).train()
    with pytest.raises(ConfigError, match="there are no batches"):
        regression(lines()).evaluate()


# --- events -----------------------------------------------------------------------------------------------------------


class Recorder(Callback):
    """Writes down every event."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return object.__getattribute__(self, name)
        return lambda *arguments: self.events.append(name.removeprefix("on_"))


def test_events_come_in_their_order() -> None:
    recorder = Recorder()
    trainer = regression(lines(24), accumulate=2, test_loader=lines(8), callbacks=[recorder])
    trainer.train()
    step = ["step"]
    update = ["gradients", "update", "step"]
    evaluation = ["evaluation", "evaluated"]
    assert recorder.events == ["start", *step, *update, *update, *evaluation, "epoch", "end"]


def test_callbacks_may_stop_and_finish() -> None:
    class Stop(Callback):
        def on_step(self, trainer: Trainer) -> None:
            if trainer.step == 3:
                trainer.stop("enough")

    recorder = Recorder()
    trainer = regression(lines(), epochs=3, callbacks=[Stop(), recorder])
    assert not trainer.train()
    assert (trainer.step, trainer.stopped, recorder.events[-2:]) == (3, "enough", ["stop", "end"])
    assert trainer.train()  # and goes on
    assert trainer.step == 18


# --- gradients --------------------------------------------------------------------------------------------------------


def test_accumulated_batches_are_one_large_batch() -> None:
    whole, parts = regression(lines(48, 24)), regression(lines(48, 8), accumulate=3)
    whole.train()
    parts.train()
    assert (whole.updates, parts.updates, parts.step) == (2, 2, 6)
    for name, value in weights(whole).items():
        assert_close(weights(parts)[name], value, "float32", 48, name)


def test_last_group_of_an_epoch_is_as_large_as_it_can_be() -> None:
    # Five batches in groups of three: the second group has two, and its gradient is the mean of two.
    grouped = regression(lines(40, 8), accumulate=3)
    grouped.train()
    by_hand = regression([lines(40, 24)[0], lines(40, 24)[1]])
    by_hand.train()
    assert grouped.updates == grouped.updates_per_epoch == 2
    for name, value in weights(by_hand).items():
        assert_close(weights(grouped)[name], value, "float32", 48, name)


@pytest.mark.parametrize("limits", [{"norm": 0.01}, {"value": 0.001}])
def test_gradients_are_clipped_before_the_update(limits: dict[str, float]) -> None:
    trainer = regression(lines(8, 8), lr=1.0, callbacks=[ClipGradients(**limits)])
    before = weights(trainer)
    trainer.train()
    moved = np.concatenate([(weights(trainer)[name] - value).ravel() for name, value in before.items()])
    reached = np.linalg.norm(moved) if "norm" in limits else np.abs(moved).max()
    (limit,) = limits.values()
    assert reached == pytest.approx(limit, rel=1e-3)


# --- averages, schedules, ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("warmup", [True, False])
def test_ema_is_its_formula_and_serves_the_evaluation(warmup: bool) -> None:
    class Follow(Callback):
        def __init__(self) -> None:
            self.seen: list[dict[str, np.ndarray]] = []

        def on_start(self, trainer: Trainer) -> None:
            self.seen.append(weights(trainer))

        def on_update(self, trainer: Trainer) -> None:
            self.seen.append(weights(trainer))

    follow, ema = Follow(), EMA(0.8, warmup)
    trainer = regression(lines(), epochs=2, test_loader=lines(), callbacks=[follow, ema])
    trainer.train()
    average = {name: value.astype(np.float64) for name, value in follow.seen[0].items()}
    for n, seen in enumerate(follow.seen[1:], start=1):
        decay = min(0.8, (1 + n) / (10 + n)) if warmup else 0.8
        average = {name: decay * average[name] + (1 - decay) * value for name, value in seen.items()}
    for name, value in average.items():
        assert_close(ema.average[name].numpy(), value, "float32", 12, name)
    own = weights(trainer)
    with trainer.evaluating():
        assert not trainer.model.training
        for name, value in weights(trainer).items():
            np.testing.assert_array_equal(value, ema.average[name].numpy())
    for name, value in weights(trainer).items():
        np.testing.assert_array_equal(value, own[name])
    plain = regression(lines(), epochs=2, test_loader=lines())
    plain.train()
    assert plain.rows[-1]["test_loss"] != trainer.rows[-1]["test_loss"]
    assert plain.rows[-1]["train_loss"] == trainer.rows[-1]["train_loss"]


def test_schedules_by_update_and_by_epoch() -> None:
    def rates(every: str) -> list[float]:
        trainer = regression(lines(32), lr=1e-4, epochs=2, accumulate=2)
        trainer.use([Schedule(lr_scheduler.ExponentialLR(trainer.optimizer, 0.5), every), watch := Rates()])
        trainer.train()
        return [rate / 1e-4 for rate in watch.rates]

    class Rates(Callback):
        order = -1  # sees the rate that the update was made with

        def __init__(self) -> None:
            self.rates: list[float] = []

        def on_update(self, trainer: Trainer) -> None:
            self.rates.append(trainer.lr)

    assert rates("update") == pytest.approx([1, 0.5, 0.25, 0.125])
    assert rates("epoch") == pytest.approx([1, 1, 0.5, 0.5])


def test_plateau_lowers_the_rate_when_nothing_gets_better() -> None:
    trainer = regression(lines(), lr=1e-9, epochs=6, test_loader=lines())
    plateau = lr_scheduler.ReduceLROnPlateau(trainer.optimizer, factor=0.5, patience=1, eps=0)
    trainer.use([Schedule(plateau)])
    trainer.train()
    assert [row["lr"] * 1e9 for row in trainer.rows] == pytest.approx([1, 1, 1, 0.5, 0.5, 0.25])
    with pytest.raises(ConfigError, match="goes by epochs"):
        Schedule(plateau, "update")


def plateau_by_hand(values: list[float], mode: str, patience: int, cooldown: int) -> list[float]:
    """The rates by the words of the definition."""
    sign, rate, best, bad, wait, rates = (1 if mode == "min" else -1), 1.0, math.inf, 0, 0, []
    for value in values:
        if sign * value < best - 1e-4 * abs(best) if math.isfinite(best) else True:
            best, bad = sign * value, 0
        else:
            bad += 1
        if wait:
            wait, bad = wait - 1, 0
        if bad > patience:
            rate, wait, bad = max(rate * 0.5, 0.01), cooldown, 0
        rates.append(rate)
    return rates


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "cooldown"), [(0, 0), (2, 0), (1, 3)])
def test_plateau_is_its_definition(mode: str, patience: int, cooldown: int) -> None:
    values = np.random.default_rng(1).uniform(0.5, 1.5, 60).tolist()
    optimizer = optim.SGD([dc.zeros(1, requires_grad=True)], lr=1.0)
    plateau = lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, factor=0.5, patience=patience, cooldown=cooldown, min_lr=0.01
    )
    rates = []
    for i, value in enumerate(values):
        if i == 30:  # and through a file
            saved = json.loads(json.dumps(plateau.state_dict()))
            plateau = lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.5)
            plateau.load_state_dict(saved)
        plateau.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx(plateau_by_hand(values, mode, patience, cooldown))


@pytest.mark.parametrize("options", [{"mode": "least"}, {"factor": 1.0}, {"threshold_mode": "x"}, {"min_lr": [0, 0]}])
def test_plateau_refuses_what_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="ReduceLROnPlateau: expected"):
        lr_scheduler.ReduceLROnPlateau(optim.SGD([dc.zeros(1, requires_grad=True)], lr=1.0), **options)


def test_early_stopping_counts_epochs_without_improvement() -> None:
    early = EarlyStopping("test_loss", patience=3, min_delta=0.5)
    trainer = regression(lines(), lr=1e-9, epochs=10, test_loader=lines(), callbacks=[early])
    assert trainer.train()
    assert (trainer.epoch, early.triggered, trainer.finished) == (4, True, True)
    best = Best("test_accuracy")
    assert [best.improved({"test_accuracy": v}) for v in (0.5, math.nan, 0.5, 0.6)] == [True, False, False, True]


def test_limits_end_a_training_that_can_go_on(tmp_path: Path) -> None:
    def limited(**limits: float) -> Trainer:
        return regression(lines(), epochs=2, callbacks=[Limits(**limits), Checkpoints(tmp_path)])

    timed = limited(minutes=1e-9)
    assert not timed.train()
    assert (timed.step, timed.saved_step, timed.stopped) == (1, 1, "the limit of 1e-09 minutes is reached")
    held = limited(memory=1)
    assert held.resume(tmp_path) == 1
    assert not held.train()
    assert held.step == 2
    assert "MiB of memory, the limit is 1 MiB" in str(held.stopped)
    free = limited(minutes=60, memory=1e6)
    free.resume(tmp_path)
    assert free.train()
    whole = regression(lines(), epochs=2)
    whole.train()
    for name, value in weights(whole).items():
        np.testing.assert_array_equal(weights(free)[name], value)


def test_resident_memory_is_that_of_the_process() -> None:
    before = resident_memory()
    block = np.ones(2**24)  # 128 MiB
    assert resident_memory() - before > 0.9 * block.nbytes


@pytest.mark.parametrize(
    "make",
    [
        lambda: EMA(1.0),
        lambda: ClipGradients(),
        lambda: ClipGradients(norm=-1),
        lambda: EarlyStopping(patience=0),
        lambda: Limits(minutes=-1),
        lambda: Checkpoints("x", keep=0),
        lambda: MetricsJSON("x", every=0),
        lambda: Best("loss", "least"),
    ],
)
def test_callbacks_refuse_what_cannot_be(make: Any) -> None:
    with pytest.raises(ConfigError, match="expected"):
        make()


# --- figures ----------------------------------------------------------------------------------------------------------


def test_figures_in_files(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    callbacks = [MetricsCSV(run), MetricsJSON(run, every=4), Curves(tmp_path / "curves.png", "a line")]
    trainer = regression(lines(), epochs=3, test_loader=lines(), metrics={"mean": mean_error}, callbacks=callbacks)
    trainer.train()
    assert run.read_metrics() == trainer.rows
    entries = [json.loads(line) for line in run.log.read_text().splitlines()]
    assert [entry for entry in entries if "epoch" in entry] == trainer.rows
    steps = [entry for entry in entries if "epoch" not in entry]
    assert [entry["step"] for entry in steps] == [4, 8, 12, 16]
    assert [entry["loss"] for entry in steps] == [trainer.step_losses[step - 1] for step in (4, 8, 12, 16)]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_tensorboard_files_hold_the_figures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    trainer = regression(lines(), epochs=2, test_loader=lines(), callbacks=[TensorBoard(tmp_path, every=5)])
    trainer.train()
    found: dict[str, list[tuple[int, float]]] = {}
    (path,) = tmp_path.iterdir()
    content, at = path.read_bytes(), 0
    while at < len(content):  # a record: length (8 bytes), its checksum (4), the event, its checksum (4)
        length = int.from_bytes(content[at : at + 8], "little")
        event = Event.FromString(content[at + 12 : at + 12 + length])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        at += 16 + length
    rows = trainer.rows
    assert found["loss/test"] == [(r["step"], pytest.approx(r["test_loss"])) for r in rows]
    assert found["loss/train"] == [(r["step"], pytest.approx(r["train_loss"])) for r in rows]
    assert found["step/loss"] == [(s, pytest.approx(trainer.step_losses[s - 1])) for s in (5, 10)]
    assert found["lr"] == [(r["step"], pytest.approx(0.05)) for r in rows]


def test_absent_tensorboard_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ConfigError, match="Hint: pip install tensorboardX"):
        regression(lines(), callbacks=[TensorBoard(tmp_path)]).train()


def test_tensorboard_on_a_full_disk_is_an_error_and_no_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = pytest.importorskip("tensorboardX.event_file_writer").EventsWriter

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for method in ("flush", "write_event"):
        with monkeypatch.context() as patch:
            patch.setattr(writer, method, full)
            trainer = regression(lines(), callbacks=[TensorBoard(tmp_path / method)])
            with pytest.raises(RunError, match=f"{method} could not be written: no space left on device"):
                trainer.train()


def test_folder_of_another_training_is_left_alone(tmp_path: Path) -> None:
    regression(lines(), callbacks=[Checkpoints(tmp_path)]).train()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(RunError, match=r"holds the checkpoints of a training; nothing in it was changed.*resume"):
        regression(lines(), callbacks=[Checkpoints(tmp_path)]).train()
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_data_loader_of_deepcore() -> None:
    images = np.random.default_rng(0).integers(0, 256, (24, 1, 8, 8), dtype=np.uint8)
    dataset = ArrayDataset(images, np.arange(24) % 2, ["a", "b"])
    loader = DataLoader(dataset, 8, shuffle=True, generator=Generator(1))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    trainer = Trainer(
        model,
        F.cross_entropy,
        optim.Adam(model.parameters(), lr=0.05),
        loader,
        epochs=30,
        metrics={"accuracy": accuracy},
        transform=lambda batch: (batch[0].float() / 255, batch[1]),
    )
    trainer.train()
    assert trainer.rows[-1]["train_accuracy"] == 1.0


def test_cost_beside_a_loop_by_hand_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from deepcore.bench import trainer as measurement

    measurement.main(["--rounds", "1", "--steps", "2", "--json", str(tmp_path / "x.json")])
    assert len(capsys.readouterr().out.splitlines()) == 4
    rows = json.loads((tmp_path / "x.json").read_text())["rows"]
    assert all(row["by_hand_ms"] > 0 and row["trainer_ms"] > 0 for row in rows)
    with pytest.raises(SystemExit):
        measurement.main(["--rounds", "0"])


def test_programs_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parent.parent / "docs" / "training.md").read_text(encoding="utf-8")
    program = "\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(program.replace("epochs=5", "epochs=2"), names)
    trainer = names["trainer"]
    assert trainer.rows[-1]["test_accuracy"] > 0.8
    trainer.use([names["Noise"]()])
    assert RunFolder("runs/digits-mlp").best.is_file()
