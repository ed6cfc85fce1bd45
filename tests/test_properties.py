"""Random arguments at every function: a right result, or one of deepcore's own errors.

Each example starts from a sample of the op database and is spoiled in one to three places: other shapes, an axis of
another length, other dtypes, indices outside, NaN and infinities, options of any kind. What may come out of it:

- an error of deepcore's own classes, whose message says what was expected; on every device an error, or on none;
- a result whose shape and dtype are the same on every device; where the numbers are tame so are the values, and the
  oracle of the entry agrees where it has an answer;
- where it is differentiable, gradients in the shapes of the inputs.

Never a traceback of NumPy, Numba or Python, and never a result of another shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import deepcore as dc
from deepcore import functions
from deepcore.check.measure import expected_values, random_like
from deepcore.check.opdb import FLOATS, OpCase, Sample, all_cases, host, is_float, outputs, to_tensors
from deepcore.check.tolerance import check_close, tolerance
from deepcore.errors import DeepcoreError, IndexRangeError, LinAlgError

CASES = all_cases()
PUBLIC = {getattr(functions, name) for name in functions.__all__}
# Signs of vectors and the like are a choice; the samples of these entries are made so that it is the same one.
NOT_UNIQUE = {"linalg.qr", "linalg.eigh", "linalg.eigvalsh", "linalg.svd", "linalg.svd, all vectors"}
SIZES = st.integers(0, 4)
DTYPES = st.sampled_from(["float64", "float32", "float16", "int64", "int32", "uint8", "bool"])
ODD_NUMBERS = st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 1e300, -1e-300, 1e-8])
OPTIONS: st.SearchStrategy[Any] = st.one_of(
    st.integers(-4, 6),
    st.sampled_from([None, True, False, 2.5, -1.0, 0.0, 1e-12, float("nan"), float("inf"), "nonsense", "mean", "none"]),
    st.sampled_from(["sum", "reflect", "circular", "same", "valid", "bilinear", 100, b"bytes", object, {}, "0"]),
    st.lists(st.integers(-2, 4), max_size=4).map(tuple),
    st.lists(st.integers(-2, 4), max_size=3),
)


@dataclass(frozen=True)
class Spoiled:
    """A sample after it was spoiled; `tame` while its numbers are of order one and the options those of the sample."""

    sample: Sample
    tame: bool = True
    kinds_kept: bool = True
    """Whether floats are still floats: what becomes of integers is not the oracles' business."""


# --- ways to spoil a sample -------------------------------------------------------------------------------------------


def other_shape(draw: Callable[..., Any], it: Spoiled, i: int) -> Spoiled:
    shape = tuple(draw(st.lists(SIZES, max_size=5)))
    return with_argument(it, i, resized(it.sample.args[i], shape))


def other_length(draw: Callable[..., Any], it: Spoiled, i: int) -> Spoiled:
    """One length, wherever it occurs in the shapes of the arrays, becomes another one."""
    shape = it.sample.args[i].shape
    if not shape:
        return it
    old, new = draw(st.sampled_from(shape)), draw(SIZES)
    args = tuple(
        resized(a, tuple(new if n == old else n for n in a.shape)) if isinstance(a, np.ndarray) else a
        for a in it.sample.args
    )
    return replace(it, sample=replace(it.sample, args=args))


def one_axis_more_or_less(draw: Callable[..., Any], it: Spoiled, i: int) -> Spoiled:
    a = it.sample.args[i]
    at = draw(st.integers(0, a.ndim))
    if draw(st.booleans()) and a.ndim:
        return with_argument(it, i, resized(a, a.shape[:at] + a.shape[at + 1 :]))
    return with_argument(it, i, resized(a, (*a.shape[:at], draw(SIZES), *a.shape[at:])))


def other_dtype(draw: Callable[..., Any], it: Spoiled, i: int) -> Spoiled:
    a = it.sample.args[i]
    with np.errstate(all="ignore"):
        b = a.astype(draw(DTYPES))
    return replace(with_argument(it, i, b), kinds_kept=it.kinds_kept and a.dtype.kind == b.dtype.kind)


def other_value(draw: Callable[..., Any], it: Spoiled, i: int) -> Spoiled:
    a = it.sample.args[i].copy()
    if not a.size:
        return it
    number = draw(ODD_NUMBERS) if a.dtype.kind == "f" else draw(st.integers(-6, 9))
    with np.errstate(all="ignore"):
        a.flat[draw(st.integers(0, a.size - 1))] = np.asarray(number).astype(a.dtype)
    return replace(with_argument(it, i, a), tame=False)


def not_an_array(draw: Callable[..., Any], it: Spoiled, i: int) -> Spoiled:
    return replace(with_argument(it, i, draw(OPTIONS)), tame=False)


OF_ARRAYS = (other_shape, other_length, one_axis_more_or_less, other_dtype, other_value, not_an_array)


def with_argument(it: Spoiled, i: int, value: Any) -> Spoiled:
    args = it.sample.args
    return replace(it, sample=replace(it.sample, args=(*args[:i], value, *args[i + 1 :])))


def resized(a: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The numbers of `a`, repeated or cut, in another shape."""
    size = int(np.prod(shape))
    return np.resize(a, shape) if a.size else np.full(shape, 0.75 if size else 0).astype(a.dtype)


@st.composite
def spoiled(draw: Callable[..., Any], case: OpCase) -> Spoiled:
    """A sample of the case, spoiled in one to three places."""
    it = Spoiled(draw(st.sampled_from(case.make_samples())))
    for _ in range(draw(st.integers(1, 3))):
        arrays = [i for i, a in enumerate(it.sample.args) if isinstance(a, np.ndarray)]
        options = [i for i, a in enumerate(it.sample.args) if not isinstance(a, np.ndarray)]
        if arrays and draw(st.integers(0, 3)):
            # An operator or a method without its tensor is Python's business.
            free = arrays if case.op in PUBLIC else arrays[1:]
            ways = OF_ARRAYS if free and case.name not in ("eq", "ne") else OF_ARRAYS[:-1]  # x == "a" is False
            way = draw(st.sampled_from(ways))
            it = way(draw, it, draw(st.sampled_from(free if way is not_an_array else arrays)))
        elif it.sample.kwargs and draw(st.booleans()):
            name = draw(st.sampled_from(sorted(it.sample.kwargs)))
            old, new = it.sample.kwargs[name], draw(OPTIONS)
            if case.op in PUBLIC or type(new) is type(old):  # other entries pass their options on in ways of their own
                it = Spoiled(replace(it.sample, kwargs={**it.sample.kwargs, name: new}), tame=False)
        elif options:
            it = replace(with_argument(it, draw(st.sampled_from(options)), draw(OPTIONS)), tame=False)
    diff = [i for i, a in enumerate(it.sample.args) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    wanted = tuple(i for i in diff if i in it.sample.diff)
    return replace(it, sample=replace(it.sample, diff=wanted))


# --- what may come out ------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What an op did on a device: an error of deepcore's, or results and perhaps gradients."""

    error: DeepcoreError | None = None
    results: tuple[np.ndarray, ...] = ()
    gradients: tuple[np.ndarray, ...] = ()


def outcome(case: OpCase, sample: Sample, device: str) -> Outcome:
    """Runs the op, and its backward where it has one; every other exception than deepcore's own goes through."""
    args = to_tensors(sample.args, device, sample.diff if case.differentiable else ())
    try:
        results = outputs(case.op(*args, **sample.kwargs))
        assert all(isinstance(y, dc.Tensor) for y in results), f"not tensors: {results}"
        grads = gradients_of(args, results, device)
    except DeepcoreError as error:
        return Outcome(error)
    return Outcome(None, tuple(host(y) for y in results), grads)


def gradients_of(args: list[Any], results: list[dc.Tensor], device: str) -> tuple[np.ndarray, ...]:
    wanted = [a for a in args if isinstance(a, dc.Tensor) and a.requires_grad]
    floats = [y for y in results if is_float(y) and y.requires_grad]
    if not wanted or not floats:
        return ()
    cotangents = random_like([np.empty(y.shape) for y in floats], seed=1)
    seeds = [dc.tensor(v.astype(y.dtype), device=device) for y, v in zip(floats, cotangents, strict=True)]
    grads = dc.autograd.grad(floats, wanted, seeds, allow_unused=True)
    for x, g in zip(wanted, grads, strict=True):
        assert g is None or (g.shape == x.shape and g.dtype == x.dtype)
    return tuple(host(g) for g in grads if g is not None)


def check_against_the_oracle(case: OpCase, sample: Sample, got: Outcome) -> None:
    """Shapes and values, where the entry's oracle takes such arguments."""
    if case.name in NOT_UNIQUE:
        return
    kinds = {a.dtype.name for a in sample.args if isinstance(a, np.ndarray) and a.dtype.kind == "f"}
    dtype = kinds.pop() if len(kinds) == 1 else ""
    if dtype not in case.dtypes or dtype not in FLOATS:
        return
    try:
        expected = expected_values(case, sample, dtype)
    except Exception:  # an oracle knows only good arguments
        return
    length = case.length(*sample.args, **sample.kwargs)
    assert len(got.results) == len(expected)
    for y, e in zip(got.results, expected, strict=True):
        check_close(y, e, tolerance(y.dtype, length), "value against the oracle")


def check_devices_agree(case: OpCase, it: Spoiled, got: Outcome, other: Outcome, device: str) -> None:
    on_host = dc.zeros(1, device=device).backend.on_host
    if got.error is not None or other.error is not None:
        # Looking at values would make the host wait, so off the host a bad one gives NaN instead of an error.
        of_values = isinstance(got.error, IndexRangeError | LinAlgError)
        is_nan = any(np.isnan(y).any() for y in other.results if y.dtype.kind == "f")
        if not on_host and other.error is None and (of_values or is_nan):
            return
        assert got.error is not None, f"only on {device}: {other.error!r}"
        assert other.error is not None, f"not on {device}: {got.error!r}"
        return
    pairs = [*zip(got.results, other.results, strict=True), *zip(got.gradients, other.gradients, strict=True)]
    for y, z in pairs:
        assert y.shape == z.shape
        assert y.dtype == z.dtype
    if it.tame:
        length = case.length(*it.sample.args, **it.sample.kwargs)
        given = [a.dtype for a in it.sample.args if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
        for y, z in pairs:  # where dtypes are mixed the narrowest one rounds
            narrowest = min([y.dtype, *given], key=lambda d: d.itemsize) if y.dtype.kind == "f" else y.dtype
            check_close(z, y, tolerance(narrowest, length), f"{device} against numpy")


def check(case: OpCase, it: Spoiled) -> None:
    got = outcome(case, it.sample, "numpy")
    assert got.error is None or "expected" in str(got.error), f"it does not say what was expected: {got.error}"
    for device in ("cpu", "strict"):
        check_devices_agree(case, it, got, outcome(case, it.sample, device), device)
    if it.tame and it.kinds_kept and got.error is None:
        check_against_the_oracle(case, it.sample, got)


COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
every_case = pytest.mark.parametrize("case", CASES, ids=str)
pytestmark = pytest.mark.filterwarnings("ignore")


@every_case
def test_any_arguments(case: OpCase) -> None:
    """A few examples for each op, the same at each run."""

    @settings(max_examples=15, derandomize=True, **COMMON)
    @given(spoiled(case))
    def run(it: Spoiled) -> None:
        check(case, it)

    run()


@pytest.mark.slow
@every_case
def test_any_arguments_at_length(case: OpCase) -> None:
    """Many examples for each op, others at each run."""

    @settings(max_examples=400, **COMMON)
    @given(spoiled(case))
    def run(it: Spoiled) -> None:
        check(case, it)

    run()
