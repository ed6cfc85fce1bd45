"""The package as it is installed: every part is there, from any folder, under one name."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
PARTS = {name.removeprefix("deepcore."): folder for name, folder in SETUPTOOLS["package-dir"].items() if "." in name}


def run_python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that runs `code` in the folder `cwd`."""
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)


def test_package_list_equals_the_folders() -> None:
    found = set()
    for package, folder in SETUPTOOLS["package-dir"].items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join((package, *init.parent.relative_to(ROOT / folder).parts)))
    assert set(SETUPTOOLS["packages"]) == found


def test_every_module_is_in_a_package() -> None:
    for folder in SETUPTOOLS["package-dir"].values():
        for module in (ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").is_file(), f"{module.parent.relative_to(ROOT)} has no __init__.py"


def test_all_parts_import_from_any_folder(tmp_path: Path) -> None:
    code = f"import deepcore, {', '.join(f'deepcore.{part}' for part in PARTS)}"
    result = run_python(code, tmp_path)
    assert result.returncode == 0, result.stderr


def test_all_parts_come_from_one_tree(tmp_path: Path) -> None:
    # Two clones and one editable install could mix: deepcore/ of one with backends/ of the other.
    names = ["deepcore", *(f"deepcore.{part}" for part in PARTS)]
    code = f"import {', '.join(names)}\nprint({', '.join(f'{name}.__file__' for name in names)}, sep='\\n')"
    files = [Path(line) for line in run_python(code, tmp_path).stdout.splitlines()]
    home = files[0].parent
    beside = ROOT if home.parent == ROOT else home
    folders = PARTS.values() if home.parent == ROOT else [part.replace(".", "/") for part in PARTS]
    assert [file.parent for file in files[1:]] == [beside / folder for folder in folders]


@pytest.mark.parametrize("part", PARTS)
def test_bare_import_is_refused(part: str) -> None:
    folder = ROOT / PARTS[part]
    result = run_python(f"import {folder.name}", folder.parent)
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError")
    assert f"deepcore.{part}" in last


def test_metadata() -> None:
    info = metadata("deepcore")
    assert info["Version"] == PYPROJECT["project"]["version"]
    assert info["License-Expression"] == "MIT"
    assert (ROOT / "deepcore" / "py.typed").is_file()
    assert {"test", "dev", "cuda12", "cuda13"} <= set(info.get_all("Provides-Extra"))


def test_version_is_said_once_and_logged() -> None:
    version = PYPROJECT["project"]["version"]
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first is not None
    assert first.group(1) in (version, "Unreleased")


def test_command_is_installed() -> None:
    scripts = {script.name: script.value for script in entry_points(group="console_scripts")}
    assert scripts["deepcore"] == PYPROJECT["project"]["scripts"]["deepcore"]


def test_every_base_dependency_has_its_reason() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = [re.split(r"[<>=\[;]", line)[0] for line in PYPROJECT["project"]["dependencies"]]
    assert [name for name in names if f"| {name} |" not in text] == []


@pytest.mark.parametrize("extra", ["test", "cuda12", "cuda13"])
def test_extras_with_numba_cuda_keep_numpy_below_2_5(extra: str) -> None:
    # numba-cuda 0.30 calls numpy.row_stack, which NumPy 2.5 no longer has, and sets no bound itself.
    lines = PYPROJECT["project"]["optional-dependencies"][extra]
    assert any(line.startswith("numba-cuda[") for line in lines)
    assert any(line.startswith("numpy<2.5") for line in lines)
