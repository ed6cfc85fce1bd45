"""The small changes that .ci/mutants.py makes: another operator, number, condition or result, a statement less."""

from __future__ import annotations

import ast
import difflib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cover import ROOT

FOLDERS = ("kernels/cpu", "kernels/cuda", "backends/base", "backends/cpu", "backends/cuda", "deepcore/functions")
# these compile, launch and diagnose; the others compute
TOOLS = ("compiler.py", "cache.py", "declare.py", "diagnose.py", "launcher.py", "memory.py", "blas.py", "__init__.py")

SWAPS: dict[type, tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"), ast.And: ("and", "or"), ast.Or: ("or", "and"),
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"), ast.Pow: ("**", "*"), ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"), ast.BitXor: ("^", "&"),
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: bytes first..last of a file become `text`."""

    file: str
    line: int
    statement: int
    """First line of the statement that it is in, as coverage.py counts; outside of functions that of `function`."""
    function: tuple[int, int]
    """First and last line of the function around it, else of the class, else of the file."""
    first: int
    last: int
    text: str
    kind: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.first] + self.text.encode() + source[self.last :]

    def diff(self) -> tuple[str, str]:
        """The changed lines before and after."""
        source = (ROOT / self.file).read_bytes()
        old, new = (text.decode().splitlines() for text in (source, self.applied(source)))
        lines = [line for line in difflib.unified_diff(old, new, n=0, lineterm="") if line[:3] not in ("---", "+++")]
        return tuple("\n".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")  # type: ignore


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file."""
    source = path.read_bytes()
    starts = [0, *(i + 1 for i, byte in enumerate(source) if byte == 10)]
    whole = (1, len(starts))

    def at(node: ast.AST, end: bool = False) -> int:
        return starts[(node.end_lineno if end else node.lineno) - 1] + (node.end_col_offset if end else node.col_offset)

    def make(node: Any, first: int, last: int, text: str, kind: str, around: tuple) -> Iterator[Mutant]:
        yield Mutant(str(path.relative_to(ROOT)), node.lineno, *around, first, last, text, kind)

    def operator(left: ast.AST, op: ast.AST, right: ast.AST, around: tuple) -> Iterator[Mutant]:
        if type(op) in SWAPS:
            old, new = SWAPS[type(op)]
            begin, between = at(left, True), source[at(left, True) : at(right)].decode()
            if found := re.search(r"(?<![\w*/<>=!])" + re.escape(old) + r"(?![\w*/<>=])", between):
                place = (begin + found.start(), begin + found.end())
                yield from make(left, *place, new, type(op).__name__, around)

    def visit(node: ast.AST, around: tuple, inside: bool = False) -> Iterator[Mutant]:
        if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.arg)):
            return
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "message":
            return
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            around, inside = (node.lineno, (node.lineno, node.end_lineno)), isinstance(node, ast.FunctionDef)
        elif isinstance(node, ast.stmt) and inside:
            around = (node.lineno, around[1])
        if isinstance(node, ast.Compare):
            for left, op, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                yield from operator(left, op, right, around)
        elif isinstance(node, ast.BinOp):
            yield from operator(node.left, node.op, node.right, around)
        elif isinstance(node, ast.BoolOp):
            yield from operator(node.values[0], node.op, node.values[1], around)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            text = source[at(node.operand) : at(node.operand, True)].decode()
            yield from make(node, at(node), at(node, True), f"({text})", "sign or not", around)
        elif isinstance(node, ast.Constant) and type(node.value) in (bool, int, float):
            text = repr(not node.value if isinstance(node.value, bool) else node.value + 1)
            yield from make(node, at(node), at(node, True), text, "constant", around)
        elif isinstance(node, ast.AugAssign) and type(node.op) in SWAPS:
            old, new = (f"{text}=" for text in SWAPS[type(node.op)])
            place = source.index(old.encode(), at(node.target, True))
            yield from make(node, place, place + len(old), new, "in place", around)
        elif isinstance(node, ast.Return) and node.value is not None:
            yield from make(node, at(node.value), at(node.value, True), "None", "return", around)
        call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if call or (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)):
            yield from make(node, at(node), at(node, True), "pass", "statement", around)
        if isinstance(node, (ast.If, ast.IfExp, ast.While)):
            text = source[at(node.test) : at(node.test, True)].decode()
            yield from make(node.test, at(node.test), at(node.test, True), f"not ({text})", "condition", around)
        skipped = {"annotation", "returns", "decorator_list", "type_comment"}
        for name, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if name not in skipped and isinstance(child, ast.AST):
                    yield from visit(child, around, inside)

    yield from visit(ast.parse(source), (1, whole))


def valid(mutant: Mutant) -> bool:
    """Whether it is Python, and other Python than before."""
    source = (ROOT / mutant.file).read_bytes()
    try:
        return ast.dump(ast.parse(mutant.applied(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def drawn(seed: int, count: int) -> list[Mutant]:
    """The sample: those with the smallest hashes, so that a change of the code exchanges few of them."""
    paths = [p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.py"))]
    paths = [p for p in paths if not (p.name in TOOLS and p.parent.parent.name in ("kernels", "functions"))]
    ranked = []
    for path in paths:
        source = path.read_bytes()
        for mutant in mutants_of(path):
            start = source.rfind(b"\n", 0, mutant.first) + 1
            line = source[start : source.find(b"\n", mutant.first)].strip()
            key = repr((seed, mutant.file, line, mutant.first - start, mutant.text))
            ranked.append((hashlib.sha256(key.encode()).digest(), len(ranked), mutant))
    return list(islice(filter(valid, (mutant for *_, mutant in sorted(ranked, key=lambda r: r[:2]))), count))
