"""Every setting of `deepcore train` does what it says: with another value of it another thing happens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepcore import data
from deepcore.errors import ConfigError
from deepcore.train import TrainConfig, checkpoint, job
from deepcore.train.config import CHANGEABLE, setting_names

BASE = {"epochs": 3, "batch_size": 16, "device": "cpu", "seed": 1}  # three steps an epoch

# Another value of the setting, and what else it needs to matter.
ON_WEIGHTS: list[tuple[str, Any, dict[str, Any]]] = [
    ("model", "mlp", {}),
    ("epochs", 2, {}),
    ("batch_size", 24, {}),
    ("lr", 0.001, {}),
    ("optimizer", "adamw", {}),
    ("optimizer", "sgd", {}),
    ("momentum", 0.5, {"optimizer": "sgd"}),
    ("nesterov", True, {"optimizer": "sgd"}),
    ("weight_decay", 0.1, {}),
    ("label_smoothing", 0.3, {}),
    ("schedule", "cosine", {}),
    ("schedule", "step", {}),
    ("schedule", "constant", {}),
    ("warmup", 0.6, {}),
    ("warmup", 0.6, {"schedule": "cosine"}),
    ("warmup", 0.6, {"schedule": "step"}),
    ("warmup", 0.6, {"schedule": "plateau"}),
    ("warmup", 0.6, {"schedule": "constant"}),
    ("clip_norm", 0.1, {}),
    ("clip_value", 0.001, {}),
    ("accumulate", 2, {}),
    ("ema", 0.9, {}),
    ("degrees", 45.0, {}),
    ("scale", 0.5, {}),
    ("translate", 0.3, {}),
    ("flip", True, {}),
    ("crop", 4, {}),
    ("cutout", 8, {}),
    ("mixup", 0.4, {}),
    ("randaugment", 9, {}),
    ("seed", 2, {}),
]
ELSEWHERE = {"data", "device", "keep", "max_memory", "max_minutes", "monitor", "patience", "save_every", "tensorboard"}
ELSEWHERE |= {"workers"}


def quiet(line: str) -> None:
    """Nothing is shown."""


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first digits only."""
    train, test = data.load("digits")
    small = data.Splits(train.subset(slice(0, 48)), test.subset(slice(0, 20)))
    monkeypatch.setitem(data.LOADERS, "digits", lambda log: small)


def start(folder: Path, **given: Any) -> job.Job:
    return job.start(TrainConfig.resolve(BASE | given), folder, say=quiet)


def model_of(folder: Path, **given: Any) -> dict[str, np.ndarray]:
    """The model that such a training leaves."""
    made = start(folder, **given)
    assert made.trainer.train()
    job.save_model(*made)
    return checkpoint.load_model(made.run.model)[0]


def test_all_settings_are_looked_at() -> None:
    assert {name for name, *_ in ON_WEIGHTS} | ELSEWHERE == set(setting_names())


@pytest.mark.parametrize(("name", "value", "beside"), ON_WEIGHTS, ids=lambda value: str(value))
def test_setting_changes_the_weights(name: str, value: Any, beside: dict[str, Any], tmp_path: Path) -> None:
    plain, changed = model_of(tmp_path / "a", **beside), model_of(tmp_path / "b", **beside, **{name: value})
    assert list(plain) != list(changed) or any((plain[key] != changed[key]).any() for key in plain)


def test_workers_read_the_same_batches(tmp_path: Path) -> None:
    plain, read_ahead = model_of(tmp_path / "a"), model_of(tmp_path / "b", workers=2)
    for name, value in plain.items():
        np.testing.assert_array_equal(read_ahead[name], value)


def test_schedules_have_their_shapes(tmp_path: Path) -> None:
    """The rate of each update, relative to the setting `lr`, over three epochs of three updates."""

    def rates(schedule: str, **given: Any) -> list[float]:
        trainer = start(tmp_path / f"{schedule}{len(given)}", schedule=schedule, lr=0.01, **given).trainer
        seen: list[float] = []
        step = trainer.optimizer.step
        trainer.optimizer.step = lambda: (seen.append(trainer.lr / 0.01), step())[-1]  # type: ignore[method-assign]
        trainer.train()
        return [round(rate, 6) for rate in seen]

    assert rates("constant") == [1] * 9
    assert rates("step") == [1] * 4 + [0.1] * 2 + [0.01] * 3
    assert rates("cosine") == [round((1 + np.cos(np.pi * i / 9)) / 2, 6) for i in range(9)]
    cycle = rates("one_cycle")
    assert np.argmax(cycle) in (2, 3)
    assert cycle[-1] < cycle[0] < max(cycle) <= 1
    assert rates("constant", warmup=1 / 3) == [round(1 / 25 + i * (24 / 25) / 3, 6) for i in range(3)] + [1] * 6
    warm = rates("cosine", warmup=1 / 3)
    assert warm[:3] == [0.04, 0.36, 0.68]
    assert warm[3:] == [round((1 + np.cos(np.pi * i / 6)) / 2, 6) for i in range(6)]


def test_plateau_goes_by_monitor(tmp_path: Path) -> None:
    """Where nothing gets better for three epochs the rate is halved."""
    trainer = start(tmp_path / "run", schedule="plateau", epochs=6, lr=1e-7).trainer
    trainer.train()
    assert [row["lr"] for row in trainer.rows] == [1e-7] * 4 + [5e-8] * 2


def test_monitor_chooses_the_best(tmp_path: Path) -> None:
    best = {}
    for monitor in ("test_loss", "test_accuracy"):
        made = start(tmp_path / monitor, monitor=monitor, epochs=8, lr=0.02)
        made.trainer.train()
        pick = min if monitor == "test_loss" else max
        best[monitor] = pick(made.trainer.rows, key=lambda row, monitor=monitor: row[monitor])["step"]
        assert checkpoint.load(made.run.best)["counters"]["step"] == best[monitor]
    assert best["test_loss"] != best["test_accuracy"]


def test_patience_ends_it(tmp_path: Path) -> None:
    trainer = start(tmp_path / "run", patience=2, epochs=20, lr=1e-12).trainer
    assert trainer.train()
    assert len(trainer.rows) == 3


@pytest.mark.parametrize(("limit", "why"), [({"max_minutes": 1e-9}, "minutes"), ({"max_memory": 1}, "MiB of memory")])
def test_limits_stop_it_and_may_be_others_later(limit: dict[str, float], why: str, tmp_path: Path) -> None:
    made = start(tmp_path / "run", **limit)
    assert not made.trainer.train()
    assert why in str(made.trainer.stopped)
    assert made.run.saved()[0][0] == made.trainer.step == 1
    resumed = job.resume(tmp_path / "run", dict.fromkeys(limit, 0), say=quiet)
    assert resumed.trainer.train()
    job.save_model(*resumed)
    resumed_weights = checkpoint.load_model(resumed.run.model)[0]
    for name, value in model_of(tmp_path / "whole").items():
        np.testing.assert_array_equal(value, resumed_weights[name])


def test_only_what_changes_no_weight_may_be_another_later(tmp_path: Path) -> None:
    made = start(tmp_path / "run", save_every=1, keep=5)
    assert not made.trainer.train(lambda: made.trainer.step == 4)
    assert [step for step, _ in made.run.saved()] == [4, 3, 2, 1]
    for name in set(setting_names()) - set(CHANGEABLE):
        with pytest.raises(
            ConfigError, match=f"a run goes on with its own {name}; what may be another is device, keep"
        ):
            job.resume(tmp_path / "run", {name: 1}, say=quiet)
    with pytest.raises(ConfigError, match="keep: expected at least 1; got 0"):
        job.resume(tmp_path / "run", {"keep": 0}, say=quiet)
    resumed = job.resume(tmp_path / "run", {"keep": 1, "save_every": 0, "device": "numpy"}, say=quiet)
    assert resumed.trainer.device == "numpy"
    assert resumed.trainer.train()
    assert [step for step, _ in resumed.run.saved()] == [9]


def test_tensorboard_files_are_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    made = start(tmp_path / "run", tensorboard=True)
    made.trainer.train()
    (file,) = made.run.tensorboard.iterdir()
    assert file.stat().st_size > 1000
    assert not start(tmp_path / "without").run.tensorboard.exists()


def test_absent_tensorboard_is_said_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ConfigError, match="Hint: pip install tensorboardX"):
        start(tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_run_that_is_killed_at_its_pictures_gets_them_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = start(tmp_path / "run")
    made.trainer.train()
    with monkeypatch.context() as patch:
        patch.setattr(job.plots, "confusion", lambda *a: sys.exit("killed"))
        with pytest.raises(SystemExit):
            job.finish(made, quiet)
    assert not made.run.model.exists()
    resumed = job.resume(tmp_path / "run", say=quiet)
    assert resumed.trainer.train()
    job.finish(resumed, quiet)
    names = {entry.name for entry in made.run.path.iterdir()}
    assert names >= {"model.safetensors", "curves.png", "confusion.png", "filters.png"}
