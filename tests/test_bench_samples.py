"""The statistics of `deepcore bench` on samples whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from deepcore.bench import samples
from deepcore.bench.result import MEASURED, Measurement


def test_median_and_quartiles() -> None:
    found = Measurement("cpu", MEASURED, samples=[5.0, 1.0, 3.0, 2.0, 4.0])
    samples.summarise(found)
    assert (found.low_quartile, found.median, found.high_quartile) == (2.0, 3.0, 4.0)


def test_a_ratio_is_that_of_the_medians_and_lies_in_its_interval() -> None:
    rng = np.random.default_rng(0)
    slow, fast = list(rng.lognormal(0.0, 0.1, 31) * 3), list(rng.lognormal(0.0, 0.1, 31))
    ratio = samples.paired_ratio(slow, fast)
    assert ratio.value == pytest.approx(np.median(slow) / np.median(fast))
    assert 2.6 < ratio.low < ratio.value < ratio.high < 3.3


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        a, b = rng.lognormal(0.0, 0.05, 15) * 2, rng.lognormal(0.0, 0.05, 15)
        ratio = samples.paired_ratio(list(a), list(b))
        hits += ratio.low <= 2 <= ratio.high
    assert hits >= 88  # of 100, where 95 are meant


def test_what_slows_a_whole_round_leaves_the_ratio_alone() -> None:
    # The machine slows down to a third. Rounds that are drawn together know that both were slow; apart they do not.
    drift = np.linspace(1.0, 3.0, 21)
    paired = samples.paired_ratio(list(2.0 * drift), list(drift))
    apart = samples.free_ratio(list(2.0 * drift), list(drift))
    assert (paired.low, paired.value, paired.high) == pytest.approx((2.0, 2.0, 2.0))
    assert apart.high - apart.low > 0.3


def test_the_same_samples_give_the_same_interval() -> None:
    a, b = [1.0, 1.2, 0.9, 1.1], [0.5, 0.6, 0.55, 0.4]
    assert samples.paired_ratio(a, b) == samples.paired_ratio(a, b)
    assert samples.paired_ratio(a, b, seed=1).value == samples.paired_ratio(a, b).value


def test_a_count_of_nothing_divides_nothing() -> None:
    assert samples.paired_ratio([100.0, 100.0], [0.0, 0.0], least=1.0).value == 100.0
    assert samples.paired_ratio([0.0], [0.0], least=1.0).value == 1.0


def test_one_round_is_enough_for_a_ratio() -> None:
    assert samples.paired_ratio([3.0], [2.0]).value == 1.5


def test_an_exponent_is_found_and_says_how_sure_it_is() -> None:
    at = [8.0, 16.0, 32.0, 64.0, 128.0]
    slope, low, high, factor = samples.exponent(at, [2e-3 * n**1.5 for n in at])
    assert (slope, factor) == pytest.approx((1.5, 2e-3))
    assert high - low < 1e-6
    noisy = [n**2 * f for n, f in zip(at, (1.1, 0.9, 1.05, 0.95, 1.0), strict=True)]
    slope, low, high, _ = samples.exponent(at, noisy)
    assert low < 2.0 < high
    assert 1.8 < slope < 2.2


def test_two_points_determine_a_line() -> None:
    slope, low, high, _ = samples.exponent([1.0, 2.0], [1.0, 8.0])
    assert slope == low == high == pytest.approx(3.0)


def test_the_mean_of_ratios_is_geometric() -> None:
    assert samples.geometric_mean([4.0, 0.25, 1.0]) == pytest.approx(1.0)
    assert np.isnan(samples.geometric_mean([]))
