"""The smallest failing case: shapes, options and numbers become small, always the same way, and it ends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deepcore.check.opdb import Sample, sample
from deepcore.check.shrink import complexity, describe, shorter, shrink


def image_and_kernel() -> Sample:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 4, 6, 5)), rng.normal(size=(3, 4, 3, 2))
    return sample("everything", x, w, None, stride=(2, 1), padding=1)


def takes(s: Sample) -> bool:
    """Whether the shapes fit for a convolution."""
    x, w = s.args[:2]
    pad = s.kwargs.get("padding", 0)
    return x.shape[1] == w.shape[1] and all(w.shape[k] <= x.shape[k] + 2 * pad for k in (2, 3))


def test_axes_that_belong_together_shrink_together() -> None:
    smallest = shrink(image_and_kernel(), takes).sample
    assert describe(smallest) == "(1, 1, 1, 1), (1, 1, 1, 1), None"
    assert smallest.args[0].tolist() == [[[[1.0]]]]


def test_only_what_does_not_matter_is_taken_away() -> None:
    def fails(s: Sample) -> bool:
        return takes(s) and s.args[1].shape[2] >= 2 and "stride" in s.kwargs

    smallest = shrink(image_and_kernel(), fails).sample
    assert describe(smallest) == "(1, 1, 2, 1), (1, 1, 2, 1), None, stride=(2, 1)"


def test_an_element_in_the_middle_is_kept() -> None:
    x = np.arange(1.0, 41.0).reshape(5, 8)

    def fails(s: Sample) -> bool:
        return bool((s.args[0] == 21.0).any())

    smallest = shrink(sample("plain", x), fails).sample
    assert smallest.args[0].tolist() == [[21.0]]


def test_numbers_become_simple() -> None:
    x = np.random.default_rng(0).normal(size=6)

    def fails(s: Sample) -> bool:
        return s.args[0].size == 6 and s.args[0][4] < -0.4

    assert x[4] < -0.4
    smallest = shrink(sample("plain", x), fails).sample
    assert smallest.args[0].tolist() == [1.0, 1.0, 1.0, 1.0, -1.0, 1.0]


def test_without_simpler_numbers_they_stay() -> None:
    x = np.array([[0.123, 4.567]])
    smallest = shrink(sample("plain", x), lambda s: True, passes=[shorter]).sample
    assert smallest.args[0].tolist() == [[0.123]]


def test_indices_become_zero() -> None:
    smallest = shrink(sample("plain", np.array([3, 5, 1])), lambda s: True).sample
    assert smallest.args[0].tolist() == [0]


def test_a_case_that_cannot_be_made_smaller_stays() -> None:
    given = image_and_kernel()
    found = shrink(given, lambda s: False)
    assert found.sample is given
    assert not found.stopped


def test_empty_and_0d_arrays() -> None:
    given = sample("odd", np.zeros((0, 3)), np.float64(2.0))
    smallest = shrink(given, lambda s: True).sample
    assert [a.shape for a in smallest.args] == [(0, 1), ()]


def test_it_is_the_same_each_time() -> None:
    tried: list[list[str]] = []
    for _ in range(2):
        seen: list[str] = []

        def fails(s: Sample, seen: list[str] = seen) -> bool:
            seen.append(f"{describe(s)} {s.args[0].sum()}")
            return takes(s)

        shrink(image_and_kernel(), fails)
        tried.append(seen)
    assert tried[0] == tried[1]


@pytest.mark.parametrize("answer", [True, False])
def test_it_ends_whatever_the_case_does(answer: bool) -> None:
    """A failure that comes and goes, on large arrays with many options, is no endless search."""
    flips = itertools.cycle([answer, answer, not answer])
    rng = np.random.default_rng(1)
    given = sample("large", *(rng.normal(size=(8, 9, 10)) for _ in range(4)), **{f"option{i}": i for i in range(9)})
    found = shrink(given, lambda s: next(flips), tries=200)
    assert found.tries <= 200


def test_it_ends_in_time_where_an_op_is_slow() -> None:
    ticks = itertools.count()
    found = shrink(image_and_kernel(), lambda s: True, seconds=3, clock=lambda: float(next(ticks)))
    assert found.stopped == "its time was up"
    assert found.tries <= 4
    assert str(found) == f"{found.tries} cases tried, stopped: its time was up"


def test_what_counts_as_simple() -> None:
    assert complexity(np.array([0.0, 1.0])) == 0
    assert complexity(np.array([1.5])) < complexity(np.array([1.25])) < complexity(np.array([0.123456]))
