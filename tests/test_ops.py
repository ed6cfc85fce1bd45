"""Every property of every op: each test below runs for each entry of the op database on each device."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functions
from deepcore.autograd import Function
from deepcore.check.measure import (
    REFERENCE,
    agreement,
    call,
    double_gradients,
    gradients,
    random_like,
    rounded_gradients,
    values,
    vjp,
)
from deepcore.check.opdb import FLOATS, OpCase, Sample, all_cases, host, is_float, outputs, to_tensors
from deepcore.check.tolerance import assert_close

CASES = all_cases()

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


# --- values -----------------------------------------------------------------------------------------------------------


@every_case
def test_values_in_every_dtype(case: OpCase, device: str) -> None:
    """Values, shapes, dtype and device against the float64 oracle."""
    for sample in samples_for(case, device):
        for dtype in case.dtypes:
            with naming(sample, dtype):
                for comparison in values(case, sample, device, dtype):
                    comparison.check()


@every_case
def test_devices_agree_with_the_reference(case: OpCase, device: str) -> None:
    """Values and gradients in each floating dtype equal those of the plain formulas on the same numbers."""
    if device == REFERENCE:
        pytest.skip("it is the reference")
    for sample in samples_for(case, device):
        for dtype in (d for d in case.dtypes if d in FLOATS):
            if device == "simulator" and dtype == "bfloat16":
                continue  # its kernels are those of float32, which have run
            with naming(sample, dtype):
                for comparison in agreement(case, sample, device, dtype):
                    comparison.check()


# --- derivatives ------------------------------------------------------------------------------------------------------


@differentiable_cases
def test_gradient(case: OpCase, device: str) -> None:
    """The vector-Jacobian product with random cotangents, along one random direction of each input.

    The other side is a central difference of the oracle, so the derivative is checked against the definition.
    """
    for sample in samples_for(case, device):
        if sample.diff:
            with naming(sample):
                for comparison in gradients(case, sample, device):
                    comparison.check()


@differentiable_cases
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_gradient_in_a_narrower_dtype(case: OpCase, dtype: str) -> None:
    """As the gradient in float64 at the same numbers; other devices are compared with this one."""
    if dtype not in case.dtypes:
        pytest.skip(f"not in {dtype}: {case.no_narrow}")
    for sample in case.make_samples():
        if sample.diff:
            with naming(sample):
                for comparison in rounded_gradients(case, sample, REFERENCE, dtype):
                    comparison.check()


@differentiable_cases
def test_double_gradient(case: OpCase, device: str) -> None:
    """The gradient of the gradient, by create_graph, against a central difference of the gradient."""
    if not case.double_backward:
        pytest.skip(f"no double gradient: {case.no_double_backward}")
    for sample in samples_for(case, device):
        if sample.diff and not sample.empty:
            with naming(sample):
                for comparison in double_gradients(case, sample, device):
                    comparison.check()


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
    narrow = {"float16", "bfloat16"}
    assert case.no_narrow or "float32" not in case.dtypes or narrow <= set(case.dtypes)
    for s in samples:
        assert not case.differentiable or not any((s.args[i] == 0).any() for i in s.diff), f"{s.name} contains a zero"
