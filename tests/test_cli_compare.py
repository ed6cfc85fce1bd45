"""`deepcore compare` as a user sees it: what it prints and writes, its exit codes, Ctrl-C, wrong options."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import data
from deepcore.cli import main
from deepcore.data import Splits
from deepcore.train import ImageTrainer, TrainConfig
from deepcore.train.batches import Batches

PLAIN = {"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb", "OPENBLAS_NUM_THREADS": "1"}
SHORT = ["compare", "--model", "mlp", "--batch-size", "16", "--shadows", "1"]
FAULTY = '''
from deepcore.backends import get_backend


class Faulty(type(get_backend("numpy"))):
    """The reference with one gradient scaled by 1.001."""

    name = device = "faulty"

    def relu_grad(self, gy, y):
        return super().relu_grad(gy, y) * 1.001
'''


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wide uncoloured output, a folder of its own, and few digits."""
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DEEPCORE_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    whole = data.load("digits")
    few = Splits(whole.train.subset(slice(0, 50)), whole.test.subset(slice(0, 20)))
    monkeypatch.setitem(data.LOADERS, "digits", lambda log: few)


def run(*arguments: str) -> int:
    """The exit code of the command."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    code = caught.value.code
    return code if isinstance(code, int) else 0


# --- what it prints and writes ----------------------------------------------------------------------------------------


def test_devices_that_agree(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(*SHORT, "--steps", "4", "--json", "r.json", "--html", "r.html") == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0].startswith("mlp on digits, numpy,cpu in lockstep beside float64 and 1 noisy copies of it")
    assert "batches of 16, adam with lr 0.0002, seed 0" in lines[0]
    assert re.match(r"step 1/4  loss \d\.\d{4}  largest difference \S+ x the bound", lines[1])
    assert "numpy and cpu agree" in said
    assert lines[-2:] == ["wrote r.json", "wrote r.html"]
    tree = json.loads((tmp_path / "r.json").read_text())
    assert tree["ok"] is True
    assert tree["steps"] == 4
    assert tree["settings"]["model"] == "MLP"
    assert [d["name"] for d in tree["settings"]["devices"]] == ["numpy", "cpu"]
    assert tree["command"].startswith("deepcore compare --model mlp --batch-size 16")
    page = (tmp_path / "r.html").read_text()
    assert "equal within rounding" in page
    assert "deepcore compare --model mlp" in page


def test_a_fault_in_a_file_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FAULTY)
    arguments = [*SHORT, "--steps", "3", "--devices", "numpy,mine.py:Faulty", "--stop-at-first", "--json", "r.json"]
    assert run(*arguments) == 1
    said = capsys.readouterr().out
    tree = json.loads((tmp_path / "r.json").read_text())
    assert tree["ok"] is False
    assert tree["steps"] == 1
    fault = tree["verdicts"][tree["fault"]]
    assert (fault["cause"], fault["step"]) == ("op", 0)
    assert "relu" in fault["worst"]["op"]
    assert "relu_grad" in fault["method"]
    assert re.search(r"mine\.Faulty computes relu backward wrongly in layers\.\d \(ReLU\)", said)
    assert "look at " in said


def test_settings_reach_the_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--optimizer", "sgd", "--lr", "0.01", "--seed", "5", "--resync", "1", "--shadows", "2"]
    assert run(*SHORT[:-2], "--steps", "2", "--devices", "numpy, cpu@float16", *arguments, "--json", "r.json") in (0, 1)
    assert "sgd with lr 0.01, seed 5" in capsys.readouterr().out
    settings = json.loads((tmp_path / "r.json").read_text())["settings"]
    assert (settings["seed"], settings["resync"], settings["shadows"], settings["optimizer"]) == (5, 1, 2, "SGD")
    assert settings["devices"][1]["dtype"] == "float16"


# --- its batches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, {"crop": 2, "flip": True, "cutout": 5, "mixup": 0.3, "randaugment": 5}], ids=str)
def test_batches_are_those_of_a_training(given: dict[str, Any]) -> None:
    config = TrainConfig.resolve({"data": "digits", "batch_size": 16, "seed": 3, "epochs": 1, **given})
    splits = data.load("digits")
    trainer = ImageTrainer(config, splits, "numpy")
    batches = Batches(config, splits)
    assert batches.steps_per_epoch == 3  # 50 images: the last 2 are left out
    prepared = [trainer.prepare(batch) for batch in trainer.train_loader]
    drawn = [(images.numpy(), labels.numpy()) for images, labels in prepared][:3]
    for step in (2, 0, 1, 0):  # in any order
        images, labels = batches(step)
        np.testing.assert_array_equal(images, drawn[step][0])
        np.testing.assert_array_equal(labels, drawn[step][1])
        assert images.dtype == np.float32
    second = batches(3)[0]
    assert not np.array_equal(second, drawn[0][0])
    np.testing.assert_array_equal(batches(3)[0], second)


def test_batches_of_bytes_without_augmentation() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 4), dtype=np.uint8)
    few = data.ArrayDataset(images, np.arange(6) % 2, ["a", "b"])
    config = TrainConfig.resolve({"batch_size": 100, "degrees": 0, "scale": 0, "translate": 0})
    x, y = Batches(config, Splits(few, few))(0)
    assert x.shape == (6, 3, 4, 4)
    assert abs(x.mean()) < 1e-5
    assert sorted(y) == [0, 0, 0, 1, 1, 1]
    assert dc.tensor(x).dtype == np.float32


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "lennet"], "Did you mean 'lenet'?"),
        (["--data", "mnits"], "Did you mean 'mnist'?"),
        (["--optimizer", "adamm"], "Did you mean 'adam'?"),
        (["--batch-size", "0"], "batch_size: expected at least 1; got 0"),
        (["--devices", "cpu"], "at least two devices"),
        (["--devices", "numpy,cpu,cpu"], "cpu twice"),
        (["--devices", "numpy,gpu"], "gpu"),
        (["--devices", "numpy,cpu@float1"], "'cpu@float1'"),
        (["--devices", "numpy,absent.py:Mine"], "absent.py:Mine"),
        (["--json", "absent/r.json"], "absent/r.json: there is no folder absent. Hint: make it first."),
        (["--html", "."], ". is a folder. Hint: name a file in it"),
    ],
)
def test_wrong_options_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], said: str
) -> None:
    assert run("compare", *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_training_that_diverges_cannot_be_compared(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(*SHORT, "--steps", "5", "--optimizer", "sgd", "--lr", "1e300", "--json", "r.json") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "lower the learning rate" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--steps", "0"], ["--shadows", "0"], ["--resync", "-1"], ["--step", "3"]])
def test_wrong_numbers_are_refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run("compare", *arguments) == 2
    assert arguments[0] in capsys.readouterr().err


def test_help_names_the_options() -> None:
    result = subprocess.run(
        [sys.executable, "-P", "-X", "importtime", "-m", "deepcore.cli", "compare", "--help"],
        capture_output=True, text=True, timeout=60, env=os.environ | PLAIN,
    )  # fmt: skip
    assert result.returncode == 0
    for option in ("--devices", "--steps", "--shadows", "--resync", "--stop-at-first", "--json", "--html"):
        assert option in result.stdout
    for heavy in ("deepcore.lockstep", "matplotlib", "numba", "scipy"):
        assert not re.search(rf"\| +{re.escape(heavy)}$", result.stderr, re.MULTILINE), heavy


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------

LONG = """
from deepcore import data
train, test = data.load("digits")
few = data.Splits(train.subset(slice(0, 50)), test.subset(slice(0, 20)))
data.LOADERS["digits"] = lambda log: few
from deepcore.cli import main
main()
"""


def test_ctrl_c_still_writes_the_reports(tmp_path: Path) -> None:
    arguments = [*SHORT, "--steps", "100000", "--json", "r.json", "--html", "r.html"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", LONG, *arguments], cwd=tmp_path, env=os.environ | PLAIN | {"TERM": "xterm"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "stopping after this step" in err
    tree = json.loads((tmp_path / "r.json").read_text())
    assert 1 <= tree["steps"] < 100_000
    assert tree["stopped"] == f"Ctrl-C after step {tree['steps'] - 1}"
    assert "The run ended before its 100,000 steps: Ctrl-C" in out.replace("\n", " ")
    assert (tmp_path / "r.html").is_file()


def test_second_ctrl_c_ends_at_once_and_writes_what_there_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepcore.cli import comparing

    real = comparing.compare

    def interrupted(*arguments: object, on_step: object, **options: object) -> object:
        def broken_off(step: int, result: object) -> bool:
            on_step(step, result)  # type: ignore[operator]
            if step == 2:
                result.tracks[0].norm.append(1.0)  # type: ignore[attr-defined]
                raise KeyboardInterrupt
            return False

        return real(*arguments, on_step=broken_off, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(comparing, "compare", interrupted)
    assert run(*SHORT, "--steps", "9", "--json", "r.json") == 130
    tree = json.loads((tmp_path / "r.json").read_text())
    assert tree["steps"] == 3
    assert {len(track["norm"]) for track in tree["tracks"]} == {3}
    assert "Ctrl-C after step 2" in capsys.readouterr().out


def test_bar_in_a_terminal(tmp_path: Path) -> None:
    import pty

    main_end, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", LONG, *SHORT, "--steps", "3"], cwd=tmp_path,
        env=os.environ | PLAIN | {"TERM": "xterm-256color"}, stdout=terminal, stderr=terminal, stdin=terminal,
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    while True:
        try:
            chunk = os.read(main_end, 65536)
        except OSError:  # what a terminal says when its program has ended
            break
        if not chunk:
            break
        shown += chunk
    os.close(main_end)
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "first step" in text
    assert re.search(r"3/3 loss \d\.\d{4}  largest difference", text)
    assert "numpy and cpu agree" in text
