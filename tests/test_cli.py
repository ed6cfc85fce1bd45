"""The `deepcore` command as a user sees it: what it prints, its exit codes, Ctrl-C, its start-up time."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from deepcore import data
from deepcore.cli import main
from deepcore.data import Splits
from deepcore.train import checkpoint
from processor_time import least_processor_time

# The command in a process of its own, on few digits to be quick.
FEW = """
from deepcore import data
train, test = data.load("digits")
few = data.Splits(train.subset(slice(0, 200)), test.subset(slice(0, 60)))
data.LOADERS["digits"] = lambda log: few
from deepcore.cli import main
main()
"""
COMMAND = [sys.executable, "-P", "-m", "deepcore.cli"]
COMMAND_ON_FEW = [sys.executable, "-P", "-c", FEW]
# One BLAS thread: several, in processes side by side, spin while they wait for each other.
PLAIN = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", "OPENBLAS_NUM_THREADS": "1"}
HELP_LIMIT_S = 0.6


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wide uncoloured output, a folder of its own for `runs/`, and few digits."""
    for name in ("COLUMNS", "NO_COLOR", "TERM"):
        monkeypatch.setenv(name, PLAIN[name])
    monkeypatch.delenv("DEEPCORE_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    whole = data.load("digits")
    few = Splits(whole.train.subset(slice(0, 200)), whole.test.subset(slice(0, 60)))
    monkeypatch.setitem(data.LOADERS, "digits", lambda log: few)


def run(*arguments: str) -> int:
    """The exit code of the command."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    code = caught.value.code
    return code if isinstance(code, int) else 0


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    """The error message of a command that fails with `code`, which is all that it prints on the error stream."""
    assert run(*arguments) == code
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "Traceback" not in said
    return said


# --- train ------------------------------------------------------------------------------------------------------------


def test_train_prints_figures_and_leaves_a_run_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("train", "--epochs", "2", "--device", "cpu", "--batch-size", "50") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "device: cpu (as asked)"
    assert lines[1].startswith("lenet (61,706 weights) on digits (200 images, 60 for the test), 2 epochs, seed 0, run")
    assert [line.split("  ")[0] for line in lines[2:4]] == ["epoch 1/2", "epoch 2/2"]
    assert "images/s" in lines[2]
    assert re.fullmatch(r"test accuracy \d+\.\d\d %", lines[-1])
    folder = tmp_path / "runs" / "lenet-digits-001"
    assert len(list(folder.iterdir())) == 8
    assert run("train", "--epochs", "1", "--device", "cpu") == 0
    assert (tmp_path / "runs" / "lenet-digits-002").is_dir()


def test_settings_file_and_options(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('epochs = 1\nbatch_size = 40\ndevice = "numpy"\nseed = 3\n')
    assert run("train", "--config", "mine.toml", "--seed", "4", "--out", "run") == 0
    text = (tmp_path / "run" / "config.toml").read_text()
    for line in ("epochs = 1", "batch_size = 40", 'device = "numpy"', "seed = 4", 'model = "lenet"'):
        assert line in text.splitlines()
    assert run("train", "--config", "run/config.toml", "--out", "again") == 0
    first, second = (checkpoint.load_model(tmp_path / name / "model.safetensors")[0] for name in ("run", "again"))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_auto_says_which_device_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--epochs", "1") == 0
    assert re.match(r"device: (cpu \(no usable GPU: .+\)|cuda:0 \(.+\))$", capsys.readouterr().out.splitlines()[0])


def test_batch_larger_than_the_data_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--epochs", "2", "--batch-size", "500", "--device", "numpy") == 0
    said = capsys.readouterr()
    assert (said.out + said.err).count("batch size 500 is larger than the data set; each batch holds all 200") == 1


def test_bar_in_a_terminal(tmp_path: Path) -> None:
    import pty

    main_end, terminal = pty.openpty()
    arguments = ["train", "--epochs", "2", "--device", "numpy", "--out", "run"]
    environment = PLAIN | {"TERM": "xterm-256color", "COLUMNS": "140"}
    process = subprocess.Popen(
        [*COMMAND_ON_FEW, *arguments], stdout=terminal, stderr=terminal, stdin=terminal, cwd=tmp_path, env=environment
    )
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
    assert re.search(r"epoch 2/2 .*8/8.*loss \d\.\d{4}  acc +\d+\.\d\d %  test +\d+\.\d\d %  [\d,]+ images/s", text)
    assert re.search(r"test accuracy \d+\.\d\d %\s*$", text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "lennet"], "Did you mean 'lenet'?"),
        (["--data", "mnits"], "Did you mean 'mnist'?"),
        (["--optimizer", "adamm"], "Did you mean 'adam'?"),
        (["--batch-size", "0"], "batch_size: expected at least 1; got 0"),
        (["--lr", "-1"], "lr: expected more than 0; got -1.0"),
        (["--device", "gpu"], '"gpu"'),
        (["--config", "absent.toml"], "absent.toml: cannot be read"),
        (["--resume", "absent"], "there is no run folder absent"),
        (["--resume", "absent", "--epochs", "3", "--out", "x"], "leave out --epochs, --out"),
        (["--resume", "absent", "--set", "ema=0.9", "--set", "keep=3"], "leave out --set ema."),
    ],
)
def test_wrong_options_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], said: str
) -> None:
    assert said in error_of(capsys, "train", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_unknown_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--epoch", "3") == 2
    said = capsys.readouterr().err
    assert "No such option" in said
    assert "--epochs" in said


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("trian") == 2
    assert "No such command 'trian'" in capsys.readouterr().err


def test_cuda_that_is_absent_names_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    from deepcore.backends import get_backend
    from deepcore.errors import DeviceError

    try:
        get_backend("cuda")
    except DeviceError:
        said = error_of(capsys, "train", "--device", "cuda")
        assert "cuda" in said.lower()
        assert "Hint:" in said
    else:
        pytest.skip("this machine has a working GPU")


def test_run_folder_that_exists(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    said = error_of(capsys, "train", "--out", "run")
    assert "the run folder run exists and is not empty" in said
    assert "deepcore train --resume run" in said


def test_full_disk_exits_with_1(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.fsync, []

    def fsync(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 8:  # config.toml, then metrics.csv and checkpoint of the first epoch, are synced
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    said = error_of(capsys, "train", "--epochs", "3", "--device", "numpy", "--out", "run", code=1)
    assert "no space left on device" in said
    assert "deepcore train --resume run" in said


@pytest.mark.parametrize("how", [["--debug", "train"], ["train", "--debug"], "DEEPCORE_DEBUG"])
def test_debug_shows_the_traceback(how: list[str] | str, tmp_path: Path) -> None:
    arguments = ["train"] if isinstance(how, str) else how
    environment = PLAIN | ({how: "1"} if isinstance(how, str) else {})
    result = subprocess.run(
        [*COMMAND, *arguments, "--epochs", "0"], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "epochs: expected at least 1; got 0" in result.stderr


# --- Ctrl-C -----------------------------------------------------------------------------------------------------------


def start_and_interrupt(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A training that gets Ctrl-C as soon as its first checkpoint is there."""
    process = subprocess.Popen(
        [*COMMAND_ON_FEW, "train", "--out", "run", "--device", "numpy", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=PLAIN,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "checkpoints" / "best.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_ctrl_c_saves_and_resume_gives_the_same_bits(tmp_path: Path) -> None:
    settings = ["--epochs", "6", "--batch-size", "16", "--seed", "2"]
    stopped = start_and_interrupt(tmp_path, *settings)
    assert stopped.returncode == 130, stopped.stderr
    assert "stopping after this step; Ctrl-C again stops at once" in stopped.stderr
    last = stopped.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"stopped after step \d+ of 78; all is saved. Go on from step \d+ with: deepcore train --resume run", last
    )
    commands = (["train", "--resume", "run"], ["train", "--out", "whole", "--device", "numpy", *settings])
    results = [
        subprocess.run([*COMMAND_ON_FEW, *c], capture_output=True, text=True, cwd=tmp_path, env=PLAIN) for c in commands
    ]
    assert [r.returncode for r in results] == [0, 0], results
    assert results[0].stdout.splitlines()[-1] == results[1].stdout.splitlines()[-1]
    models = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert models[0] == models[1]


def test_limit_ends_the_training_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('epochs = 2\nbatch_size = 50\ndevice = "numpy"\nmax_memory = 1\n')
    assert run("train", "--config", "mine.toml", "--out", "run") == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"stopped after step 1 of 8: the process holds [\d,]+ MiB of memory, the limit is 1 MiB; all is saved. "
        r"Go on from step 1 with: deepcore train --resume run",
        last,
    )


def test_damaged_checkpoint_is_said_and_the_one_before_is_taken(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("train", "--epochs", "3", "--batch-size", "50", "--device", "numpy", "--out", "run") == 0
    expected = (tmp_path / "run" / "model.safetensors").read_bytes()
    (tmp_path / "run" / "model.safetensors").unlink()
    newest = tmp_path / "run" / "checkpoints" / "step-00000012.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    capsys.readouterr()
    assert run("train", "--resume", "run") == 0
    said = capsys.readouterr().out
    assert f"note: {newest.relative_to(tmp_path)} is damaged" in said
    assert "note: going on from the checkpoint before, of step 8" in said
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == expected


# --- predict and info -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a short training."""
    folder = tmp_path_factory.mktemp("trained")
    arguments = ["train", "--epochs", "8", "--batch-size", "16", "--device", "numpy", "--out", "run"]
    subprocess.run([*COMMAND_ON_FEW, *arguments], check=True, cwd=folder, env=PLAIN, capture_output=True)
    return folder / "run"


def save_picture(path: Path, pixels: np.ndarray) -> str:
    from PIL import Image

    Image.fromarray(np.round(pixels * 255).astype(np.uint8)).save(path)
    return str(path)


def test_predict_prints_class_and_probabilities(
    trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    test = data.load("digits").test
    paths = [save_picture(tmp_path / f"{i}.png", test.images[i, 0]) for i in range(20)]
    assert run("predict", str(trained), *paths) == 0
    lines = capsys.readouterr().out.splitlines()
    found = [re.fullmatch(r"(.+): (\d)  [\d.]+ %   \((\d [\d.]+ %), (\d [\d.]+ %)\)", line) for line in lines]
    assert [match[1] for match in found if match] == paths
    assert np.mean([int(match[2]) for match in found if match] == test.labels[:20]) > 0.7


def test_predict_names_the_bad_file(trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good = save_picture(tmp_path / "good.png", np.eye(32))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    said = error_of(capsys, "predict", str(trained), good, str(tmp_path / "bad.jpg"))
    assert "bad.jpg: not a picture that can be read" in said
    assert "No such file" in error_of(capsys, "predict", str(trained), "absent.png")
    assert "there is no run folder" in error_of(capsys, "predict", "absent", good)


def test_info_has_every_fact(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info") == 0
    text = capsys.readouterr().out
    for name in (
        "deepcore",
        "Python",
        "numpy",
        "numba",
        "BLAS",
        "threads",
        "threading layer",
        "CUDA",
        "driver",
        "CuPy",
    ):
        assert name in text, name
    for device in ("numpy", "cpu", "cuda"):
        assert re.search(rf"^\s*{device}\b", text, re.MULTILINE), device


def test_info_names_what_a_gpu_still_needs() -> None:
    from deepcore.cli.info import cuda_rows
    from deepcore.kernels.cuda.diagnose import Facts

    facts = Facts(
        wheels=("cupy-cuda12x==14.0.0", "cupy-cuda13x==14.0.0"),
        driver=12040,
        problem="2 CuPy wheels are installed at once",
        fix="pip uninstall ...",
        kernel_problem="numba-cuda is not installed",
        kernel_fix='pip install "deepcore[cuda12]"',
    )
    rows = cuda_rows(facts)
    assert ("driver", "CUDA 12.4") in rows
    assert ("CuPy", "cupy-cuda12x==14.0.0, cupy-cuda13x==14.0.0: 2 wheels at once, which break each other") in rows
    assert ("numba-cuda", "not installed") in rows
    assert [value for name, value in rows if name == "fix"] == [facts.fix, facts.kernel_fix]
    assert ("CuPy", "not installed") in cuda_rows(Facts(problem="CuPy is not installed"))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert re.fullmatch(r"deepcore \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_help_is_quick() -> None:
    seconds, printed = least_processor_time([*COMMAND, "train", "--help"], HELP_LIMIT_S)
    assert "(default lenet)" in printed
    assert seconds < HELP_LIMIT_S
