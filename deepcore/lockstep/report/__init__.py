"""What a comparison found, for people and programs: `print_summary`, `write_json`, `write_html`."""

from __future__ import annotations

from pathlib import Path

from deepcore.lockstep.report.as_json import to_dict, to_json
from deepcore.lockstep.report.facts import largest_ratio
from deepcore.lockstep.report.page import to_html
from deepcore.lockstep.report.terminal import print_summary
from deepcore.lockstep.report.words import headline, number, sentences
from deepcore.lockstep.result import Comparison
from deepcore.train.run import write_atomic


def write_json(comparison: Comparison, path: str | Path, command: str = "") -> None:
    """Writes the comparison as JSON (report/as_json.py says what is in it). Raises RunError where the disk refuses."""
    _write(Path(path), to_json(comparison, command))


def write_html(comparison: Comparison, path: str | Path, command: str = "") -> None:
    """Writes the report as one HTML file that loads nothing. Raises RunError where the disk refuses."""
    _write(Path(path), to_html(comparison, command))


def _write(path: Path, text: str) -> None:
    write_atomic(path, lambda file: file.write(text.encode()))


__all__ = [
    "headline",
    "largest_ratio",
    "number",
    "print_summary",
    "sentences",
    "to_dict",
    "to_html",
    "to_json",
    "write_html",
    "write_json",
]
