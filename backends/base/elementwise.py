"""Arithmetic of two arrays, sums in place and joining, for devices that have a faster way with large arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Elementwise:
    """Arithmetic with NumPy's broadcasting; a mixin of Backend. Operands may be numbers."""

    xp: Any

    def add(self, a, b):
        """Return a + b."""
        return a + b

    def sub(self, a, b):
        """Return a - b."""
        return a - b

    def mul(self, a, b):
        """Return a * b."""
        return a * b

    def div(self, a, b):
        """Return a / b."""
        return a / b

    def add_to(self, total, value) -> None:
        """Add value to the array `total`, in place."""
        total += value

    def concatenate(self, arrays: Sequence[Any], axis: int):
        """Return arrays of one dtype joined along an axis; their other axes are equal."""
        return self.xp.concatenate(arrays, axis=axis)
