"""The result file of `deepcore bench`: what is written is read back, what is damaged is named."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from bench_examples import case_of, measured
from deepcore.bench import report, result
from deepcore.bench.result import (
    Candidate,
    Case,
    Fit,
    LayerTime,
    Machine,
    Measurement,
    Profile,
    Result,
    Roof,
    Settings,
)
from deepcore.errors import DataError


def full() -> Result:
    """A result in which every field has something."""
    found = measured({"cpu": [1e-3, 2e-3, 3e-3], "torch": [2e-3, 4e-3, 6e-3]})
    found.roof = Roof(1e11, 2e10, "matmul", "copy")
    found.fits = [Fit("lenet", "training", "batch", "cpu", 1.0, 0.9, 1.1, 2e-4, 4)]
    found.profiles = [Profile("lenet", "cpu", 1e-2, 1e-4, [LayerTime("0", "Conv2d", 1e-3, 2e-3)])]
    found.absent = {"cuda": "no NVIDIA driver was found"}
    found.cases[0].measurements[0].note, found.cases[0].measurements[0].error = "winograd", 1e-7
    return found


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    found = full()
    result.write(found, tmp_path / "r.json")
    assert result.read(tmp_path / "r.json") == found
    tree = json.loads((tmp_path / "r.json").read_text())
    assert (tree["schema"], tree["version"]) == ("deepcore.bench", 1)
    assert "[0.001, 0.002, 0.003]" in (tmp_path / "r.json").read_text()  # samples stand on one line


PLAIN = ("cores", "part", "axis", "candidate", "suite", "workload", "exponent", "points", "python", "fits", "profiles")
PLAIN += ("machine", "settings", "measurements", "roof", "suites")


@pytest.mark.parametrize(
    "kind", [Result, Case, Measurement, Machine, Settings, Candidate, Roof, Fit, Profile, LayerTime]
)
def test_every_field_says_what_it_means(kind: type) -> None:
    """These texts are the file's schema."""
    body = inspect.getsource(kind)
    for field in dataclasses.fields(kind):
        after = body.partition(f"\n    {field.name}: ")[2].splitlines()[1:2]
        assert field.name in PLAIN or (after and after[0].strip().startswith('"""')), field.name


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("seconds",), "long", "a number for 'seconds'"),
        (("machine", "cores"), 1.5, "a whole number for 'machine.cores'"),
        (("cases", 0, "measurements", 1, "samples", 2), None, "a number for 'cases[0].measurements[1].samples[2]'"),
        (("cases", 0), [], "an object for 'cases[0]'"),
        (("absent",), ["cuda"], "an object for 'absent'"),
        (("candidates", 0, "threads"), True, "a whole number for 'candidates[0].threads'"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(path: tuple[Any, ...], value: Any, named: str) -> None:
    tree = json.loads(result.to_json(full()))
    place = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(DataError) as caught:
        result.from_json(json.dumps(tree), "r.json")
    assert named in str(caught.value)
    assert "r.json" in str(caught.value)


def test_a_missing_value_is_named() -> None:
    tree = json.loads(result.to_json(full()))
    del tree["machine"]["processor"]
    with pytest.raises(DataError, match=r"a value 'machine\.processor'"):
        result.from_json(json.dumps(tree))


def test_a_field_of_a_later_deepcore_is_passed_over() -> None:
    tree = json.loads(result.to_json(full()))
    tree["colour"] = tree["machine"]["colour"] = "green"
    assert result.from_json(json.dumps(tree)) == full()


@pytest.mark.parametrize("text", ["", "{", '{"schema": "deepcore.check", "version": 1}', "[]", "3"])
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="deepcore bench: expected a"):
        result.from_json(text)


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    text = result.to_json(full())
    (tmp_path / "r.json").write_text(text[: len(text) // 2])
    with pytest.raises(DataError, match="was it cut short"):
        result.read(tmp_path / "r.json")
    with pytest.raises(DataError, match="No such file"):
        result.read(tmp_path / "absent.json")


def test_another_version_is_refused() -> None:
    tree = json.loads(result.to_json(full())) | {"version": 99}
    with pytest.raises(DataError, match=r"expected version 1.* got version 99"):
        result.from_json(json.dumps(tree))


def test_json_has_no_nan() -> None:
    found = full()
    found.cases[0].measurements[0].samples[0] = float("nan")
    with pytest.raises(ValueError, match="JSON has no nan"):
        result.to_json(found)


def test_the_baseline_is_the_first_peer_else_the_first_device() -> None:
    assert full().baseline == "torch"
    assert measured({"numpy": [1.0], "cpu": [1.0]}).baseline == "numpy"


def test_markdown_says_what_the_file_says() -> None:
    page = report.to_markdown(full())
    assert "| relu, forward | 256x1024 | 2.00 ms, 2.00x (2.00 to 2.00) | 4.00 ms |" in page
    assert "- absent: cuda: no NVIDIA driver was found" in page
    assert "| lenet, training | batch | cpu | 1.00 | 0.90 to 1.10 | 4 |" in page


def test_means_also_to_the_best_mode_of_a_peer() -> None:
    found = measured({"cpu": [1.0], "torch": [2.0], "torch-compile": [0.5]})
    found.cases.append(case_of({"cpu": [1.0], "torch": [8.0], "torch-compile": [8.0]}, "exp"))
    means = {(m.candidate, m.baseline): (round(m.value, 6), m.lowest_case) for m in report.means(found)}
    assert means["cpu", "torch"] == (4.0, "relu")
    assert means["cpu", "best torch"] == (2.0, "relu")
    assert means["torch-compile", "torch"] == (2.0, "exp")


def test_costs_are_written_with_three_digits() -> None:
    costs = [report.cost(value) for value in (2.345, 0.01236, 0.000310, 4.2e-8)]
    assert costs == ["2.35 s", "12.4 ms", "310 us", "42.0 ns"]
    assert report.cost(310.4e6, "bytes") == "310 MB"
    assert report.cost(1204.4, "faults") == "1,204 faults"
