"""A pytest plugin of .ci/cover.py and .ci/mutants.py: which test reaches which line, how long it takes, and no other.

- While coverage.py measures, each test is a context `mode|test`, where the mode is $REACH_MODE.
- $REACH_TIMES names a file to which a line `mode|test<tab>seconds` is added for each test that passed.
- $REACH_ONLY names a file with a test, or a file of tests, on each line: only these run, in that order.
- With NUMBA_DISABLE_JIT=1 the CPU kernels run as Python, so that coverage.py sees their lines. Numba then leaves out
  what is only an overload or an intrinsic; here both get a meaning in Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

MODE = os.environ.get("REACH_MODE", "normal")


def numba_type(x: Any) -> SimpleNamespace:
    """What an overload asks of the Numba type of x."""
    return SimpleNamespace(bitwidth=8 * getattr(x, "itemsize", 8))


def overload(stub: Any, **_: Any) -> Callable:
    """In place of numba.extending.overload: the stub itself becomes a call of the implementation."""

    def call(*args, _choose=None, _type=None):
        return _choose(*map(_type, args))(*args)

    def decorate(choose: Callable) -> Callable:
        stub.__code__, stub.__kwdefaults__ = call.__code__, {"_choose": choose, "_type": numba_type}
        return choose

    return decorate


def intrinsic(function: Callable) -> Callable:
    """In place of numba.extending.intrinsic; there is one, and its Python is this."""
    import numpy as np

    assert function.__name__ == "power_of_two", function

    def power_of_two(x: Any) -> Any:
        whole, mantissa, bias = (np.int32, 23, 127) if x.itemsize == 4 else (np.int64, 52, 1023)
        return ((x.view(whole) + whole(bias)) << whole(mantissa)).view(type(x))

    return power_of_two


if os.environ.get("NUMBA_DISABLE_JIT") == "1" and "deepcore" not in sys.modules:
    import numba.extending

    numba.extending.overload, numba.extending.intrinsic = overload, intrinsic


def pytest_configure() -> None:
    """Leave out what no chosen test needs already from the op database: ten thousand tests take long to collect."""
    if "REACH_ONLY" in os.environ:
        from deepcore.check import opdb

        chosen, every = Path(os.environ["REACH_ONLY"]).read_text(encoding="utf-8").splitlines(), opdb.all_cases
        if all("[" in name or "::" in name for name in chosen):
            opdb.all_cases = lambda: [case for case in every() if any(case.name in name for name in chosen)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Name the context after the test."""
    if "coverage" in sys.modules and (measuring := sys.modules["coverage"].Coverage.current()):
        measuring.switch_context(f"{MODE}|{item.nodeid}")
    return (yield)


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
