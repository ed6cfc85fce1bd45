"""What can be said of the images without building them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """The (instruction, arguments) pairs of a Dockerfile, continued lines joined and comments left out."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    pairs = [line.partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name.upper(), arguments.strip()) for name, _, arguments in pairs]


def test_both_images_exist() -> None:
    assert [path.name for path in DOCKERFILES] == ["cpu.Dockerfile", "cuda.Dockerfile"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_base_images_are_pinned(path: Path) -> None:
    bases = [arguments.split()[0] for name, arguments in instructions(path) if name == "FROM"]
    assert bases
    for base in bases:
        assert re.search(r":\d+\.\d+\.\d+-", base), f"{base} names no exact version"


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_the_last_user_is_not_root(path: Path) -> None:
    steps = instructions(path)
    last_stage = steps[max(i for i, (name, _) in enumerate(steps) if name == "FROM") :]
    users = [arguments for name, arguments in last_stage if name == "USER"]
    assert users
    assert users[-1].isdigit()
    assert int(users[-1]) > 0
    assert f"--uid {users[-1]} " in " ".join(arguments for name, arguments in last_stage if name == "RUN")


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_trains_by_default(path: Path) -> None:
    commands = dict(instructions(path))
    assert commands["ENTRYPOINT"] == '["deepcore"]'
    assert commands["CMD"].startswith('["train"')


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_dependencies_come_before_the_sources(path: Path) -> None:
    steps = instructions(path)
    install = next(i for i, (name, text) in enumerate(steps) if name == "RUN" and "--requirement" in text)
    assert install < steps.index(("COPY", ". ."))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_package_lists_are_not_kept(path: Path) -> None:
    for name, text in instructions(path):
        if name == "RUN" and "apt-get install" in text:
            assert "--no-install-recommends" in text
            assert "rm -rf /var/lib/apt/lists/*" in text


def test_every_dependency_has_an_exact_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["cuda12"]
    lines = (ROOT / "docker" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    pinned = {pin.partition("==")[0].lower().replace("_", "-") for pin in pins}
    assert {re.split(r"[\[<>=;]", name)[0].strip() for name in wanted} <= pinned


def test_the_build_context_holds_what_the_build_reads() -> None:
    patterns = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in patterns
    let_in = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = set(setup["tool"]["setuptools"]["package-dir"].values())
    files = {"pyproject.toml", setup["project"]["readme"], *setup["project"]["license-files"]}
    assert folders | files | {"docker/constraints.txt"} == let_in
    assert [path for path in let_in if not (ROOT / path).exists()] == []


def test_compose_builds_these_images() -> None:
    file = ROOT / "docker" / "compose.yaml"
    compose = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert set(compose["services"]) == {"cpu", "cuda"}
    for service in compose["services"].values():
        context = (file.parent / service["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / service["build"]["dockerfile"]).is_file()
        sources = {volume.partition(":")[0] for volume in service["volumes"]}
        assert sources <= set(compose["volumes"])
    devices = compose["services"]["cuda"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["driver"] == "nvidia"
    assert "gpu" in devices[0]["capabilities"]
