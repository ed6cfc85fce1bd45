"""What `deepcore export` does: the model of a run folder as an ONNX file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from deepcore import creation
from deepcore import functional as F
from deepcore.nn import Module
from deepcore.onnx import export
from deepcore.train.predict import Classifier


class _FromPixels(Module):
    """Images from 0 to 1 in, probabilities out; the weights keep the names that they have in the run."""

    def __init__(self, found: Classifier) -> None:
        super().__init__()
        self.model, self.normalize = found.model, found.normalize

    def forward(self, x: Any) -> Any:
        return F.softmax(self.model(self.normalize(x)), dim=1)


def export_command(run: Path, file: Path, raw: bool, opset: int, external_data: bool) -> None:
    """Writes the file and says what goes in and what comes out."""
    found = Classifier(run)
    norm = found.normalize
    names = ["images", "logits" if raw else "probabilities"]
    metadata = {
        "classes": json.dumps(list(found.classes)),
        "mean": json.dumps(norm.mean),
        "std": json.dumps(norm.std),
        "normalised": json.dumps(not raw),
    }
    example = creation.full((2, found.channels, found.size, found.size), 0.5)
    export(
        found.model if raw else _FromPixels(found),
        example,
        file,
        input_names=names[:1],
        output_names=names[1:],
        dynamic_axes={"images": {0: "batch"}},
        opset_version=opset,
        external_data=external_data,
        metadata=metadata,
    )
    scale = "normalised by mean and std" if raw else "from 0 to 1"
    text = f"{file}: images (batch, {found.channels}, {found.size}, {found.size}) float32, {scale} -> {names[1]}"
    Console().print(f"{text} (batch, {len(found.classes)})", highlight=False, soft_wrap=True)
