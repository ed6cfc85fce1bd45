"""`deepcore bench compare`: what is slower beyond noise fails, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench_examples import measured
from deepcore.bench import compare, result
from deepcore.bench.result import REFUSED, Result
from deepcore.cli import main
from deepcore.errors import ConfigError

RNG = np.random.default_rng(0)


def around(middle: float, spread: float = 0.01, count: int = 15) -> list[float]:
    return [float(value) for value in middle * RNG.lognormal(0.0, spread, count)]


def run(folder: Path, old: Result, new: Result, *more: str) -> int:
    """The exit status of the command."""
    result.write(old, folder / "old.json")
    result.write(new, folder / "new.json")
    with pytest.raises(SystemExit) as caught:
        main(["bench", "compare", str(folder / "old.json"), str(folder / "new.json"), *more])
    return int(caught.value.code or 0)


def test_slower_beyond_noise_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, measured({"cpu": around(1.0)}), measured({"cpu": around(1.3)})) == 1
    out = capsys.readouterr().out
    assert "slower" in out
    assert "ops/relu/forward" in out
    assert "1 slower, 0 faster, 0 same, 0 lost" in out


def test_the_limit_is_the_users(tmp_path: Path) -> None:
    old, new = measured({"cpu": around(1.0)}), measured({"cpu": around(1.3)})
    assert run(tmp_path, old, new, "--fail-over", "1.5") == 0
    assert run(tmp_path, old, new, "--fail-over", "1.2") == 1


def test_within_noise_is_0(tmp_path: Path) -> None:
    # The median is a fifth larger, but the samples are all over the place.
    old = measured({"cpu": [0.5, 2.0, 1.0, 0.6, 1.8]})
    new = measured({"cpu": [1.2, 0.5, 2.2, 0.7, 1.9]})
    assert run(tmp_path, old, new) == 0


def test_faster_is_0_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, measured({"cpu": around(1.0)}), measured({"cpu": around(0.5)})) == 0
    assert "0 slower, 1 faster" in capsys.readouterr().out


def test_a_peer_that_got_slower_does_not_fail(tmp_path: Path) -> None:
    old = measured({"cpu": around(1.0), "torch": around(1.0)})
    new = measured({"cpu": around(1.0), "torch": around(2.0)})
    assert run(tmp_path, old, new) == 0


def test_a_slower_machine_cancels_beside_a_peer(tmp_path: Path) -> None:
    old = measured({"cpu": around(1.0), "torch": around(2.0)})
    new = measured({"cpu": around(1.5), "torch": around(3.0)})
    assert run(tmp_path, old, new) == 1
    assert run(tmp_path, old, new, "--relative-to", "torch") == 0
    slow = measured({"cpu": around(2.0), "torch": around(3.0)})
    assert run(tmp_path, old, slow, "--relative-to", "torch") == 1


def test_what_is_no_longer_right_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = measured({"cpu": around(1.0)})
    lost = new.cases[0].measurements[0]
    lost.state, lost.reason = REFUSED, "the output differs"
    lost.samples.clear()
    assert run(tmp_path, measured({"cpu": around(1.0)}), new) == 1
    assert "the output differs" in capsys.readouterr().out


def test_nothing_in_common_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, measured({"cpu": around(1.0)}), measured({"cpu": around(1.0)}, name="gelu")) == 2
    assert "0 common cases of 1 and 1" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="is 'torch' measured in both"):
        compare.compare(measured({"cpu": around(1.0)}), measured({"cpu": around(1.0)}), relative_to="torch")


def test_a_damaged_file_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old.json").write_text("{")
    with pytest.raises(SystemExit) as caught:
        main(["bench", "compare", str(tmp_path / "old.json"), str(tmp_path / "old.json")])
    assert caught.value.code == 2
    assert "was it cut short" in capsys.readouterr().err


def test_it_warns_of_different_machines() -> None:
    old, new = measured({"cpu": around(1.0)}), measured({"cpu": around(1.0)})
    new.machine.processor, new.machine.load, old.stopped = "another one", 5.0, "Ctrl-C after 1 of 2 cases"
    warnings = compare.compare(old, new).warnings
    assert [warning.partition(":")[0] for warning in warnings] == [
        "different processors",
        "the old run ended early",
        "the machine was busy before the new run",
    ]


def test_page_faults_are_compared_from_one_on() -> None:
    old, new = measured({"cpu": [0.0] * 5}, unit="faults"), measured({"cpu": [0.6] * 5}, unit="faults")
    assert compare.compare(old, new).changes[0].verdict == compare.SAME
    new = measured({"cpu": [500.0] * 5}, unit="faults")
    assert compare.compare(old, new).changes[0].verdict == compare.SLOWER
