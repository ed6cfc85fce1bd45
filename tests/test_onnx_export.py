"""Export to ONNX: ops, layers and whole models against ONNX Runtime, open sizes, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import models, nn
from deepcore.bench.workloads import WORKLOADS
from deepcore.check.opdb import OpCase, all_cases
from deepcore.check.tolerance import assert_close
from deepcore.onnx import ExportError

pytest.importorskip("onnx", reason="it comes with the extra onnx")
pytest.importorskip("onnxruntime", reason="the peer that runs the files")

from onnx_ops import PARTLY, WHOLLY, check_sample, run_file

CASES = {case.name: case for case in all_cases()}
NEVER = {op for ops in WHOLLY.values() for op in ops}
SOMETIMES = {op for ops in PARTLY.values() for op in ops}


def exported(case: OpCase, path: Path, most: int) -> tuple[int, int]:
    """How many samples were exported and agree, and how many were refused; at most `most` of the former."""
    done = refused = 0
    for sample in case.make_samples():
        if sample.empty or done == most:
            continue
        try:
            check_sample(case, sample, path)
            done += 1
        except ExportError:
            refused += 1
        except Exception as error:
            if "output_padding" not in str(error):  # what ONNX Runtime itself refuses
                raise
            refused += 1
    return done, refused


@pytest.mark.parametrize("name", CASES)
def test_op(name: str, tmp_path: Path) -> None:
    """One sample of each op agrees, unless there is a reason why none can be exported."""
    done, _ = exported(CASES[name], tmp_path / "op.onnx", 1)
    assert bool(done) == (name not in NEVER)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_sample(name: str, tmp_path: Path) -> None:
    done, refused = exported(CASES[name], tmp_path / "op.onnx", 1000)
    assert bool(done) == (name not in NEVER)
    assert bool(refused) == (name in NEVER | SOMETIMES), f"{done} agree, {refused} are refused"


def test_reasons_name_ops() -> None:
    assert CASES.keys() >= NEVER | SOMETIMES
    assert not NEVER & SOMETIMES


def flat(found: Any) -> list[dc.Tensor]:
    """The tensors of a result and of the tuples in it."""
    return [found] if isinstance(found, dc.Tensor) else [t for part in found for t in flat(part)]


def agree(model: Any, args: list[dc.Tensor], path: Path, length: int, more: Any = (), **options: Any) -> None:
    """The file gives what the model gives, for `args` and for `more` arguments."""
    dc.onnx.export(model, tuple(args), path, **options)
    names = ["input"] if len(args) == 1 else [f"input_{i}" for i in range(len(args))]
    for given in (args, *more):
        with dc.no_grad():
            expected = flat(model(*given))
        found = run_file(path, {n: x.numpy() for n, x in zip(names, given, strict=True)})
        for y, z in zip(expected, found, strict=True):
            assert_close(z, y.numpy(), "float32", length)


@pytest.mark.parametrize("name", models.names())
def test_registered_model(name: str, tmp_path: Path) -> None:
    dc.manual_seed(0)
    model = models.create(name, num_classes=10, in_channels=3, image_size=32).eval()
    many = dc.randn(5, 3, 32, 32)
    agree(model, [many[:2]], tmp_path / "m.onnx", 3072, ([many],), dynamic_axes={"input": {0: "batch"}})


@pytest.mark.parametrize("name", WORKLOADS)
def test_workload(name: str, tmp_path: Path) -> None:
    """Among them an LSTM over characters, a U-Net and a transformer; another batch, and where it may, extent."""
    dc.manual_seed(0)
    work, rng = WORKLOADS[name], np.random.default_rng(0)
    model = work.build(nn, F, dropout=True).eval()
    free = name in ("char_lstm", "transformer")
    extent = {"char_lstm": 9, "transformer": 9, "unet": 16}.get(name, work.extent)
    x, more = work.batch(rng, 2, extent)[0], work.batch(rng, 3, 12 if free else extent)[0]
    axes = {0: "batch", 1: "time"} if free else {0: "batch"}
    agree(model, [dc.tensor(x)], tmp_path / "m.onnx", 4608, ([dc.tensor(more)],), dynamic_axes={"input": axes})


RECURRENT = {
    "lstm": lambda: nn.LSTM(4, 5, 2, bidirectional=True),
    "lstm with peepholes": lambda: nn.LSTM(4, 5, batch_first=True, peephole=True),
    "gru": lambda: nn.GRU(4, 5, 2, bidirectional=True, bias=False),
    "gru of the paper": lambda: nn.GRU(4, 5, reset_after=False),
    "rnn": lambda: nn.RNN(4, 5, nonlinearity="relu"),
}


@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent_layers_are_nodes_of_onnx(kind: str, tmp_path: Path) -> None:
    import onnx

    model, path = RECURRENT[kind]().eval(), tmp_path / "m.onnx"
    axes = {"input": {0: "a", 1: "b"}}
    agree(model, [dc.randn(3, 2, 4)], path, 64, ([dc.randn(6, 5, 4)],), dynamic_axes=axes)
    operators = [node.op_type for node in onnx.load(path).graph.node]
    layers = model.num_layers * (2 if model.bidirectional else 1)
    assert operators.count(kind.split()[0].upper()) == layers
    assert {"MatMul", "Sigmoid", "Tanh"}.isdisjoint(operators)


def test_attention_with_masks(tmp_path: Path) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Any) -> Any:
            q = x.unsqueeze(1)
            return self.attn(x, x, x)[0] + F.scaled_dot_product_attention(q, q, q, is_causal=True)[:, 0]

    axes = {"input": {0: "batch", 1: "time"}}
    x, more = dc.randn(2, 5, 8), dc.randn(3, 7, 8)
    agree(Model().eval(), [x], tmp_path / "m.onnx", 64, ([more],), dynamic_axes=axes)


def test_names_opset_and_metadata(tmp_path: Path) -> None:
    import onnx

    model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.BatchNorm1d(4))
    path = tmp_path / "m.onnx"
    options = {"input_names": ["x"], "output_names": ["y"], "metadata": {"classes": "[1]"}}
    for opset in (18, 20, 22):
        dc.onnx.export(model, dc.randn(2, 3), path, dynamic_axes={"x": [0]}, opset_version=opset, **options)
        found = onnx.load(path)
        assert found.opset_import[0].version == opset
        assert {i.name for i in found.graph.initializer} >= set(model.state_dict()) - {"2.num_batches_tracked"}
        assert found.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "x_0"
        assert found.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "x_0"
        assert {p.key: p.value for p in found.metadata_props} == {"classes": "[1]"}
        x = np.ones((5, 3), np.float32)
        assert_close(run_file(path, {"x": x})[0], model.eval()(dc.tensor(x)).detach().numpy(), "float32", 4)
    assert model.train()[1].training


def test_external_data(tmp_path: Path) -> None:
    model, x = nn.Linear(100, 100), dc.randn(2, 100)
    for _ in range(2):
        dc.onnx.export(model, x, tmp_path / "m.onnx", external_data=True)
        assert (tmp_path / "m.onnx.data").stat().st_size < 45000
    assert (tmp_path / "m.onnx").stat().st_size < 5000
    expected = model(x).detach().numpy()
    assert_close(run_file(tmp_path / "m.onnx", {"input": x.numpy()})[0], expected, "float32", 100)


class Wrapped(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.inner = nn.Module()
        self.inner.forward = function  # type: ignore[method-assign]

    def forward(self, x: Any) -> Any:
        return self.inner(x * 1)


def in_place(x: Any) -> Any:
    x += 1
    return x


REFUSED = {
    "the op is named": (lambda x: dc.lgamma(x), "lgamma in inner", {}),
    "writing in place": (in_place, "add_ in inner.*writes into", {}),
    "dropout in evaluation mode": (lambda x: F.dropout(x, 0.5), "dropout in inner", {}),
    "a value that only Python knows": (lambda x: x * x.sum().item(), "mul in inner", {}),
    "a way that Python chose": (lambda x: x if x[0, 0].item() > 0.9 else x + 1, "depends", {}),
    "a size that only Python knows": (
        lambda x: x.reshape(2, -1)[:, : x.shape[0] ** 3 % 7 + 1],
        "size",
        {"dynamic_axes": {"input": {0: "n"}}},
    ),
    "an index that only Python reads": (lambda x: x[:, int(x[0, 1].item() * 10) % 4], "getitem in inner", {}),
    "an axis that is not there": (lambda x: x, "no axis 5", {"dynamic_axes": {"input": {5: "n"}}}),
    "an input that is not there": (lambda x: x, "the inputs are input", {"dynamic_axes": {"x": {0: "n"}}}),
    "an opset": (lambda x: x, "18 to 22", {"opset_version": 9}),
    "names": (lambda x: x, "1 different names", {"input_names": ["a", "b"]}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str, tmp_path: Path) -> None:
    function, text, options = REFUSED[what]
    x = dc.tensor(np.array([[1.0, -1, 2, 0], [0.5, 3, -2, 1]], np.float32))
    with pytest.raises(dc.errors.ConfigError, match=text):
        dc.onnx.export(Wrapped(function), x, tmp_path / "m.onnx", **options)
    assert not any(tmp_path.iterdir())


def test_an_input_that_no_op_reads(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"'input_1'.*leave it out"):
        dc.onnx.export(lambda x, i: x + i.item(), (dc.ones(3), dc.tensor(0)), tmp_path / "m.onnx")
