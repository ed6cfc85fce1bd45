"""Indexing, copying and changing tensors; the indexing and broadcasting of NumPy as properties (hypothesis)."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import deepcore as dc
from deepcore.check.opdb import host
from deepcore.check.tolerance import assert_close
from deepcore.errors import DeviceError, DTypeError, GraphError, ShapeError

few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


# --- indexing ---------------------------------------------------------------------------------------------------------


def test_assignment(device: str) -> None:
    x = dc.zeros(3, 4, device=device)
    x[0] = 1.0
    x[1, 1:3] = dc.tensor([2.0, 3.0], device=device)
    x[2, dc.tensor([0, 3], device=device)] = 4.0
    x[x == 1.0] = -1.0
    assert host(x).tolist() == [[-1, -1, -1, -1], [0, 2, 3, 0], [4, 0, 0, 4]]


def test_assignment_that_does_not_fit_is_refused() -> None:
    x = dc.zeros(3, 4)
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        x[0] = dc.ones(3)
    with pytest.raises(DeviceError, match=r"\.to\("):
        x[0] = dc.ones(4, device="numpy")


def test_slices_are_views(device: str) -> None:
    x = dc.zeros(2, 3, device=device)
    x[0].add_(1.0)
    x.T[2].mul_(5.0)
    x.reshape(6)[5] = 7.0
    assert host(x).tolist() == [[1, 1, 5], [0, 0, 7]]


def test_lists_and_arrays_as_index() -> None:
    x = dc.arange(6).reshape(2, 3)
    assert x[[1, 0]].tolist() == [[3, 4, 5], [0, 1, 2]]
    assert x[:, np.array([2, 0])].tolist() == [[2, 0], [5, 3]]
    assert x[[True, False]].tolist() == [[0, 1, 2]]


def test_index_on_another_device_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"getitem: .*\.to\("):
        dc.ones(3)[dc.tensor([0], device="numpy")]


@few
@given(st.data())
def test_indexing_equals_numpys(data: st.DataObject) -> None:
    """Any mixture of slices, integers, new axes, masks and integer arrays."""
    x = data.draw(
        arrays.arrays(np.float64, arrays.array_shapes(min_dims=1, max_dims=3, max_side=4), elements=st.floats(-9, 9))
    )
    index = data.draw(
        st.one_of(
            arrays.basic_indices(x.shape, allow_newaxis=True),
            arrays.integer_array_indices(x.shape),
            arrays.arrays(np.bool_, st.just(x.shape)),
        )
    )
    expected = np.asarray(x[index])
    t = dc.tensor(x, device="cpu", requires_grad=True)
    parts = index if isinstance(index, tuple) else (index,)
    ours = tuple(dc.tensor(p, device="cpu") if isinstance(p, np.ndarray) else p for p in parts)
    y = t[ours]
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    gradient = np.zeros_like(x)
    np.add.at(gradient, index, 1.0)
    y.sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), gradient)


@few
@given(
    arrays.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0), st.sampled_from("+-*/<m")
)
def test_broadcasting_equals_numpys(shapes, op: str) -> None:
    """Values, and gradients of the shape of their inputs whose sum is what was broadcast."""
    rng = np.random.default_rng(0)
    a, b = (np.asarray(rng.uniform(1.0, 2.0, s)) for s in shapes.input_shapes)
    x, y = (dc.tensor(v, device="cpu", requires_grad=True) for v in (a, b))
    compute = {
        "+": lambda p, q: p + q,
        "-": lambda p, q: p - q,
        "*": lambda p, q: p * q,
        "/": lambda p, q: p / q,
        "<": lambda p, q: p < q,
        "m": lambda p, q: dc.maximum(p, q) if isinstance(p, dc.Tensor) else np.maximum(p, q),
    }[op]
    z = compute(x, y)
    np.testing.assert_array_equal(z.detach().numpy(), compute(a, b))
    assert z.shape == shapes.result_shape
    if op in "+-*/":
        z.sum().backward()
        one = np.ones(shapes.result_shape)
        slopes = {"+": (one, one), "-": (one, -one), "*": (one * b, one * a), "/": (one / b, -one * a / b**2)}[op]
        for tensor, slope in zip((x, y), slopes, strict=True):
            lead = slope.ndim - tensor.ndim
            axes = (*range(lead), *(i + lead for i, n in enumerate(tensor.shape) if n == 1))
            assert_close(tensor.grad.numpy(), slope.sum(axis=axes).reshape(tensor.shape), "float64", slope.size)


@few
@given(st.data())
def test_reductions_equal_numpys(data: st.DataObject) -> None:
    """Any set of dimensions, kept or not."""
    x = data.draw(arrays.arrays(np.float64, arrays.array_shapes(max_dims=4, max_side=3), elements=st.floats(-9, 9)))
    dims = data.draw(arrays.valid_tuple_axes(x.ndim, min_size=1))
    keep = data.draw(st.booleans())
    t = dc.tensor(x, device="cpu")
    for name in ("sum", "mean"):
        got = getattr(t, name)(dim=dims, keepdim=keep)
        assert_close(got.numpy(), getattr(np, name)(x, axis=dims, keepdims=keep), "float64", x.size)


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))], ids=["deepcopy", "pickle"])
def test_copies_keep_everything_but_the_graph(again, device: str) -> None:
    x = dc.tensor([1.0, 2.0], device=device, requires_grad=True)
    (x * 3.0).sum().backward()
    y = again(x)
    assert (y.device, y.dtype, y.shape, y.requires_grad, y.is_leaf) == (x.device, x.dtype, x.shape, True, True)
    assert host(y).tolist() == [1.0, 2.0]
    if again is copy.deepcopy:  # a pickle is for other processes, which have no use for the gradient (PyTorch)
        assert host(y.grad).tolist() == [3.0, 3.0]
    with dc.no_grad():
        y.zero_()
    assert host(x).tolist() == [1.0, 2.0]


def test_deepcopy_keeps_shared_tensors_shared() -> None:
    """Tied weights stay tied in a copy of the model."""
    x = dc.ones(2)
    a, b = copy.deepcopy([x, x])
    assert a is b


def test_deepcopy_of_a_tensor_inside_a_graph_is_refused() -> None:
    x = dc.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match=r"detach\(\)|clone"):
        copy.deepcopy(x * 2.0)


def test_clone_is_a_copy_in_the_graph(device: str) -> None:
    x = dc.ones(2, device=device, requires_grad=True)
    y = x.clone()
    (y * 2.0).sum().backward()
    assert host(x.grad).tolist() == [2.0, 2.0]
    with dc.no_grad():
        y.zero_()
    assert host(x).tolist() == [1.0, 1.0]


# --- in-place ---------------------------------------------------------------------------------------------------------


def test_in_place_methods(device: str) -> None:
    x = dc.ones(3, device=device)
    assert x.add_(2.0) is x
    x.mul_(dc.tensor([1.0, 2.0, 3.0], device=device))
    x.sub_(1.0).div_(2.0)
    assert host(x).tolist() == [1.0, 2.5, 4.0]
    assert host(x.fill_(7.0)).tolist() == [7.0, 7.0, 7.0]
    assert host(x.copy_(dc.tensor([1.0, 2.0, 3.0], device=device))).tolist() == [1.0, 2.0, 3.0]
    assert host(x.zero_()).tolist() == [0.0, 0.0, 0.0]


def test_in_place_keeps_shape_and_dtype() -> None:
    x = dc.ones(3)
    with pytest.raises(ShapeError, match=r"\(3,\).*\(2, 3\)"):
        x.add_(dc.ones(2, 3))
    with pytest.raises(DTypeError, match=r"int64"):
        dc.ones(3, dtype="int64").add_(0.5)


def test_truth_of_comparisons_is_not_guessed() -> None:
    comparison = dc.ones(2) > 0
    with pytest.raises(ShapeError):
        assert comparison


def test_unknown_attribute_names_the_tensor() -> None:
    with pytest.raises(AttributeError, match="no_such_method"):
        dc.ones(2).no_such_method()
