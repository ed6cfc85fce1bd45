"""A pytest plugin of .ci/cover.py and .ci/mutants.py: which test reaches which line, how long it takes, and no other.

- While coverage.py measures, each test is a context `mode|test`, where the mode is $REACH_MODE.
- $REACH_TIMES names a file to which a line `mode|test<tab>seconds` is added for each test that passed.
- $REACH_ONLY names a file with a test, or a file of tests, on each line: only these run, in that order.
- With REACH_MODE=counted the lines of compiled CPU kernels count too; see counted.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import counted
import pytest

MODE = os.environ.get("REACH_MODE", "normal")


if MODE == "counted" and "deepcore" not in sys.modules:
    counted.install()


def pytest_configure() -> None:
    """Leave out what no chosen test needs already from the op database: ten thousand tests take long to collect."""
    if "REACH_ONLY" in os.environ:
        from deepcore.check import opdb

        chosen, every = Path(os.environ["REACH_ONLY"]).read_text(encoding="utf-8").splitlines(), opdb.all_cases
        if all("[" in name or "::" in name for name in chosen):
            opdb.all_cases = lambda: [case for case in every() if any(case.name in name for name in chosen)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Name the context after the test, and add the lines of kernels that it reached."""
    measuring = sys.modules["coverage"].Coverage.current() if "coverage" in sys.modules else None
    if measuring:
        measuring.switch_context(f"{MODE}|{item.nodeid}")
    result = yield
    if measuring and (lines := dict(counted.reached())):
        # a line by itself stands for a step from it to itself: of kernels only the lines are known, not the branches
        measuring.get_data().add_arcs({file: [(line, line) for line in found] for file, found in lines.items()})
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how long a test took."""
    if report.when == "call" and report.passed and "REACH_TIMES" in os.environ:
        with open(os.environ["REACH_TIMES"], "a", encoding="utf-8") as file:
            file.write(f"{MODE}|{report.nodeid}\t{report.duration:.3f}\n")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the chosen tests, in their order."""
    if "REACH_ONLY" in os.environ:
        chosen = Path(os.environ["REACH_ONLY"]).read_text(encoding="utf-8").splitlines()
        place = {name: i for i, name in enumerate(chosen)}

        def at(item: pytest.Item) -> int | None:
            return place.get(item.nodeid, place.get(item.nodeid.partition("::")[0]))

        config.hook.pytest_deselected(items=[item for item in items if at(item) is None])
        items[:] = sorted((item for item in items if at(item) is not None), key=at)
