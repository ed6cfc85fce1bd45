"""The adapters of all families in one table, by operator."""

from __future__ import annotations

from deepcore.onnx.operators import arranging, elementwise, indexing, norms, reductions, sequences, vision, windows
from deepcore.onnx.operators.adapter import Adapter

FAMILIES = (elementwise, reductions, arranging, indexing, windows, norms, sequences, vision)

ADAPTERS: dict[str, Adapter] = {name: adapter for family in FAMILIES for name, adapter in family.ADAPTERS.items()}
