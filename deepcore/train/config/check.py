"""Named settings against their schema, by pydantic; what is wrong is said in one sentence for each setting."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import Field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from deepcore.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel

KINDS = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}
TYPES: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
LARGEST = 2**63 - 1  # whole number; NumPy and the files of a run hold no larger one
HUGE = "huge"
BEYOND = ("finite_number", "greater_than", "greater_than_equal", "less_than", "less_than_equal")  # pydantic's names
MOST_FAULTS = 20  # that one message names
Schema = Sequence["Field[Any]"]


class Fault(NamedTuple):
    """What is wrong with the setting `key`."""

    key: str
    said: str


def check(schema: Schema, given: Mapping[str, Any], texts: bool = False) -> tuple[dict[str, Any], list[Fault]]:
    """(the good ones of the `given` settings, in their types; what is wrong with the others, in their order).

    `schema` are the fields of a dataclass, with `choices` and `bounds` in their metadata. With `texts` every value is a
    text as one types it, such as `"3"` or `"true"`.
    """
    from pydantic import ValidationError

    known = {setting.name: setting for setting in schema}
    unknown = [key for key in given if key not in known]
    # pydantic cannot take every whole number: those of thousands of digits end in a plain ValueError.
    huge = [name for name, value in given.items() if name in known and isinstance(value, int) and abs(value) > LARGEST]
    fitting = {name: value for name, value in given.items() if name in known and name not in huge}
    model = _model(tuple(schema), tuple(choices_of(setting) for setting in schema))
    validate = model.model_validate_strings if texts else model.model_validate
    wrong: dict[Any, str] = {}
    try:
        typed = validate(fitting)
    except ValidationError as error:
        wrong = {item["loc"][0]: item["type"] for item in error.errors(include_url=False, include_input=False)}
        fitting = {name: value for name, value in fitting.items() if name not in wrong}
        typed = validate(fitting)
    said = {name: _wrong(known[name], given[name], wrong.get(name, HUGE)) for name in (*huge, *wrong)}
    said |= {key: _unknown(key, given[key], list(known) if i < MOST_FAULTS else []) for i, key in enumerate(unknown)}
    return {name: getattr(typed, name) for name in fitting}, [Fault(key, said[key]) for key in given if key in said]


def raise_faults(faults: Sequence[Fault], places: Mapping[str, str] | None = None) -> None:
    """Raises ConfigError with a line for each fault, and where its setting stands; nothing where there is none."""
    if not faults:
        return
    lines = [f"{places[key]}: {said}" if places and key in places else said for key, said in faults[:MOST_FAULTS]]
    if len(faults) > MOST_FAULTS:
        lines.append(f"... and {len(faults) - MOST_FAULTS} more faults.")
    raise ConfigError("\n".join(lines))


def choices_of(setting: Field[Any]) -> tuple[str, ...]:
    """What a text may be; empty where any text will do."""
    choices = setting.metadata["choices"] or ()
    return tuple(choices() if callable(choices) else choices)


def expected(setting: Field[Any]) -> str:
    """What a number may be: `at least 0 and less than 1`."""
    bounds = setting.metadata["bounds"]
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    return " and ".join(f"{word} {bounds[key]}" for key, word in words.items() if key in bounds)


def shown(value: Any) -> str:
    """A value for a message: as Python writes it, or the middle left out where it is long."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"one of {math.ceil(value.bit_length() * math.log10(2))} digits"
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    try:
        return short.repr(value)
    except ValueError:  # a number inside a list, of more digits than Python writes
        return f"a {type(value).__name__}"


@lru_cache(maxsize=8)
def _model(schema: tuple[Field[Any], ...], choices: tuple[tuple[str, ...], ...]) -> type[BaseModel]:
    """The schema as pydantic's model; `choices` are those of each setting, which may grow while a program runs."""
    from pydantic import ConfigDict, create_model
    from pydantic import Field as make_field

    definitions: dict[str, Any] = {}
    for setting, texts in zip(schema, choices, strict=True):
        kind: Any = Literal[texts] if texts else TYPES[str(setting.type)]
        definitions[setting.name] = (kind, make_field(setting.default, **setting.metadata["bounds"]))
    return create_model("Settings", __config__=ConfigDict(strict=True, allow_inf_nan=False), **definitions)


def _unknown(key: Any, value: Any, known: Sequence[str]) -> str:
    if isinstance(value, dict):
        return f"unknown table {shown(key)}; settings stand in no table."
    return f"unknown setting {shown(key)}.{nearest(str(key)[:60], known)}"


def _wrong(setting: Field[Any], value: Any, why: str) -> str:
    """The sentence on a value that is none for this setting; `why` is pydantic's name for it."""
    kind, choices = str(setting.type), choices_of(setting)
    if choices and isinstance(value, str):
        return f"unknown {setting.name} {shown(value)}; there are {', '.join(choices)}.{nearest(value[:60], choices)}"
    what = KINDS[kind]
    if why == HUGE and kind in ("int", "float"):
        what = f"at most {LARGEST} in size"
    elif why in BEYOND:
        what = expected(setting)
    return f"{setting.name}: expected {what}; got {shown(value)}."
