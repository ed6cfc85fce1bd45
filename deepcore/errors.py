"""Every error class of deepcore, and the one way in which their messages are written.

A message names the op, what it expected, what it got (shapes, dtypes, devices) and the way out:

    conv2d: expected x.shape[1] == w.shape[1] * groups; got x (8, 3, 32, 32) float32 on cpu, .... Hint: ...
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deepcore.backends.errors import (
    ArgumentError,
    DeepcoreError,
    DeviceError,
    DTypeError,
    OutOfMemoryError,
    ShapeError,
    message,
)


class GraphError(DeepcoreError, RuntimeError):
    """The recorded graph cannot do what was asked: a second backward, a changed saved array, a NaN in anomaly mode."""


class OpError(DeepcoreError, RuntimeError):
    """An op failed in the middle of its work, for a reason that is not deepcore's; named under DEEPCORE_DEBUG=1."""


class IndexRangeError(DeepcoreError, IndexError):
    """An index lies outside of its axis."""


class LinAlgError(DeepcoreError, RuntimeError):
    """A matrix does not allow what was asked: it is singular, or not positive definite."""


class DataError(DeepcoreError, ValueError):
    """A data set, file or sample is missing, damaged or does not fit."""


class ConfigError(DeepcoreError, ValueError):
    """An option or hyper-parameter is unknown or has an impossible value."""


class RunError(DeepcoreError, RuntimeError):
    """A training run cannot go on or cannot be stored."""


def describe(name: str, value: Any, on: str | None = None) -> str:
    """`x (8, 3) float32 on cpu` for a tensor (or for a plain array on the device `on`), else `groups=2`."""
    shape = getattr(value, "shape", None)
    if shape is None:
        return f"{name}={value!r}"
    device = value.backend.device if hasattr(value, "backend") else on
    return f"{name} {tuple(shape)} {value.dtype}{f' on {device}' if device else ''}"


def got(on: Any = None, **values: Any) -> str:
    """The `got` half of a message: every named value described, in the given order."""
    return ", ".join(describe(name, value, on) for name, value in values.items())


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'lenet'?` for the closest known name, or an empty string."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


__all__ = [
    "ArgumentError",
    "ConfigError",
    "DTypeError",
    "DataError",
    "DeepcoreError",
    "DeviceError",
    "GraphError",
    "IndexRangeError",
    "LinAlgError",
    "OpError",
    "OutOfMemoryError",
    "RunError",
    "ShapeError",
    "describe",
    "got",
    "message",
    "nearest",
]
