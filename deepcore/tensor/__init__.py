"""The tensor: what it is (tensor), its operators, in-place writes, methods, and how it prints."""

from __future__ import annotations

from deepcore.tensor.tensor import RemovableHandle, Tensor

__all__ = ["RemovableHandle", "Tensor"]
