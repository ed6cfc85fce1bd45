"""The package `onnx`, which reads and writes the files; an extra of deepcore."""

from __future__ import annotations

from typing import Any

from deepcore.errors import ConfigError


def onnx_library() -> Any:
    """The package, or a ConfigError that says how to install it."""
    try:
        import onnx
    except ImportError as error:
        raise ConfigError('deepcore.onnx needs the package onnx: pip install "deepcore[onnx]"') from error
    return onnx
