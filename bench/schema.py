"""Dataclasses to JSON and back: every value is checked against its type hint, and a fault is named by its path."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from deepcore.errors import DataError, message

T = TypeVar("T")
DIGITS = 6


def to_json(value: Any, schema: str, version: int) -> str:
    """An object of a dataclass as text: `schema`, `version`, then its fields; a list of numbers stands on one line."""
    tree = {"schema": schema, "version": version, **_plain(value)}
    return _text(tree, 0) + "\n"


def from_json(text: str, kind: type[T], schema: str, version: int, where: str) -> T:
    """The object of dataclass `kind` that `to_json` wrote; `where` names the text in errors (DataError)."""
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise unreadable(where, error) from None
    if not isinstance(tree, dict) or tree.get("schema") != schema:
        raise DataError(message("deepcore bench", f'a file with "schema": "{schema}"', where))
    if tree.get("version") != version:
        got = f"version {tree.get('version')!r} in {where}"
        hint = "measure again with this deepcore, or read it with the one that wrote it"
        raise DataError(message("deepcore bench", f"version {version} of {schema}", got, hint))
    rest = {name: value for name, value in tree.items() if name not in ("schema", "version")}
    return _build(kind, rest, "", where)


def unreadable(where: str, error: Exception) -> DataError:
    """The error for a file that cannot be read as JSON."""
    got = f"{where}: {error}"
    return DataError(message("deepcore bench", "a result file written by --json", got, "was it cut short?"))


def _plain(value: Any) -> Any:
    """Only what JSON has: dataclasses become objects, numbers are rounded to `DIGITS` digits."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"JSON has no {value}")
        return float(f"{value:.{DIGITS}g}")
    return value


def _text(value: Any, depth: int) -> str:
    """JSON with one field or object on a line, and lists of plain values on one."""
    inside, outside = "\n" + "  " * (depth + 1), "\n" + "  " * depth
    if isinstance(value, dict) and value:
        items = (f"{json.dumps(name)}: {_text(item, depth + 1)}" for name, item in value.items())
        return "{" + inside + f",{inside}".join(items) + outside + "}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[" + inside + f",{inside}".join(_text(item, depth + 1) for item in value) + outside + "]"
    return json.dumps(value, allow_nan=False)


def _build(hint: Any, value: Any, path: str, where: str) -> Any:
    """The value that `hint` describes; raises DataError with the path of what does not fit."""
    if dataclasses.is_dataclass(hint):
        return _object(typing.cast(type, hint), value, path, where)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        items = _expect(list, value, path, where)
        return [_build(inner[0], item, f"{path}[{i}]", where) for i, item in enumerate(items)]
    if origin is dict:
        items = _expect(dict, value, path, where)
        return {name: _build(inner[1], item, f"{path}.{name}", where) for name, item in items.items()}
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in inner if kind is not type(None)]
        return None if value is None else _build(kinds[0], value, path, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return _expect(hint, value, path, where)


def _object(kind: type, value: Any, path: str, where: str) -> Any:
    tree = dict(_expect(dict, value, path, where))
    hints, found = typing.get_type_hints(kind), {}
    for f in dataclasses.fields(kind):
        inside = f"{path}.{f.name}".removeprefix(".")
        if f.name in tree:
            found[f.name] = _build(hints[f.name], tree.pop(f.name), inside, where)
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise DataError(message("deepcore bench", f"a value {inside!r}", f"none in {where}"))
    return kind(**found)  # what is left in `tree` comes from a later deepcore


def _expect(kind: type, value: Any, path: str, where: str) -> Any:
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    words = {dict: "an object", list: "a list", str: "a text", float: "a number", int: "a whole number"}
    got = f"{json.dumps(value)[:60]} in {where}"
    raise DataError(message("deepcore bench", f"{words.get(kind, kind.__name__)} for {path or 'the document'!r}", got))
