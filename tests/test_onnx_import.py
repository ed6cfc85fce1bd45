"""Import of ONNX: round trips, files of PyTorch, training further, and files that are damaged or hostile."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import models, nn, optim
from deepcore.bench.workloads import WORKLOADS
from deepcore.check.tolerance import assert_close
from deepcore.errors import DeepcoreError
from deepcore.onnx import OnnxError

onnx = pytest.importorskip("onnx", reason="it comes with the extra onnx")


def network() -> nn.Sequential:
    dc.manual_seed(0)
    first = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(27, 4)).eval()


def round_trip(model: nn.Module, x: dc.Tensor, path: Path, more: dc.Tensor, length: int) -> Any:
    dc.onnx.export(model, x, path, dynamic_axes={"input": {0: "batch"}})
    loaded = dc.onnx.load(path)
    for given in (x, more):
        with dc.no_grad():
            assert_close(loaded(given).numpy(), model(given).numpy(), "float32", length)
    return loaded


@pytest.mark.parametrize("name", models.names())
def test_round_trip_of_registered_models(name: str, tmp_path: Path) -> None:
    model = models.create(name, num_classes=10, in_channels=1, image_size=32).eval()
    more = dc.randn(3, 1, 32, 32)
    loaded = round_trip(model, more[:2], tmp_path / "m.onnx", more, 1024)
    assert {n for n, _ in model.named_parameters()} == {n for n, _ in loaded.named_parameters()}


@pytest.mark.parametrize("name", ["char_lstm", "transformer", "unet"])
def test_round_trip_of_workloads(name: str, tmp_path: Path) -> None:
    work, rng = WORKLOADS[name], np.random.default_rng(0)
    model = work.build(nn, F).eval()
    x, more = (dc.tensor(work.batch(rng, n, 16)[0]) for n in (2, 3))
    round_trip(model, x, tmp_path / "m.onnx", more, 4608)


def test_training_further(tmp_path: Path) -> None:
    """Gradients flow, the loss falls, the statistics move in training only, and the state can be loaded."""
    model = network()
    x, labels = dc.randn(8, 1, 8, 8), dc.tensor(np.arange(8) % 4)
    loaded = round_trip(model, x, tmp_path / "m.onnx", x[:3], 27)
    before = {n: t.clone() for n, t in loaded.state_dict().items()}
    loaded(x)
    assert dc.equal(loaded.state_dict()["1.running_mean"], before["1.running_mean"])
    loaded.train()
    step, losses = optim.Adam(loaded.parameters(), lr=0.02), []
    for _ in range(15):
        loss = F.cross_entropy(loaded(x), labels)
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert not dc.equal(loaded.state_dict()["1.running_mean"], before["1.running_mean"])
    loaded.load_state_dict(before)
    assert_close(loaded.eval()(x).detach().numpy(), model(x).detach().numpy(), "float32", 27)
    loaded.to("numpy")
    assert loaded(x.to("numpy")).device == "numpy"


def test_dropout_follows_the_mode(tmp_path: Path) -> None:
    loaded = dc.onnx.load(save(graph([("Dropout", ["x"], ["y"], {})]), tmp_path))
    x = dc.ones(4)
    assert loaded(x).tolist() == [1.0] * 4
    loaded.train()
    assert any(0.0 in loaded(x).tolist() for _ in range(20))


def torch_models(torch: Any) -> dict[str, tuple[Any, tuple[int, ...]]]:
    t = torch.nn

    class Recurrent(t.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.gru = t.LSTM(5, 6, 2, bidirectional=True, batch_first=True), t.GRU(12, 4, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.gru(self.lstm(x)[0])[0]

    class Attention(t.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.attn = t.LayerNorm(8), t.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Any) -> Any:
            x = self.norm(x)
            return x + self.attn(x, x, x, need_weights=True)[0]

    net = [t.Conv2d(3, 6, 3, padding=1, bias=False), t.BatchNorm2d(6), t.SiLU(), t.MaxPool2d(2)]
    net += [t.ConvTranspose2d(6, 4, 2, 2), t.GELU(), t.AdaptiveAvgPool2d(1), t.Flatten(), t.Linear(4, 5), t.Softmax(1)]
    return {
        "convolutions": (t.Sequential(*net), (2, 3, 8, 8)),
        "recurrent": (Recurrent(), (2, 7, 5)),
        "attention": (Attention(), (2, 5, 8)),
        "norms": (t.Sequential(t.GroupNorm(2, 4), t.InstanceNorm2d(4, affine=True), t.PReLU(4)), (2, 4, 5, 5)),
        "upsampling": (t.Sequential(t.Upsample(scale_factor=2, mode="bilinear"), t.ReflectionPad2d(1)), (1, 2, 4, 4)),
    }


@pytest.mark.parametrize("kind", ["convolutions", "recurrent", "attention", "norms", "upsampling"])
def test_files_of_pytorch(kind: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model, shape = torch_models(torch)[kind]
    model, x = model.eval(), torch.randn(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), str(tmp_path / "m.onnx"), dynamo=False, opset_version=17)
    loaded = dc.onnx.load(tmp_path / "m.onnx")
    y = loaded(dc.tensor(x.numpy()))
    assert_close(y.detach().numpy(), model(x).detach().numpy(), "float32", 256)


# --- files that are damaged or hostile --------------------------------------------------------------------------------


Nodes = list[tuple[str, list[str], list[str], dict[str, Any]]]


def graph(nodes: Nodes, weights: tuple[Any, ...] = (), domain: str = "", opset: int = 20) -> Any:
    """A model with the input x, a vector, and the output y."""
    h = onnx.helper
    made = [h.make_node(op, i, o, domain=domain, **a) for op, i, o, a in nodes]
    x, y = (h.make_tensor_value_info(n, 1, [None] if n == "x" else None) for n in ("x", "y"))
    return h.make_model(h.make_graph(made, "g", [x], [y], list(weights)), opset_imports=[h.make_opsetid("", opset)])


def save(model: Any, folder: Path) -> Path:
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return folder / "m.onnx"


def tensor(name: str, dims: list[int], data: bytes = b"\0" * 16, kind: int = 1, **external: str) -> Any:
    t = onnx.TensorProto(name=name, data_type=kind, raw_data=b"" if external else data)
    t.dims.extend(dims)
    for key, value in external.items():
        t.external_data.add(key=key, value=value)
        t.data_location = onnx.TensorProto.EXTERNAL
    return t


def hostile() -> dict[str, tuple[Any, str]]:
    def add(weight: Any) -> Any:
        return graph([("Add", ["x", "w"], ["y"], {})], (weight,))

    inner = onnx.helper.make_graph([], "inner", [], [])
    return {
        "unknown op": (graph([("Nonsense", ["x"], ["y"], {})]), "node 0 .Nonsense.*no operator"),
        "unknown domain": (graph([("Add", ["x", "x"], ["y"], {})], domain="evil"), "domain 'evil'"),
        "control flow": (
            graph([("If", ["x"], ["y"], {"then_branch": inner, "else_branch": inner})]),
            "If.*no operator",
        ),
        "cycle": (graph([("Add", ["x", "b"], ["a"], {}), ("Relu", ["a"], ["b"], {})]), "'b', which nothing"),
        "itself": (graph([("Relu", ["y"], ["y"], {})]), "'y', which nothing"),
        "twice": (graph([("Relu", ["x"], ["y"], {}), ("Relu", ["x"], ["y"], {})]), "already"),
        "no output": (graph([("Relu", ["x"], ["z"], {})]), "nothing makes the output"),
        "absurd dims": (add(tensor("w", [2**40, 2**40])), "impossible shape"),
        "negative dims": (add(tensor("w", [-4])), "impossible shape"),
        "dims beyond the data": (add(tensor("w", [2**30])), "do not fit"),
        "unknown dtype": (add(tensor("w", [4], kind=77)), "unknown dtype"),
        "text": (add(tensor("w", [4], kind=8)), "dtype"),
        "outside": (add(tensor("w", [4], location="../secret.bin")), "no file in the model's folder"),
        "absolute": (add(tensor("w", [4], location="/etc/passwd")), "no file in the model's folder"),
        "a link": (add(tensor("w", [4], location="link.bin")), "no file in the model's folder"),
        "a device": (add(tensor("w", [4], location=".")), "no file in the model's folder"),
        "a zero byte": (add(tensor("w", [4], location="a\0b")), "no file in the model's folder"),
        "behind the end": (add(tensor("w", [4], location="m.onnx", offset=str(2**62))), "does not hold"),
        "negative offset": (add(tensor("w", [4], location="m.onnx", offset="-1")), "does not hold"),
        "another length": (add(tensor("w", [4], location="m.onnx", length=str(2**62))), "does not hold"),
        "an absurd opset": (graph([("Relu", ["x"], ["y"], {})], opset=-5), "opset -5"),
        "an unknown attribute": (graph([("Relu", ["x"], ["y"], {"color": 1})]), "'color'"),
    }


@pytest.mark.parametrize("what", hostile())
def test_hostile_file(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 16)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    model, text = hostile()[what]
    with pytest.raises(OnnxError, match=text):
        dc.onnx.load(save(model, folder))


def test_absurd_sizes_at_run_time(tmp_path: Path) -> None:
    huge = onnx.numpy_helper.from_array(np.array([2**40]), "w")
    for operator in ("ConstantOfShape", "Expand", "Tile"):
        inputs = ["w"] if operator == "ConstantOfShape" else ["x", "w"]
        loaded = dc.onnx.load(save(graph([(operator, inputs, ["y"], {})], (huge,)), tmp_path))
        with pytest.raises(OnnxError, match=operator):
            loaded(dc.ones(1))


def test_external_data_is_read(tmp_path: Path) -> None:
    model, x = network(), dc.randn(2, 1, 8, 8)
    dc.onnx.export(model, x, tmp_path / "m.onnx", external_data=True)
    assert_close(dc.onnx.load(tmp_path / "m.onnx")(x).detach().numpy(), model(x).detach().numpy(), "float32", 27)


def test_wrong_inputs(tmp_path: Path) -> None:
    loaded = dc.onnx.load(save(graph([("Relu", ["x"], ["y"], {})]), tmp_path))
    for args in ((), (dc.ones(2), dc.ones(2)), (dc.ones(2, 2),), (dc.ones(2, dtype="float64"),), ([1.0],)):
        with pytest.raises(DeepcoreError, match="expected the input"):
            loaded(*args)
    assert loaded(x=dc.ones(2)).tolist() == [1.0, 1.0]


def mutations(good: bytes, rounds: int, seed: int) -> Iterator[bytes]:
    """Bytes cut off, changed, turned round, repeated and overwritten by large numbers."""
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        bad = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            i, j = sorted(rng.integers(0, len(bad) + 1, 2).tolist())
            j = min(j, i + int(rng.integers(1, 64)))
            kind = rng.integers(0, 5)
            if kind == 0 and rng.random() < 0.3:
                del bad[j:]
            elif kind == 1 and i < len(bad):
                bad[i] = rng.integers(0, 256)
            elif kind == 2:
                bad[i:j] = bad[i:j][::-1]
            elif kind == 3:
                bad[j:j] = bad[i:j]
            else:
                bad[i : i + 9] = b"\xff\xff\xff\xff\xff\xff\xff\xff\x3f"
        yield bytes(bad)


def fuzz(rounds: int, folder: Path, seed: int = 0) -> tuple[int, int, int]:
    """(refused when read, refused when run, run) of mutated files; nothing else may happen."""
    model, x = network(), dc.randn(2, 1, 8, 8)
    dc.onnx.export(model, x, folder / "m.onnx", dynamic_axes={"input": {0: "batch"}})
    counts, good = [0, 0, 0], (folder / "m.onnx").read_bytes()
    for bad in mutations(good, rounds, seed):
        (folder / "m.onnx").write_bytes(bad)
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                loaded = dc.onnx.load(folder / "m.onnx")
            except DeepcoreError:
                counts[0] += 1
                continue
            try:
                loaded(x)
                counts[2] += 1
            except DeepcoreError:
                counts[1] += 1
    assert [p.name for p in folder.iterdir()] == ["m.onnx"]
    return counts[0], counts[1], counts[2]


def test_fuzz(tmp_path: Path) -> None:
    refused, stopped, ran = fuzz(300, tmp_path)
    assert refused > 100
    assert refused + stopped + ran == 300


@pytest.mark.slow
def test_long_fuzz(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused, stopped, ran = fuzz(20000, tmp_path, 1)
    with capsys.disabled():
        print(f"\n{refused} refused when read, {stopped} when run, {ran} ran")
