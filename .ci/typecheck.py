"""Runs mypy on deepcore as it is installed: backends/, kernels/ and bench/ inside the package deepcore.

mypy finds packages by their folders, and these three stand elsewhere in the repository. A folder of symbolic links
under build/ shows it the installed layout. Arguments go on to mypy; the exit status is mypy's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIEW = ROOT / "build" / "typecheck"


def link_layout() -> None:
    """Make build/typecheck/deepcore show every module of deepcore/ and the three folders beside it."""
    package = VIEW / "deepcore"
    package.mkdir(parents=True, exist_ok=True)
    for old in package.iterdir():
        old.unlink()
    inside = [path for path in (ROOT / "deepcore").iterdir() if path.name != "__pycache__"]
    for target in [*inside, ROOT / "backends", ROOT / "kernels", ROOT / "bench"]:
        (package / target.name).symlink_to(target)


if __name__ == "__main__":
    link_layout()
    config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    command = [sys.executable, "-m", "mypy", *config, "--package", "deepcore", *sys.argv[1:]]
    sys.exit(subprocess.run(command, cwd=VIEW).returncode)
