"""The `deepcore` command: train, predict, info."""

from __future__ import annotations

from deepcore.cli.app import main

__all__ = ["main"]
