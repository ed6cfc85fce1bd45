"""The node cases that the package `onnx` carries: a graph of one operator, or of a few, with its inputs and outputs.

The package makes them when they are asked for, with its own reference in NumPy and fixed seeds; nothing is downloaded.
A case whose name ends in `_expanded` has the arrays of the case before that ending, and its operator written out in
simpler ones.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

PRINTED = ("averagepool_2d_ceil_last_window_starts_on_pad", "roialign_aligned_false", "roialign_aligned_true")
"""Cases whose numbers are printed with four decimals; the package's reference gives them in full."""


@dataclass(frozen=True)
class Node:
    """One operator in a graph."""

    operator: str
    """With its domain, where that is not the standard's own."""
    attributes: dict[str, Any]
    """All of the operator's attributes: the standard's default where the node has none, None where there is none."""
    inputs: tuple[str, ...]
    """Names of values; "" for one that is left out."""
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A graph with the values of its inputs (arrays, lists for sequences) and those that its outputs must have."""

    name: str
    nodes: tuple[Node, ...]
    feeds: dict[str, Any]
    results: dict[str, Any]

    @property
    def plain(self) -> str:
        """The name of the case with the same arrays whose operator is not written out; for most its own name."""
        return self.name.partition("_expanded")[0]

    @property
    def operators(self) -> frozenset[str]:
        return frozenset(node.operator for node in self.nodes)

    @property
    def attributes(self) -> dict[str, Any]:
        """Those of the one operator."""
        return self.nodes[0].attributes

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The values of the one operator's inputs, None for what is left out."""
        return tuple(self.feeds.get(name) for name in self.nodes[0].inputs)

    @property
    def outputs(self) -> tuple[Any, ...]:
        return tuple(self.results.get(name) for name in self.nodes[0].outputs)

    def __str__(self) -> str:
        return self.name


@functools.cache
def node_cases() -> dict[str, Case]:
    """Every node case by its name."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference divides by zero where it means to
        cases = [_case(test) for test in collect_testcases(None)]
    return {case.name: case for case in cases}


def _case(test: Any) -> Case:
    graph = test.model.graph
    versions = {i.domain: i.version for i in test.model.opset_import}
    inputs, outputs = test.data_sets[0]
    feeds = {value.name: _array(a) for value, a in zip(graph.input, inputs, strict=True)}
    name = test.name.removeprefix("test_")
    if name in PRINTED:
        from onnx.reference import ReferenceEvaluator

        outputs = ReferenceEvaluator(test.model).run(None, feeds)
    results = {value.name: _array(a) for value, a in zip(graph.output, outputs, strict=True)}
    return Case(name, tuple(_node(node, versions) for node in graph.node), feeds, results)


def _node(node: Any, versions: dict[str, int]) -> Node:
    import onnx

    schema = onnx.defs.get_schema(node.op_type, versions[node.domain], node.domain)
    attributes = dict.fromkeys(schema.attributes)
    attributes.update((n, _value(a.default_value)) for n, a in schema.attributes.items() if a.default_value.name)
    attributes.update((a.name, _value(a)) for a in node.attribute)
    operator = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    return Node(operator, attributes, tuple(node.input), tuple(node.output))


def _value(attribute: Any) -> Any:
    """The Python value of an attribute: text as str, a tensor as an array."""
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else _array(value, also_scalars=False)


def _array(value: Any, also_scalars: bool = True) -> Any:
    """A tensor of ONNX or a NumPy scalar as an array."""
    import onnx

    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return np.asarray(value) if also_scalars and isinstance(value, np.generic) else value
