"""What `deepcore check` shows: the table, the JSON file with its schema, the page."""

from __future__ import annotations

import io
import json
import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

from deepcore.check.report import as_json, numbers, page, table
from deepcore.check.results import Cell, Failure, Limit, NotRun, OpResult, Part, Report, Worst

EPS = 2.0**-23


def cell(op: str, device: str, eps: float, failures: int = 0, dtype: str = "float32") -> Cell:
    worst = Worst(eps * EPS, EPS, 16 * EPS * 6, "value 0", "plain")
    parts = {"value": Part(3, failures, worst), "gradient": Part(2, 0, Worst(0.0, EPS, 16 * EPS, "gradient", "plain"))}
    return Cell(op, dtype, device, 3, 0.25, parts)


def failure(**changes: Any) -> Failure:
    fields: dict[str, Any] = {
        "part": "value",
        "what": "value 0",
        "index": (0, 2),
        "got": "1.5",
        "expected": "1.25",
        "error": 0.111,
        "wrong": 1,
        "size": 6,
        "limit": Limit(16.0, EPS, 36, 96 * EPS),
        "smallest": "(1, 3), <b>stride</b>=2",
        "shrinking": "12 cases tried",
        "snippet": "import numpy as np\nprint(1 < 2)\n",
        "more": 4,
    }
    fields |= changes
    message = "value 0: element (0, 2) is wrong"
    return Failure(op="conv2d", dtype="float32", device="cpu", sample="plain", message=message, **fields)


def report(*failures: Failure) -> Report:
    bad = len(failures)
    exact = Cell("argmax", "int64", "numpy", 2, 0.1, {"value": Part(2, 0, Worst(0.0, 0.0, 0.0, "value 0", "plain"))})
    results = [
        OpResult("conv2d", "cpu", [cell("conv2d", "cpu", 300.0 if bad else 3.0, bad)], list(failures)),
        OpResult("conv2d", "numpy", [cell("conv2d", "numpy", 3.0)]),
        OpResult("argmax", "numpy", [exact], not_run=[NotRun("argmax", "numpy", "gradient", "not differentiable", 2)]),
    ]
    absent = {"cuda": "no NVIDIA driver was found\nmore"}
    return Report(["conv2d", "argmax"], ["float32", "int64"], ["numpy", "cpu"], 0, results, absent, "", 1.5)


def printed(found: Report) -> str:
    file = io.StringIO()
    table.show(found, Console(file=file, width=100, no_color=True))
    return file.getvalue()


# --- the terminal -----------------------------------------------------------------------------------------------------


def test_the_table_has_a_line_for_each_op_and_dtype() -> None:
    lines = [line.split() for line in printed(report()).splitlines()]
    assert ["conv2d", "float32", "3", "3.0", "3.0", "0%", "-", "0.50", "pass"] in lines
    assert ["argmax", "int64", "2", "equal", "-", "-", "-", "0.10", "pass"] in lines


def test_what_was_not_run_is_said() -> None:
    text = printed(report())
    assert "cuda: not checked: no NVIDIA driver was found\n" in text
    assert "numpy: no gradient: not differentiable: 2 cases of 1 op (argmax)\n" in text
    assert "2 ops on numpy, cpu: 12 comparisons, all within rounding (1.50 s)" in text


def test_a_failure_is_told_whole() -> None:
    text = printed(report(failure(), failure(part="gradient", snippet="")))
    assert "FAIL conv2d, float32 on cpu: value: value 0: element (0, 2) is wrong\n" in text
    assert "it also fails in float32 gradient" in text
    for said in (
        r"sample +plain, and 4 more of this kind",
        r"smallest case +\(1, 3\), <b>stride</b>=2  \(12 cases tried\)",
        r"worst element +value 0 at \(0, 2\), 1 of 6 are wrong",
        r"got +1\.5",
        r"expected +1\.25",
        r"allowed +c \* eps \* sqrt\(length\) = 16 \* 1\.19e-07 \* sqrt\(36\) = 1\.14e-05",
        r"print\(1 < 2\)",
        r"12 comparisons; 1 failure: conv2d on cpu",
    ):
        assert re.search(said, text), said


def test_an_early_end_is_said() -> None:
    found = report()
    found.stopped = "interrupted after 3 of 4 ops and devices"
    assert "interrupted after 3 of 4 ops and devices; the above is what was done" in printed(found)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.314, "0.31"), (4.23, "4.2"), (96.4, "96"), (1234567.0, "1.2e+06"), (math.inf, "wrong")],
)
def test_numbers(value: float, text: str) -> None:
    assert numbers.number(value) == text


# --- JSON -------------------------------------------------------------------------------------------------------------


def conforms(value: Any, shape: Any, where: str = "report") -> None:
    """A value has the fields and types that a shape names: a type, a tuple of types, a list of one shape, a dict."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        assert set(value) == set(shape), f"{where}: {set(value) ^ set(shape)}"
        for name in shape:
            conforms(value[name], shape[name], f"{where}.{name}")
    elif isinstance(shape, list):
        assert isinstance(value, list), where
        for item in value:
            conforms(item, shape[0], f"{where}[]")
    else:
        assert isinstance(value, shape), f"{where}: {value!r}"


NUMBER = (int, float)
NUMBER_OR_TEXT = (int, float, str)
WORST = {
    "error": NUMBER_OR_TEXT,
    "eps": NUMBER,
    "allowed": NUMBER,
    "what": str,
    "sample": str,
    "error_eps": (int, float, str, type(None)),
    "allowed_eps": (int, float, type(None)),
    "share": NUMBER_OR_TEXT,
}
CELL = {
    "op": str,
    "dtype": str,
    "device": str,
    "cases": int,
    "seconds": NUMBER,
    "verdict": str,
    "parts": dict,
}
FAILURE = {
    **dict.fromkeys(("op", "dtype", "device", "part", "sample", "message", "what", "got", "expected"), str),
    **dict.fromkeys(("traceback", "smallest", "shrinking", "snippet"), str),
    **dict.fromkeys(("wrong", "size", "more"), int),
    "index": (list, type(None)),
    "error": NUMBER_OR_TEXT,
    "limit": (dict, type(None)),
}
SHAPE = {
    **dict.fromkeys(("schema", "command", "date", "machine", "python", "stopped"), str),
    **dict.fromkeys(("version", "seed"), int),
    **dict.fromkeys(("packages", "absent"), dict),
    "devices": [str],
    "dtypes": [str],
    "seconds": NUMBER,
    "passed": bool,
    "totals": {"ops": int, "cells": int, "comparisons": int, "failures": int},
    "cells": [CELL],
    "failures": [FAILURE],
    "not_run": [{"op": str, "device": str, "part": str, "reason": str, "samples": int}],
}


def test_the_file_conforms_to_its_schema() -> None:
    found = report(failure(), failure(index=None, limit=None, error=math.inf))
    found.results[0].cells[0].parts["value"].worst = Worst(math.inf, 0.0, 0.0, "value 0", "plain")
    tree = json.loads(as_json.to_json(found, "deepcore check --op conv2d"))
    conforms(tree, SHAPE)
    assert (tree["schema"], tree["version"], tree["passed"]) == ("deepcore.check", 1, False)
    assert {"deepcore", "numpy"} <= set(tree["packages"])
    for item in tree["cells"]:
        for part in item["parts"].values():
            conforms(part, {"comparisons": int, "failures": int, "worst": WORST})
    numpy, cpu = tree["cells"][:2]
    assert (numpy["verdict"], cpu["verdict"]) == ("pass", "FAIL")
    assert numpy["parts"]["value"]["worst"]["error_eps"] == 3.0
    assert numpy["parts"]["value"]["worst"]["allowed_eps"] == 96.0
    assert cpu["parts"]["value"]["worst"]["share"] == "Infinity"
    assert tree["failures"][0]["limit"] == {"c": 16.0, "eps": 1.192093e-07, "length": 36, "allowed": 1.144409e-05}


def test_the_schema_is_documented() -> None:
    """Every field at the top is named in the description."""
    assert as_json.__doc__ is not None
    for name in SHAPE:
        assert f'"{name}"' in as_json.__doc__, name


# --- the page ---------------------------------------------------------------------------------------------------------


class _Reader(HTMLParser):
    """Tags that are open, and what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.marks: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        self.marks += [value or "" for name, value in attrs if tag == "i" and name == "style"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing() -> None:
    text = page.to_html(report(failure()), "deepcore check --op conv2d")
    reader = _Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.loads == []
    assert "<script" not in text
    assert "url(" not in text
    assert "&lt;b&gt;stride" in text
    assert "<b>stride" not in text
    for said in ("conv2d, float32 on cpu", "print(1 &lt; 2)", "deepcore check --op conv2d", "not differentiable"):
        assert said in text


def test_the_picture_has_marks_and_limits() -> None:
    """3 eps of 96 on a scale from 0.01 to 1000 eps: log10 gives the places."""
    text = page.to_html(report())
    reader = _Reader()
    reader.feed(text)
    at = [float(style.removeprefix("left:").partition("%")[0]) for style in reader.marks]
    width = 5 if max(at) > 79 else 4
    assert any(mark == pytest.approx(100 * (math.log10(3) + 2) / width, abs=0.01) for mark in at)
    assert any(mark == pytest.approx(100 * (math.log10(96) + 2) / width, abs=0.01) for mark in at)


def test_a_page_of_nothing() -> None:
    empty = Report(["conv2d"], ["float32"], ["cpu"], stopped="interrupted after 0 of 1 ops and devices")
    assert "nothing was compared" in page.to_html(empty)
    assert "nothing was compared" in printed(empty)
