"""`deepcore check` as a user types it: exit codes, files, messages, Ctrl-C, its start-up time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import planted_faults
from deepcore.cli import main
from processor_time import least_processor_time

TESTS = Path(__file__).resolve().parent
COMMAND = [sys.executable, "-P", "-m", "deepcore.cli", "check"]
PLAIN = os.environ | {"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
HELP_LIMIT_S = 0.6


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("COLUMNS", "NO_COLOR", "TERM"):
        monkeypatch.setenv(name, PLAIN[name])
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    """The exit code of the command."""
    with pytest.raises(SystemExit) as caught:
        main(["check", *arguments])
    code = caught.value.code
    return code if isinstance(code, int) else 0


def planted(folder: Path) -> dict[str, str]:
    """An environment in which a package with faulty backends is installed."""
    return PLAIN | {"PYTHONPATH": f"{planted_faults.install(folder / 'site')}{os.pathsep}{TESTS}"}


# --- what it prints and returns ---------------------------------------------------------------------------------------


def test_ops_that_are_right(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = ["--json", "found.json", "--html", "found.html"]
    arguments = ["--op", "tanh", "--op", "argmax", "--device", "numpy", "--device", "cpu", "--dtype", "float32"]
    assert run(*arguments, *files) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    header = next(line.split() for line in lines if " op " in line)
    assert header == ["op", "dtype", "cases", "numpy", "cpu", "grad", "grad²", "time"]
    assert any(re.match(r" tanh +float32 +\d+ +[\d.]+ +[\d.]+ +(\d+|<1)% +- +\d\.\d\d +pass", line) for line in lines)
    assert any(line.startswith("2 ops on numpy, cpu: ") and "all within rounding" in line for line in lines)
    tree = json.loads((tmp_path / "found.json").read_text())
    assert {cell["op"] for cell in tree["cells"]} == {"tanh", "argmax"}
    assert "<!doctype html>" in (tmp_path / "found.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--op", "conv2dd"], "Did you mean 'conv2d'?"),
        (["--device", "cppu"], 'did you mean "cpu"?'),
        (["--dtype", "flaot32"], "Did you mean 'float32'?"),
        (["--op", "conv2d", "--dtype", "int32"], "expected a dtype of the chosen ops; got 'int32'"),
        (["--json", "absent/file.json"], "expected a file that can be written; got absent/file.json"),
        (["--html", "."], "expected a file that can be written; got the folder ."),
    ],
)
def test_wrong_options_end_it_before_it_begins(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(*arguments) == 2
    output = capsys.readouterr()
    assert said in " ".join(output.err.split())
    assert output.err.startswith("error: ")
    assert output.out == ""


def test_a_device_that_is_absent(capsys: pytest.CaptureFixture[str]) -> None:
    from deepcore.backends import available

    if any(works and name.startswith("cuda") for name, works, _ in available()):
        pytest.skip("this machine has a working GPU")
    assert run("--device", "cuda", "--op", "relu") == 2
    assert "expected a working CUDA device" in capsys.readouterr().err


def test_a_faulty_device_of_another_package(tmp_path: Path) -> None:
    """An entry-point backend is found without being named; its faults are told; the programs are complete."""
    arguments = ["--op", "conv2d", "--op", "tanh", "--dtype", "float32", "--processes", "2", "--json", "found.json"]
    done = subprocess.run(
        [*COMMAND, *arguments, "--device", "numpy", "--device", "faulty"],
        env=planted(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "FAIL conv2d, float32 on faulty: value: value 0: element (0, 0, 0, 0) is" in done.stdout
    assert re.search(r"smallest case +\(1, 1, 1, 1\), \(1, 1, 1, 1\), ", done.stdout)
    assert re.search(r"allowed +c \* eps \* sqrt\(length\) = 16 \* 1\.19e-07 \* sqrt\(\d+\) = ", done.stdout)
    assert done.stdout.rstrip().endswith("written: found.json")
    tree = json.loads((tmp_path / "found.json").read_text())
    assert tree["command"].startswith("deepcore check --op conv2d --op tanh")
    program = next(failure["snippet"] for failure in tree["failures"] if failure["snippet"])
    assert program in done.stdout
    shown = subprocess.run(
        [sys.executable, "-c", program], env=planted(tmp_path / "again"), capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 1
    assert "AssertionError: value 0 in float32: error" in shown.stderr


def test_ctrl_c_prints_what_was_done(tmp_path: Path) -> None:
    """The stuck backend keeps it busy; numpy's line is there already."""
    process = subprocess.Popen(
        [*COMMAND, "--op", "relu", "--dtype", "float32", "--device", "numpy", "--device", "stuck"],
        env=planted(tmp_path) | {"PLANTED_MARK": str(tmp_path / "begun")},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # as in a terminal: a shell's background job, and all that it starts, ignores the signal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        text=True,
    )
    end = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    assert "interrupted after 1 of 2 ops and devices; the above is what was done" in out
    assert re.search(r" relu +float32 +\d+ ", out)


def test_all_says_what_was_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The simulator runs in a process of its own, and only what has a kernel."""
    pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")
    before = dict(os.environ)
    assert run("--op", "tanh", "--op", "relu", "--dtype", "float32", "--device", "numpy", "--all") == 0
    assert dict(os.environ) == before
    out = capsys.readouterr().out
    assert "2 ops on numpy, strict, simulator: " in out
    assert re.search(r"simulator: no kernel of its own: \d cases of 1 op \(tanh\)", out)
    assert re.search(r" relu +float32 +\d+ +[\d.]+ +[\d.]+ +[\d.]+ ", out)


# --- start-up ---------------------------------------------------------------------------------------------------------


def test_help_is_quick_and_lists_the_options() -> None:
    seconds, printed = least_processor_time([*COMMAND, "--help"], HELP_LIMIT_S)
    for option in ("--op", "--device", "--dtype", "--all", "--json", "--html", "--fail-fast", "--seed", "--processes"):
        assert option in printed
    assert seconds < HELP_LIMIT_S


def test_python_m_deepcore_check_is_the_same_command(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "deepcore.check", "--op", "nothing_like_it"]
    done = subprocess.run(command, env=PLAIN, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "expected an op of the database; got 'nothing_like_it'" in done.stderr
