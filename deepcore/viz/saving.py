"""Figures as files: PNG or SVG, by the ending of the name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from deepcore.errors import ConfigError
from deepcore.train.run import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")


def file_format(path: str | Path) -> str:
    """ "png" or "svg"; raises ConfigError for another ending."""
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise ConfigError(f"{path}: expected a name that ends with .png or .svg; got {ending!r}.")
    return ending


def save(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Writes the figure as PNG, with `dpi` pixels an inch, or as SVG.

    Raises ConfigError for another ending, RunError where the disk refuses.
    """
    from matplotlib import rc_context

    kind = file_format(path)
    data = io.BytesIO()
    with rc_context({"svg.hashsalt": Path(path).stem}):  # the same figure is the same file
        figure.savefig(data, format=kind, dpi=dpi, metadata={"Date": None} if kind == "svg" else None)
    write_atomic(Path(path), lambda file: file.write(data.getvalue()))
