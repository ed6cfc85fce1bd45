"""What `deepcore report` does: the page of a run folder."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from deepcore.train.run import RunFolder, write_atomic
from deepcore.viz.report import run_page


def report_command(run: Path, out: Path | None, command: str) -> None:
    """Writes the page and says where; raises RunError."""
    page = out or RunFolder.open(run).path / "report.html"
    text = run_page(run, command)
    write_atomic(page, lambda file: file.write(text.encode()))
    Console().print(f"wrote {page}", markup=False, highlight=False, soft_wrap=True)
