"""Pickles of plain values and byte arrays, taken apart by hand: nothing in them is imported, called or run.

A pickle is a program for a stack machine, and `pickle.load` runs it, whatever it does. Here `pickletools` of the
standard library only names its steps. Those that build numbers, text, lists, dicts and NumPy arrays of uint8 are
followed; a name of a function stays a name, and any other step is an error.
"""

from __future__ import annotations

import math
import pickletools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcore.data.reading.damage import reading
from deepcore.errors import DataError

UINT8 = ("u1", "|u1", "uint8", "B")
MOST_STEPS = 5_000_000  # the largest pickle of CIFAR has about 500,000


class _Name(NamedTuple):
    """What a pickle would import."""

    module: str
    name: str


class _Array:
    """An array in the making; `value` is set by the step that fills it."""

    value: np.ndarray | None = None


class _DType(NamedTuple):
    code: str


class _Mark:
    """Stands on the stack where the parts of a list, tuple or dict begin."""


_MARK = _Mark()
IGNORED = ("PROTO", "FRAME")
_VALUES = """
BININT BININT1 BININT2 LONG1 LONG4 INT LONG BINFLOAT FLOAT UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 STRING
BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
"""
VALUES = frozenset(_VALUES.split())
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickle(content: bytes, what: str | Path) -> Any:
    """The value that the pickle holds; `what` names it in errors. Arrays are of uint8.

    Raises DataError for what is no whole pickle, and for one that asks for anything but plain values.
    """
    with reading(what, "pickle"):
        try:
            return _Machine().run(content)
        except _Refused as refused:
            raise DataError(
                f"{what}: {refused}; only plain values and arrays of uint8 are read from a pickle."
            ) from None


class _Refused(Exception):
    """A step that is not followed."""


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        for count, (step, argument, _) in enumerate(pickletools.genops(content)):
            if count > MOST_STEPS:
                raise _Refused(f"it has more than {MOST_STEPS:,} steps")
            if step.name == "STOP":
                return _finished(self.stack.pop())
            self._follow(step.name, argument)
        raise EOFError("no end")

    def _follow(self, step: str, argument: Any) -> None:
        stack = self.stack
        if step in IGNORED:
            return
        if step in VALUES:
            stack.append(argument)
        elif step in CONSTANTS:
            stack.append(CONSTANTS[step])
        elif step in EMPTY:
            stack.append(EMPTY[step]())
        elif step == "MARK":
            stack.append(_MARK)
        elif step in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = stack[-1]
        elif step == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif step in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        else:
            self._build(step, argument)

    def _build(self, step: str, argument: Any) -> None:
        stack = self.stack
        if step in TUPLES:
            parts = [stack.pop() for _ in range(TUPLES[step])]
            stack.append(tuple(reversed(parts)))
        elif step == "TUPLE":
            stack.append(tuple(self._to_mark()))
        elif step == "LIST":
            stack.append(self._to_mark())
        elif step == "DICT":
            parts = self._to_mark()
            stack.append(dict(zip(parts[::2], parts[1::2], strict=True)))
        elif step in ("APPEND", "APPENDS"):
            parts = self._to_mark() if step == "APPENDS" else [stack.pop()]
            _expect(stack[-1], list).extend(parts)
        elif step in ("SETITEM", "SETITEMS"):
            parts = self._to_mark() if step == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _expect(stack[-1], dict).update(zip(parts[::2], parts[1::2], strict=True))
        elif step == "GLOBAL":
            stack.append(_Name(*argument.split(" ", 1)))
        elif step == "STACK_GLOBAL":
            name = stack.pop()
            stack.append(_Name(_expect(stack.pop(), str), _expect(name, str)))
        elif step == "REDUCE":
            arguments = _expect(stack.pop(), tuple)
            stack.append(_made(stack.pop(), arguments))
        elif step == "BUILD":
            state = stack.pop()
            _fill(stack[-1], state)
        else:
            raise _Refused(f"it holds the step {step}")

    def _to_mark(self) -> list[Any]:
        parts = []
        while (part := self.stack.pop()) is not _MARK:
            parts.append(part)
        return parts[::-1]


def _expect(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise _Refused(f"it has a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _made(name: Any, arguments: tuple[Any, ...]) -> Any:
    """What NumPy's own pickles call, by hand; every other name is refused."""
    module, function = _expect(name, _Name)
    numpy_module = module.replace("numpy._core", "numpy.core")
    if (numpy_module, function) == ("numpy.core.multiarray", "_reconstruct"):
        return _Array()
    if (module, function) == ("numpy", "dtype") and arguments:
        return _DType(_text(arguments[0]))
    if (module, function) == ("_codecs", "encode") and arguments[1:] in (("latin1",), ("latin-1",)):
        return _expect(arguments[0], str).encode("latin-1")
    if (numpy_module, function) == ("numpy.core.numeric", "_frombuffer") and len(arguments) == 4:
        buffer, dtype, shape, order = arguments
        array = _Array()
        _fill(array, (1, shape, dtype, order != "C", bytes(buffer) if type(buffer) is bytearray else buffer))
        return array
    raise _Refused(f"it asks for {module}.{function}")


def _fill(value: Any, state: Any) -> None:
    if isinstance(value, _DType):  # byte order and the like: nothing to an array of bytes
        return
    _, shape, dtype, fortran, content = _expect(state, tuple)
    if not isinstance(value, _Array) or not isinstance(dtype, _DType):
        raise _Refused("it sets the state of something that is no array")
    if dtype.code not in UINT8 or fortran:
        raise _Refused(f"it holds an array of {dtype.code}")
    content = content.encode("latin-1") if isinstance(content, str) else _expect(content, bytes)
    if any(type(side) is not int or side < 0 for side in _expect(shape, tuple)) or math.prod(shape) != len(content):
        raise _Refused(f"it holds {len(content):,} bytes for an array {shape}")
    value.value = np.frombuffer(content, np.uint8).reshape(shape)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else _expect(value, str)


def _finished(value: Any) -> Any:
    """The value with its arrays in place, where a dict holds them; names of dicts as text."""
    if isinstance(value, dict):
        return {_text(key): _finished(part) for key, part in value.items() if not isinstance(part, dict)}
    return value.value if isinstance(value, _Array) else value
