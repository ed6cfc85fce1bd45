"""Where settings come from: a TOML file, whose lines are remembered, and the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from deepcore.errors import ConfigError
from deepcore.train.config.check import Fault, check, raise_faults, shown
from deepcore.train.config.settings import TrainConfig

# Far more than settings need. Python's TOML reader takes quadratic time for a key of very many parts.
LARGEST_FILE = 2**16  # bytes
LONGEST_LINE = 2000  # characters

# What tells where a statement of TOML begins: texts of all four kinds, comments, line ends, brackets.
TOKEN = re.compile(
    r"""
    \"{3} (?: \\. | [^\\] )*? \"{3,5} | '{3} .*? '{3,5} | \" (?: \\. | [^"\\\n] )* \" | '[^'\n]*'
    | \# [^\n]* | [\n\[\]{}=]
    """,
    re.DOTALL | re.VERBOSE,
)


class Settings(dict[str, Any]):
    """Named settings, and of each that was read from somewhere its place, such as `mine.toml:7`.

    `a | b` has the settings of both; those of `b` win and keep their places.
    """

    def __init__(self, values: Mapping[str, Any] | None = None, places: Mapping[str, str] | None = None):
        super().__init__(values or {})
        self.places = dict(places or {})

    def __or__(self, other: Mapping[str, Any]) -> Settings:  # type: ignore[override]
        places = {key: place for key, place in self.places.items() if key not in other}
        return Settings({**self, **other}, places | getattr(other, "places", {}))


def read_toml(path: str | Path) -> Settings:
    """The settings named in a TOML file, each good in itself.

    Raises ConfigError for a file that is missing or no TOML, with the line; and for unknown settings, wrong types and
    impossible values, for all at once, each with its line.
    """
    path = Path(path)
    text = _read(path)
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax(path, text, str(error))) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: brackets stand too deep in one another for a file of settings.") from error
    except ValueError as error:  # a whole number of more digits than Python reads
        raise ConfigError(f"{path}: not a file of settings ({error}).") from error
    places = {key: f"{path}:{line}" for key, line in key_lines(text).items()}
    typed, faults = check(fields(TrainConfig), given)
    raise_faults(faults, places)
    return Settings(typed, places)


def from_command_line(options: Mapping[str, Any], assignments: Sequence[str]) -> Settings:
    """The settings that options name, with those of `--set key=value`, whose texts the schema turns into their types.

    Raises ConfigError for all that is wrong with the assignments, and for a setting that is named twice.

    >>> from_command_line({"epochs": 3}, ["schedule=cosine", "nesterov=true"])
    {'epochs': 3, 'schedule': 'cosine', 'nesterov': True}
    """
    texts: dict[str, str] = {}
    faults = []
    for assignment in assignments:
        key, equals, value = (part.strip() for part in assignment.partition("="))
        if not equals or not key:
            faults.append(Fault(key, f"--set: expected key=value; got {shown(assignment)}."))
        elif key in options or key in texts:
            other = option(key) if key in options else "another --set"
            faults.append(Fault(key, f"--set: {key} is named twice, also by {other}."))
        else:
            texts[key] = value
    typed, wrong = check(fields(TrainConfig), texts, texts=True)
    raise_faults([*faults, *(Fault(key, f"--set: {said}") for key, said in wrong)])
    return Settings({**options, **typed}, dict.fromkeys(typed, "--set"))


def option(name: str) -> str:
    """The option of a setting on the command line."""
    return "--" + name.replace("_", "-")


def key_lines(text: str) -> dict[str, int]:
    r"""The first line of each top-level key of a TOML document that is known to be good.

    >>> key_lines("a = [\n1]\n[c.d]\ne = 2\n")
    {'a': 1, 'c': 3}
    """
    lines: dict[str, int] = {}
    begin, first, line, depth = 0, 1, 1, 0  # where the running statement begins, its line; the line of the scan
    equals, in_table = -1, False
    for token in TOKEN.finditer(text + "\n"):
        mark = token[0]
        line += mark.count("\n")
        if mark == "=" and equals < 0:
            equals = token.start()
        elif mark in ("[", "{"):
            depth += 1
        elif mark in ("]", "}"):
            depth -= 1
        elif mark == "\n" and depth == 0:
            head = text[begin : token.start()].strip()
            in_table = in_table or head.startswith("[")
            if not head.startswith("["):
                head = "" if in_table or equals < 0 else text[begin:equals] + "= 0"
            for key in tomllib.loads(head):
                lines.setdefault(key, first)
            begin, first, equals = token.end(), line, -1
    return lines


def _read(path: Path) -> str:
    """The text of a file of settings. Raises ConfigError where it cannot be read, or cannot be one."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a path that no system takes
        raise ConfigError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}).") from error
    if len(content) > LARGEST_FILE:
        raise ConfigError(f"{path}: larger than {LARGEST_FILE} bytes, which no file of settings is.")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not a TOML file ({error}).") from error
    for number, line_text in enumerate(text.split("\n"), start=1):
        if len(line_text) > LONGEST_LINE:
            raise ConfigError(f"{path}:{number}: a line of {len(line_text)} characters, which no setting needs.")
    return text


def _syntax(path: Path, text: str, said: str) -> str:
    """The message on a syntax error, from what Python's reader says about it."""
    found = re.search(r" \(at line (\d+), column (\d+)\)$", said)
    line = int(found[1]) if found else text.rstrip("\n").count("\n") + 1
    said = re.sub(r" \(at .*\)$", "", said)
    key = text.split("\n")[line - 1].partition("=")[0].strip()
    if said.startswith(("Cannot overwrite", "Cannot mutate", "Cannot declare")):
        return f"{path}:{line}: {shown(key)} is set twice."
    hint = ""
    if said == "Invalid value":
        hint = " Hint: texts stand in quotes, true and false are written small and without them."
    return (
        f"{path}:{line}: not a TOML file ({said[:1].lower()}{said[1:]}{f', column {found[2]}' if found else ''}).{hint}"
    )
