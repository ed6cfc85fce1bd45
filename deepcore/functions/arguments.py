"""Arguments of another kind than a function's signature names: what is refused, and what is said.

Plain options (int, float, bool, str, None) are looked at before the call, since NumPy would take a list for a number.
The other arguments cost nothing while all goes well: where a call fails, the type hints are read, and an argument that
does not fit its hint makes the error. It names the function, the argument and what was expected.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable
from typing import Any

from deepcore.autograd.variable import Variable
from deepcore.errors import ArgumentError, DeepcoreError, got, message

_UNIONS = (typing.Union, types.UnionType)


def explained(function: Callable[..., Any], prefix: str = "") -> Callable[..., Any]:
    """The function, whose errors about kinds of arguments are ArgumentErrors with its own name, after `prefix`.

    >>> import deepcore as dc
    >>> dc.functional.softmax(dc.ones(3), dim="rows")
    Traceback (most recent call last):
    deepcore.backends.errors.ArgumentError: softmax: expected dim to be int; got dim='rows'.
    """

    places: list[frozenset[type] | None] = []
    names: dict[str, frozenset[type]] | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal places, names
        if names is None:  # at the first call: what the hints name may not be imported before
            places, names = _plain_kinds(function)
        for value, kinds in zip(args, places, strict=False):
            if kinds is not None and type(value) not in kinds:
                _refuse(prefix + function.__name__, function, args, kwargs)
        for name, value in kwargs.items():
            if name in names and type(value) not in names[name]:
                _refuse(prefix + function.__name__, function, args, kwargs)
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if isinstance(error, DeepcoreError) and not isinstance(error, ArgumentError):
                raise
            wrong = explanation(prefix + function.__name__, function, args, kwargs)
            if wrong is None:
                raise
        raise wrong

    return call


def _plain_kinds(function: Callable[..., Any]) -> tuple[list[frozenset[type] | None], dict[str, frozenset[type]]]:
    """The exact types that need no second look: by place, and by name, for options that are plain values."""
    plain = {int: (int,), float: (float, int), bool: (bool,), str: (str,), type(None): (type(None),)}
    found = {}
    for name, hint in _hints(function).items():
        kinds = typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,)
        if all(kind in plain for kind in kinds):
            found[name] = frozenset(one for kind in kinds for one in plain[kind])
    positional = [
        found.get(p.name)
        for p in inspect.signature(function).parameters.values()
        if p.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ]
    while positional and positional[-1] is None:
        positional.pop()
    return positional, found


def _refuse(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise the error for an argument that does not fit; a number of NumPy's, say, does fit."""
    wrong = explanation(name, function, args, kwargs)
    if wrong is not None:
        raise wrong


def explanation(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ArgumentError | None:
    """The error for the first argument that does not fit its hint, or None where all fit."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        parameters = inspect.signature(function).parameters.values()
        names = ", ".join(str(p.replace(annotation=inspect.Parameter.empty)) for p in parameters)
        return ArgumentError(message(name, f"the arguments ({names})", f"{error}".replace("got an", "an")))
    hints = _hints(function)
    for parameter, value in bound.arguments.items():
        kind = bound.signature.parameters[parameter].kind
        values = value if kind is inspect.Parameter.VAR_POSITIONAL else (value,)
        for v in values:
            if parameter in hints and not fits(v, hints[parameter]):
                hint = "make one with dc.tensor(array)" if _is_tensor(hints[parameter]) else None
                expected = f"{parameter} to be {_words(hints[parameter])}"
                return ArgumentError(message(name, expected, got(**{parameter: v}), hint))
    return None


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of the kind that a type hint names; plain arrays stand for tensors, as in a backward pass."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in _UNIONS:
        return any(fits(value, one) for one in inner)
    if origin is typing.Literal:
        return value in inner
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        if len(inner) == 2 and inner[1] is Ellipsis:
            return all(fits(v, inner[0]) for v in value)
        return len(value) == len(inner) and all(fits(v, h) for v, h in zip(value, inner, strict=True))
    if origin in (list, collections.abc.Sequence):
        return (
            isinstance(value, collections.abc.Sequence)
            and not isinstance(value, (str, bytes))
            and all(fits(v, inner[0]) for v in value)
        )
    if origin is not None or hint is Any:
        return True
    if hint in (None, type(None)):
        return value is None
    if _is_tensor(hint):
        return isinstance(value, Variable) or hasattr(value, "dtype")
    if hint is int:
        return _is_index(value)
    if hint is float:
        return isinstance(value, float) or _is_index(value) or hasattr(value, "dtype")
    return not isinstance(hint, type) or isinstance(value, hint)


def _is_index(value: Any) -> bool:
    """Whether the value is an integer; True and False are none here, as in PyTorch."""
    if isinstance(value, bool):
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _is_tensor(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Variable)


def _words(hint: Any) -> str:
    """A type hint as it is written, without the modules' names."""
    inner = typing.get_args(hint)
    if typing.get_origin(hint) in _UNIONS:
        return " or ".join(_words(one) for one in inner)
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(repr(one) for one in inner)
    if inner:
        names = ", ".join("..." if one is Ellipsis else _words(one) for one in inner)
        return f"{typing.get_origin(hint).__name__.lower()}[{names}]"
    if hint in (None, type(None)):
        return "None"
    if _is_tensor(hint):
        return "a Tensor"
    return getattr(hint, "__name__", str(hint))


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The type hints of a function. Names that its module imports for type checkers only belong to higher layers."""
    return typing.get_type_hints(function, localns={"Tensor": Variable, "Generator": Any})
