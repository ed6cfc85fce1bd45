"""The README is true: its Python runs, its commands and options exist, its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in one language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def shell_lines() -> list[list[str]]:
    """Every command of the README's shell blocks, as words."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    return [shlex.split(command) for line in lines for command in line.split("&&")]


def deepcore_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed command, with a terminal wide enough that no help text is cut."""
    script = Path(sys.executable).with_name("deepcore")
    wide = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run([script, *arguments], capture_output=True, text=True, timeout=120, env=wide)


def test_the_two_commands_stand_first() -> None:
    assert blocks("bash")[:2] == ["pip install -e . && deepcore train\n", 'pip install -e ".[test]" && pytest\n']


def test_python_blocks_run(tmp_path: Path) -> None:
    program = tmp_path / "readme.py"
    program.write_text("\n".join(blocks("python")), encoding="utf-8")
    result = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    accuracy = re.search(r"^([\d.]+) % of the test images are right$", result.stdout, re.MULTILINE)
    assert accuracy is not None, result.stdout
    assert float(accuracy.group(1)) > 90
    assert "[ 3. 12. 27.] [ 6. 12. 18.]" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("(4, 3)")


@pytest.mark.parametrize("command", sorted({words[1] for words in shell_lines() if words[0] == "deepcore"}))
def test_commands_have_their_options(command: str) -> None:
    result = deepcore_command(command, "--help")
    assert result.returncode == 0, result.stderr
    known = set(re.findall(r"--[a-z][a-z-]*", result.stdout))
    used = {
        word for words in shell_lines() if words[:2] == ["deepcore", command] for word in words if word.startswith("--")
    }
    assert used <= known


def test_figures_are_those_of_the_result_file() -> None:
    report = json.loads((ROOT / "bench" / "results" / "startup.json").read_text(encoding="utf-8"))
    assert report["command"] in README
    medians = {row["package"]: f"{row['median_s']:.2f} s" for row in report["packages"]}
    pattern = r"`import deepcore` takes ([\d.]+ s), of which NumPy alone takes ([\d.]+ s); PyTorch's takes ([\d.]+ s)"
    figures = re.search(pattern, README)
    assert figures is not None
    assert figures.groups() == (medians["deepcore"], medians["numpy"], medians["torch"])


def test_extras_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert set(re.findall(r"\.\[(\w+)\]", text)) <= set(extras), page


@pytest.mark.parametrize("page", PAGES)
def test_local_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (ROOT / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_files_that_the_page_names_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:deepcore|backends|kernels|bench|tests|docker|docs|\.ci)/[\w./-]*)`", text)
    missing = [path for path in named if not (ROOT / path).exists()]
    assert missing == []
