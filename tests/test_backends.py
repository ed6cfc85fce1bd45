"""Every method of every backend against the reference in float64, and how backends are found."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import warnings
from importlib import metadata
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import deepcore.backends as backends
from backend_cases import CASES, Case
from deepcore.backends import Backend, DeviceError, DTypeError, ShapeError, get_backend
from deepcore.check.tolerance import assert_close

REFERENCE = get_backend("numpy")
RANDOM = {"philox", "uniform", "normal", "dropout"}  # in test_random_bits.py, bit by bit
SCALING = {"unscale", "update_scale"}  # in test_grad_scaler.py
GAMMA = {"gamma_words", "standard_gamma"}  # in test_gamma_distributions.py
PLUMBING = {"from_host", "to_host", "item", "is_array", "synchronize", "contiguous", "quiet", "shares_memory", "add_to"}
PLUMBING |= {"mark", "seconds_between", "push_range", "pop_range", "memory", "free_cache", "block"}
MARKS = {"max_pool2d_marked"}  # whose second result is the backend's own affair


def run(backend: Backend, case: Case, args: list) -> list[np.ndarray]:
    """Call the method and return all that it gave or wrote, on the host."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN and infinity are among the inputs
        result = getattr(backend, case.method)(*args)
    if result is None:
        result = [array for value in args if isinstance(value, list) for array in value]
    results = result if isinstance(result, list | tuple) else [result]
    results = [array for array in results if array is not None]
    assert all(backend.is_array(array) for array in results)
    return [backend.to_host(array) for array in results]


def expected(case: Case, dtype: str) -> list[np.ndarray]:
    """The reference in float64 on inputs that were rounded to dtype."""
    rounded = case.arguments(dtype, lambda a: a.astype("float64") if a.dtype.kind == "f" else a.copy())
    return run(REFERENCE, case, rounded)


def strided(array: np.ndarray) -> np.ndarray:
    """The same values at every second place of a larger array."""
    if not array.ndim:
        return array.copy()
    larger = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    larger[..., ::2] = array
    return larger[..., ::2]


def names(cases: list[Case]) -> list[str]:
    return [f"{case.method}: {case.name}" for case in cases]


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_method_against_float64(device, case):
    backend = get_backend(device)
    for dtype in case.dtypes:
        args = case.arguments(dtype, lambda a: backend.from_host(a.copy()))
        got = run(backend, case, args)
        for value, right in zip(got, expected(case, dtype), strict=True):
            assert_close(value, right, dtype, case.length, case.method)


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_strided_arrays(case):
    """Arrays that are not contiguous give what contiguous ones give, also where they are written to."""
    backend, dtype = get_backend("cpu"), case.dtypes[-1]
    got = run(backend, case, case.arguments(dtype, strided))
    for value, right in zip(got, expected(case, dtype), strict=True):
        assert_close(value, right, dtype, case.length, case.method)


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_inputs_stay(device, case):
    backend, dtype = get_backend(device), case.dtypes[0]
    args = case.arguments(dtype, lambda a: backend.from_host(a.copy()))
    before = case.arguments(dtype, lambda a: a.copy())
    run(backend, case, args)
    for value, old in zip(args, before, strict=True):
        if isinstance(old, np.ndarray):
            assert backend.to_host(value).tobytes() == old.tobytes()


def test_every_method_has_a_case():
    methods = {name for name, _ in inspect.getmembers(Backend, inspect.isfunction) if not name.startswith("_")}
    assert methods - RANDOM - GAMMA - SCALING - PLUMBING - MARKS == {case.method for case in CASES}


EMPTY = [
    ("conv2d", lambda z: (z(0, 2, 5, 5), z(3, 2, 3, 3), z(3), (1, 1), (1, 1), (1, 1), 1)),
    ("conv2d_input", lambda z: (z(0, 3, 5, 5), z(3, 2, 3, 3), (0, 2, 5, 5), (1, 1), (1, 1), (1, 1), 1)),
    ("conv2d_weight", lambda z: (z(0, 3, 5, 5), z(0, 2, 5, 5), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1)),
    ("max_pool2d", lambda z: (z(0, 2, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1), (2, 2))),
    ("avg_pool2d", lambda z: (z(0, 2, 4, 4), (2, 2), (2, 2), (0, 0), (2, 2), True, None)),
    ("avg_pool2d_grad", lambda z: (z(0, 2, 2, 2), (0, 2, 4, 4), (2, 2), (2, 2), (0, 0), True, None)),
    ("batch_norm_stats", lambda z: (z(0, 3, 2, 2),)),
    ("batch_norm_apply", lambda z: (z(0, 3), z(3), z(3), z(3), z(3))),
    ("batch_norm_grad", lambda z: (z(0, 3), z(0, 3), z(3), z(3), z(3))),
    ("relu", lambda z: (z(0, 3),)),
    ("sigmoid", lambda z: (z(0),)),
    ("softmax", lambda z: (z(0, 3), 1)),
    ("log_softmax", lambda z: (z(3, 0), 1)),
    ("bias_relu", lambda z: (z(0, 3), z(3), 1)),
    ("bias_relu_grad", lambda z: (z(0, 3), z(0, 3), 1)),
    ("softmax_cross_entropy", lambda z: (z(0, 3), z(0).astype("int64"), None, -100, 0.1)),
    ("softmax_cross_entropy_grad", lambda z: (z(0), z(0, 3), z(0).astype("int64"), z(0), None, -100, 0.1)),
    ("grid_sample", lambda z: (z(0, 2, 4, 4), z(0, 3, 3, 2), "bilinear", "zeros", False)),
    ("grid_sample_grad", lambda z: (z(0, 2, 3, 3), z(0, 2, 4, 4), z(0, 3, 3, 2), "bilinear", "zeros", False)),
    ("linear", lambda z: (z(0, 3), z(2, 3), z(2))),
    ("dropout", lambda z: (z(0, 3), 1, 2, 0.5)),
]


@pytest.mark.parametrize(("method", "make"), EMPTY, ids=[method for method, _ in EMPTY])
def test_empty_batches(device, method, make):
    backend = get_backend(device)
    case = Case("empty", method, make(lambda *shape: np.zeros(shape)))
    got = run(backend, case, case.arguments("float32", backend.from_host))
    right = run(REFERENCE, case, case.arguments("float32", np.copy))
    for value, same in zip(got, right, strict=True):
        assert (value.shape, value.dtype) == (same.shape, same.dtype)
        assert not value.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 2, 4, 4), (2, 3, 7, 9), (2, 1, 34, 67), (1, 2, 2, 128), (2, 2, 3, 2)])
def test_marks_of_maxima(device, shape, dtype):
    """Maxima, gradient and places by marks, with ties, NaN and infinity among the pixels."""
    x = np.random.default_rng(3).integers(-3, 4, shape).astype(dtype)
    x[0, 0, 0, :2], x[-1, -1, -2:, -1], x[0, 0, 1, 0] = np.nan, -np.inf, np.inf
    size = shape[2] // 2, shape[3] // 2
    geometry = (2, 2), (2, 2), (0, 0), (1, 1)
    backend = get_backend(device)
    y, marks = backend.max_pool2d_marked(backend.from_host(x), *geometry, size)
    gy = np.random.default_rng(4).random(y.shape).astype(dtype)
    right, indices = REFERENCE.max_pool2d(x, *geometry, size)
    np.testing.assert_array_equal(backend.to_host(y), right)
    np.testing.assert_array_equal(backend.to_host(backend.max_pool2d_places(marks, shape, size)), indices)
    gx = backend.max_pool2d_grad(backend.from_host(gy), marks, shape, *geometry)
    np.testing.assert_array_equal(backend.to_host(gx), REFERENCE.max_pool2d_grad(gy, indices, shape, *geometry))


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
def test_max_pool_of_integers(device, dtype):
    backend = get_backend(device)
    x = (np.arange(32).reshape(1, 2, 4, 4) % 2).astype(dtype)
    y, indices = backend.max_pool2d(backend.from_host(x), (2, 2), (2, 2), (1, 1), (1, 1), (3, 3))
    assert backend.to_host(y).dtype == dtype
    assert backend.to_host(y)[0, 0].tolist() == [[0, 1, 1], [0, 1, 1], [0, 1, 1]]
    assert backend.to_host(indices)[0, 0].tolist() == [[0, 1, 3], [4, 5, 7], [12, 13, 15]]


def test_extreme_inputs_do_not_overflow(device):
    backend = get_backend(device)
    x = backend.from_host(np.array([[-1e4, 0.0, 1e4], [1e4, 1e4, -np.inf]], dtype=np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        softmax = backend.to_host(backend.softmax(x, 1))
        log_softmax = backend.to_host(backend.log_softmax(x, 1))
        sigmoid = backend.to_host(backend.sigmoid(x))
        target = backend.from_host(np.array([0, 0]))
        losses, _ = backend.softmax_cross_entropy(x, target, None, -100, 0.0)
    assert softmax.tolist() == [[0, 0, 1], [0.5, 0.5, 0]]
    assert log_softmax[0].tolist() == [-2e4, -1e4, 0]
    assert sigmoid.tolist() == [[0, 0.5, 1], [1, 1, 0]]
    assert_close(backend.to_host(losses), np.array([2e4, np.log(2)]), "float32")


def test_a_target_that_is_no_class_is_loud(device):
    backend = get_backend(device)
    logits = backend.from_host(np.zeros((3, 2), np.float32))
    losses, _ = backend.softmax_cross_entropy(logits, backend.from_host(np.array([1, 2, -1])), None, -100, 0.0)
    assert np.isnan(backend.to_host(losses)).tolist() == [False, True, True]


def test_half_precision_sums_in_single(device):
    backend = get_backend(device)
    x = backend.from_host(np.full((40_000, 1), 4.0, np.float16))
    mean, var = backend.batch_norm_stats(x)
    assert backend.to_host(mean).tolist() == [4.0]
    assert backend.to_host(var).tolist() == [0.0]
    total = backend.linear(
        backend.from_host(np.ones((1, 4096), np.float16)), backend.from_host(np.ones((1, 4096), np.float16)), None
    )
    assert backend.to_host(total).tolist() == [[4096.0]]


@pytest.mark.parametrize("method", ["conv2d_input", "conv2d_weight"])
def test_convolution_that_does_not_fit(method):
    gy, w, x = np.zeros((1, 2, 9, 9), "f"), np.zeros((2, 3, 3, 3), "f"), np.zeros((1, 3, 5, 5), "f")
    args = {"conv2d_input": (gy, w, x.shape), "conv2d_weight": (gy, x, w.shape)}[method]
    with pytest.raises(ShapeError, match=rf"{method}: expected C == .* got x \(1, 3, 5, 5\), w \(2, 3, 3, 3\)"):
        getattr(get_backend("cpu"), method)(*args, (1, 1), (0, 0), (1, 1), 1)


@pytest.mark.parametrize(("m", "k", "n"), [(700, 90, 130), (60, 90, 900), (1, 900, 901), (900, 901, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_products(m, k, n, dtype):
    """Products that are split among threads, from arrays in either memory order."""
    backend = get_backend("cpu")
    a, b = REFERENCE.normal(1, 0, (m, k), dtype), REFERENCE.normal(2, 0, (k, n), dtype)
    right = a.astype("float64") @ b.astype("float64")
    for left in (a, np.asfortranarray(a)):
        for factor in (b, np.asfortranarray(b)):
            assert_close(backend.matmul(left, factor), right, dtype, k)
    batch = np.stack([a, 2 * a])
    assert_close(backend.matmul(batch, b), np.stack([right, 2 * right]), dtype, k)
    assert_close(backend.linear(batch, b.T, b[0]), np.stack([right + b[0], 2 * right + b[0]]), dtype, k)


@pytest.mark.parametrize(
    "shape", [(37, 1, 28, 28, 6, 5, 2, 1), (9, 24, 30, 20, 16, 3, 1, 2), (40, 96, 8, 8, 48, 3, 1, 1)]
)
def test_convolutions_of_many_tiles(shape):
    n, c, h, w, o, k, p, groups = shape
    backend, geometry = get_backend("cpu"), ((1, 1), (p, p), (1, 1), groups)
    x = REFERENCE.normal(1, 0, (n, c, h, w), "float32")
    weights = REFERENCE.normal(2, 0, (o, c // groups, k, k), "float32")
    gy = REFERENCE.normal(3, 0, (n, o, h, w), "float32")
    # Winograd's sums have a product for each of 36 points of a tile, where plain ones have 9 taps (for an output) or
    # 16 pixels (for a weight).
    taps, pixels = (36 // 9, 36 / 16) if (k, groups) == (3, 1) else (1, 1)
    calls = [
        ("conv2d", (x, weights, weights[:, 0, 0, 0].copy()), taps * weights[0].size),
        ("conv2d_input", (gy, weights, x.shape), taps * o * k * k),
        ("conv2d_weight", (gy, x, weights.shape), int(pixels * n * h * w)),
    ]
    for method, args, length in calls:
        wide = [a.astype("float64") if isinstance(a, np.ndarray) else a for a in args]
        right = getattr(REFERENCE, method)(*wide, *geometry)
        assert_close(getattr(backend, method)(*args, *geometry), right, "float32", length, method)


# how backends are found


def test_one_object_for_each_device():
    assert get_backend("cpu") is get_backend("cpu")
    assert get_backend("numpy").device == "numpy"
    assert type(get_backend("numpy")) is Backend


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("cdua", r'expected one of the devices numpy, cpu, cuda.*got "cdua"\. Hint: did you mean "cuda"\?'),
        ("?!", r'Hint: another package can add one through the entry-point group "deepcore.backends"'),
        ("cuda:x", r"a number after the colon"),
        ("cpu:1", r'write "cpu": there is one such device'),
        (3, r"a device string .* got 3 of type int"),
        (["cpu"], r"a device string .* of type list"),
    ],
)
def test_bad_device(asked, words):
    with pytest.raises(DeviceError, match=words):
        get_backend(asked)


@pytest.fixture
def registry(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(backends, "_registered", dict(backends._registered))
    monkeypatch.setattr(backends, "_cache", dict(backends._cache))


class Lab(Backend):
    """The smallest backend of another package: the reference under its own name."""

    name = "lab"

    def __init__(self, index=0):
        self.device = f"lab:{index}"


@pytest.mark.usefixtures("registry")
def test_register():
    backends.register("lab", Lab)
    assert get_backend("lab") is get_backend("lab:0")
    assert get_backend("lab:2").device == "lab:2"
    assert ("lab:0", True, "") in backends.available()
    first = get_backend("lab")
    backends.register("lab", Lab)
    assert get_backend("lab") is not first


@pytest.mark.usefixtures("registry")
def test_entry_point(monkeypatch):
    point = EntryPoint(name="lab", value=f"{__name__}:Lab", group="deepcore.backends")
    monkeypatch.setattr(EntryPoint, "load", lambda self: Lab)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point] if group == "deepcore.backends" else [])
    assert get_backend("lab").name == "lab"
    x = get_backend("lab").from_host([[1.0, -2.0]])
    assert get_backend("lab").relu(x).tolist() == [[1, 0]]


@pytest.mark.usefixtures("registry")
def test_available_gives_reasons():
    def broken():
        raise DeviceError("no such machine here")

    backends.register("broken", broken)
    rows = {device: (ok, reason) for device, ok, reason in backends.available()}
    assert rows["numpy"] == (True, "")
    assert rows["cpu"] == (True, "")
    assert rows["broken"] == (False, "no such machine here")
    assert "strict" not in rows


def test_from_host_takes_numbers_only():
    assert REFERENCE.from_host([1, 2]).dtype == np.int64
    with pytest.raises(DTypeError, match="from_host: expected numbers; got dtype <U1"):
        REFERENCE.from_host(["a"])


def test_bare_imports_are_refused():
    for name in ("backends", "kernels"):
        code = f"import sys; sys.path.insert(0, {os.path.dirname(os.path.dirname(backends.__file__))!r}); import {name}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"ImportError: deepcore's {name}" in done.stderr
