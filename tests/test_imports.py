"""Imports point one way only, and `import deepcore` stays light."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from deepcore.bench.startup import import_seconds

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (
    {"deepcore": ROOT / "deepcore"}
    | {f"deepcore.{name}": ROOT / name for name in ("backends", "kernels", "bench")}
    | {f"deepcore.check.{name}": ROOT / "tests" / name for name in ("cases", "oracles")}
)

# Lowest first. A module may import its own part and every part below it. Parts of one line stand side by side: they do
# not import each other, except those in TOGETHER, which are one thing in several files.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("kernels",),
    ("backends",),
    ("arrays", "charts", "devices", "dtypes", "machine", "webpage"),
    ("autograd",),
    ("random",),
    ("functions", "functional", "linalg"),
    ("tensor", "creation", "printing"),
    ("nn", "layers", "gradient", "information", "distributions", "serialization"),
    ("data", "inference", "onnx", "optim", "models", "summaries", "cuda", "profiler"),
    ("amp",),
    ("train", "sklearn"),
    ("viz",),
    ("check",),
    ("lockstep",),
    ("bench",),
    ("cli",),
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
TOGETHER = [{"arrays", "devices"}, {"functions", "functional", "linalg"}, {"tensor", "creation", "printing"}]

# errors.py may be used by every part of deepcore/. It re-exports backends/errors.py, so it stands just above that.
ERRORS = "errors"
# Programs may use the package as a user does, by `import deepcore`.
PROGRAMS = ("train", "check", "lockstep", "bench", "cli", "__main__")

CUDA_LIBRARIES = ("cupy", "cupyx", "cupy_backends", "cuda", "nvmath")
HEAVY = ("cupy", "numba", "llvmlite", "scipy", "sklearn", "matplotlib", "torch", "typer", "rich", "PIL", "pooch")
HEAVY += ("graphviz", "ml_dtypes", "onnx", "pydantic", "safetensors", "tensorboardX")
IMPORT_LIMIT_S = 0.35


class Import(NamedTuple):
    """One imported module: `line` of the import, full `name` of what is imported."""

    line: int
    name: str


def source_files() -> dict[str, Path]:
    """Every module of the package by its installed name."""
    files = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            files[".".join((package, *parts)).removesuffix(".__init__")] = path
    return files


FILES = source_files()


def imports_of(path: Path, module: str) -> list[Import]:
    """All imports, those inside of functions too; those under `if TYPE_CHECKING:` are for readers and left out."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return list(_imports(ast.parse(path.read_text(encoding="utf-8")), package))


def _imports(node: ast.AST, package: str) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(node.lineno, alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            anchor = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*anchor, base] if base else anchor)
        yield from (Import(node.lineno, f"{base}.{alias.name}") for alias in node.names)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for child in node.orelse:
            yield from _imports(child, package)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, package)


def part_of(name: str) -> str:
    """`nn` for `deepcore.nn.module`; an empty string for the package itself and for names that it re-exports."""
    pieces = name.split(".")
    known = len(pieces) > 1 and (pieces[1] in RANK or f"deepcore.{pieces[1]}" in FILES)
    return pieces[1] if known else ""


def fault(importer: str, imported: str) -> str | None:
    """Why part `importer` must not import part `imported`; None where it may."""
    if importer == imported:
        return None
    if imported == "":
        return None if importer in PROGRAMS else "only programs may import the package by its front door"
    if imported == ERRORS:
        lowest = RANK["backends"] >= RANK.get(importer, len(LAYERS))
        return "kernels and backends have their own errors in backends/errors.py" if lowest else None
    if importer == ERRORS:
        return None if imported == "backends" else "errors.py stands on backends/errors.py only"
    if importer == "__main__":
        return None
    if any({importer, imported} <= group for group in TOGETHER) or RANK[imported] < RANK[importer]:
        return None
    return f"{imported} is not below {importer}"


def test_every_part_has_a_layer() -> None:
    parts = {name.split(".")[1] for name in FILES if "." in name} - {ERRORS, "__main__"}
    assert parts <= set(RANK), f"give these a place in LAYERS: {sorted(parts - set(RANK))}"


@pytest.mark.parametrize("module", [name for name in FILES if name != "deepcore"])
def test_imports_point_down(module: str) -> None:
    importer = "__main__" if module.endswith(".__main__") else module.split(".")[1]  # `python -m` is a program
    faults = [
        f"{FILES[module].relative_to(ROOT)}:{line}: {name}: {reason}"
        for line, name in imports_of(FILES[module], module)
        if name.split(".")[0] == "deepcore" and (reason := fault(importer, part_of(name)))
    ]
    assert not faults, "\n".join(faults)


def test_the_rule_itself_sees_faults() -> None:
    assert fault("nn", "functions") is None
    assert fault("functions", "nn")
    assert fault("data", "optim")
    assert fault("kernels", "errors")
    assert fault("optim", "")
    tree = ast.parse("if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    from ..c import d\n")
    assert [name for _, name in _imports(tree, "deepcore.nn")] == ["b", "deepcore.c.d"]


def knows_cuda(module: str) -> bool:
    """Whether the module may name CUDA's libraries."""
    return module == "deepcore.backends.simulator" or module.startswith(
        ("deepcore.backends.cuda", "deepcore.kernels.cuda")
    )


@pytest.mark.parametrize("module", FILES)
def test_only_cuda_modules_know_cuda(module: str) -> None:
    if knows_cuda(module):
        return
    for line, name in imports_of(FILES[module], module):
        where = f"{FILES[module].relative_to(ROOT)}:{line}: {name}"
        assert name.split(".")[0] not in CUDA_LIBRARIES, where
        assert not name.startswith("numba.cuda"), where


@pytest.mark.parametrize("module", [name for name in FILES if FILES[name].is_relative_to(ROOT / "deepcore")])
def test_deepcore_imports_no_array_library_but_numpy(module: str) -> None:
    for line, name in imports_of(FILES[module], module):
        assert name.split(".")[0] not in ("cupy", "cupyx", "numba", "llvmlite"), f"{FILES[module]}:{line}: {name}"


def run_python(code: str) -> str:
    """What a fresh interpreter prints for `code`, with nothing of the current folder on its search path."""
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_is_light() -> None:
    everything = "import sys, deepcore; from deepcore import data, functional, layers, models, nn, optim, train"
    loaded = run_python(f"{everything}; print(*sorted(sys.modules))").split()
    assert "deepcore.nn.conv.convolution" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_import_is_fast() -> None:
    # Other work on the machine makes a measurement longer, never shorter: the fastest of a few is the truth. Where more
    # programs run than there are cores even that is not, and the time on a processor is looked at instead.
    measured = []
    for _ in range(10):
        measured.append(import_seconds("deepcore"))
        if measured[-1].wall < IMPORT_LIMIT_S:
            return
    crowded = os.getloadavg()[0] > (os.cpu_count() or 1)
    best = min(times.cpu if crowded else times.wall for times in measured)
    assert best < IMPORT_LIMIT_S, f"import deepcore takes {best:.3f} s, the limit is {IMPORT_LIMIT_S} s"
