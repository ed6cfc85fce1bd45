"""`deepcore profile` and `deepcore warmup`: what they print, what they leave, what they refuse."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deepcore import data
from deepcore.cli import main
from deepcore.data import Splits
from deepcore.kernels.cuda import cache, compiler

PROBLEM = compiler.compiler_problem()
needs_compiler = pytest.mark.skipif(PROBLEM is not None, reason=f"kernels cannot be compiled: {PROBLEM}")


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wide uncoloured output, an empty folder, and few digits."""
    for name, value in (("COLUMNS", "200"), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
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


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    return said


# ---- profile


def test_profile_shows_a_training_and_writes_a_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("profile", "--device", "cpu", "--steps", "2", "--warmup", "1", "--trace", "t.json") == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[:2] == ["device: cpu (as asked)", "lenet on digits, batch 64: 2 steps after 1 not timed"]
    for row in (
        r"conv2d +4\+4 ",
        r"Optimizer\.step#Adam\.step +2 ",
        r"DataLoader\.next +\d ",
        r"\(outside of ops\)",
        r"LeNet\.features\.1\+2 +ReLU\+MaxPool2d +\d+ ",
    ):
        assert re.search(rf"^{row}", said, re.MULTILINE), row
    assert len(re.findall(r"^wall time .*, 2 steps of ", said, re.MULTILINE)) == 2
    assert lines[-1] == "trace written to t.json; open it in https://ui.perfetto.dev or chrome://tracing"
    names = {event["name"] for event in json.loads(Path("t.json").read_text())["traceEvents"]}
    assert {"ProfilerStep#1", "conv2d backward", "LeNet (LeNet)"} <= names
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]  # no run folder


def test_profile_takes_settings_and_sorts(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--set", "degrees=0", "--set", "scale=0", "--set", "translate=0", "--batch-size", "30")
    more = ("--model", "mlp", "--optimizer", "sgd", "--sort", "count", "--rows", "2", "--shapes")
    assert run("profile", "--device", "numpy", "--steps", "1", "--warmup", "0", *options, *more) == 0
    said = capsys.readouterr().out
    assert "mlp on digits, batch 30: 1 steps after 0 not timed" in said
    assert "grid_sample" not in said
    assert re.search(r"^op +arguments +calls", said, re.MULTILINE)
    assert re.search(r"^\(\d+ more\)$", said, re.MULTILINE)


def test_profile_of_a_workload(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--workload", "char_lstm", "--batch-size", "2", "--steps", "2", "--warmup", "0", "--device", "cpu")
    assert run("profile", *arguments) == 0
    said = capsys.readouterr().out
    assert "workload char_lstm (2x256, T 64, Adam), batch 2: 2 steps after 0 not timed" in said
    assert re.search(r"^CharLSTM\.lstm +LSTM +2 ", said, re.MULTILINE)


def test_profile_refuses_what_it_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean 'resnet20'?" in error_of(capsys, "profile", "--workload", "resnet2")
    assert "--workload has its own model" in error_of(capsys, "profile", "--workload", "mlp", "--model", "mlp")
    assert "unknown" in error_of(capsys, "profile", "--set", "nothing=1")
    assert "sort_by among" in error_of(capsys, "profile", "--device", "cpu", "--sort", "speed", "--steps", "1")
    missing = ("--trace", "no/such/t.json", "--steps", "1", "--warmup", "0", "--device", "cpu")
    assert "no/such/t.json could not be written" in error_of(capsys, "profile", *missing)


# ---- warmup


def warm(folder: Path, *arguments: str) -> list[str]:
    """The lines of `deepcore warmup` in a process whose kernels are kept in `folder`."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder), "DEEPCORE_CACHE_DIR": str(folder)}
    command = [sys.executable, "-P", "-m", "deepcore.cli", "warmup", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_warmup_on_the_cpu_leaves_nothing_to_do(tmp_path: Path) -> None:
    first, second = (warm(tmp_path, "lenet", "mlp", "--device", "cpu") for _ in range(2))
    assert re.fullmatch(r"\d+ kernels compiled in [\d.]+ s, kept in Numba's cache", first[-1])
    assert re.match(r"lenet  \d+ kernels compiled in [\d.]+ s, 0 were on the disk; ", first[1])
    assert second[-1] == "nothing to do: all kernels are in Numba's cache"


@needs_compiler
def test_warmup_for_a_gpu_that_is_not_here(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the model launches is compiled; a process that comes later finds all of it."""
    monkeypatch.setenv("DEEPCORE_CACHE_DIR", str(tmp_path))
    assert run("warmup", "mlp", "--arch", "sm_90", "--optimizer", "sgd") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "compiling for sm_90 without running anything"
    kept = sorted(path.name.split("-sm")[0] for path in cache.cache_dir().iterdir())
    assert any(name.startswith("optim.sgd") for name in kept)
    assert not any(name.startswith(("pool.", "norm.", "optim.adam")) for name in kept)
    assert re.fullmatch(rf"{len(kept)} kernels compiled in [\d.]+ s, kept in {cache.cache_dir()}", lines[-1])
    assert run("warmup", "mlp", "--arch", "9.0", "--optimizer", "sgd") == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.match(rf"mlp  nothing to compile, {len(kept)} kernels were on the disk; ", lines[1])
    assert lines[-1] == f"nothing to do: all kernels are in {cache.cache_dir()}"


def test_warmup_refuses_what_it_cannot_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Did you mean 'lenet'?" in error_of(capsys, "warmup", "lennet")
    assert "expected a compute capability such as sm_90 or 9.0; got 'hopper'" in error_of(
        capsys, "warmup", "mlp", "--arch", "hopper"
    )
    assert "--arch names a GPU; it does not fit --device cpu" in error_of(
        capsys, "warmup", "mlp", "--arch", "sm_90", "--device", "cpu"
    )
    from deepcore.backends import compiling

    monkeypatch.setattr(compiling, "compiler_problem", lambda: "numba-cuda is not installed")
    said = error_of(capsys, "warmup", "mlp", "--arch", "sm_90")
    assert "got numba-cuda is not installed. Hint: pip install" in said


def test_warmup_without_a_gpu_names_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    from deepcore.kernels.cuda.diagnose import diagnose

    if diagnose().usable:
        pytest.skip("there is a GPU")
    said = error_of(capsys, "warmup", "mlp", "--device", "cuda")
    assert "expected a working CUDA device" in said
    assert "--arch sm_90" in said
