"""What `deepcore predict` does: one line per picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from deepcore.train.device import choose
from deepcore.train.predict import Classifier, Prediction


def predict_command(run: Path, images: Sequence[Path], device: str, top: int) -> None:
    """Prints class and probabilities of every picture, the likeliest first."""
    name, _ = choose(device)
    console = Console()
    for prediction in Classifier(run, name).predict(images):
        console.print(_line(prediction, top), soft_wrap=True)


def _line(prediction: Prediction, top: int) -> Text:
    (best, share), *others = prediction.probabilities[:top]
    line = Text.assemble(f"{prediction.path}: ", (best, "bold"), f"  {100 * share:.1f} %")
    if others:
        line.append("   (" + ", ".join(f"{name} {100 * p:.1f} %" for name, p in others) + ")", "dim")
    return line
