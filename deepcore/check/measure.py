"""Values, gradients and double gradients of one entry of the op database on one device, beside what they should be.

Each of `values`, `agreement`, `gradients`, `rounded_gradients` and `double_gradients` yields `Comparison`s; the tests
assert each of them and `deepcore check` reports them, so that both look at the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from deepcore import autograd
from deepcore.check.opdb import FLOATS, OpCase, Sample, host, is_float, outputs, to_tensors
from deepcore.check.tolerance import (
    STEP,
    Difference,
    Tolerance,
    check_close,
    difference,
    difference_tolerance,
    tolerance,
)
from deepcore.creation import tensor
from deepcore.dtypes import is_floating

REFERENCE = "numpy"

KINDS = {
    "value": "value {}",
    "gradient": "gradient of argument {}",
    "second derivative": "second derivative by variable {}",
}


class Mismatch(AssertionError):
    """A result has another dtype, device, shape or number of outputs than it should."""


@dataclass(frozen=True)
class Comparison:
    """One array that a device computed, beside the one that it should be."""

    kind: str
    """One of KINDS."""
    number: int
    """Which output, argument or variable it is of."""
    got: np.ndarray
    expected: np.ndarray
    allowed: Tolerance

    @property
    def what(self) -> str:
        """For example ``value 0`` or ``gradient of argument 1``."""
        return KINDS[self.kind].format(self.number)

    @property
    def difference(self) -> Difference:
        """The worst element."""
        return difference(self.got, self.expected, self.allowed)

    def check(self) -> None:
        """Raise AssertionError, with the worst element, where `got` is not within the tolerance of `expected`."""
        check_close(self.got, self.expected, self.allowed, self.what)


# --- one call ---------------------------------------------------------------------------------------------------------


def call(case: OpCase, sample: Sample, device: str, dtype: str = "float64", grad: bool = False) -> tuple[list, list]:
    """(inputs, outputs) of the op on a sample, as tensors; with `grad` the sample's inputs require a gradient."""
    args = to_tensors(sample.cast(dtype), device, sample.diff if grad else ())
    return args, outputs(case.op(*args, **sample.kwargs))


def random_like(arrays: Sequence[np.ndarray], seed: int) -> list[np.ndarray]:
    """For each array random numbers of the same shape, as float64."""
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.uniform(0.5, 1.5, a.shape) * rng.choice([-1.0, 1.0], a.shape)) for a in arrays]


def unit(direction: np.ndarray) -> np.ndarray:
    """The direction with length one: the error of a central difference does not grow with the number of elements."""
    return direction / max(1.0, float(np.linalg.norm(direction)))


def vjp(case: OpCase, sample: Sample, device: str, dtype: str = "float64") -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(values, gradients) with random cotangents: gradients of the sum of outputs times cotangents."""
    args, results = call(case, sample, device, dtype, grad=True)
    cotangents = random_like([np.empty(y.shape) for y in results], seed=1)
    pairs = [(y, v) for y, v in zip(results, cotangents, strict=True) if is_float(y)]
    grads = autograd.grad(
        [y for y, _ in pairs],
        [args[i] for i in sample.diff],
        [tensor(v.astype(y.dtype), device=device) for y, v in pairs],
    )
    for i, g in zip(sample.diff, grads, strict=True):
        _equal(f"shape of the gradient of argument {i}", g.shape, args[i].shape)
        _equal(f"dtype of the gradient of argument {i}", np.dtype(g.dtype), np.dtype(args[i].dtype))
        _equal(f"device of the gradient of argument {i}", g.device, args[i].device)
    return [host(y) for y in results], [host(g) for g in grads]


def expected_values(case: OpCase, sample: Sample, dtype: str) -> list[np.ndarray]:
    """The oracle's values for the sample rounded to `dtype`, computed in float64 (integers as they are)."""
    result = case.oracle(*(_widen(a) for a in sample.cast(dtype)), **sample.kwargs)
    return [np.asarray(y) for y in (result if isinstance(result, (tuple, list)) else [result])]


def central_difference(value: Callable[[np.ndarray], float], point: np.ndarray, direction: np.ndarray) -> float:
    """The slope of `value` at `point` along a direction of length one, by the table's step."""
    above, below = (value(np.asarray(point + step * direction)) for step in (STEP, -STEP))
    return (above - below) / (2 * STEP)


# --- comparisons ------------------------------------------------------------------------------------------------------


def values(case: OpCase, sample: Sample, device: str, dtype: str) -> Iterator[Comparison]:
    """Values, shapes, dtype and device against the float64 oracle."""
    results = call(case, sample, device, dtype)[1]
    expected = expected_values(case, sample, dtype)
    _equal("number of outputs", len(results), len(expected))
    _equal("dtype of value 0", np.dtype(results[0].dtype), np.dtype(case.result_dtype(dtype)))
    length = case.length(*sample.args, **sample.kwargs)
    for k, (y, e) in enumerate(zip(results, expected, strict=True)):
        _equal(f"device of value {k}", y.device, device)
        _equal(f"requires_grad of value {k}", y.requires_grad, False)
        yield Comparison("value", k, host(y), e, tolerance(y.dtype, length))


def agreement(case: OpCase, sample: Sample, device: str, dtype: str) -> Iterator[Comparison]:
    """Values and gradients against those of the plain formulas on the same numbers."""
    length = case.length(*sample.args, **sample.kwargs)
    if case.differentiable and sample.diff:
        (ys, grads), (ys_ref, grads_ref) = (vjp(case, sample, d, dtype) for d in (device, REFERENCE))
        for i, g, e in zip(sample.diff, grads, grads_ref, strict=True):
            yield Comparison("gradient", i, g, e, tolerance(dtype, length))
    else:
        ys, ys_ref = ([host(y) for y in call(case, sample, d, dtype)[1]] for d in (device, REFERENCE))
    for k, (y, e) in enumerate(zip(ys, ys_ref, strict=True)):
        yield Comparison("value", k, y, e, tolerance(dtype, length))


def rounded_gradients(case: OpCase, sample: Sample, device: str, dtype: str) -> Iterator[Comparison]:
    """Vector-Jacobian products in a narrower dtype against those of the reference in float64 at the same numbers.

    `gradients` proves those of float64; a difference of values in a narrow dtype would be too coarse to prove any.
    """
    length = case.length(*sample.args, **sample.kwargs)
    wide = replace(sample, args=tuple(_widen(a) for a in sample.cast(dtype)))
    grads, expected = vjp(case, sample, device, dtype)[1], vjp(case, wide, REFERENCE)[1]
    for i, g, e in zip(sample.diff, grads, expected, strict=True):
        yield Comparison("gradient", i, g, e, tolerance(dtype, length))


def gradients(case: OpCase, sample: Sample, device: str) -> Iterator[Comparison]:
    """Vector-Jacobian products with random cotangents, along one random direction of each input, in float64.

    The other side is a central difference of the oracle, so the derivative is checked against the definition.
    """
    grads = vjp(case, sample, device)[1]
    cotangents = random_like(expected_values(case, sample, "float64"), seed=1)

    def value(i: int, moved: np.ndarray) -> float:
        """The sum of outputs times cotangents with argument i moved."""
        args = (*sample.args[:i], moved, *sample.args[i + 1 :])
        ys = expected_values(case, replace(sample, args=args), "float64")
        return sum(float((y * v).sum()) for y, v in zip(ys, cotangents, strict=True) if y.dtype.kind == "f")

    for i, g in zip(sample.diff, grads, strict=True):
        direction = unit(random_like([g], seed=2)[0])
        numerical = central_difference(partial(value, i), sample.args[i], direction)
        allowed = difference_tolerance(sum(v.size for v in cotangents))
        yield Comparison("gradient", i, _number((g * direction).sum()), _number(numerical), allowed)


def double_gradients(case: OpCase, sample: Sample, device: str) -> Iterator[Comparison]:
    """The gradient of the gradient, by create_graph, against a central difference of the gradient, in float64.

    The inner product of the gradients with random weights is differentiated by the inputs and by the cotangents.
    """
    shapes = [y.shape for y in call(case, sample, device)[1] if is_float(y)]
    points = [*(sample.args[i] for i in sample.diff), *random_like([np.empty(s) for s in shapes], seed=1)]
    weights = random_like([sample.args[i] for i in sample.diff], seed=3)

    def inner_product(points: list[np.ndarray], create_graph: bool) -> tuple[list, Any]:
        """(variables, product) with the inputs and then the cotangents at `points`."""
        args = list(sample.args)
        for i, x in zip(sample.diff, points, strict=False):
            args[i] = x
        tensors = to_tensors(args, device, sample.diff)
        xs = [tensors[i] for i in sample.diff]
        vs = to_tensors(points[len(xs) :], device, range(len(shapes)))
        ys = [y for y in outputs(case.op(*tensors, **sample.kwargs)) if is_float(y)]
        grads = autograd.grad(ys, xs, vs, create_graph=create_graph)
        products = [(g * tensor(w, device=device)).sum() for g, w in zip(grads, weights, strict=True)]
        return [*xs, *vs], sum(products[1:], products[0])

    def value(k: int, moved: np.ndarray) -> float:
        return inner_product([*points[:k], moved, *points[k + 1 :]], create_graph=False)[1].item()

    variables, total = inner_product(points, create_graph=True)
    for k, g in enumerate(autograd.grad(total, variables, allow_unused=True)):
        direction = unit(random_like([points[k]], seed=4)[0])
        got = 0.0 if g is None else float((host(g) * direction).sum())
        numerical = central_difference(partial(value, k), points[k], direction)
        allowed = difference_tolerance(sum(p.size for p in points))
        yield Comparison("second derivative", k, _number(got), _number(numerical), allowed)


# --- all that is compared ---------------------------------------------------------------------------------------------

PARTS = ("value", "agreement", "gradient", "double gradient")

BY_DESIGN = frozenset(
    {
        "integers are compared with the oracle only",
        "it is the reference",
        "nothing to differentiate by",
        "empty",
        "second derivatives are compared in float64",
    }
)
"""Reasons of `why_not` that hold for every op alike, so that nobody has to be told of them op by op."""


def dtypes_on(case: OpCase, device: str, chosen: Sequence[str]) -> list[str]:
    """Which of the chosen dtypes are run; the simulator leaves out bfloat16, whose kernels are those of float32."""
    return [dtype for dtype in chosen if dtype in case.dtypes and (device, dtype) != ("simulator", "bfloat16")]


def why_not_at_all(case: OpCase, sample: Sample, device: str) -> str:
    """The reason why a sample is not run on a device; an empty string where it is."""
    if device == "simulator" and not case.kernels:
        return "no kernel of its own"
    if device == "simulator" and not sample.tiny:
        return "too large for the simulator"
    return ""


def why_not(case: OpCase, sample: Sample, device: str, dtype: str, part: str) -> str:
    """The reason why a part of the check does not apply to a sample; an empty string where it does."""
    if part == "value":
        return ""
    if dtype not in FLOATS:
        return "integers are compared with the oracle only"
    if part == "agreement":
        return "it is the reference" if device == REFERENCE else ""
    if not case.differentiable:
        return "not differentiable"
    if not sample.diff:
        return "nothing to differentiate by"
    if part == "gradient":
        return ""
    if not case.double_backward:
        return f"not twice differentiable: {case.no_double_backward}"
    if sample.empty:
        return "empty"
    return "" if dtype == "float64" else "second derivatives are compared in float64"


def comparisons(case: OpCase, sample: Sample, device: str, dtype: str, part: str) -> Iterator[Comparison]:
    """What one of PARTS compares; `why_not` says first whether it applies."""
    if part == "value":
        return values(case, sample, device, dtype)
    if part == "agreement":
        return agreement(case, sample, device, dtype)
    if part == "gradient":
        wide = dtype == "float64"
        return gradients(case, sample, device) if wide else rounded_gradients(case, sample, device, dtype)
    return double_gradients(case, sample, device)


def _equal(what: str, got: Any, expected: Any) -> None:
    """Raise Mismatch where a property of a result is not what it should be."""
    if got != expected:
        raise Mismatch(f"{what}: {got}, expected {expected}")


def _widen(value: Any) -> Any:
    """Floating arrays as float64, anything else as it is."""
    return value.astype(np.float64) if isinstance(value, np.ndarray) and is_floating(value.dtype) else value


def _number(value: Any) -> np.ndarray:
    return np.asarray(value, dtype=np.float64)
