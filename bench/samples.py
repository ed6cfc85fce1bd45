"""What samples say: median and quartiles, the ratio of two medians with a bootstrap interval, means, exponents.

Nothing is assumed of how times are distributed. A bootstrap (Efron 1979) draws the samples again, with replacement, and
looks at how far the median moves; intervals are the 2.5 % and 97.5 % points of what it finds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from deepcore.bench.result import Measurement, Ratio

DRAWS = 4000
LEVELS = (2.5, 97.5)
TINY = 1e-9
"""A nanosecond: less than any sample, and no division by zero."""


def summarise(measurement: Measurement) -> None:
    """Fill in median and quartiles of a measurement that has samples."""
    low, middle, high = np.percentile(measurement.samples, (25, 50, 75))
    measurement.median = float(middle)
    measurement.low_quartile, measurement.high_quartile = float(low), float(high)


def paired_ratio(baseline: Sequence[float], other: Sequence[float], seed: int = 0, least: float = TINY) -> Ratio:
    """median(baseline) / median(other), where the samples of one round were taken one after the other.

    Rounds are drawn, not single samples: what slowed the whole machine down for a while slowed both of a round. Samples
    below `least` count as `least`, so that no page fault at all is not infinitely better than one.

    >>> paired_ratio([2.0, 2.0, 2.0], [1.0, 1.0, 1.0])
    Ratio(value=2.0, low=2.0, high=2.0)
    """
    rounds = min(len(baseline), len(other))
    a, b = (np.maximum(np.asarray(x[:rounds], float), least) for x in (baseline, other))
    drawn = np.random.default_rng(seed).integers(0, rounds, (DRAWS, rounds))
    return _ratio(a, b, drawn, drawn)


def free_ratio(first: Sequence[float], second: Sequence[float], seed: int = 0, least: float = TINY) -> Ratio:
    """median(first) / median(second) of samples that were taken apart from each other."""
    rng = np.random.default_rng(seed)
    a, b = (np.maximum(np.asarray(x, float), least) for x in (first, second))
    return _ratio(a, b, rng.integers(0, len(a), (DRAWS, len(a))), rng.integers(0, len(b), (DRAWS, len(b))))


def _ratio(a: np.ndarray, b: np.ndarray, of_a: np.ndarray, of_b: np.ndarray) -> Ratio:
    low, high = np.percentile(np.median(a[of_a], axis=1) / np.median(b[of_b], axis=1), LEVELS)
    return Ratio(float(np.median(a) / np.median(b)), float(low), float(high))


def geometric_mean(values: Iterable[float]) -> float:
    """The mean of ratios: twice and half as fast make 1. NaN without values.

    >>> geometric_mean([2.0, 0.5])
    1.0
    """
    logs = [math.log(value) for value in values]
    return math.exp(math.fsum(logs) / len(logs)) if logs else math.nan


def exponent(at: Sequence[float], costs: Sequence[float]) -> tuple[float, float, float, float]:
    """Fit cost = factor * at ** exponent; returns (exponent, low, high, factor).

    A straight line by least squares in logarithms; the interval of 95 % is Student's, with len(at) - 2 degrees of
    freedom. Two points determine a line: low and high are then the exponent itself.

    >>> exponent([1.0, 2.0, 4.0], [3.0, 12.0, 48.0])[0::3]
    (2.0, 3.0)
    """
    from scipy import stats

    line = stats.linregress(np.log(at), np.log(costs))
    half = float(stats.t.ppf(0.975, len(at) - 2) * line.stderr) if len(at) > 2 else 0.0
    slope, factor = round(float(line.slope), 12), round(math.exp(line.intercept), 12)
    return slope, slope - half, slope + half, factor
