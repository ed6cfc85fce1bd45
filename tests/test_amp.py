"""`dc.amp.autocast`: the table's dtypes op by op, casts kept and dropped, nesting, gradients, and trainings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn, optim
from deepcore.amp.table import FLOAT32, HALF, INSIDE, RULES, WIDEST
from deepcore.autograd import Function
from deepcore.autograd.mode import state
from deepcore.autograd.observer import observe
from deepcore.autograd.precision import MARKED
from deepcore.backends import Backend, get_backend
from deepcore.backends.cuda import CudaBackend
from deepcore.check.opdb import OpCase, all_cases, host, is_float, outputs, to_tensors
from deepcore.check.tolerance import assert_close
from deepcore.errors import DeviceError, DTypeError

HALVES = ("bfloat16", "float16")
CASES = all_cases()
NAMED = [case for case in CASES if case.name.removeprefix("linalg.") in RULES]


def functions(cls: type = Function) -> set[str]:
    """The names of all Functions."""
    return {name for sub in cls.__subclasses__() for name in ({sub.name} | functions(sub))}  # type: ignore[attr-defined]


# --- the table --------------------------------------------------------------------------------------------------------


def test_every_line_of_the_table_is_an_op() -> None:
    assert set(RULES) <= functions() | MARKED
    assert set(RULES) >= MARKED
    assert {case.name.removeprefix("linalg.") for case in NAMED} == set(RULES), "the tests below miss some"


def called(case: OpCase, *dtypes: str) -> list[dc.Tensor]:
    """An op on its first sample; its floating tensors have the given dtypes, the last one all that follow."""
    one = next(s for s in case.make_samples() if not s.empty)
    left = list(dtypes)
    args = []
    for x in to_tensors(one.args, "cpu"):
        if isinstance(x, dc.Tensor) and is_float(x):
            x = x.to(left.pop(0) if len(left) > 1 else left[0])
        args.append(x)
    return [y for y in outputs(case.op(*args, **one.kwargs)) if isinstance(y, dc.Tensor)]


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("case", NAMED, ids=str)
def test_result_dtype(case: OpCase, half: str) -> None:
    """On float32, on 16 bits, and on both, the first output has the dtype of the op's rule."""
    rule = RULES[case.name.removeprefix("linalg.")]
    with dc.autocast(dtype=half):
        wide, narrow, mixed = (called(case, *of)[0] for of in (["float32"], [half], [half, "float32"]))
    if rule == HALF:
        assert wide.dtype == narrow.dtype == mixed.dtype == half
    elif rule == FLOAT32:
        assert wide.dtype == narrow.dtype == mixed.dtype == np.float32
    elif is_float(wide):
        assert wide.dtype == np.float32
        assert narrow.dtype == called(case, half)[0].dtype
        several = sum(isinstance(a, np.ndarray) and a.dtype == np.float64 for a in case.make_samples()[0].args) > 1
        assert mixed.dtype == (np.float32 if rule == WIDEST and several else half)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_op_takes_a_mixture(case: OpCase) -> None:
    """What comes from a product has 16 bits, a parameter has 32: no op may refuse to have both."""
    with dc.autocast():
        mixed = called(case, "bfloat16", "float32")
        if RULES.get(case.name) != INSIDE:  # its vectors are parameters and statistics
            called(case, "float32", "bfloat16")
    assert all(not is_float(y) or y.dtype in (np.float32, dc.bfloat16) for y in mixed)


def test_other_dtypes_stay() -> None:
    with dc.autocast():
        for dtype in ("float64", "int64"):
            x = dc.ones(2, 2, dtype=dtype)
            assert (x @ x).dtype == x.sum().dtype == F.relu(x).dtype == dtype


def test_number_for_number() -> None:
    """An op on float32 tensors gives the bits that it gives on tensors that were cast by hand, and so do gradients."""
    dc.manual_seed(0)
    x, w, b = (dc.randn(*shape, requires_grad=True) for shape in ((4, 3), (5, 3), (5,)))
    with dc.autocast(dtype="float16"):
        y = F.linear(x, w, b)
        loss = F.mse_loss(y, dc.zeros(4, 5))
    loss.backward()
    found = [t.grad for t in (x, w, b)]
    narrow = [t.detach().half().requires_grad_() for t in (x, w, b)]
    same = F.linear(*narrow)
    F.mse_loss(same.float(), dc.zeros(4, 5)).backward()
    assert host(y).tobytes() == host(same).tobytes()
    for mine, theirs in zip(found, narrow, strict=True):
        assert mine.dtype == np.float32
        assert host(mine).tobytes() == host(theirs.grad.float()).tobytes()


# --- contexts ---------------------------------------------------------------------------------------------------------


def product(device: str = "cpu") -> Any:
    x = dc.ones(2, 2, device=device)
    return (x @ x).dtype


def test_defaults() -> None:
    with dc.autocast():
        assert product("cpu") == product("numpy") == product("strict") == dc.bfloat16
    assert CudaBackend.autocast_dtype == "float16"
    assert Backend.autocast_dtype == dc.amp.get_autocast_dtype("cpu") == "bfloat16"
    assert dc.autocast is dc.amp.autocast


def test_nesting() -> None:
    assert product() == np.float32
    with dc.autocast("cpu", dtype="float16"):
        assert product() == np.float16
        assert product("numpy") == np.float32, "another device"
        with dc.autocast("numpy"):
            assert (product(), product("numpy")) == (np.float16, dc.bfloat16)
        with dc.autocast(enabled=False):
            assert product() == np.float32
            assert not dc.amp.is_autocast_enabled()
            with dc.autocast("cpu", dtype="bfloat16"):
                assert product() == dc.bfloat16
        with dc.autocast("cpu"):
            assert product() == dc.amp.get_autocast_dtype("cpu") == np.float16, "inherited"
        with dc.autocast("cpu", enabled=False):
            assert product() == np.float32
        assert dc.amp.is_autocast_enabled("cpu")
        assert not dc.amp.is_autocast_enabled("numpy")
    assert state.autocast is None
    with pytest.raises(ZeroDivisionError), dc.autocast():
        raise ZeroDivisionError
    assert product() == np.float32


def test_one_object_entered_twice_and_a_decorator() -> None:
    context = dc.autocast(dtype="float16")
    with context:
        with context:
            assert product() == np.float16
        assert product() == np.float16
    assert product() == np.float32

    @dc.autocast(dtype=dc.bfloat16)
    def count(n: int) -> int:
        return 0 if product() != dc.bfloat16 else 1 + (count(n - 1) if n else 0)

    assert count(3) == 4
    assert product() == np.float32


def test_other_threads_are_not_cast() -> None:
    found = []
    with dc.autocast():
        thread = threading.Thread(target=lambda: found.append(product()))
        thread.start()
        thread.join()
    assert found == [np.float32]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"dtype": "float32"}, DTypeError, "float16 or bfloat16; got float32"),
        ({"dtype": "float8"}, DTypeError, "float8"),
        ({"dtype": np.int16}, DTypeError, "int16"),
        ({"device_type": "gpu"}, DeviceError, 'did you mean "cuda"'),
        ({"device_type": "cpu:1"}, DeviceError, 'write "cpu"'),
        ({"device_type": 3}, DeviceError, "device string"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        dc.autocast(**options)


class Casts:
    """Counts what is cast."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, fn: Any, arrays: list[Any]) -> Any:
        if fn.name == "to":
            self.shapes.append(arrays[0].shape)
        return fn.forward(*arrays)

    def backward(self, fn: Any, grads: list[Any]) -> Any:
        return fn.backward(*grads)


def test_a_weight_is_cast_once() -> None:
    layer, x = nn.Linear(3, 3, bias=False), dc.ones(2, 3)
    weight = layer.weight.shape
    with observe(Casts()) as _, dc.autocast():
        seen = state.observer.shapes
        layer(layer(x))
        with dc.autocast(dtype="bfloat16"):
            layer(x)
        assert seen.count(weight) == 1
        with dc.no_grad():
            layer(x)
            layer.weight += 1.0
        assert seen.count(weight) == 2, "a cast outside of the graph is another one"
        y = layer(x)
        assert seen.count(weight) == 3, "a cast of before a write is old"
        y.sum().backward()
        assert layer.weight.grad is not None
        with dc.autocast(cache_enabled=False):
            layer(layer(x))
        assert seen.count(weight) == 5
    with observe(Casts()) as _, dc.autocast():
        layer(x)
        assert state.observer.shapes.count(weight) == 1, "nothing is kept from an earlier context"
    assert_close(host(y), host(x @ layer.weight.T), "bfloat16", 3)


def test_backward_inside_and_twice() -> None:
    """A backward pass casts nothing of its own, also where it is recorded and where it runs inside of the context."""
    dc.manual_seed(0)
    found = []
    for inside in (True, False):
        dc.manual_seed(0)
        x, w = dc.randn(4, 3, requires_grad=True), dc.randn(3, 3, requires_grad=True)
        with dc.autocast("cpu", dtype="float16"):
            y = ((x @ w).exp() @ w).sum()
            if inside:
                (g,) = dc.autograd.grad(y, x, create_graph=True)
        if not inside:
            (g,) = dc.autograd.grad(y, x, create_graph=True)
        (g * g).sum().backward()
        found.append((host(g), host(w.grad)))
    for a, b in zip(*found, strict=True):
        assert a.dtype == np.float32
        assert a.tobytes() == b.tobytes()


# --- models -----------------------------------------------------------------------------------------------------------


class Everything(nn.Module):
    """One layer of each kind that meets 16 bits and 32 in one forward."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.up = nn.Sequential(nn.ConvTranspose2d(4, 4, 2, 2), nn.InstanceNorm2d(4, affine=True), nn.GELU())
        self.rows = nn.Sequential(nn.Conv1d(4, 8, 1), nn.GroupNorm(2, 8), nn.PReLU())
        self.lstm, self.gru = nn.LSTM(8, 6, bidirectional=True), nn.GRU(12, 8)
        self.attention, self.norm = nn.MultiheadAttention(8, 2, add_bias_kv=True), nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        y = self.up(self.conv(x))
        y = self.rows(y.mean(dim=2)).permute(2, 0, 1)
        y = self.gru(self.lstm(y)[0])[0]
        y = self.norm(y + self.attention(y, y, y)[0])
        return self.head(y.mean(dim=0))


@pytest.mark.parametrize("half", HALVES)
def test_gradients_follow_float32(device: str, half: str) -> None:
    dc.manual_seed(0)
    model = Everything().to(device)
    x, t = dc.randn(4, 1, 8, 8, device=device), dc.tensor([0, 1, 2, 1], device=device)
    grads = []
    for enabled in (False, True):
        model.zero_grad()
        with dc.autocast(dtype=half, enabled=enabled):
            loss = F.cross_entropy(model(x), t)
        loss.backward()
        assert {p.grad.dtype for p in model.parameters()} == {np.dtype("float32")}
        grads.append([host(loss), *(host(p.grad) for p in model.parameters())])
    assert {t.dtype for t in (*model.parameters(), *model.buffers())} == {np.dtype("float32"), np.dtype("int64")}
    assert not all(np.array_equal(a, b) for a, b in zip(*grads, strict=True))
    for exact, narrow in zip(*grads, strict=True):
        size = np.abs(exact).max()
        if size > 1e-6:  # a bias before a normalisation has no gradient
            assert_close(narrow / size, exact / size, half, 4)


def test_no_grad_and_eval() -> None:
    model = Everything().eval()
    x = dc.randn(2, 1, 8, 8)
    with dc.no_grad(), dc.autocast():
        y = model(x)
    assert y.dtype == dc.bfloat16
    with dc.autocast(), dc.no_grad():
        assert host(model(x)).tobytes() == host(y).tobytes()


def test_no_transfer() -> None:
    """Ten steps on a device that counts: nothing goes to the host, and nothing comes from it."""
    backend = get_backend("strict")
    model = Everything().to("strict")
    x, t = dc.randn(4, 1, 8, 8, device="strict"), dc.tensor([0, 1, 2, 1], device="strict")
    optimizer, scaler = optim.AdamW(model.parameters()), dc.amp.GradScaler(growth_interval=3)
    before = dict(backend.transfers)
    for step in range(10):
        with dc.autocast(dtype="float16"):
            loss = F.cross_entropy(model(x), t)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        if step % 2:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    assert dict(backend.transfers) == before
    assert np.isfinite(loss.item())


def test_the_pages_program(tmp_path: Path) -> None:
    """The Python of docs/mixed_precision.md runs and learns."""
    page = (Path(__file__).resolve().parent.parent / "docs" / "mixed_precision.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")
    run = subprocess.run([sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    found = re.search(r"^(\d+) % right, scale 65536$", run.stdout, re.MULTILINE)
    assert found is not None, run.stdout
    assert int(found[1]) > 80


# --- the same as PyTorch ----------------------------------------------------------------------------------------------


def pytorchs_table() -> dict[str, str]:
    """What PyTorch's own tests expect of autocast on CUDA: op -> rule."""
    torch = pytest.importorskip("torch")
    path = Path(torch.__file__).parent / "testing" / "_internal" / "autocast_test_lists.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lists = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "AutocastTestLists")
    found = {}
    for node in ast.walk(lists):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
            kind = node.targets[0].attr.rpartition("_")[2]
            rule = {"fp16": HALF, "fp32": FLOAT32, "promote": WIDEST}.get(kind)
            names = [t.elts[0] for t in ast.walk(node.value) if isinstance(t, ast.Tuple) and t.elts]
            found |= {n.value: rule for n in names if isinstance(n, ast.Constant) and rule}
    return found


@pytest.mark.slow
def test_same_table_as_pytorchs() -> None:
    """The rule of every op that both have."""
    theirs = {name: rule for name, rule in pytorchs_table().items() if name in RULES}
    assert len(theirs) > 45
    assert {name: RULES[name] for name in theirs} == theirs


# PyTorch's table for the CPU is shorter than that for CUDA: there these stay in bfloat16.
ONLY_ON_CUDA = ("softmax", "sum", "exp", "layer_norm")

CALLS = {
    "matmul": lambda f, x, w: x @ w,
    "linear": lambda f, x, w: f.linear(x, w),
    "conv2d": lambda f, x, w: f.conv2d(x[None, None], w[None, None]),
    "conv1d": lambda f, x, w: f.conv1d(x[None], w[:, :, None]),
    "conv_transpose2d": lambda f, x, w: f.conv_transpose2d(x[None, None], w[None, None]),
    "scaled_dot_product_attention": lambda f, x, w: f.scaled_dot_product_attention(x[None], w[None], w[None]),
    "prelu": lambda f, x, w: f.prelu(x, w[0, :1]),
    "mse_loss": lambda f, x, w: f.mse_loss(x, w),
    "l1_loss": lambda f, x, w: f.l1_loss(x, w),
    "smooth_l1_loss": lambda f, x, w: f.smooth_l1_loss(x, w),
    "huber_loss": lambda f, x, w: f.huber_loss(x, w),
    "binary_cross_entropy_with_logits": lambda f, x, w: f.binary_cross_entropy_with_logits(x, w),
    "cross_entropy": lambda f, x, w: f.cross_entropy(x, w.abs()),
    "kl_div": lambda f, x, w: f.kl_div(x, w.abs(), reduction="sum"),
    "prod": lambda f, x, w: x.prod(),
    "trace": lambda f, x, w: x.trace(),
    "batch_norm": lambda f, x, w: f.batch_norm(x, None, None, w[0], w[1], True),
    "relu": lambda f, x, w: f.relu(x),
    "gelu": lambda f, x, w: f.gelu(x),
    "sigmoid": lambda f, x, w: x.sigmoid(),
    "max_pool2d": lambda f, x, w: f.max_pool2d(x[None, None], 2),
    "mean": lambda f, x, w: x.mean(),
    "add": lambda f, x, w: x + w,
    "mul": lambda f, x, w: x * w,
    "softmax": lambda f, x, w: f.softmax(x, 1),
    "sum": lambda f, x, w: x.sum(),
    "exp": lambda f, x, w: x.exp(),
    "layer_norm": lambda f, x, w: f.layer_norm(x, (3,)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_result_dtype_as_pytorch(name: str) -> None:
    """The dtypes that CPU autocast of PyTorch gives in bfloat16, on 32 bits, 16, and both."""
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(0).standard_normal((2, 3, 3)).astype("float32")
    for dtypes in (("float32", "float32"), ("bfloat16", "bfloat16"), ("bfloat16", "float32")):
        ours = [dc.tensor(v).to(dtype) for v, dtype in zip(values, dtypes, strict=True)]
        theirs = [torch.tensor(v).to(getattr(torch, dtype)) for v, dtype in zip(values, dtypes, strict=True)]
        with dc.autocast("cpu", dtype="bfloat16"):
            mine = CALLS[name](F, *ours)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            their = CALLS[name](torch.nn.functional, *theirs)
        expected = str(their.dtype).removeprefix("torch.")
        if name in ONLY_ON_CUDA:
            expected = "float32"
        assert str(mine.dtype) == expected, dtypes
        assert_close(host(mine).astype("float64"), their.detach().double().numpy(), "bfloat16", 9)
