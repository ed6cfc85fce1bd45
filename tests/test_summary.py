"""`dc.summary` and `deepcore summary`: counts against formulas and PyTorch's, and a model that stays as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import models, nn
from deepcore.cli import main
from deepcore.errors import ConfigError
from deepcore.summaries import Summary
from deepcore.summaries.result import in_bytes

WEIGHT = 4  # bytes of a float32


def macs(module: nn.Module, *sizes: tuple[int, ...]) -> int:
    return dc.summary(module, list(sizes)).multiply_adds


@pytest.mark.parametrize(
    ("module", "size", "expected"),
    [
        (nn.Linear(5, 7), (3, 5), 3 * 5 * 7),
        (nn.Linear(5, 7), (2, 3, 5), 2 * 3 * 5 * 7),
        (nn.Conv1d(4, 6, 3, stride=2), (2, 4, 11), 2 * 6 * 5 * 4 * 3),
        (nn.Conv2d(4, 6, (3, 5), padding=1, groups=2), (2, 4, 8, 9), 2 * 6 * 8 * 7 * (4 // 2) * 3 * 5),
        (nn.Conv2d(4, 4, 3, dilation=2, groups=4), (1, 4, 9, 9), 4 * 5 * 5 * 3 * 3),
        (nn.Conv3d(2, 3, (2, 3, 3)), (1, 2, 4, 5, 6), 3 * 3 * 3 * 4 * 2 * 2 * 3 * 3),
        (nn.ConvTranspose1d(4, 6, 3, stride=2), (2, 4, 5), 2 * 4 * 5 * 6 * 3),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 5, 5), 2 * 4 * 5 * 5 * (6 // 2) * 3 * 3),
        (nn.ConvTranspose3d(2, 3, 2, stride=2), (1, 2, 3, 4, 5), 2 * 3 * 4 * 5 * 3 * 2 * 2 * 2),
        (nn.RNN(5, 7), (11, 2, 5), 11 * 2 * 7 * (5 + 7)),
        (nn.GRU(5, 7), (11, 2, 5), 11 * 2 * 3 * 7 * (5 + 7)),
        (nn.LSTM(5, 7), (11, 2, 5), 11 * 2 * 4 * 7 * (5 + 7)),
        (nn.LSTM(5, 7, 2, bidirectional=True), (11, 2, 5), 11 * 2 * 2 * 4 * 7 * ((5 + 7) + (14 + 7))),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Softmax(1)), (2, 3, 4, 4), 0),
    ],
)
def test_multiply_adds_are_those_of_the_formula(module: nn.Module, size: tuple[int, ...], expected: int) -> None:
    assert macs(module, size) == expected


class Products(nn.Module):
    def forward(self, q: Any, k: Any, v: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v), q @ dc.ones(4, 6), dc.einsum("nld,nsd->nls", q, k)


def test_attention_and_products() -> None:
    attention = 2 * 3 * 5 * (4 + 6)
    assert macs(Products(), (2, 3, 4), (2, 5, 4), (2, 5, 6)) == attention + 2 * 3 * 4 * 6 + 2 * 3 * 5 * 4


def test_multihead_attention() -> None:
    length, batch, width = 5, 2, 8
    projections = 4 * length * batch * width * width
    assert macs(nn.MultiheadAttention(width, 2), *[(length, batch, width)] * 3) == (
        projections + batch * length * length * (width + width)
    )


@pytest.mark.parametrize("name", models.names())
def test_models_agree_with_counts_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    theirs, channels = in_torch(torch, name)
    with FlopCounterMode(display=False) as counter:
        theirs(torch.zeros(2, channels, 32, 32))
    found = dc.summary(models.create(name), (2, channels, 32, 32))
    assert found.multiply_adds == counter.get_total_flops() // 2
    assert found.parameters == sum(p.numel() for p in theirs.parameters())


def in_torch(torch: Any, name: str) -> tuple[Any, int]:
    """The same layers in PyTorch; a network for counting, where order and shortcuts do not matter."""
    t = torch.nn
    if name == "lenet":
        features = [t.Conv2d(1, 6, 5), t.MaxPool2d(2), t.Conv2d(6, 16, 5), t.MaxPool2d(2), t.Flatten()]
        return t.Sequential(*features, t.Linear(400, 120), t.Linear(120, 84), t.Linear(84, 10)), 1
    if name == "mlp":
        return t.Sequential(t.Flatten(), t.Linear(1024, 100), t.Linear(100, 100), t.Linear(100, 10)), 1
    blocks, layers, before = (int(name.removeprefix("resnet")) - 2) // 6, [], 3
    plan = [(16, 1)] + [(w, 2 if w > 16 and i == 0 else 1) for w in (16, 32, 64) for i in range(2 * blocks)]
    for width, stride in plan:
        layers += [t.Conv2d(before, width, 3, stride, 1, bias=False), t.BatchNorm2d(width)]
        before = width
    return t.Sequential(*layers, t.AdaptiveAvgPool2d(1), t.Flatten(), t.Linear(64, 10)), 3


class Shared(nn.Module):
    """One layer that runs twice, one that never runs, one that is frozen, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(4, 4)
        self.same = self.twice
        self.idle = nn.Linear(4, 3)
        self.frozen = nn.Linear(4, 2).requires_grad_(False)
        self.register_buffer("scale", dc.ones(4))

    def forward(self, x: Any) -> Any:
        return {"y": self.frozen(self.same(self.twice(x * self.scale))), "x": x}


def test_tree_calls_and_totals() -> None:
    found = dc.summary(Shared(), (3, 4))
    layers = {layer.name: layer for layer in found.layers}
    assert list(layers) == ["", "twice", "idle", "frozen"]
    assert (layers["twice"].calls, layers["idle"].calls) == (2, 0)
    assert layers[""].outputs == ((3, 2), (3, 4))
    assert (found.parameters, found.trainable, found.buffers) == (20 + 15 + 10, 20 + 15, 4)
    assert found.multiply_adds == 2 * 3 * 4 * 4 + 3 * 4 * 2
    assert found.parameter_bytes == 45 * WEIGHT
    text = found.to_text()
    assert "(2 calls)" in text
    assert "not run" in text
    assert "45 (35 trainable, 10 not)" in text
    assert len(found.to_text(depth=0).split("\n\n")[0].splitlines()) == 3


def test_memory_of_activations() -> None:
    """Linear and tanh: what each makes and keeps can be told by hand."""
    model = nn.Sequential(nn.Linear(100, 50), nn.Tanh(), nn.Linear(50, 10))
    found = dc.summary(model, (8, 100))
    first, last = 8 * 50 * WEIGHT, 8 * 10 * WEIGHT
    assert found.activation_bytes == first + first + last
    assert found.kept_bytes == first  # of tanh its output, which the last layer needs too; the input is the caller's
    assert found.peak_bytes == 2 * first  # tanh, while its input is still there
    assert [layer.kept_bytes for layer in found.layers] == [first, 0, first, 0]


def test_merged_layers_keep_less_than_one_by_one() -> None:
    found = dc.summary(models.create("lenet"), (2, 1, 32, 32))
    assert found.kept_bytes is not None
    assert found.layers[0].kept_bytes is not None
    assert 0 < found.kept_bytes < found.layers[0].kept_bytes


def test_nothing_is_changed() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(72, 3))
    model[1].eval()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = dc.get_rng_state()
    dc.summary(model, (4, 1, 8, 8))
    assert dc.get_rng_state() == random
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), before[name]), name
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_it_is_left_as_it_was_where_the_model_fails() -> None:
    model = models.create("lenet")
    with pytest.raises(ConfigError, match=r"got \(1, 3, 32, 32\); module 'features.0' \(Conv2d\) says: conv2d"):
        dc.summary(model, (1, 3, 32, 32))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert model.training


def test_a_batch_that_cannot_be_learned_from() -> None:
    found = dc.summary(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), (1, 3))
    assert found.kept_bytes is None
    assert "more than one value per channel" in found.notes[0]
    assert "kept for backward: not known" in str(found)


def test_ways_to_give_the_input(device: str) -> None:
    model = nn.Linear(4, 2).to(device)
    sized = dc.summary(model, (3, 4))
    given = dc.summary(model, input_data=dc.ones(3, 4, device=device))
    assert sized == given
    assert sized.device == device
    assert not dc.summary(model).ran
    assert dc.summary(model).parameters == 10
    assert dc.summary(nn.Embedding(9, 4), (2, 3), dtypes=["int64"]).layers[0].outputs == ((2, 3, 4),)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"input_size": (1, -4)}, "positive ints"),
        ({"input_size": "4"}, "positive ints"),
        ({"input_size": (1, 4), "dtypes": ["int64", "int64"]}, "2 dtypes, 1 inputs"),
        ({"input_size": (1, 4), "input_data": dc.ones(1, 4)}, "input_data alone"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        dc.summary(nn.Linear(4, 2), **arguments)


def test_wrong_models() -> None:
    with pytest.raises(ConfigError, match="expected a Module; got int"):
        dc.summary(3, (1, 4))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="depth"):
        dc.summary(nn.Linear(4, 2), (1, 4)).to_text(-1)


def test_units() -> None:
    assert [in_bytes(n) for n in (0, 999, 1000, 999_600, 1_234_567)] == ["0 B", "999 B", "1 KB", "1 MB", "1.23 MB"]


# ---- the command

NET = """
from deepcore import nn
class Net(nn.Module):
    def __init__(self, num_classes=7):
        super().__init__()
        self.embedding, self.out = nn.Embedding(11, 6), nn.Linear(6, num_classes)
    def forward(self, x):
        return self.out(self.embedding(x))
def number(): return 3
def needy(size): return nn.Linear(size, 2)
"""


def test_command_on_a_registered_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "lenet.json"
    main_ok(["summary", "lenet", "--input", "1,28,28", "--batch-size", "4", "--json", str(file)])
    printed = capsys.readouterr().out
    assert "(4, 6, 28, 28)" in printed
    assert "61,706" in printed
    found = json.loads(file.read_text())
    assert (found["schema"], found["parameters"]) == ("deepcore-summary/1", 61706)
    assert found["multiply_adds"] == sum(layer["multiply_adds"] for layer in found["layers"] if layer["depth"] == 1)


def test_command_on_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    main_ok(["summary", f"{tmp_path}/net.py:Net", "--input", "3", "--dtype", "int64", "--classes", "5", "--json", "-"])
    assert json.loads(capsys.readouterr().out)["layers"][0]["outputs"] == [[1, 3, 5]]


@pytest.mark.parametrize("name", models.names())
def test_command_on_every_model(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main_ok(["summary", name, "--depth", "1"])
    assert "multiply-adds" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lenett"], "Did you mean 'lenet'"),
        (["lenet", "--input", "1,28,x"], "whole numbers with commas"),
        (["lenet", "--input", "1,28,30"], "square images"),
        (["lenet", "--input", "28"], "takes images"),
        (["lenet", "--dtype", "float31"], "expected bfloat16"),
        (["net.py:Nett", "--input", "3"], "Did you mean 'Net'"),
        (["net.py:Net"], "does not say what it is made for"),
        (["net.py:number", "--input", "3"], "expected a Module; got int"),
        (["net.py:needy", "--input", "3"], "cannot be built from no arguments alone"),
        (["absent.py:Net", "--input", "3"], "there is no file absent.py"),
        (["broken.py:Net", "--input", "3"], "cannot be run"),
        (["."], "not a run folder"),
    ],
)
def test_command_with_wrong_arguments(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NET)
    Path("broken.py").write_text("1 / 0")
    with pytest.raises(SystemExit) as stop:
        main(["summary", *arguments])
    assert stop.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def main_ok(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0


def test_a_summary_is_a_value() -> None:
    assert isinstance(dc.summary(nn.Linear(1, 1), (1, 1)), Summary)
