"""`deepcore bench` as it is typed: what it prints, writes and returns."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench_examples import ABSENT, WRONG, write_peer
from deepcore.bench import result
from deepcore.bench.engine import Engine
from deepcore.bench.peers import known
from deepcore.bench.suites import SUITES
from deepcore.cli import main

ONE = ("bench", "--suite", "ops", "--filter", "embedding/forward [32x64", "--devices", "numpy", "--rounds", "2")


@pytest.fixture(autouse=True)
def no_roof(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's peak takes a second; test_bench_engine.py measures it once."""
    monkeypatch.setattr(Engine, "_roof", lambda self: None)


def run(*arguments: str) -> int:
    """The exit status of the command line."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_a_run_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    peer = write_peer(tmp_path)
    file, page = tmp_path / "r.json", tmp_path / "r.md"
    assert run(*ONE, "--peers", str(peer), "--threads", "1", "--json", str(file), "--markdown", str(page)) == 0
    out = capsys.readouterr().out
    assert "embedding, forward" in out
    assert f"written: {file}" in out.replace("\n", "")
    found = result.read(file)
    assert [candidate.name for candidate in found.candidates] == ["numpy", "fake"]
    assert found.settings.threads == found.candidates[0].threads == 1
    (case,) = found.cases
    assert case.key == "ops/embedding/forward [32x64 * 65x256]"
    assert case.baseline == "fake"
    assert len(case.measurements[0].samples) == 2
    assert case.measurements[0].ratio is not None
    assert found.machine.cores
    assert found.candidates[0].versions["numpy"]
    assert "| embedding, forward | 32x64 * 65x256 |" in page.read_text()
    assert run("bench", "compare", str(file), str(file)) == 0


def test_a_wrong_result_is_refused_and_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*ONE, "--peers", f"{write_peer(tmp_path)},{write_peer(tmp_path, 'wrong', WRONG)}") == 1
    out = capsys.readouterr().out
    assert "REFUSED ops/embedding/forward [32x64 * 65x256] on wrong: the output differs from fake's by" in out


def test_an_absent_peer_says_how_to_install_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*ONE, "--peers", str(write_peer(tmp_path, "gone", ABSENT))) == 0
    assert "absent: gone: it is not installed: pip install it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--suite", "model"), "'model'. Hint: Did you mean 'models'?"),
        (("--peers", "torhc"), "'torhc'. Hint: Did you mean 'torch'?"),
        (("--peers", "absent.py"), "absent.py, which does not exist"),
        (("--devices", "gpu"), 'did you mean "cuda"?'),
        (("--devices", "strict"), "strict, which is for tests"),
        (("--devices", ""), "expected a device or a peer that works here; got no name"),
        (("--filter", "nothing like it"), "cases are named like these: models/mlp/training"),
        (("--json", "absent/r.json"), "a file that can be written"),
    ],
)
def test_wrong_options_are_2_before_anything_is_measured(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", *arguments) == 2
    assert told in capsys.readouterr().err.replace("\n", " ")


def test_two_peers_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").mkdir()
    assert run("bench", "--peers", f"{write_peer(tmp_path)},{write_peer(tmp_path / 'other')}") == 2
    assert "'fake' twice" in capsys.readouterr().err


def test_a_file_without_a_peer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.py").write_text("")
    assert run("bench", "--peers", str(tmp_path / "empty.py")) == 2
    assert "expected a file with a PEER" in capsys.readouterr().err


def test_list_prints_the_names_of_the_cases(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", "--suite", "memory,startup", "--filter", "lenet", "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "memory/lenet/peak [batch 128, 28x28, Adam]"
    assert lines[-1] == "startup/lenet/first step, cold [batch 128, Adam]"


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom deepcore.cli import main\n"
        "try:\n    main(['bench', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'numba', 'scipy', 'deepcore.bench') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "--peers" in done.stdout
    assert "compare" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_peers_of_the_package() -> None:
    assert list(known()) == ["torch", "torch-compile", "torch-channels-last", "onnxruntime"]
    for peer in (kind() for kind in known().values()):
        assert peer.about
        reason = peer.absent()
        assert not reason or "install" in reason


def test_the_page_of_the_documentation_names_every_suite_peer_and_option() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert [name for name in (*SUITES, *known()) if f"| `{name}` |" not in page] == []
    for name in ("--suite", "--devices", "--peers", "--threads", "--filter", "--list", "--rounds", "--json", "--html"):
        assert name in page
    for name in ("Result", "Machine", "Settings", "Candidate", "Roof", "Case", "Measurement", "Fit", "Profile"):
        assert f"| `{name}` |" in page


def test_ctrl_c_leaves_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    words = [*ONE[:3], "--filter", "embedding", *ONE[5:7], "--rounds", "100000", "--json", str(file)]
    code = "import sys; from deepcore.cli import benching, main; benching.EVERY_S = 0; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code, *words],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # as in a terminal: a shell's background job, and all that it starts, ignores the signal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "round 20 of" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    found = result.read(file)
    assert found.stopped == "Ctrl-C after 0 of 4 cases"
    assert "The run ended early: Ctrl-C after 0 of 4 cases." in out
    assert len(found.cases[0].measurements[0].samples) >= 19
    end = time.monotonic() + 10
    while _alive(process.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _alive(process.pid)
    assert json.loads(file.read_text())["version"] == 1


def _alive(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
