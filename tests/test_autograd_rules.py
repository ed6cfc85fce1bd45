"""What the tape refuses and detects, gradient modes, anomaly mode, hooks and Functions of users."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore.autograd import Function
from deepcore.errors import DeviceError, DTypeError, GraphError, ShapeError


def leaf(*values: float, device: str = "numpy") -> dc.Tensor:
    """A float64 vector that requires a gradient."""
    return dc.tensor(np.array(values, dtype=np.float64), device=device, requires_grad=True)


def values(tensor: dc.Tensor | None) -> list:
    """The numbers of a tensor, rounded off the last bits."""
    assert tensor is not None
    return np.round(tensor.detach().numpy(), 10).tolist()


# --- gradient mode ----------------------------------------------------------------------------------------------------


def test_no_grad_and_enable_grad() -> None:
    x = leaf(1.0)
    with dc.no_grad():
        assert not dc.is_grad_enabled()
        assert not (x * 2.0).requires_grad
        with dc.enable_grad():
            assert (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad
    assert (x * 2.0).requires_grad


def test_no_grad_ends_with_an_exception() -> None:
    with pytest.raises(KeyError), dc.no_grad():
        raise KeyError
    assert dc.is_grad_enabled()


def test_modes_as_decorators() -> None:
    x = leaf(1.0)

    @dc.no_grad()
    def silent() -> bool:
        return (x * 2.0).requires_grad

    @dc.enable_grad()
    def loud() -> bool:
        return (x * 2.0).requires_grad

    @dc.set_grad_enabled(False)
    def off() -> bool:
        return (x * 2.0).requires_grad

    assert dc.is_grad_enabled()
    with dc.no_grad():
        assert loud()
    assert not silent()
    assert not off()
    assert dc.is_grad_enabled()


@pytest.mark.parametrize("mode", [True, False])
def test_set_grad_enabled(mode: bool) -> None:
    x = leaf(1.0)
    with dc.set_grad_enabled(mode):
        assert (x * 2.0).requires_grad is mode
    assert dc.is_grad_enabled()


def test_set_grad_enabled_as_a_call() -> None:
    try:
        dc.set_grad_enabled(False)
        assert not dc.is_grad_enabled()
    finally:
        dc.set_grad_enabled(True)


def test_gradient_mode_belongs_to_the_thread() -> None:
    seen = []
    with dc.no_grad():
        thread = threading.Thread(target=lambda: seen.append(dc.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_backward_in_two_threads() -> None:
    """Two graphs at the same time do not meet."""
    results: dict[int, list] = {}

    def work(k: int) -> None:
        x = leaf(1.0, 2.0)
        for _ in range(50):
            (x * float(k)).sum().backward()
        results[k] = values(x.grad)

    threads = [threading.Thread(target=work, args=(k,)) for k in (1, 2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {1: [50.0, 50.0], 2: [100.0, 100.0]}


def test_detach_cuts_the_graph() -> None:
    x = leaf(2.0)
    y = x * 3.0
    (y.detach() * x).sum().backward()
    assert values(x.grad) == [6.0]
    assert not y.detach().requires_grad


def test_requires_grad_of_results() -> None:
    x, constant = leaf(1.0), dc.ones(1, dtype="float64", device="numpy")
    assert (x + constant).requires_grad
    assert not (constant + constant).requires_grad
    assert x.is_leaf
    assert not (x + constant).is_leaf
    assert x.grad_fn is None
    assert "Add" in repr((x + constant).grad_fn)


def test_comparisons_and_positions_have_no_gradient() -> None:
    x = leaf(1.0, 2.0)
    assert not (x > 1.0).requires_grad
    assert not x.argmax().requires_grad
    best, at = x.max(dim=0)
    assert best.requires_grad
    assert not at.requires_grad


# --- hooks ------------------------------------------------------------------------------------------------------------


def test_hook_on_a_leaf_sees_and_replaces_the_gradient() -> None:
    x = leaf(1.0, 2.0)
    seen = []
    handle = x.register_hook(lambda g: seen.append(values(g)))
    x.register_hook(lambda g: g * 10.0)
    (x * 3.0).sum().backward()
    assert seen == [[3.0, 3.0]]
    assert values(x.grad) == [30.0, 30.0]
    handle.remove()
    (x * 3.0).sum().backward()
    assert len(seen) == 1


def test_hook_inside_the_graph_sees_the_whole_gradient_once() -> None:
    x = leaf(1.0)
    hidden = x * 2.0
    seen = []
    handle = hidden.register_hook(lambda g: seen.append(values(g)))
    (hidden * 3.0 + hidden * 4.0).sum().backward()
    assert seen == [[7.0]]
    handle.remove()


def test_hook_inside_the_graph_replaces_what_flows_on() -> None:
    x = leaf(1.0)
    hidden = x * 2.0
    hidden.register_hook(lambda g: g * 0.0)
    (hidden * 3.0).sum().backward()
    assert values(x.grad) == [0.0]


def test_hook_on_a_tensor_without_gradient_is_refused() -> None:
    with pytest.raises(GraphError, match="requires grad"):
        dc.ones(2, device="numpy").register_hook(print)


def test_retain_grad() -> None:
    x = leaf(1.0, 2.0)
    hidden = x * 2.0
    hidden.retain_grad()
    (hidden * hidden).sum().backward()
    assert values(hidden.grad) == [4.0, 8.0]
    other = x * 2.0
    (other * other).sum().backward()
    assert other.grad is None


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_backward_of_more_than_one_number_needs_a_gradient() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(GraphError, match=r"backward: .*scalar.*\(2,\).*\.sum\(\)\.backward\(\)"):
        (x * 2.0).backward()


def test_gradient_of_another_shape_is_refused() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"backward: .*\(2,\).*\(3,\)"):
        (x * 2.0).backward(dc.ones(3, dtype="float64", device="numpy"))


def test_backward_without_a_graph_is_refused() -> None:
    with pytest.raises(GraphError, match=r"backward: .*requires_grad"):
        dc.ones(1, device="numpy").sum().backward()
    with dc.no_grad():
        y = leaf(1.0) * 2.0
    with pytest.raises(GraphError, match=r"no_grad"):
        y.backward()


def test_integers_cannot_require_a_gradient() -> None:
    with pytest.raises(DTypeError, match=r"floating.*int64"):
        dc.tensor([1, 2], device="numpy", requires_grad=True)
    with pytest.raises(DTypeError, match=r"floating.*int64"):
        dc.tensor([1, 2], device="numpy").requires_grad_()


def test_mixed_devices_are_refused() -> None:
    a, b = dc.ones(2, 3, device="numpy"), dc.ones(2, 3, device="cpu")
    for mix in (lambda: a + b, lambda: a @ b.T, lambda: dc.cat([a, b]), lambda: F.mse_loss(a, b)):
        with pytest.raises(DeviceError, match=r"on numpy.*on cpu.*\.to\(") as caught:
            mix()
        assert "(2, 3)" in str(caught.value)


def test_gradients_flow_across_an_explicit_transfer() -> None:
    x = leaf(1.0, 2.0)
    (x.to("cpu") * 3.0).sum().backward()
    assert values(x.grad) == [3.0, 3.0]
    assert x.grad.device == "numpy"


# --- anomaly mode -----------------------------------------------------------------------------------------------------


def test_anomaly_in_the_forward_names_op_and_line() -> None:
    x = leaf(-1.0)
    with (
        dc.autograd.detect_anomaly(),
        pytest.raises(GraphError, match=r"^log: .*NaN.*test_autograd_rules\.py:\d+: .*x\.log\(\)"),
    ):
        x.log()


def test_anomaly_in_the_backward_names_op_and_line_of_its_forward() -> None:
    x = leaf(0.0)
    with dc.autograd.detect_anomaly():
        y = x.sqrt()  # the slope at 0 is infinite, and infinite times 0 is NaN
        z = (y * 0.0).sum()
        with pytest.raises(GraphError, match=r"^sqrt: .*NaN.*test_autograd_rules\.py:\d+: y = x\.sqrt\(\)"):
            z.backward()


def test_anomaly_mode_is_off_by_default_and_ends() -> None:
    x = leaf(-1.0)
    with dc.autograd.detect_anomaly():
        pass
    assert np.isnan(x.log().item())


# --- Functions of users -----------------------------------------------------------------------------------------------


class Cube(Function):
    """x ** 3, the smallest op of a user."""

    def forward(self, x):
        self.saved = (x,)
        return x * x * x

    def backward(self, gy):
        (x,) = self.saved
        return gy * 3.0 * x * x


class SumAndProduct(Function):
    """Two outputs and two inputs."""

    def forward(self, a, b):
        self.saved = (a, b)
        return a + b, a * b

    def backward(self, g_sum, g_product):
        a, b = self.saved
        zero = a * 0.0
        g_sum = zero if g_sum is None else g_sum
        g_product = zero if g_product is None else g_product
        return g_sum + g_product * b, g_sum + g_product * a


def test_function_of_a_user(device: str) -> None:
    """`backward` written once gives the first and the second derivative, on every backend."""
    x = leaf(1.0, 2.0, device=device)
    (g,) = dc.autograd.grad(Cube()(x).sum(), x, create_graph=True)
    (h,) = dc.autograd.grad(g.sum(), x)
    assert values(g.cpu()) == [3.0, 12.0]
    assert values(h.cpu()) == [6.0, 12.0]


def test_function_with_several_outputs() -> None:
    a, b = leaf(2.0), leaf(5.0)
    total, product = SumAndProduct()(a, b)
    (total * 10.0 + product).sum().backward()
    assert (values(a.grad), values(b.grad)) == ([15.0], [12.0])
    a.grad = b.grad = None
    SumAndProduct()(a, b)[1].sum().backward()
    assert (values(a.grad), values(b.grad)) == ([5.0], [2.0])


def test_function_without_backward_says_so() -> None:
    class OneWay(Function):
        def forward(self, x):
            return x * 1.0

    with pytest.raises(GraphError, match="one_way"):
        OneWay()(leaf(1.0)).sum().backward()


def test_function_with_a_gradient_of_the_wrong_shape_is_named() -> None:
    class Wrong(Function):
        def forward(self, x):
            return x * 1.0

        def backward(self, gy):
            return gy[:1]

    with pytest.raises(ShapeError, match=r"^wrong: .*\(2,\).*\(1,\)"):
        Wrong()(leaf(1.0, 2.0)).sum().backward()


def test_backward_inside_backward() -> None:
    """An op may run a backward pass of its own in its backward (checkpointing does)."""

    class Recompute(Function):
        def forward(self, x):
            self.saved = (x,)
            return x * x

        def backward(self, gy):
            (x,) = self.saved
            with dc.enable_grad():
                inner = dc.tensor(x, device="numpy", requires_grad=True)
                (inner * inner).sum().backward()
            return gy * inner.grad.numpy()

    x = leaf(1.0, 3.0)
    (Recompute()(x * 2.0) * 1.0).sum().backward()
    assert values(x.grad) == [8.0, 24.0]
    assert dc.is_grad_enabled()


def test_backward_in_a_hook() -> None:
    x, y = leaf(1.0), leaf(2.0)

    def hook(g: dc.Tensor) -> None:
        with dc.enable_grad():
            (y * 3.0).sum().backward()

    x.register_hook(hook)
    (x * 2.0).sum().backward()
    assert (values(x.grad), values(y.grad)) == ([2.0], [3.0])


def test_a_failed_backward_leaves_the_modes_as_they_were() -> None:
    class Fails(Function):
        def forward(self, x):
            return x * 1.0

        def backward(self, gy):
            raise KeyError("on purpose")

    x = leaf(1.0)
    with pytest.raises(KeyError):
        Fails()(x).sum().backward()
    assert dc.is_grad_enabled()
    (x * 2.0).sum().backward()
    assert values(x.grad) == [2.0]


def test_sums_of_gradients_leave_every_given_array_alone() -> None:
    """Gradients that meet at one tensor are added in place only where nobody else can see the array."""
    for device in ("numpy", "cpu"):
        x = dc.tensor(np.ones((300, 300), np.float32), device=device, requires_grad=True)
        seed = dc.tensor(np.full((300, 300), 2.0, np.float32), device=device)
        h = x * 1.0
        seen: list[dc.Tensor] = []
        y = h + h  # the same array goes to both
        y.register_hook(seen.append)
        h.register_hook(seen.append)
        (y + h.exp()).backward(seed)
        assert (seed.numpy() == 2).all()
        assert (seen[0].numpy() == 2).all()
        np.testing.assert_allclose(seen[1].numpy(), 4 + 2 * np.e, rtol=1e-6)
        np.testing.assert_allclose(x.grad.numpy(), 4 + 2 * np.e, rtol=1e-6)


def test_gradients_of_parts_meet_without_their_zeros(device: str) -> None:
    """Slices and integers of one tensor, in every order with a whole gradient, in other memory orders too."""
    rng = np.random.default_rng(5)
    array, cotangent = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 4, 5))
    for axes in ((0, 1, 2), (2, 0, 1)):
        expected = np.zeros((3, 4, 5)).transpose(axes)
        c = cotangent.transpose(axes)
        expected[1] += 2 * c[1]
        expected[:, 1::2] += c[:, 1::2]
        expected[0, 0, 0] += 3 * c[0, 0, 0]
        for whole in range(4):
            x = dc.tensor(array, device=device, requires_grad=True)
            k = dc.tensor(np.ascontiguousarray(c), device=device)
            h = (x * 1.0).permute(*axes)
            terms = [
                lambda h=h, k=k: (h[1] * k[1]).sum() * 2,
                lambda h=h, k=k: (h[:, 1::2] * k[:, 1::2]).sum(),
                lambda h=h, k=k: h[0, 0, 0] * k[0, 0, 0] * 3,
            ]
            terms.insert(whole, lambda h=h, k=k: (h * k).sum())
            total = terms[0]()
            for term in terms[1:]:
                total = total + term()
            total.backward()
            right = (expected + c).transpose(np.argsort(axes))
            np.testing.assert_allclose(x.grad.cpu().numpy(), right, rtol=1e-12)
    vector = dc.tensor(np.arange(4.0), device=device, requires_grad=True)
    (vector[1] * 2 + vector[-1] + vector[1:3].sum()).backward()
    assert vector.grad.cpu().numpy().tolist() == [0, 3, 1, 1]
