"""Every property of every op: each test below runs for each entry of the op database on each device."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functions
from deepcore.autograd import Function
from opdb import FLOATS, OpCase, Sample, all_cases, host, is_float, outputs, to_tensors
from tolerance import STEP, assert_close, assert_derivative_close

CASES = all_cases()
REFERENCE = "numpy"

every_case = pytest.mark.parametrize("case", CASES, ids=str)
differentiable_cases = pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=str)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # float16 overflows in some intermediate steps


def samples_for(case: OpCase, device: str) -> list[Sample]:
    """The samples to run on a device: all, but on the simulator the tiny ones of ops that have kernels."""
    if device != "simulator":
        return case.make_samples()
    found = [s for s in case.make_samples() if s.tiny] if case.kernels else []
    return found or pytest.skip("no kernel of its own")


@contextlib.contextmanager
def naming(sample: Sample, *more: object) -> Iterator[None]:
    """Adds the sample's name to an exception."""
    try:
        yield
    except Exception as error:
        error.add_note(f"sample {sample.name!r} {sample.kwargs} {' '.join(map(str, more))}")
        raise


def call(case: OpCase, sample: Sample, device: str, dtype: str = "float64", grad: bool = False) -> tuple[list, list]:
    """(inputs, outputs) of the op on a sample, as tensors; with `grad` the sample's inputs require a gradient."""
    args = to_tensors(sample.cast(dtype), device, sample.diff if grad else ())
    return args, outputs(case.op(*args, **sample.kwargs))


def random_like(arrays: list[np.ndarray], seed: int) -> list[np.ndarray]:
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
    grads = dc.autograd.grad(
        [y for y, _ in pairs],
        [args[i] for i in sample.diff],
        [dc.tensor(v.astype(y.dtype), device=device) for y, v in pairs],
    )
    for i, g in zip(sample.diff, grads, strict=True):
        assert g.shape == args[i].shape
        assert np.dtype(g.dtype) == np.dtype(args[i].dtype)
        assert g.device == args[i].device
    return [host(y) for y in results], [host(g) for g in grads]


def expected_values(case: OpCase, sample: Sample, dtype: str) -> list[np.ndarray]:
    """The oracle's values for the sample rounded to `dtype`, computed in float64 (integers as they are)."""
    wide = [a.astype(np.float64) if _is(a, "f") else a for a in sample.cast(dtype)]
    result = case.oracle(*wide, **sample.kwargs)
    return [np.asarray(y) for y in (result if isinstance(result, (tuple, list)) else [result])]


def _is(value: Any, kinds: str) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in kinds


# --- values -----------------------------------------------------------------------------------------------------------


@every_case
def test_values_in_every_dtype(case: OpCase, device: str) -> None:
    """Values, shapes, dtype and device against the float64 oracle."""
    for sample in samples_for(case, device):
        length = case.length(*sample.args, **sample.kwargs)
        for dtype in case.dtypes:
            with naming(sample, dtype):
                results = call(case, sample, device, dtype)[1]
                expected = expected_values(case, sample, dtype)
                assert len(results) == len(expected)
                assert np.dtype(results[0].dtype) == np.dtype(case.result_dtype(dtype))
                for y, e in zip(results, expected, strict=True):
                    assert y.device == device
                    assert not y.requires_grad
                    assert_close(host(y), e, y.dtype, length)


@every_case
def test_devices_agree_with_the_reference(case: OpCase, device: str) -> None:
    """Values and gradients in each floating dtype equal those of the plain formulas on the same numbers."""
    if device == REFERENCE:
        pytest.skip("it is the reference")
    for sample in samples_for(case, device):
        length = case.length(*sample.args, **sample.kwargs)
        for dtype in (d for d in case.dtypes if d in FLOATS):
            with naming(sample, dtype):
                if case.differentiable and sample.diff:
                    (values, grads), (values_ref, grads_ref) = (
                        vjp(case, sample, d, dtype) for d in (device, REFERENCE)
                    )
                    for g, e in zip(grads, grads_ref, strict=True):
                        assert_close(g, e, dtype, length, "gradient")
                else:
                    values, values_ref = (
                        [host(y) for y in call(case, sample, d, dtype)[1]] for d in (device, REFERENCE)
                    )
                for y, e in zip(values, values_ref, strict=True):
                    assert_close(y, e, dtype, length)


# --- derivatives ------------------------------------------------------------------------------------------------------


def central_difference(value: Callable[[np.ndarray], float], point: np.ndarray, direction: np.ndarray) -> float:
    """The slope of `value` at `point` along a direction of length one, by the table's step."""
    above, below = (value(np.asarray(point + step * direction)) for step in (STEP, -STEP))
    return (above - below) / (2 * STEP)


@differentiable_cases
def test_gradient(case: OpCase, device: str) -> None:
    """The vector-Jacobian product with random cotangents, along one random direction of each input.

    The other side is a central difference of the oracle, so the derivative is checked against the definition.
    """
    for sample in samples_for(case, device):
        if sample.diff:
            with naming(sample):
                check_gradient(case, sample, device)


def check_gradient(case: OpCase, sample: Sample, device: str) -> None:
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
        size = sum(v.size for v in cotangents)
        assert_derivative_close(float((g * direction).sum()), numerical, size, f"gradient of argument {i}")


@differentiable_cases
def test_double_gradient(case: OpCase, device: str) -> None:
    """The gradient of the gradient, by create_graph, against a central difference of the gradient."""
    if not case.double_backward:
        pytest.skip(f"no double gradient: {case.no_double_backward}")
    for sample in samples_for(case, device):
        if sample.diff and not sample.empty:
            with naming(sample):
                check_double_gradient(case, sample, device)


def check_double_gradient(case: OpCase, sample: Sample, device: str) -> None:
    """The inner product of the gradients with random weights, differentiated by the inputs and by the cotangents."""
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
        grads = dc.autograd.grad(ys, xs, vs, create_graph=create_graph)
        products = [(g * dc.tensor(w, device=device)).sum() for g, w in zip(grads, weights, strict=True)]
        return [*xs, *vs], sum(products[1:], products[0])

    def value(k: int, moved: np.ndarray) -> float:
        return inner_product([*points[:k], moved, *points[k + 1 :]], create_graph=False)[1].item()

    variables, total = inner_product(points, create_graph=True)
    for k, g in enumerate(dc.autograd.grad(total, variables, allow_unused=True)):
        direction = unit(random_like([points[k]], seed=4)[0])
        got = 0.0 if g is None else float((host(g) * direction).sum())
        size = sum(p.size for p in points)
        numerical = central_difference(partial(value, k), points[k], direction)
        assert_derivative_close(got, numerical, size, f"second derivative by variable {k}")


@differentiable_cases
def test_what_was_saved_is_freed(case: OpCase, device: str) -> None:
    """After backward no Function holds an array that its forward made or was given, though the result is still held."""
    for sample in samples_for(case, device)[:3]:
        with naming(sample):
            results = [y for y in call(case, sample, device, grad=True)[1] if y.requires_grad]
            functions = functions_behind(results)
            dc.autograd.backward(results, to_tensors(random_like([np.empty(y.shape) for y in results], 1), device))
            held = [f"{fn.name}.{name}" for fn in functions for name in arrays_held(fn)]
            assert not held


def functions_behind(results: list[dc.Tensor]) -> list[Function]:
    """All Functions that the results were made by."""
    found: dict[int, Function] = {}
    waiting = [y.grad_fn for y in results]
    while waiting:
        fn = waiting.pop()
        if isinstance(fn, Function) and id(fn) not in found:
            found[id(fn)] = fn
            waiting += [edge[0] for edge in fn.edges if edge is not None]
    return list(found.values())


def arrays_held(fn: Function) -> list[str]:
    """Names of attributes that hold arrays, without the options that the Function was made with."""
    options = inspect.signature(type(fn)).parameters
    held = []
    for name, value in vars(fn).items():
        parts = value if isinstance(value, (tuple, list)) else (value,)
        if name not in options and any(isinstance(p, fn.backend.array_type) and p.ndim for p in parts):
            held.append(name)
    return held


# --- what an op must not depend on, and must not do -------------------------------------------------------------------


def strided(x: dc.Tensor, way: str) -> dc.Tensor:
    """The same numbers in memory that is laid out another way."""
    a = x.array
    xp = x.backend.xp
    if way == "transposed":
        other = xp.ascontiguousarray(a.T).T
    elif way == "every second":
        other = xp.repeat(a, 2, axis=-1)[..., ::2]
    else:
        other = xp.ascontiguousarray(a[..., ::-1])[..., ::-1]
    return dc.autograd.wrap(other, x.backend)


@every_case
@pytest.mark.parametrize("way", ["transposed", "every second", "backwards"])
def test_not_contiguous(case: OpCase, device: str, way: str) -> None:
    """Values and gradients do not depend on how the inputs and cotangents lie in memory."""
    if "contiguous input only" in case.tags:
        pytest.skip("a view needs memory that the new shape can describe")
    if device == "simulator":
        pytest.skip("the memory layout is made contiguous before a kernel is called")
    for sample in case.make_samples():
        if sample.empty:
            continue
        with naming(sample):
            tensors = to_tensors(sample.args, device)
            other = [strided(t, way) if isinstance(t, dc.Tensor) and t.ndim else t for t in tensors]
            for i in sample.diff if case.differentiable else ():
                tensors[i].requires_grad_()
                other[i].requires_grad_()
            ys, zs = outputs(case.op(*tensors, **sample.kwargs)), outputs(case.op(*other, **sample.kwargs))
            length = case.length(*sample.args, **sample.kwargs)
            for y, z in zip(ys, zs, strict=True):
                assert_close(host(z), host(y), y.dtype, length)
            if not case.differentiable or not sample.diff:
                continue
            cotangents = to_tensors(random_like([np.empty(y.shape) for y in ys if is_float(y)], seed=1), device)
            twisted = [strided(v, way) if v.ndim else v for v in cotangents]
            gs = dc.autograd.grad([y for y in ys if is_float(y)], [tensors[i] for i in sample.diff], cotangents)
            hs = dc.autograd.grad([z for z in zs if is_float(z)], [other[i] for i in sample.diff], twisted)
            for g, h in zip(gs, hs, strict=True):
                assert_close(host(h), host(g), "float64", length, "gradient")


@every_case
def test_inputs_are_left_untouched(case: OpCase, device: str) -> None:
    """Neither forward nor backward writes into the inputs or into the incoming gradients."""
    for sample in samples_for(case, device):
        with naming(sample):
            args, results = call(case, sample, device, grad=case.differentiable)
            floats = [y for y in results if is_float(y)]
            cotangents = to_tensors(random_like([np.empty(y.shape) for y in floats], seed=1), device)
            before = [host(v).copy() for v in cotangents]
            if case.differentiable and sample.diff:
                dc.autograd.grad(floats, [args[i] for i in sample.diff], cotangents)
            for given, arg in zip(sample.args, args, strict=True):
                if isinstance(given, np.ndarray):
                    np.testing.assert_array_equal(host(arg), given)
            for v, old in zip(cotangents, before, strict=True):
                np.testing.assert_array_equal(host(v), old)


@every_case
def test_same_bits_again(case: OpCase, device: str) -> None:
    """Two calls give the same bits, values and gradients, in float32."""
    for sample in samples_for(case, device):
        with naming(sample):
            dtype = "float32" if "float32" in case.dtypes else case.dtypes[0]
            if case.differentiable and sample.diff:
                first, second = vjp(case, sample, device, dtype), vjp(case, sample, device, dtype)
                pairs = list(zip([*first[0], *first[1]], [*second[0], *second[1]], strict=True))
            else:
                first, second = (call(case, sample, device, dtype)[1] for _ in range(2))
                pairs = [(host(a), host(b)) for a, b in zip(first, second, strict=True)]
            for a, b in pairs:
                assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    ("case", "wrong"), [pytest.param(c, w, id=f"{c}-{w.name.replace(' ', '_')}") for c in CASES for w in c.errors]
)
def test_bad_input(case: OpCase, wrong: Any, device: str) -> None:
    """Each bad input is refused with its class of error and a message that names the op and what it got."""
    if device == "simulator":
        pytest.skip("inputs are checked before a kernel is reached")
    tensors = to_tensors(wrong.args, device)
    if wrong.nan_off_host and not tensors[0].backend.on_host:
        assert any(np.isnan(host(y)).any() for y in outputs(case.op(*tensors, **wrong.kwargs)))
        return
    with pytest.raises(wrong.error, match=wrong.match) as caught:
        case.op(*tensors, **wrong.kwargs)
    assert isinstance(caught.value, dc.errors.DeepcoreError)
    assert "expected" in str(caught.value)


# --- the database itself ----------------------------------------------------------------------------------------------


def test_every_function_has_an_entry() -> None:
    """No op is without tests."""
    covered = {name for case in CASES for name in (case.names or (case.name,))}
    missing = sorted(set(functions.__all__) - covered)
    assert not missing, f"functions without an entry in tests/cases: {missing}"


@every_case
def test_entry_is_complete(case: OpCase) -> None:
    """Unique names of samples, tiny ones where there is a kernel, an empty one or a reason, reasons for what is off."""
    samples = case.make_samples()
    names = [s.name for s in samples]
    assert len(set(names)) == len(names)
    assert any(s.empty for s in samples) or case.no_empty
    assert not case.kernels or any(s.tiny for s in samples)
    assert case.double_backward or case.no_double_backward
    for s in samples:
        assert not case.differentiable or not any((s.args[i] == 0).any() for i in s.diff), f"{s.name} contains a zero"
