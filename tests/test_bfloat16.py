"""bfloat16: a dtype of tensors that every op computes in float32 and rounds once. Values of ops: tests/test_ops.py."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn
from deepcore.autograd.observer import observe
from deepcore.backends import get_backend
from deepcore.check.opdb import host
from deepcore.check.tolerance import assert_close
from deepcore.errors import DTypeError

BF = dc.bfloat16
EPS = 2.0**-7


def rounded(values: Any) -> np.ndarray:
    """Values as bfloat16, from float32."""
    return np.asarray(values, np.float32).astype(BF)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers in bfloat16."""
    return rounded(np.random.default_rng(seed).standard_normal(shape))


def same_bits(got: Any, expected: Any) -> bool:
    """Whether two arrays have one dtype and one content."""
    return got.dtype == expected.dtype and got.shape == expected.shape and got.tobytes() == expected.tobytes()


# --- the dtype --------------------------------------------------------------------------------------------------------


def test_loaded_when_asked_for() -> None:
    code = (
        "import sys, deepcore as dc; a = 'ml_dtypes' in sys.modules; dc.ones(2).to('bfloat16'); print(a, dc.bfloat16)"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["False", "bfloat16"], run.stderr


def test_ways_to_make_one(device: str) -> None:
    made = {
        "name": dc.tensor([1.5, -2.0], dtype="bfloat16", device=device),
        "dtype": dc.tensor([1.5, -2.0], dtype=BF, device=device),
        "scalar type": dc.tensor([1.5, -2.0], dtype=BF.type, device=device),
        "array": dc.tensor(rounded([1.5, -2.0]), device=device),
        "as_tensor": dc.as_tensor(rounded([1.5, -2.0]), device=device),
        "tensor": dc.tensor(dc.tensor([1.5, -2.0], device=device), dtype=BF),
        "to": dc.tensor([1.5, -2.0], device=device).to(BF),
        "to name": dc.tensor([1.5, -2.0]).to(device, "bfloat16"),
        "method": dc.tensor([1.5, -2.0], device=device).bfloat16(),
        "from int": dc.tensor([3, -4], device=device).bfloat16() / 2,
        "full": dc.full((2,), 1.0, dtype=BF, device=device) * dc.tensor([1.5, -2.0], dtype=BF, device=device),
    }
    for way, x in made.items():
        assert x.dtype == BF, way
        assert x.device == device, way
        assert x.is_floating_point(), way
        assert x.element_size() == 2, way
        assert x.tolist() == [1.5, -2.0], way
    for x in (dc.zeros(3, dtype=BF), dc.ones(3, dtype=BF), dc.arange(3, dtype=BF), dc.eye(3, dtype=BF)):
        assert x.dtype == dc.zeros_like(x).dtype == BF


def test_numbers_come_out() -> None:
    x = dc.tensor([0.1, 2.0], dtype=BF)
    assert type(x[0].item()) is float
    assert x[0].item() == 0.10009765625
    assert all(type(v) is float for v in x.tolist())
    assert same_bits(x.numpy(), rounded([0.1, 2.0]))
    assert float(x.sum()) == 2.09375


def test_printing() -> None:
    x = dc.tensor([[1.0, -2.5], [0.1, 1000.0]], dtype=BF)
    assert repr(x) == repr(x.float())[:-1] + ", dtype=bfloat16)"
    assert repr(dc.tensor(1.5, dtype=BF, requires_grad=True)) == "tensor(1.5, dtype=bfloat16, requires_grad=True)"


@pytest.mark.parametrize("bad", ["bfloat", "V2", np.dtype([("a", np.float32)]), "float8_e5m2"])
def test_other_dtypes_are_refused(bad: Any) -> None:
    with pytest.raises(DTypeError, match="bfloat16"):
        dc.zeros(2, dtype=bad)
    if isinstance(bad, np.dtype) or bad.startswith("float8"):
        with pytest.raises(DTypeError, match="expected numbers"):
            dc.tensor(np.zeros(2, bad))


def test_default_dtype() -> None:
    dc.set_default_dtype("bfloat16")
    try:
        assert dc.tensor([1.0]).dtype == dc.zeros(2).dtype == nn.Linear(2, 2).weight.dtype == BF
    finally:
        dc.set_default_dtype("float32")


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (dc.ones(2, dtype=dc.float16), "float32"),
        (dc.ones(2), "float32"),
        (dc.ones(2, dtype=dc.float64), "float64"),
        (dc.ones(2, dtype=dc.int64), "bfloat16"),
        (dc.ones(2, dtype=dc.uint8), "bfloat16"),
        (dc.ones(2, dtype="bool"), "bfloat16"),
        (2.5, "bfloat16"),
        (2, "bfloat16"),
        (True, "bfloat16"),
        (dc.ones((), dtype=dc.float64), "bfloat16"),
        (dc.ones((), dtype=dc.float16), "bfloat16"),
    ],
    ids=str,
)
def test_promotion_is_that_of_pytorch(device: str, other: Any, expected: str) -> None:
    x = dc.tensor([0.5, 1.5], dtype=BF, device=device)
    y = other.to(device) if isinstance(other, dc.Tensor) else other
    for z in (x + y, x * y, y - x, x / y, dc.where(x > 1, x, y)):
        assert z.dtype == np.dtype(expected)
        assert z.shape == (2,)


def test_joining_promotes() -> None:
    x = dc.ones(2, dtype=BF)
    assert dc.cat([x, dc.ones(2, dtype=dc.float16)]).dtype == np.float32
    assert dc.cat([x, dc.ones(2, dtype=dc.int64)]).dtype == dc.stack([x, x]).dtype == BF


def test_numbers_are_compared_as_bfloat16(device: str) -> None:
    x = dc.tensor([0.1, 0.2, 3.0], dtype=BF, device=device)
    assert (x == 0.1).tolist() == [True, False, False]  # 0.1 rounded to bfloat16, as in PyTorch
    assert (x > 0.1).tolist() == [False, True, True]
    assert (x % 0.3).dtype == (x // 2).dtype == BF
    assert (x // 2).tolist() == [0.0, 0.0, 1.0]
    assert x.isfinite().all().item()
    assert not (x / 0).isfinite().any().item()
    assert (x * float("nan")).isnan().all().item()


# --- how ops compute --------------------------------------------------------------------------------------------------


def test_an_op_rounds_once(device: str) -> None:
    a, b = numbers(40, 30), numbers(30, 20, seed=1)
    x, y = (dc.tensor(v, device=device) for v in (a, b))
    wide_a, wide_b = a.astype(np.float32), b.astype(np.float32)
    exact = wide_a.astype(np.float64) @ wide_b.astype(np.float64)
    assert same_bits(host(x * 0.1), rounded(wide_a * np.float32(0.1)))
    assert same_bits(host(x.sum(0)), rounded(wide_a.sum(0)))
    got = host(x @ y)
    assert got.dtype == BF
    assert (np.abs(got.astype(np.float64) - exact) <= EPS * np.abs(exact)).all()  # one rounding is half of it
    # 10,000 ones: a sum that ran in bfloat16 would stop at 256
    assert dc.ones(10_000, dtype=BF, device=device).sum().item() == rounded(10_000).item()
    assert dc.ones(10_000, dtype=BF, device=device).mean().item() == 1.0


def test_a_mean_over_many_rows_counts_them_all() -> None:
    logits = dc.zeros(5_000, 2, dtype=BF)
    target = dc.zeros(5_000, dtype=dc.int64)
    loss = F.cross_entropy(logits, target)
    assert loss.dtype == BF
    assert_close(loss.item(), np.log(2), BF)
    assert_close(F.nll_loss(F.log_softmax(logits, 1), target).item(), np.log(2), BF)


def test_backend_methods_take_it(device: str) -> None:
    """What calls a method of a backend directly gets the reference's, never a kernel of another dtype."""
    backend = get_backend(device)
    a, b = (backend.from_host(numbers(4, 4, seed=s)) for s in (0, 1))
    y = backend.to_host(backend.matmul(a, b))
    wide = numbers(4, 4).astype(np.float32) @ numbers(4, 4, seed=1).astype(np.float32)
    assert same_bits(y, rounded(wide))
    assert backend.to_host(backend.relu(a)).dtype == BF
    boxes = backend.from_host(rounded([[0, 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 6, 6]]))
    scores = backend.from_host(rounded([0.5, 0.9, 0.1]))
    assert backend.to_host(backend.nms(boxes, scores, None, 0.5)).tolist() == [1, 2]


def test_gradients(device: str) -> None:
    x = dc.tensor(numbers(5, 4), device=device, requires_grad=True)
    w = dc.tensor(numbers(3, 4, seed=1), device=device, requires_grad=True)
    b = dc.tensor(numbers(3, seed=2), device=device, requires_grad=True)
    y = F.linear(x, w, b)
    held = [s.dtype for s in y.grad_fn.saved]
    assert held == [BF, BF]  # the graph keeps bfloat16, not its float32
    y.relu().sum().backward()
    for t in (x, w, b):
        assert t.grad.dtype == BF
        assert t.grad.shape == t.shape
    wide = [dc.tensor(host(t).astype(np.float64), requires_grad=True) for t in (x, w, b)]
    F.linear(*wide).relu().sum().backward()
    for t, e in zip((x, w, b), wide, strict=True):
        assert_close(host(t.grad), host(e.grad), BF, 5)
    first = host(b.grad).copy()
    F.linear(x, w, b).relu().sum().backward()
    assert_close(host(b.grad), 2 * first.astype(np.float64), BF)


def test_gradients_of_mixed_dtypes() -> None:
    x = dc.tensor([1.0, 2.0], dtype=BF, requires_grad=True)
    f = dc.tensor([3.0, 0.1], requires_grad=True)
    y = x * f
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.dtype == BF
    assert f.grad.dtype == np.float32
    assert x.grad.tolist() == rounded([3.0, 0.1]).astype(np.float64).tolist()
    assert f.grad.tolist() == [1.0, 2.0]


def test_double_gradient(device: str) -> None:
    x = dc.tensor([1.0, 2.0, 3.0], dtype=BF, device=device, requires_grad=True)
    (slope,) = dc.autograd.grad((x**3).sum(), x, create_graph=True)
    (curvature,) = dc.autograd.grad(slope.sum(), x)
    assert slope.dtype == curvature.dtype == BF
    assert slope.tolist() == [3.0, 12.0, 27.0]
    assert curvature.tolist() == [6.0, 12.0, 18.0]


def test_a_function_of_the_user() -> None:
    seen = []

    class Double(dc.autograd.Function):
        def forward(self, x: Any) -> Any:
            seen.append(x.dtype)
            self.saved = (x,)
            return x * 2.0

        def backward(self, gy: Any) -> Any:
            seen.append(self.saved[0].dtype)
            return gy * 2.0

    x = dc.tensor([1.0], dtype=BF, requires_grad=True)
    y = Double()(x)
    y.sum().backward()
    assert [str(d) for d in seen] == ["float32", "float32"]
    assert y.dtype == x.grad.dtype == BF


def test_an_observer_sees_float32_and_may_change_it() -> None:
    class Two:
        def forward(self, fn: Any, arrays: list[Any]) -> Any:
            assert arrays[0].dtype == np.float32
            arrays[0] = arrays[0] * 0 + 2
            return fn.forward(*arrays)

        def backward(self, fn: Any, grads: list[Any]) -> Any:
            assert grads[0].dtype == fn.saved[0].dtype == np.float32
            return fn.backward(*grads)

    x, y = (dc.tensor([v], dtype=BF, requires_grad=True) for v in (5.0, 3.0))
    with observe(Two()):
        z = x * y
        z.backward(dc.ones(1, dtype=BF))
    assert (z.item(), x.grad.item(), y.grad.item()) == (6.0, 3.0, 2.0)


def test_moving_elements_makes_no_float32() -> None:
    """A row of a large table, a slice and a view do not pass through a float32 copy of it all."""
    table = dc.tensor(numbers(50, 4), requires_grad=True)
    rows = F.embedding(dc.tensor([3, 3, 7]), table)
    assert same_bits(rows.detach().numpy(), numbers(50, 4)[[3, 3, 7]])
    rows.sum().backward()
    assert table.grad.dtype == BF
    assert table.grad[3].tolist() == [2.0] * 4
    base = dc.zeros(4, 4, dtype=BF)
    for view in (base[1:3], base.T, base.reshape(16), base[0]):
        assert np.shares_memory(view.numpy(), base.numpy())
    base[1] = 2.5
    base += 0.25
    assert base.sum().item() == 4 * 2.75 + 12 * 0.25


@pytest.mark.parametrize(
    "call",
    [
        lambda x, f: F.linear(x, f),
        lambda x, f: F.conv2d(x.reshape(1, 1, 2, 2), f.reshape(1, 1, 2, 2)),
        lambda x, f: dc.scatter(x, 0, dc.zeros(1, 2, dtype="int64"), f),
        lambda x, f: dc.linalg.inv(x),
        lambda x, f: dc.linalg.svd(x),
        lambda x, f: dc.linalg.solve(x, x),
    ],
    ids=["linear", "conv2d", "scatter", "inv", "svd", "solve"],
)
def test_what_an_op_refuses(call: Any) -> None:
    with pytest.raises(DTypeError, match="bfloat16"):
        call(dc.eye(2, dtype=BF), dc.eye(2))


def test_nothing_is_copied_in_secret() -> None:
    backend = get_backend("strict")
    x = dc.tensor(numbers(6, 5), device="strict", requires_grad=True)
    layer = nn.Linear(5, 3).to("strict").bfloat16()
    before = dict(backend.transfers)
    F.gelu(layer(x)).softmax(1).sum().backward()
    assert backend.transfers == before


# --- random numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "step"), [("bfloat16", 2.0**-8), ("float16", 2.0**-11)])
def test_uniform_stays_below_one(device: str, dtype: str, step: float) -> None:
    dc.manual_seed(5)
    u = host(dc.rand(100_000, dtype=dtype, device=device))
    dc.manual_seed(5)
    assert same_bits(u, host(dc.rand(100_000, dtype=dtype, device="numpy")))
    wide = u.astype(np.float64)
    assert wide.min() == 0
    assert wide.max() == 1 - step
    assert (wide / step % 1 == 0).all()


def test_other_draws(device: str) -> None:
    x = dc.randn(10_000, dtype=BF, device=device)
    assert x.dtype == BF
    assert abs(x.float().mean().item()) < 0.05
    assert abs(x.float().std().item() - 1) < 0.05
    y = F.dropout(dc.ones(1000, dtype=BF, device=device), 0.5)
    assert y.dtype == BF
    assert set(y.tolist()) == {0.0, 2.0}
    assert dc.distributions.Laplace(dc.zeros(2, dtype=BF), dc.ones(2, dtype=BF)).sample((3,)).dtype == BF
