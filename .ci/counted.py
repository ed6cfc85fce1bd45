"""Which lines of the CPU kernels run, for coverage.py, which sees no machine code.

Each line of kernels/cpu/ has a byte; the machine code of a kernel writes it when it comes to the line. A function under
`@vectorised` is Python that writes code: what it runs for that counts wherever the code runs. Nothing is kept on disk
or read from there, since the bytes lie elsewhere in each process.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / "kernels" / "cpu"
_marks: dict[str, np.ndarray] = {}


def marks(filename: str) -> np.ndarray | None:
    """The bytes of a file of kernels, of line 0, 1, ...; None of any other file."""
    if filename not in _marks:
        path = Path(filename)
        if path.parent.resolve() != FOLDER:
            return None
        _marks[filename] = np.zeros(len(path.read_text(encoding="utf-8").splitlines()) + 1, np.uint8)
    return _marks[filename]


def reached() -> Iterator[tuple[str, list[int]]]:
    """The lines of each file that ran since the last call."""
    for filename, found in _marks.items():
        if found.any():
            yield filename, np.flatnonzero(found).tolist()
            found[:] = 0


def mark(builder: Any, filename: str, line: int) -> None:
    """Write code that writes the line's byte."""
    from llvmlite import ir

    found = marks(filename)
    if found is not None and line < found.size:
        address = ir.Constant(ir.IntType(64), found.ctypes.data + line)
        builder.store(ir.Constant(ir.IntType(8), 1), builder.inttoptr(address, ir.IntType(8).as_pointer()))


def traced(function: Callable) -> Callable:
    """A function that writes code, with code behind it that marks the lines which this took."""

    @functools.wraps(function)
    def write(code: Any, *arguments: Any) -> None:
        lines: set[tuple[str, int]] = set()

        def trace(frame: Any, event: str, argument: Any) -> Any:
            if marks(frame.f_code.co_filename) is None:
                return None
            lines.add((frame.f_code.co_filename, frame.f_lineno))
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            function(code, *arguments)
        finally:
            sys.settrace(before)
        for filename, line in sorted(lines):
            mark(code.builder, filename, line)

    return write


def install() -> None:
    """Count from now on; to be called before a kernel is imported."""
    from numba.core import caching, ir, lowering

    lower = lowering.Lower.lower_inst

    def lower_inst(self: Any, inst: Any) -> Any:
        if not isinstance(inst, ir.Del):
            mark(self.builder, self.loc.filename, self.loc.line)
        return lower(self, inst)

    lowering.Lower.lower_inst = lower_inst
    caching.Cache.load_overload = caching.Cache.save_overload = lambda *_: None

    from deepcore.kernels.cpu import vector

    vectorised = vector.vectorised
    vector.vectorised = lambda function: vectorised(traced(function))
