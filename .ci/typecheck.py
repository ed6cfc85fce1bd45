"""Runs mypy on deepcore as it is installed: backends/, kernels/, bench/, the op database inside the package.

mypy finds packages by their folders, and these stand elsewhere in the repository. A folder of symbolic links
under build/ shows it the installed layout. Arguments go on to mypy; the exit status is mypy's.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIEW = ROOT / "build" / "typecheck"


def link_layout() -> None:
    """Make build/typecheck/deepcore show every module of deepcore/ and the folders that are installed inside it."""
    package = VIEW / "deepcore"
    shutil.rmtree(package, ignore_errors=True)
    folders = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-dir"]
    for name, folder in sorted(folders.items()):  # a package before what is installed inside it
        link_package(VIEW.joinpath(*name.split(".")), ROOT / folder, {n for n in folders if n.startswith(f"{name}.")})


def link_package(view: Path, folder: Path, inside: set[str]) -> None:
    """A folder of links to the modules of `folder`; a package with another one of `inside` it becomes a folder too."""
    view.mkdir(parents=True, exist_ok=True)
    name = ".".join(view.relative_to(VIEW).parts)
    for target in folder.iterdir():
        if target.name == "__pycache__":
            continue
        if any(other.startswith(f"{name}.{target.name}.") for other in inside):
            link_package(view / target.name, target, inside)
        else:
            (view / target.name).symlink_to(target)


if __name__ == "__main__":
    link_layout()
    config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    command = [sys.executable, "-m", "mypy", *config, "--package", "deepcore", *sys.argv[1:]]
    sys.exit(subprocess.run(command, cwd=VIEW).returncode)
