"""Runs that survive: going on bit for bit with every callback on, from the newest good checkpoint."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import data, nn, optim
from deepcore import functional as F
from deepcore.check.tolerance import assert_close
from deepcore.data import ArrayDataset, DataLoader, RandomAffine
from deepcore.errors import RunError
from deepcore.optim import lr_scheduler
from deepcore.random import Generator
from deepcore.train import (
    EMA,
    Checkpoints,
    ClipGradients,
    EarlyStopping,
    Limits,
    MetricsCSV,
    MetricsJSON,
    NanGuard,
    RunFolder,
    Schedule,
    TrainConfig,
    Trainer,
    accuracy,
    checkpoint,
    job,
)
from deepcore.train.run import write_atomic


class Augment:
    """A transform that draws, with a state."""

    def __init__(self) -> None:
        self.affine = RandomAffine(10.0, 0.1, 0.05, Generator(7))

    def __call__(self, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        return self.affine(batch[0]), batch[1]

    def state_dict(self) -> dict[str, Any]:
        return {"random": self.affine.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.affine.generator.set_state(state["random"])


def everything(folder: Path, device: str = "cpu", every: int = 1) -> Trainer:
    """Four epochs of eight steps with every callback on, dropout, batch normalisation, and NumPy's stream in use."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    dataset = ArrayDataset(images, np.arange(60) % 3, ["a", "b", "c"])
    dc.manual_seed(3)
    np.random.seed(5)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(144, 3)
    ).to(device)

    def loss(output: dc.Tensor, target: dc.Tensor) -> dc.Tensor:
        return F.cross_entropy(output, target) * float(np.random.uniform(0.9, 1.1))  # NumPy's own stream, too

    optimizer = optim.AdamW(model.parameters(), lr=0.02)
    callbacks = [
        Checkpoints(folder, every, keep=3, monitor="test_loss"),
        ClipGradients(norm=0.5, value=0.2),
        EarlyStopping("test_loss", patience=3),
        EMA(0.9),
        Limits(minutes=10, memory=10**6),
        MetricsCSV(folder),
        MetricsJSON(folder, every=2),
        NanGuard(folder, every=3),
        Schedule(lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=12, pct_start=0.2)),
        Schedule(lr_scheduler.StepLR(optimizer, 2), "epoch"),
        Schedule(lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, cooldown=1), monitor="test_loss"),
    ]
    return Trainer(
        model,
        loss,
        optimizer,
        DataLoader(dataset, 8, shuffle=True, generator=Generator(1), device=device),
        epochs=4,
        test_loader=DataLoader(dataset, 20, device=device),
        metrics={"accuracy": accuracy},
        accumulate=3,  # eight batches: groups of three, three, two
        transform=Augment(),
        test_transform=lambda batch: (batch[0].float() / 255, batch[1]),
        callbacks=callbacks,
    )


def everything_of(trainer: Trainer) -> dict[str, np.ndarray]:
    """All arrays of the trainer's state, and its other values as text."""
    arrays: dict[str, np.ndarray] = {}
    state = trainer.state_dict()
    for row in state["rows"]:
        row.pop("seconds")
        row.pop("samples_per_second")
    state["counters"].pop("seconds")
    del state["callbacks"]["MetricsJSON"]
    text = repr(checkpoint.pack(state, arrays))
    return {name: array.copy() for name, array in arrays.items()} | {"values": np.array(text)}


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert list(a) == list(b)
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], err_msg=name)


@pytest.fixture(scope="module", params=["cpu", "numpy"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, np.ndarray]]:
    """(device, the end of a training that nothing disturbed)."""
    trainer = everything(tmp_path_factory.mktemp("whole") / "run", request.param, every=0)
    assert trainer.train()
    assert trainer.step == 32
    return request.param, everything_of(trainer)


@pytest.mark.parametrize("stops", [(1,), (7,), (8,), (9, 17, 31), (2, 3, 5, 8, 13, 21)])
def test_resume_is_bit_for_bit_with_every_callback_on(
    whole: tuple[str, dict[str, np.ndarray]], stops: tuple[int, ...], tmp_path: Path
) -> None:
    """In the middle of a group of batches, at the end of an epoch, many times."""
    device, expected = whole
    for stop in stops:
        part = everything(tmp_path, device, every=0)
        part.resume(tmp_path)
        assert not part.train(lambda part=part, stop=stop: part.step >= stop)
        assert part.step == stop
        np.random.uniform(size=99)  # a new process would not have the streams of this one
    rest = everything(tmp_path, device, every=0)
    assert rest.resume(tmp_path) == stops[-1]
    assert rest.train()
    assert_same(everything_of(rest), expected)


@pytest.mark.parametrize("step", [1, 5, 7, 10, 16, 26])
def test_every_checkpoint_leads_to_the_same_end(
    whole: tuple[str, dict[str, np.ndarray]], step: int, tmp_path: Path
) -> None:
    """From a process that died right after its checkpoint: nothing was told to stop, nothing was tidied up."""

    class Killed(BaseException):
        pass

    def kill() -> bool:
        if dying.step == step:
            raise Killed
        return False

    device, expected = whole
    dying = everything(tmp_path, device)
    with pytest.raises(Killed):
        dying.train(kill)
    rest = everything(tmp_path, device)
    last = step - 1 if step % 8 == 0 else step  # an epoch's last step is saved with its figures, which were not made
    assert rest.resume(tmp_path) == last
    assert rest.train()
    assert_same(everything_of(rest), expected)
    assert [row["epoch"] for row in rest.rows] == [row["epoch"] for row in RunFolder(tmp_path).read_metrics()]
    import json

    steps = [json.loads(line)["step"] for line in RunFolder(tmp_path).log.read_text().splitlines()]
    assert sorted(steps) == sorted([*range(2, 33, 2), 8, 16, 24, 32])


@pytest.mark.parametrize("route", [("numpy",), ("cpu",), ("numpy", "cpu"), ("cpu", "numpy", "cpu")])
@pytest.mark.parametrize("begun_on", ["cpu", "numpy"])
def test_on_another_device_within_rounding(begun_on: str, route: tuple[str, ...], tmp_path: Path) -> None:
    """Ten steps on one device, then three on others, there and back, beside thirteen on the first."""
    stops = {1: (13,), 2: (12, 13), 3: (11, 12, 13)}[len(route)]
    ends = []
    for folder, devices in ((tmp_path / "stays", (begun_on,) * len(route)), (tmp_path / "moves", route)):
        first = everything(folder, begun_on, every=0)
        first.train(lambda first=first: first.step == 10)
        for device, stop in zip(devices, stops, strict=True):
            rest = everything(folder, device, every=0)
            rest.resume(folder)
            rest.train(lambda rest=rest, stop=stop: rest.step == stop)
            assert {str(value.device) for value in rest.model.state_dict().values()} == {device}
        ends.append({name: value.detach().numpy() for name, value in rest.model.named_parameters()})
    for name, value in ends[0].items():
        assert_close(ends[1][name], value, "float32", 8 * 36 * 3, name)


# --- damage -----------------------------------------------------------------------------------------------------------


def damaged_run(folder: Path, *steps: int) -> RunFolder:
    """Stopped after step 12, with checkpoints of steps 10, 11 and 12, of which `steps` are damaged."""
    trainer = everything(folder)
    trainer.train(lambda: trainer.step == 12)
    run = RunFolder(folder)
    assert [step for step, _ in run.saved()] == [12, 11, 10]
    for step in steps:
        content = bytearray(run.checkpoint(step).read_bytes())
        content[len(content) // 2] ^= 1
        run.checkpoint(step).write_bytes(bytes(content))
    return run


def test_damaged_newest_checkpoint(whole: tuple[str, dict[str, np.ndarray]], tmp_path: Path) -> None:
    device, expected = whole
    if device != "cpu":
        pytest.skip("once is enough")
    run = damaged_run(tmp_path, 12, 11)
    said: list[str] = []
    rest = everything(tmp_path)
    assert rest.resume(tmp_path, said.append) == 10
    assert "step-00000012.safetensors is damaged" in said[0]
    assert "the checksum differs" in said[0]
    assert said[2] == "note: going on from the checkpoint before, of step 10"
    assert rest.train()
    assert_same(everything_of(rest), expected)
    assert [step for step, _ in run.saved()] == [32, 31, 30]


def test_all_checkpoints_damaged(tmp_path: Path) -> None:
    damaged_run(tmp_path, 10, 11, 12)
    with pytest.raises(RunError, match="all of its 3 checkpoints are damaged"):
        everything(tmp_path).resume(tmp_path, say=str)


def test_best_is_kept_and_linked_again(tmp_path: Path) -> None:
    trainer = everything(tmp_path)
    trainer.train(lambda: trainer.epoch == 1)
    run = RunFolder(tmp_path)
    assert checkpoint.load(run.best)["counters"]["step"] == 8
    run.best.unlink()  # killed between the checkpoint and its second name
    rest = everything(tmp_path)
    rest.resume(tmp_path)
    rest.train()
    best = min(rest.rows, key=lambda row: row["test_loss"])
    assert checkpoint.load(run.best)["counters"]["step"] == best["step"]
    again = everything(tmp_path)
    again.resume(tmp_path)
    run.best.unlink()
    again.train()
    assert run.best.is_file() == (best["step"] == 32)


def test_state_of_other_callbacks_is_refused(tmp_path: Path) -> None:
    trainer = everything(tmp_path)
    trainer.train(lambda: trainer.step == 2)
    rest = everything(tmp_path)
    rest.callbacks = [callback for callback in rest.callbacks if not isinstance(callback, EMA)]
    with pytest.raises(RunError, match="has one of the callback EMA, which this trainer lacks"):
        rest.resume(tmp_path)
    bare = everything(tmp_path / "bare")
    bare.callbacks = [callback for callback in bare.callbacks if not isinstance(callback, EarlyStopping)]
    bare.train(lambda: bare.step == 2)
    with pytest.raises(RunError, match="has none of the callback EarlyStopping"):
        everything(tmp_path / "bare").resume(tmp_path / "bare")


def test_half_written_files_are_cleared(tmp_path: Path) -> None:
    trainer = everything(tmp_path)
    trainer.train(lambda: trainer.step == 2)
    left = tmp_path / "checkpoints" / ".step-00000003.safetensors.4711.tmp"
    left.write_bytes(b"half")
    rest = everything(tmp_path)
    rest.resume(tmp_path)
    rest.train(lambda: rest.step == 3)
    assert not left.exists()


def test_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = os.fsync, []

    def fsync(handle: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    trainer = everything(tmp_path)

    def fill() -> bool:
        full.extend([True] * (trainer.step == 5))
        return False

    with pytest.raises(RunError, match=r"no space left on device.*checkpoint of step 5 is still good.*trainer.resume"):
        trainer.train(fill)
    full.clear()
    assert everything(tmp_path).resume(tmp_path) == 5


# A file may have no more than this many bytes: the limit of the system itself, and nothing of ours is replaced.
FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_survival
from deepcore.errors import RunError
trainer = test_survival.everything(Path({folder!r}), "numpy")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def limit():
    if trainer.step == 4:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    return False
try:
    trainer.train(limit)
except RunError as error:
    print(error)
"""


def test_file_size_limit_of_the_system(tmp_path: Path) -> None:
    program = FULL.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "could not be written: file too large. Hint: the checkpoint of step 4 is still good" in said.stdout, said
    assert everything(tmp_path, "numpy").resume(tmp_path) == 4


def test_write_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, lambda file: file.write(b"old"))
    if (child := os.fork()) == 0:
        write_atomic(path, lambda file: (file.write(b"new" * 9999), file.flush(), os.kill(os.getpid(), signal.SIGKILL)))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert path.read_bytes() == b"old"


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first digits only."""
    train, test = data.load("digits")
    small = data.Splits(train.subset(slice(0, 100)), test.subset(slice(0, 40)))
    monkeypatch.setitem(data.LOADERS, "digits", lambda log: small)


def quiet(line: str) -> None:
    """Nothing is shown."""


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "step", "plateau", "constant"])
def test_every_setting_of_the_command_survives(few: None, schedule: str, tmp_path: Path) -> None:
    given = {
        "epochs": 3,
        "batch_size": 16,
        "device": "cpu",
        "schedule": schedule,
        "clip_norm": 1.0,
        "clip_value": 0.5,
        "accumulate": 2,
        "ema": 0.95,
        "save_every": 2,
        "keep": 3,
        "monitor": "test_loss",
        "patience": 2,
        "max_minutes": 5,
        "max_memory": 100_000,
    }
    config = TrainConfig.resolve(given)
    undisturbed = job.start(config, tmp_path / "whole", say=quiet)
    assert undisturbed.trainer.train()
    job.save_model(*undisturbed)
    stopped = job.start(config, tmp_path / "run", say=quiet)
    assert not stopped.trainer.train(lambda: stopped.trainer.step == 9)
    resumed = job.resume(tmp_path / "run", say=quiet)
    assert resumed.trainer.train()
    job.save_model(*resumed)
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "run")]
    assert models[0] == models[1]
    rates = [row["lr"] for row in resumed.trainer.rows]
    assert rates == [row["lr"] for row in undisturbed.trainer.rows]
    assert (len(set(rates)) == 1) == (schedule in ("constant", "plateau"))  # three epochs are too few for a plateau


def test_early_stopping_takes_the_best_epoch(few: None, tmp_path: Path) -> None:
    given = {"epochs": 9, "batch_size": 16, "device": "numpy", "patience": 1, "lr": 0.2, "schedule": "constant"}
    said: list[str] = []
    started = job.start(TrainConfig.resolve(given), tmp_path / "run", say=said.append)
    assert started.trainer.train()
    rows = started.trainer.rows
    assert len(rows) < 9
    result = job.finish(started, said.append)
    best = max(range(len(rows)), key=lambda i: rows[i]["test_accuracy"])
    assert result.accuracy == rows[best]["test_accuracy"]
    assert said[-1] == f"nothing got better after epoch {best + 1} of {len(rows)}; the model is the one of then"
    with pytest.raises(RunError, match=f"is complete \\({len(rows)} of 9 epochs\\)"):
        job.resume(tmp_path / "run", say=quiet)


def test_run_that_was_killed_before_its_first_checkpoint_begins_anew(few: None, tmp_path: Path) -> None:
    config = TrainConfig.resolve({"epochs": 1, "batch_size": 50, "device": "numpy"})
    job.start(config, tmp_path / "run", say=quiet)
    said: list[str] = []
    resumed = job.resume(tmp_path / "run", say=said.append)
    assert "has no checkpoint yet; it begins anew" in said[-1]
    assert resumed.trainer.train()


def test_settings_that_were_changed_are_said(few: None, tmp_path: Path) -> None:
    config = TrainConfig.resolve({"epochs": 2, "batch_size": 50, "device": "numpy"})
    started = job.start(config, tmp_path / "run", say=quiet)
    started.trainer.train(lambda: True)
    text = started.run.config.read_text()
    started.run.config.write_text(text.replace("batch_size = 50", "batch_size = 25"))
    with pytest.raises(RunError, match="batch_size was 50 and is 25 now; a run goes on with its own settings"):
        job.resume(tmp_path / "run", say=quiet)


def test_two_trainings_in_one_folder(tmp_path: Path) -> None:
    first, second = everything(tmp_path), everything(tmp_path)
    said = []

    def other() -> bool:
        if first.step == 3:
            second.resume(tmp_path)
            with pytest.raises(RunError) as caught:
                second.train()
            said.append(str(caught.value))
        return first.step == 3

    first.train(other)
    assert said == [f"another training is running in {tmp_path}. Hint: wait for it, or stop it first."]
    assert second.train()


# --- kill -9 ----------------------------------------------------------------------------------------------------------

KILLS = 20

# `deepcore train` on few digits. Checkpoints are written in pieces with pauses, as on a slow disk, so that a kill hits
# the middle of a write about as often as a step.
SLOW_DISK = """
import io, time
from deepcore import data
from deepcore.train import checkpoint, run
train, test = data.load("digits")
few = data.Splits(train.subset(slice(0, 400)), test.subset(slice(0, 60)))
data.LOADERS["digits"] = lambda log: few
fast = run.write_atomic
class Slow:
    def __init__(self, file): self.file = file
    def write(self, content):
        for i in range(0, len(content), 1 << 18):
            self.file.write(content[i : i + (1 << 18)])
            self.file.flush()
            time.sleep(0.01)
checkpoint.write_atomic = lambda path, write: fast(path, lambda file: write(Slow(file)))
from deepcore.cli import main
main()
"""
SETTINGS = """
epochs = 6
batch_size = 16
save_every = 3
accumulate = 2
ema = 0.98
clip_norm = 1.0
patience = 5
device = "{device}"
"""


@pytest.mark.slow
@pytest.mark.parametrize("trained_on", ["cpu", "numpy"])
def test_twenty_kills_at_random_moments(trained_on: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """kill -9, again and again: the model at the end is that of a training that nothing disturbed, bit for bit."""
    (tmp_path / "settings.toml").write_text(SETTINGS.format(device=trained_on))
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "TERM": "dumb"}

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", SLOW_DISK, "train", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    out, _ = start("--config", "settings.toml", "--out", "whole").communicate(timeout=300)
    assert "test accuracy" in out, out
    rng = np.random.default_rng(0)
    run = RunFolder(tmp_path / "run")
    new = ("--config", "settings.toml", "--out", "run")
    kills, during_write, at_steps, ended = 0, 0, [], 0
    while kills < KILLS:
        begun = run.config.is_file()
        before = run.saved()[0][0] if run.saved() else -1
        process = start("--resume", "run") if begun else start(*new)
        # Half of the kills come a random time after the first sign of life, half in the middle of a write.
        in_write = kills % 2 == 1
        newer = before + int(rng.integers(0, 8))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            newest = run.saved()[0][0] if run.saved() else -1
            if in_write:
                if newest >= newer and half_written(run):
                    break
            elif newest > before or not begun:
                time.sleep(float(rng.uniform(0, 0.4)))
                break
            time.sleep(0.001)
        process.kill()
        out, _ = process.communicate(timeout=60)
        if process.returncode == 0:  # it had ended before: another training, to have enough moments
            ended += 1
            assert (tmp_path / "whole" / "model.safetensors").read_bytes() == run.model.read_bytes()
            subprocess.run(["rm", "-rf", str(run.path)], check=True)
            continue
        assert process.returncode == -signal.SIGKILL, out
        kills += 1
        during_write += half_written(run)
        at_steps.append(run.saved()[0][0] if run.saved() else 0)
    out, _ = start("--resume", "run").communicate(timeout=300)
    assert "test accuracy" in out, out
    same = (tmp_path / "whole" / "model.safetensors").read_bytes() == run.model.read_bytes()
    facts = f"{kills} kills, {during_write} of them in the middle of a write, newest checkpoints then {at_steps}"
    with capsys.disabled():
        print(f"\n{trained_on}: {facts}; {ended} trainings ended meanwhile; the models are the same: {same}")
    assert same
    assert during_write >= KILLS // 4


def half_written(run: RunFolder) -> bool:
    """Whether a checkpoint is being written, or was when the process was killed."""
    return run.checkpoints.is_dir() and any(path.name.endswith(".tmp") for path in run.checkpoints.iterdir())
