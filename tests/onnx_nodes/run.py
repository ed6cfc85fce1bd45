"""A node case, computed by deepcore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import deepcore as dc
from deepcore.onnx.operators.adapter import Adapter
from onnx_nodes.data import Case


def run(case: Case, adapters: Mapping[str, Adapter], device: str) -> dict[str, Any]:
    """The values of all names of the graph as tensors, computed on a device node by node."""
    values = {name: dc.tensor(a, device=device) for name, a in case.feeds.items()}
    for node in case.nodes:
        adapter = adapters[node.operator]
        more = {"outputs": len(node.outputs)} if adapter.counts_outputs else {}
        result = adapter.call(*(values[n] if n else None for n in node.inputs), **node.attributes, **more)
        for name, y in zip(node.outputs, result if isinstance(result, tuple) else (result,), strict=False):
            if y is not None:
                values[name] = dc.tensor(y, device=device) if isinstance(y, np.ndarray) else y
    return values
