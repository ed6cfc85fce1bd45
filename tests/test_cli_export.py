"""`deepcore export`: the model of a run folder as a file that ONNX Runtime runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import models
from deepcore.check.tolerance import assert_close
from deepcore.cli import main
from deepcore.train import checkpoint

onnx = pytest.importorskip("onnx", reason="it comes with the extra onnx")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder with a model of random weights."""
    monkeypatch.setenv("COLUMNS", "200")
    options = {"num_classes": 3, "in_channels": 1, "image_size": 28}
    info = {"model": "lenet", "options": options, "classes": ["a", "b", "c"], "mean": 0.3, "std": 0.5}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("")
    dc.manual_seed(0)
    checkpoint.save_model(tmp_path / "run" / "model.safetensors", models.create("lenet", **options).state_dict(), info)
    return tmp_path


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


def test_export(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    from onnx_ops import run_file

    file, raw = folder / "m.onnx", folder / "raw.onnx"
    assert exit_code("export", str(folder / "run"), str(file)) == 0
    assert "images (batch, 1, 28, 28) float32, from 0 to 1 -> probabilities (batch, 3)" in capsys.readouterr().out
    assert exit_code("export", str(folder / "run"), str(raw), "--raw", "--opset", "18", "--external-data") == 0
    assert (folder / "raw.onnx.data").is_file()
    dc.manual_seed(0)
    model = models.create("lenet", num_classes=3, in_channels=1, image_size=28).eval()
    x = np.random.default_rng(0).random((5, 1, 28, 28), np.float32)
    logits = model(dc.tensor((x - 0.3) / 0.5, dtype="float32"))
    assert_close(run_file(raw, {"images": (x - 0.3) / np.float32(0.5)})[0], logits.detach().numpy(), "float32", 400)
    assert_close(run_file(file, {"images": x})[0], F.softmax(logits, 1).detach().numpy(), "float32", 400)
    metadata = {p.key: json.loads(p.value) for p in onnx.load(file).metadata_props}
    assert metadata == {"classes": ["a", "b", "c"], "mean": 0.3, "std": 0.5, "normalised": True}


def test_errors(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("export", str(folder / "none"), str(folder / "m.onnx")) == 2
    assert "there is no run folder" in capsys.readouterr().err
    assert exit_code("export", str(folder / "run"), str(folder / "m.onnx"), "--opset", "9") == 2
    assert "18 to 22" in capsys.readouterr().err
    assert exit_code("export", str(folder / "run"), str(folder / "no" / "m.onnx")) == 2
    assert "cannot be written" in capsys.readouterr().err
