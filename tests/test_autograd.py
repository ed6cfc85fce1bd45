"""The tape: what is recorded, where gradients go, what is freed, and in-place writes."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore.check.tolerance import STEP, assert_derivative_close
from deepcore.errors import GraphError


def leaf(*values: float, device: str = "numpy") -> dc.Tensor:
    """A float64 vector that requires a gradient."""
    return dc.tensor(np.array(values, dtype=np.float64), device=device, requires_grad=True)


def values(tensor: dc.Tensor | None) -> list:
    """The numbers of a tensor, rounded off the last bits."""
    assert tensor is not None
    return np.round(tensor.detach().numpy(), 10).tolist()


# --- graphs of every form ---------------------------------------------------------------------------------------------


def test_chain_of_20000_ops() -> None:
    """No step of building, walking or freeing the graph recurses."""
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    y.sum().backward()
    assert values(x.grad) == [1.0]
    del y  # a chain of destructors would overflow the stack here


def test_chain_that_is_never_differentiated_is_freed_without_recursion() -> None:
    y = leaf(1.0)
    for _ in range(20_000):
        y = y * 1.0
    del y


def test_diamonds_count_each_path_once() -> None:
    """Twenty diamonds in a row have a million paths; each op runs backward once."""
    x = leaf(1.0)
    y = x
    for _ in range(20):
        y = y + y
    y.backward()
    assert values(x.grad) == [2.0**20]


def test_diamond_with_branches_of_unequal_length() -> None:
    x = leaf(2.0)
    a = x * x
    long = ((a * 3.0) * 1.0) * 1.0
    (long + a * x).sum().backward()  # 3 x^2 + x^3
    assert values(x.grad) == [12.0 + 12.0]


def test_shared_input_accumulates() -> None:
    x = leaf(3.0, -2.0)
    (x * x + x).sum().backward()
    assert values(x.grad) == [7.0, -3.0]


def test_second_backward_adds_to_grad() -> None:
    x = leaf(1.0, 2.0)
    (x * 3.0).sum().backward()
    (x * 4.0).sum().backward()
    assert values(x.grad) == [7.0, 7.0]
    x.grad = None
    (x * 5.0).sum().backward()
    assert values(x.grad) == [5.0, 5.0]


def test_unused_outputs_of_an_op_count_as_zero() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    first, _, last = x.split([1, 2, 1])
    (first * 2.0 + last).sum().backward()
    assert values(x.grad) == [2.0, 0.0, 0.0, 1.0]


def test_broadcast_gradients_are_reduced() -> None:
    row, column = leaf(1.0, 2.0, 3.0), dc.ones(2, 1, dtype="float64", device="numpy", requires_grad=True)
    scalar = dc.tensor(2.0, dtype="float64", device="numpy", requires_grad=True)
    (row * column * scalar).sum().backward()
    assert values(row.grad) == [4.0, 4.0, 4.0]
    assert values(column.grad) == [[12.0], [12.0]]
    assert values(scalar.grad) == 12.0


def test_gradient_has_the_dtype_of_its_input() -> None:
    half = dc.ones(3, dtype="float16", device="numpy", requires_grad=True)
    single = dc.ones(3, dtype="float32", device="numpy", requires_grad=True)
    (half * single).sum().backward()
    assert half.grad.dtype == np.float16
    assert single.grad.dtype == np.float32


# --- aliasing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "join",
    [
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: dc.cat([x, y]),
        lambda x, y: dc.stack([x, y]),
        lambda x, y: dc.where(dc.tensor([True, False], device="numpy"), x, y) + x + y,
    ],
    ids=["add", "sub", "cat", "stack", "where"],
)
def test_gradients_do_not_share_memory(join) -> None:
    """Writing into one gradient must not change another, though `add` hands both the same array."""
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    join(x, y).sum().backward()
    before = values(y.grad)
    with dc.no_grad():
        x.grad.mul_(2.0)
    assert values(y.grad) == before


def test_the_incoming_gradient_is_not_adopted() -> None:
    """`.grad` is not the array that the caller gave to backward."""
    x = leaf(1.0, 2.0)
    seed = dc.ones(2, dtype="float64", device="numpy")
    (x + 0.0).backward(seed)
    x.grad.zero_()
    assert values(seed) == [1.0, 1.0]
    y = leaf(1.0, 2.0)
    y.backward(seed)
    y.grad.zero_()
    assert values(seed) == [1.0, 1.0]


def test_accumulating_does_not_write_into_a_gradient_seen_elsewhere() -> None:
    """A sum of two gradients at a branch must not be made inside an array that another branch still needs."""
    x, z = leaf(1.0), leaf(1.0)
    a = x + z
    (a + a * 1.0 + x).sum().backward()
    assert values(x.grad) == [3.0]
    assert values(z.grad) == [2.0]


# --- saved arrays -----------------------------------------------------------------------------------------------------


def test_second_backward_through_the_same_graph_is_refused() -> None:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GraphError, match=r"mul: .*one backward pass.*retain_graph=True"):
        y.backward()


def test_retain_graph_allows_it() -> None:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert values(x.grad) == [4.0, 8.0]


def test_saved_arrays_die_after_backward() -> None:
    """The memory of a step is free before the next begins, though the loss is still held."""
    x = leaf(1.0, 2.0)
    hidden = x * 2.0
    watch = weakref.ref(hidden.array)
    loss = (hidden * hidden).sum()
    del hidden
    assert watch() is not None
    loss.backward()
    assert watch() is None


def test_unneeded_arrays_are_not_saved() -> None:
    """A sum needs no input for its gradient; a constant factor needs only itself."""
    x = leaf(1.0, 2.0)
    hidden = x * 2.0
    watch = weakref.ref(hidden.array)
    loss = hidden.sum()
    del hidden
    assert watch() is None
    loss.backward()
    assert values(x.grad) == [2.0, 2.0]


@pytest.mark.parametrize(
    ("name", "make", "which"),
    [
        ("mul", lambda a: a * a, "input"),
        ("exp", lambda a: a.exp(), "output"),
        ("pow", lambda a: a**3, "input"),
        ("sigmoid", lambda a: F.sigmoid(a), "output"),
        ("relu", lambda a: F.relu(a), "output"),
        ("matmul", lambda a: a @ a, "input"),
    ],
)
def test_in_place_write_into_a_saved_array_is_detected(name, make, which) -> None:
    """A wrong gradient would be silent; the error names the op that saved the array."""
    x = leaf(1.0, 2.0)
    a = x * 1.0
    y = make(a)
    with dc.no_grad():
        (a if which == "input" else y).add_(1.0)
    with pytest.raises(GraphError, match=rf"^{name}: .*in place"):
        y.sum().backward()


def test_in_place_write_through_a_view_is_detected() -> None:
    """Views share the version counter of the tensor that they look into."""
    x = leaf(1.0, 2.0, 3.0, 4.0)
    a = x * 1.0
    y = a * a
    with dc.no_grad():
        a.reshape(2, 2)[0].zero_()
    with pytest.raises(GraphError, match=r"^mul: .*in place"):
        y.sum().backward()


def test_in_place_write_into_the_base_is_detected_by_an_op_on_the_view() -> None:
    x = leaf(1.0, 2.0, 3.0, 4.0)
    a = x * 1.0
    y = a[:2] ** 2
    with dc.no_grad():
        a[0] = 7.0
    with pytest.raises(GraphError, match=r"^pow: .*in place"):
        y.sum().backward()


def test_in_place_write_into_what_was_not_saved_is_fine() -> None:
    x = leaf(1.0, 2.0)
    a = x * 1.0
    y = a + 3.0
    with dc.no_grad():
        a.zero_()
    y.sum().backward()
    assert values(x.grad) == [1.0, 1.0]


def test_detach_shares_memory_and_version() -> None:
    x = leaf(1.0, 2.0)
    a = x * 1.0
    y = a * a
    a.detach().zero_()
    with pytest.raises(GraphError, match="in place"):
        y.sum().backward()


# --- in-place ops and the graph ---------------------------------------------------------------------------------------


def test_in_place_on_a_leaf_is_refused() -> None:
    x = leaf(1.0)
    with pytest.raises(GraphError, match=r"leaf.*no_grad"):
        x.add_(1.0)
    with pytest.raises(GraphError, match=r"leaf.*no_grad"):
        x += 1.0
    with pytest.raises(GraphError, match=r"leaf.*no_grad"):
        x[0] = 3.0


def test_in_place_on_a_leaf_under_no_grad() -> None:
    x = leaf(1.0, 2.0)
    with dc.no_grad():
        x -= 0.5
        x.mul_(2.0)
        x[0] = 9.0
    assert values(x) == [9.0, 3.0]
    assert x.requires_grad
    assert x.is_leaf


def test_adding_up_a_loss_with_plus_equals() -> None:
    """`loss += x` on a tensor that is not a leaf is recorded, as in PyTorch."""
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    loss = (x * x).sum()
    loss += (y * 3.0).sum()
    loss.backward()
    assert values(x.grad) == [2.0, 4.0]
    assert values(y.grad) == [3.0, 3.0]


def test_adding_up_from_a_plain_zero() -> None:
    x = leaf(1.0, 2.0)
    total = 0.0
    for k in range(3):
        total += (x * float(k)).sum()
    total.backward()
    assert values(x.grad) == [3.0, 3.0]


# --- autograd.grad ----------------------------------------------------------------------------------------------------


def test_grad_returns_and_leaves_grad_alone() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    gx, gy = dc.autograd.grad((x * y).sum(), [x, y])
    assert values(gx) == [3.0, 4.0]
    assert values(gy) == [1.0, 2.0]
    assert x.grad is None
    assert y.grad is None
    assert not gx.requires_grad


def test_grad_by_a_tensor_inside_the_graph() -> None:
    x = leaf(1.0, 2.0)
    hidden = x * 3.0
    (g,) = dc.autograd.grad((hidden * hidden).sum(), hidden)
    assert values(g) == [6.0, 12.0]


def test_grad_by_a_tensor_and_what_it_was_made_from() -> None:
    x = leaf(2.0)
    hidden = x * x
    gx, gh = dc.autograd.grad((hidden * x).sum(), [x, hidden])
    assert values(gx) == [12.0]
    assert values(gh) == [2.0]


def test_grad_outputs() -> None:
    x = leaf(1.0, 2.0)
    weight = dc.tensor([10.0, 100.0], dtype="float64", device="numpy")
    (g,) = dc.autograd.grad(x * x, x, grad_outputs=weight)
    assert values(g) == [20.0, 400.0]


def test_several_outputs() -> None:
    x = leaf(1.0, 2.0)
    (g,) = dc.autograd.grad([(x * x).sum(), (3.0 * x).sum()], x)
    assert values(g) == [5.0, 7.0]


def test_unused_input() -> None:
    x, other = leaf(1.0), leaf(2.0)
    with pytest.raises(GraphError, match=r"allow_unused"):
        dc.autograd.grad((x * 2.0).sum(), [x, other])
    g, nothing = dc.autograd.grad((x * 2.0).sum(), [x, other], allow_unused=True)
    assert values(g) == [2.0]
    assert nothing is None


def test_input_without_requires_grad() -> None:
    x, constant = leaf(1.0), dc.ones(1, dtype="float64", device="numpy")
    with pytest.raises(GraphError, match="requires_grad"):
        dc.autograd.grad((x * constant).sum(), constant)


def test_derivatives_up_to_the_fourth() -> None:
    x = leaf(2.0)
    y = x**5
    for expected in (80.0, 160.0, 240.0, 240.0):
        (y,) = dc.autograd.grad(y.sum(), x, create_graph=True)
        assert values(y) == [expected]


def test_backward_with_create_graph() -> None:
    """A gradient penalty: the norm of a gradient as part of a loss."""
    x = leaf(1.0, 2.0)
    (g,) = dc.autograd.grad((x**3).sum(), x, create_graph=True)
    (g * g).sum().backward()  # sum of 9 x^4 -> 36 x^3
    assert values(x.grad) == [36.0, 288.0]


def test_hessian_vector_product_through_a_network() -> None:
    rng = np.random.default_rng(0)
    w1 = dc.tensor(rng.normal(size=(4, 3)), device="numpy", requires_grad=True)
    x, v = dc.tensor(rng.normal(size=(2, 3)), device="numpy"), rng.normal(size=(4, 3))

    def gradient(w: dc.Tensor, create_graph: bool) -> dc.Tensor:
        return dc.autograd.grad((F.sigmoid(F.linear(x, w)) ** 2).sum(), w, create_graph=create_graph)[0]

    (product,) = dc.autograd.grad((gradient(w1, True) * dc.tensor(v, device="numpy")).sum(), w1)
    moved = [
        gradient(dc.tensor(w1.detach().numpy() + s * v, device="numpy", requires_grad=True), False).numpy()
        for s in (STEP, -STEP)
    ]
    assert_derivative_close(product.numpy(), (moved[0] - moved[1]) / (2 * STEP), x.numel())
