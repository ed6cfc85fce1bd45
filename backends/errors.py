"""The exceptions that the lower layers raise, and the one function that words them."""

from __future__ import annotations


class DeepcoreError(Exception):
    """Base of every error that deepcore raises on purpose."""


class ShapeError(DeepcoreError, ValueError):
    """Array shapes, sizes or axes do not fit together."""


class DTypeError(DeepcoreError, TypeError):
    """An array has a dtype that the operation does not take."""


class ArgumentError(DeepcoreError, TypeError):
    """An argument is of another kind than the operation takes: a string for a number, a number for a tensor."""


class DeviceError(DeepcoreError, RuntimeError):
    """A device is unknown, missing, or two arrays live on different ones."""


class OutOfMemoryError(DeepcoreError, MemoryError):
    """A device has no room for an array; the message holds what is in its memory, and what would fit."""


def message(op: str, expected: str, got: str, hint: str | None = None) -> str:
    """Word an error as `op: expected ...; got .... Hint: ...`.

    >>> message("relu", "a floating dtype", "int64", "call .to('float32')")
    "relu: expected a floating dtype; got int64. Hint: call .to('float32')."
    """
    text = f"{op}: expected {expected}; got {got}."
    if hint is None:
        return text
    return f"{text} Hint: {hint if hint[-1:] in '.?!' else hint + '.'}"
