"""How far one result is from float64, against what the tolerance table allows.

The table (deepcore.check.tolerance) allows c * eps * sqrt(n) for a reduction over n values of order one. Here values
are of any size, so eps * sqrt(n) times their size is measured: the op is run in float64 on the reference, several
times, with Monte Carlo noise of size eps on its inputs and outputs (deepcore.lockstep.noise), and the spread of the
results is that number. c is the table's.

The noise knows nothing of the partial sums inside of an op, which are rounded too. The table knows: it allows its
c * eps * sqrt(n) relative to 1 + |expected|. So eps * sqrt(n) of the result itself counts as well, with n from the
sizes of what went in and came out; and so does the reference's own error in the dtype of the device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepcore.check.tolerance import tolerance
from deepcore.dtypes import finfo

SAMPLES = 3
"""Noisy runs of each op."""


@dataclass(frozen=True)
class Judgement:
    """The worst element of one result."""

    times_allowed: float
    error_eps: float
    index: tuple[int, ...]
    value: float
    exact: float
    shape: tuple[int, ...]


def reduction_length(inputs: Sequence[int], output: int, product: bool) -> float:
    """The n of a sum: how many numbers go in for each that comes out, from the sizes of the arrays.

    In a product a (M, K) @ b (K, N) that is K, the square root of |a| |b| / |result|.

    >>> reduction_length([1000], 10, False), reduction_length([3 * 50, 50 * 4], 3 * 4, True)
    (100.0, 50.0)
    """
    n = max([1.0, *(a / max(1, output) for a in inputs)])
    if product:
        n = max([n, *(math.sqrt(a * b / max(1, output)) for i, a in enumerate(inputs) for b in inputs[:i])])
    return n


def judge(
    got: np.ndarray,
    exact: np.ndarray,
    noisy: Sequence[np.ndarray],
    plain: np.ndarray | None,
    dtype: np.dtype,
    length: float = 1.0,
) -> Judgement:
    """Compare a result with the float64 one.

    noisy: results of noisy runs, at the precision of `dtype`; plain: the reference's result in that dtype, or None;
    length: of the sum that makes an element. An element may differ by c times the largest of: the noise there; the
    noise, and the reference's error, that 9 of 10 elements do not exceed; eps * sqrt(length) of itself, and for a sum
    of the root mean square. Integers must be equal but where the noisy runs' differ. float16 is summed in float32.
    """
    shape = tuple(exact.shape)
    if got.shape != exact.shape:
        return Judgement(math.inf, math.inf, (), math.nan, math.nan, shape)
    if not exact.size:
        return Judgement(0.0, 0.0, (), 0.0, 0.0, shape)
    if exact.dtype.kind not in "fV":
        return _judge_integers(got, exact, noisy)
    info = finfo(dtype)
    summing = min(float(info.eps), float(np.finfo(np.float32).eps))
    got, exact = got.astype(np.float64), exact.astype(np.float64)
    with np.errstate(all="ignore"):
        spread = np.zeros(shape)
        for sample in noisy:
            d = sample.astype(np.float64) - exact
            spread += np.where(np.isfinite(d), d * d, 0.0)
        noise = np.sqrt(spread * (3.0 / max(1, len(noisy))))
        typical = float(np.quantile(noise, 0.9))
        if plain is not None and plain.shape == shape:
            own = np.abs(plain.astype(np.float64) - exact)
            own = own[np.isfinite(own)]
            typical = max(typical, float(np.quantile(own, 0.9)) if own.size else 0.0)
        finite = exact[np.isfinite(exact)]
        size = math.sqrt(float(np.mean(finite * finite))) if finite.size else 0.0
        if length > 1:
            typical = max(typical, math.sqrt(length) * summing * size)
        noise = np.maximum(
            np.maximum(noise, typical), max(float(info.eps), math.sqrt(length) * summing) * np.abs(exact)
        )
        noise = np.where(np.isfinite(noise), noise, 0.0) + float(info.smallest_subnormal)
        same = (got == exact) | (np.isnan(got) & np.isnan(exact))
        error = np.where(same, 0.0, np.abs(got - exact))
        error = np.where(np.isnan(error), np.inf, error)
        times = error / (tolerance(dtype).c * noise)
        at = np.unravel_index(int(times.argmax()), shape) if shape else ()
        eps_error = float(error[at]) / (float(info.eps) * size) if size > 0 else float(times[at])
    place = tuple(int(i) for i in at)
    return Judgement(float(times[at]), eps_error, place, float(got[at]), float(exact[at]), shape)


def _judge_integers(got: np.ndarray, exact: np.ndarray, noisy: Sequence[np.ndarray]) -> Judgement:
    wrong = got != exact
    for sample in noisy:
        wrong &= sample == exact
    if not wrong.any():
        at = tuple(0 for _ in exact.shape)
        return Judgement(0.0, 0.0, at, float(got[at]), float(exact[at]), tuple(exact.shape))
    at = tuple(int(i) for i in np.unravel_index(int(wrong.argmax()), exact.shape)) if exact.shape else ()
    return Judgement(math.inf, math.inf, at, float(got[at]), float(exact[at]), tuple(exact.shape))
