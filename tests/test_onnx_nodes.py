"""A second opinion: the node cases of the ONNX standard, each run on deepcore's functions and compared.

They come with the package `onnx` (`pip install -e ".[onnx]"`); nothing is downloaded when the tests run. The last test
prints how many of how many pass; what is left out, and why, stands in `onnx_nodes/reasons.py`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
import pytest

from deepcore.check.opdb import host
from deepcore.check.tolerance import assert_close
from deepcore.onnx.operators.table import ADAPTERS, FAMILIES

pytest.importorskip("onnx", reason='the node cases of ONNX come with its package: pip install -e ".[onnx]"')

from onnx_nodes.data import PRINTED, Case, node_cases
from onnx_nodes.reasons import LEFT_OUT, other_operators, reason_for
from onnx_nodes.run import run

CASES = node_cases()
OURS = [name for name, case in CASES.items() if case.operators <= ADAPTERS.keys()]
"""The cases all of whose operators deepcore has."""

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # infinities and divisions by zero are tested too


def check(case: Case, device: str) -> None:
    """The outputs have the dtypes of the case, and its values within the table's tolerance for them."""
    values = run(case, ADAPTERS, device)
    plain = CASES[case.plain]
    adapter = ADAPTERS.get(plain.nodes[0].operator)
    length, compared = adapter.length(plain) if adapter else 1, 0
    for name, expected in case.results.items():
        if name not in values:
            assert adapter is not None, name
            assert adapter.without, f"no output {name}"
            continue
        y = values[name]
        assert y.device == device
        assert np.dtype(y.dtype) == expected.dtype, name
        assert_close(host(y), expected, expected.dtype, length, name)
        compared += 1
    assert compared


@pytest.mark.parametrize("name", [name for name in OURS if not reason_for(name)])
def test_node(name: str, device: str) -> None:
    """One case on one device."""
    check(CASES[name], device)


@pytest.mark.parametrize("name", [name for name in OURS if reason_for(name)])
def test_what_is_left_out_would_fail(name: str) -> None:
    """A case stays in the table of reasons only as long as it does not pass."""
    with pytest.raises(Exception):  # noqa: B017, PT011 (what it raises depends on the reason)
        check(CASES[name], "numpy")


def test_every_operator_has_an_adapter_or_a_reason() -> None:
    """No operator is forgotten, none is in both tables, none is adapted twice, and none is made up."""
    known = [*ADAPTERS, *other_operators()]
    found = {operator for case in CASES.values() for operator in case.operators}
    assert sorted(known) == sorted(set(known))
    assert set(known) == found
    assert len(ADAPTERS) == sum(len(family.ADAPTERS) for family in FAMILIES)


def test_every_reason_has_its_cases() -> None:
    """A pattern without a case is a mistake, or out of date."""
    unused = [p for patterns in LEFT_OUT.values() for p in patterns if not any(fnmatchcase(n, p) for n in OURS)]
    assert not unused
    assert set(PRINTED) <= CASES.keys()


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    """Says how many of how many pass; the tests above prove it."""
    left_out = sum(bool(reason_for(name)) for name in OURS)
    with capsys.disabled():
        print(
            f"\nONNX node cases: {len(OURS) - left_out} of {len(OURS)} pass, {left_out} are left out with a reason; "
            f"{len(CASES) - len(OURS)} more are of operators that deepcore does not have"
        )
    assert left_out < len(OURS)
