"""The tensor itself: making it, its dtypes, moving, reading and printing, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import deepcore as dc
from deepcore.check.opdb import host
from deepcore.errors import DeepcoreError, DeviceError, GraphError, ShapeError

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


# --- making -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (3, "int64", ()),
        (3.0, "float32", ()),
        (True, "bool", ()),
        ([1, 2], "int64", (2,)),
        ([1.0, 2], "float32", (2,)),
        ([[True], [False]], "bool", (2, 1)),
        ([], "float32", (0,)),
        (np.ones((2, 3)), "float64", (2, 3)),
        (np.ones(2, dtype=np.float16), "float16", (2,)),
        (np.float64(2.0), "float64", ()),
        (np.arange(3, dtype=np.uint8), "uint8", (3,)),
    ],
)
def test_tensor_infers_dtype_and_shape(data, dtype: str, shape: tuple, device: str) -> None:
    """Python floats give the default dtype, float32; arrays keep theirs."""
    t = dc.tensor(data, device=device)
    assert (t.shape, np.dtype(t.dtype), t.device) == (shape, np.dtype(dtype), device)
    np.testing.assert_array_equal(host(t), np.asarray(data, dtype=dtype))


def test_tensor_copies_its_data() -> None:
    data = np.zeros(3)
    t = dc.tensor(data, device="cpu")
    data[0] = 7.0
    assert t.tolist() == [0.0, 0.0, 0.0]


def test_from_numpy_shares_its_data() -> None:
    data = np.zeros(3)
    t = dc.from_numpy(data)
    data[0] = 7.0
    assert t.tolist() == [7.0, 0.0, 0.0]


def test_creation_functions(device: str) -> None:
    made = {
        "zeros": (dc.zeros(2, 3, device=device), np.zeros((2, 3), np.float32)),
        "zeros of a tuple": (dc.zeros((2, 3), dtype="int64", device=device), np.zeros((2, 3), np.int64)),
        "ones": (dc.ones(2, dtype=dc.float64, device=device), np.ones(2)),
        "full": (dc.full((2, 2), 3.5, device=device), np.full((2, 2), 3.5, np.float32)),
        "arange": (dc.arange(5, device=device), np.arange(5)),
        "arange float": (dc.arange(1.0, 2.0, 0.25, device=device), np.arange(1.0, 2.0, 0.25, dtype=np.float32)),
        "arange down": (dc.arange(5, 0, -2, device=device), np.array([5, 3, 1])),
        "eye": (dc.eye(2, 3, device=device), np.eye(2, 3, dtype=np.float32)),
        "linspace": (dc.linspace(0.0, 1.0, 5, device=device), np.linspace(0, 1, 5, dtype=np.float32)),
        "zeros_like": (dc.zeros_like(dc.ones(2, dtype="float16", device=device)), np.zeros(2, np.float16)),
        "ones_like": (dc.ones_like(dc.zeros(2, dtype="int32", device=device)), np.ones(2, np.int32)),
        "full_like": (dc.full_like(dc.zeros(2, device=device), 4.0), np.full(2, 4.0, np.float32)),
    }
    for name, (got, expected) in made.items():
        assert got.device == device, name
        assert np.dtype(got.dtype) == expected.dtype, name
        np.testing.assert_array_equal(host(got), expected, err_msg=name)
    assert dc.empty(2, 3, device=device).shape == (2, 3)


def test_random_creation_has_the_same_bits_on_every_device(device: str) -> None:
    """Numbers follow from the seed, not from the array library."""

    def draw(where: str) -> list[np.ndarray]:
        dc.manual_seed(5)
        drawn = [
            dc.rand(3, 5, device=where),
            dc.rand(7, dtype="float64", device=where),
            dc.randn(3, 5, device=where),
            dc.randn(7, dtype="float64", device=where),
            dc.randint(-3, 10, (50,), device=where),
            dc.randperm(20, device=where),
        ]
        assert all(t.device == where for t in drawn)
        return [host(t) for t in drawn]

    here, there = draw(device), draw("numpy")
    for a, b in zip(here, there, strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    uniform, _, normal, _, whole, order = here
    assert 0.0 <= uniform.min() <= uniform.max() < 1.0
    assert abs(normal.mean()) < 1.0
    assert -3 <= whole.min() <= whole.max() <= 9
    assert sorted(order) == list(range(20))


def test_generator_is_a_stream_of_its_own() -> None:
    g = dc.Generator(3)
    first, second = dc.rand(4, generator=g), dc.rand(4, generator=g)
    assert first.tolist() != second.tolist()
    state = g.get_state()
    third = dc.rand(4, generator=g)
    g.set_state(state)
    assert dc.rand(4, generator=g).tolist() == third.tolist()
    assert dc.rand(4, generator=dc.Generator(3)).tolist() == first.tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda: dc.zeros(2, -1),
        lambda: dc.zeros("two"),
        lambda: dc.zeros(2, dtype="float33"),
        lambda: dc.tensor([[1, 2], [3]]),
        lambda: dc.tensor(["a"]),
        lambda: dc.tensor(object()),
        lambda: dc.tensor(np.array(["a"])),
        lambda: dc.from_numpy(np.array([1, None])),
        lambda: dc.zeros(2, device="gpu7"),
    ],
    ids=[
        "negative size",
        "size is text",
        "unknown dtype",
        "ragged",
        "text",
        "object",
        "array of text",
        "array of objects",
        "unknown device",
    ],
)
def test_what_cannot_become_a_tensor(make) -> None:
    with pytest.raises((DeepcoreError, TypeError), match="expected"):
        make()


def test_default_device_and_context() -> None:
    assert dc.zeros(1).device == "cpu"
    with dc.device("numpy"):
        assert dc.zeros(1).device == "numpy"
        with dc.device("cpu"):
            assert dc.rand(1).device == "cpu"
        assert dc.tensor([1.0]).device == "numpy"
        assert (dc.zeros(1, device="cpu") + 1).device == "cpu"  # the context decides about new tensors only
    assert dc.zeros(1).device == "cpu"
    dc.set_default_device("numpy")
    try:
        assert dc.zeros(1).device == "numpy"
    finally:
        dc.set_default_device("cpu")


# --- dtypes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("int64", "float32", "float32"),
        ("int64", "float16", "float16"),
        ("int32", "int64", "int64"),
        ("float16", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("bool", "int32", "int32"),
        ("bool", "float16", "float16"),
        ("uint8", "int32", "int32"),
    ],
)
def test_promotion_is_pytorchs(left: str, right: str, expected: str, device: str) -> None:
    """The kind decides first (bool, integer, floating), then the width: int64 with float32 is float32."""
    a, b = dc.ones(2, dtype=left, device=device), dc.ones(2, dtype=right, device=device)
    for result in (a + b, b + a, a * b, dc.maximum(a, b)):
        assert np.dtype(result.dtype) == np.dtype(expected)


@pytest.mark.parametrize(
    ("dtype", "number", "expected"),
    [
        ("float16", 2.5, "float16"),
        ("float32", 2, "float32"),
        ("float64", 2.5, "float64"),
        ("int32", 2, "int32"),
        ("int64", 2.5, "float32"),
        ("uint8", 1, "uint8"),
        ("bool", 1, "int64"),
        ("bool", True, "bool"),
    ],
)
def test_python_numbers_are_weak(dtype: str, number: object, expected: str, device: str) -> None:
    a = dc.ones(2, dtype=dtype, device=device)
    assert np.dtype((a * number).dtype) == np.dtype(expected)
    assert np.dtype((number * a).dtype) == np.dtype(expected)


def test_zero_dimensional_tensors_are_weak_within_their_kind(device: str) -> None:
    single, double = dc.ones(2, device=device), dc.tensor(2.0, dtype="float64", device=device)
    assert np.dtype((single * double).dtype) == np.float32
    whole = dc.ones(2, dtype="int64", device=device)
    assert np.dtype((whole * double).dtype) == np.float64


def test_true_division_of_integers_is_float32(device: str) -> None:
    a = dc.tensor([1, 2], device=device) / dc.tensor([2, 2], device=device)
    assert np.dtype(a.dtype) == np.float32
    assert host(a).tolist() == [0.5, 1.0]
    assert np.dtype((dc.tensor([1], device=device) / 2).dtype) == np.float32
    assert np.dtype(dc.tensor([4], device=device).sqrt().dtype) == np.float32
    assert np.dtype(dc.tensor([1], device=device).exp().dtype) == np.float32


def test_sums_of_small_integers_do_not_overflow(device: str) -> None:
    assert dc.full((300,), 1, dtype="uint8", device=device).sum().item() == 300
    assert dc.ones(5, dtype="bool", device=device).sum().item() == 5


def test_mean_of_nothing_is_nan(device: str) -> None:
    assert np.isnan(dc.zeros(0, 3, device=device).mean().item())
    assert np.isnan(host(dc.zeros(0, 3, device=device).mean(dim=0))).all()


def test_nan_in_comparisons_and_extrema(device: str) -> None:
    x = dc.tensor([1.0, float("nan"), 2.0], device=device)
    assert np.isnan(x.max().item())
    assert np.isnan(x.min().item())
    assert host(x == x).tolist() == [True, False, True]


# --- moving and reading -----------------------------------------------------------------------------------------------


def test_to_changes_dtype_and_device(device: str) -> None:
    x = dc.tensor([1.5, 2.5], device=device)
    assert x.to(device) is x
    assert x.to("float32") is x
    assert np.dtype(x.to("float64").dtype) == np.float64
    assert np.dtype(x.to(dc.float16).dtype) == np.float16
    assert x.to("numpy").device == "numpy"
    moved = x.to("numpy", "float64") if device != "numpy" else x.to("cpu", "float64")
    assert (np.dtype(moved.dtype), moved.tolist()) == (np.dtype("float64"), [1.5, 2.5])
    assert np.dtype(x.long().dtype) == np.int64
    assert np.dtype(x.half().dtype) == np.float16
    assert np.dtype(x.double().dtype) == np.float64
    assert x.float() is x


def test_cast_passes_the_gradient_in_the_first_dtype() -> None:
    x = dc.ones(2, dtype="float32", requires_grad=True)
    (x.double() * 2.0).sum().backward()
    assert (np.dtype(x.grad.dtype), x.grad.tolist()) == (np.dtype("float32"), [2.0, 2.0])


@pytest.mark.parametrize("name", ["numpy", "cpu"])
def test_numpy_shares_memory_on_a_host_device(name: str) -> None:
    x = dc.zeros(3, device=name)
    x.numpy()[1] = 5.0
    assert x.tolist() == [0.0, 5.0, 0.0]
    np.testing.assert_array_equal(np.asarray(x), [0.0, 5.0, 0.0])
    np.testing.assert_array_equal(np.sin(x.numpy()), np.sin(np.asarray(x)))
    assert np.asarray(x, dtype=np.float64).dtype == np.float64


def test_numpy_of_a_tensor_in_a_graph_is_refused() -> None:
    x = dc.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match=r"numpy: .*detach\(\)"):
        x.numpy()
    with pytest.raises(GraphError, match=r"detach\(\)"):
        np.asarray(x)


def test_host_copies_of_device_arrays_are_refused() -> None:
    x = dc.ones(2, device="strict")
    with pytest.raises(DeviceError, match=r'numpy: .*strict.*\.to\("cpu"\)'):
        x.numpy()
    with pytest.raises(DeviceError, match=r'\.to\("cpu"\)'):
        np.asarray(x)
    assert x.cpu().device == "cpu"


def test_item_tolist_bool_len_iter(device: str) -> None:
    x = dc.tensor([[1.0, 2.0], [3.0, 4.0]], device=device)
    assert x[0, 1].item() == 2.0
    assert isinstance(x[0, 1].item(), float)
    assert isinstance(dc.tensor(3, device=device).item(), int)
    assert isinstance(dc.tensor(True, device=device).item(), bool)
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert len(x) == 2
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    assert bool(x[0, 0])
    assert float(x[1, 1]) == 4.0
    assert int(x[1, 1]) == 4
    assert [10, 20, 30][dc.tensor(1, device=device)] == 20
    assert (x.ndim, x.dim(), x.numel(), x.size(), x.size(1)) == (2, 2, 4, (2, 2), 2)


def test_what_needs_one_number_refuses_more() -> None:
    x = dc.ones(2, 2)
    with pytest.raises(ShapeError, match=r"item: .*one element.*\(2, 2\)"):
        x.item()
    with pytest.raises(ShapeError, match=r"bool.*\(2, 2\).*any\(\).*all\(\)"):
        bool(x)
    with pytest.raises(ShapeError, match=r"\(2, 2\)"):
        float(x)
    with pytest.raises(TypeError, match=r"at least one axis.*\(\)"):
        len(dc.tensor(1.0))
    with pytest.raises(TypeError, match=r"at least one axis.*\(\)"):
        iter(dc.tensor(1.0))


def test_repr() -> None:
    assert (
        repr(dc.tensor([1.0, 2.5])) == "tensor([1.0000, 2.5000])" or repr(dc.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    )
    assert "requires_grad=True" in repr(dc.ones(1, requires_grad=True))
    assert "float64" in repr(dc.ones(1, dtype="float64"))
    assert "strict" in repr(dc.ones(1, device="strict"))
    assert "Mul" in repr(dc.ones(1, requires_grad=True) * 2)
    assert len(repr(dc.zeros(1000, 1000))) < 2000
    assert repr(dc.zeros(0, 3))


def test_equal_tensors_are_different_keys() -> None:
    """Tensors are compared element by element and hashed by identity, so that they can be in a set or a dict."""
    a, b = dc.ones(2), dc.ones(2)
    assert len({a, b, a}) == 2
