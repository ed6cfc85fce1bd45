"""The computational graph of a function, with values and gradients on its edges, drawn by Graphviz."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcore.autograd import Function, Variable, enable_grad
from deepcore.autograd.observer import observe
from deepcore.creation import tensor
from deepcore.errors import ConfigError
from deepcore.nn import Module
from deepcore.tensor import Tensor
from deepcore.train.run import write_atomic
from deepcore.viz.saving import file_format

SYMBOLS = {"add": "+", "sub": "-", "mul": "\N{MULTIPLICATION SIGN}", "div": "/", "neg": "-", "matmul": "@"}
UNNAMED = 'shape=point, width=0.08, label=""'


class Edge(NamedTuple):
    """An arrow between two nodes: the value that goes forward, the gradient that comes back (None: there is none)."""

    source: str
    target: str
    value: Any
    gradient: Any


class Graph(NamedTuple):
    """What `graph` found: the labels of inputs and ops by node, the edges, the result, the gradients by input name."""

    inputs: dict[str, str]
    ops: dict[str, str]
    edges: list[Edge]
    value: np.ndarray
    gradients: dict[str, np.ndarray]

    def to_dot(self) -> str:
        """The graph in Graphviz' language."""
        lines = ["digraph {", "  rankdir=LR; nodesep=0.35; ranksep=0.6; bgcolor=white;"]
        lines.append('  node [fontname="Helvetica", fontsize=13]; edge [fontname="Helvetica", fontsize=11];')
        for node, name in self.inputs.items():
            look = f"shape=plain, label={_quoted(name)}" if name else UNNAMED
            lines.append(f"  {node} [{look}];")
        lines += [f"  {node} [shape=ellipse, label={_quoted(name)}];" for node, name in self.ops.items()]
        lines.append("  result [shape=plain, label=result];")
        for edge in self.edges:
            rows = [f'<FONT COLOR="#2b5c8a">{_text(edge.value)}</FONT>']
            if edge.gradient is not None:
                rows.append(f'<FONT COLOR="#b3261e">{_text(edge.gradient)}</FONT>')
            lines.append(f"  {edge.source} -> {edge.target} [label=<{'<BR/>'.join(rows)}>];")
        return "\n".join([*lines, "}", ""])

    def save(self, path: str | Path) -> None:
        """Writes the drawing as PNG or SVG: values in blue, gradients in red below them.

        Raises ConfigError for another ending and where Graphviz is not installed, RunError where the disk refuses.
        """
        data = _draw(self.to_dot(), file_format(path))
        write_atomic(Path(path), lambda file: file.write(data))


def graph(function: Callable[..., Tensor], **inputs: Any) -> Graph:
    """Runs a function or a module once forward and once backward, and returns its graph.

    inputs: by the names of the function's arguments, numbers (taken as float64), arrays or tensors. The result is one
    element; its gradient is 1. What comes back on an edge is the gradient of the result by that use of a value, so an
    input that is used twice has the sum of its edges in `gradients`. Parameters of a module are named as in
    `named_parameters`; other tensors have no name.
    Raises ConfigError where the result is no tensor of one element that depends on an input.

    >>> import deepcore as dc
    >>> found = dc.viz.graph(lambda apple, number, tax: apple * number * tax, apple=100, number=2, tax=1.1)
    >>> print(f"{found.value:.0f}", {name: round(float(g), 4) for name, g in found.gradients.items()})
    220 {'apple': 2.2, 'number': 110.0, 'tax': 200.0}
    """
    leaves = {name: _leaf(value) for name, value in inputs.items()}
    names = {id(leaf): name for name, leaf in leaves.items()}
    if isinstance(function, Module):
        names |= {id(parameter): name for name, parameter in function.named_parameters()}
    watch = _Watch()
    with enable_grad(), observe(watch):
        result = function(**leaves)
        if not isinstance(result, Tensor) or result.numel() != 1 or result.grad_fn is None:
            got = f"shape {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
            raise ConfigError(
                f"graph: expected a result of one element that depends on an input; got {got}. Hint: end with .sum()"
            )
        before = {id(leaf): leaf.grad for leaf in _variables(result.grad_fn)}
        try:
            result.backward()
        finally:
            for leaf in _variables(result.grad_fn):
                leaf.grad = before[id(leaf)]
    return _found(result, watch, names)


class _Watch:
    """An observer that keeps what goes in and out of every Function, and the gradients that it sends back."""

    def __init__(self) -> None:
        self.inputs: dict[Function, list[Any]] = {}
        self.results: dict[Function, Any] = {}
        self.sent: dict[Function, Any] = {}

    def forward(self, fn: Function, arrays: list[Any]) -> Any:
        with fn.backend.quiet() if fn.may_overflow else contextlib.nullcontext():
            result = fn.forward(*arrays)
        self.inputs[fn] = arrays
        self.results[fn] = result if type(result) is tuple else (result,)
        return result

    def backward(self, fn: Function, grads: list[Any]) -> Any:
        sent = fn.backward(*grads)
        self.sent[fn] = sent if isinstance(sent, tuple | list) else (sent,)
        return sent


def _leaf(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        value = value.detach()
    elif isinstance(value, int | float):
        value = tensor(value, dtype="float64")
    else:
        value = tensor(value)
    return value.requires_grad_() if value.dtype.kind in "fcV" else value


def _order(last: Function) -> list[Function]:
    """The Functions that the result depends on, as they were called."""
    found, waiting = {last}, [last]
    while waiting:
        for edge in waiting.pop().edges:
            if edge is not None and isinstance(edge[0], Function) and edge[0] not in found:
                found.add(edge[0])
                waiting.append(edge[0])
    return sorted(found, key=lambda fn: fn.sequence)


def _variables(last: Function) -> list[Any]:
    """The leaves that the result depends on."""
    return [e[0] for fn in _order(last) for e in fn.edges if e is not None and isinstance(e[0], Variable)]


def _found(result: Tensor, watch: _Watch, names: dict[int, str]) -> Graph:
    assert result.grad_fn is not None
    functions = _order(result.grad_fn)
    nodes = {id(fn): f"op{i}" for i, fn in enumerate(functions)}
    inputs: dict[str, str] = {}
    sums: dict[str, Any] = {}
    numbers: dict[int, int] = {}
    edges = []
    for fn in functions:
        sent = watch.sent.get(fn, ())
        for i, (edge, array) in enumerate(zip(fn.edges, watch.inputs[fn], strict=True)):
            gradient = _host(sent[i], fn) if edge is not None and i < len(sent) else None
            if edge is not None and id(edge[0]) in nodes:
                source = nodes[id(edge[0])]
            elif edge is not None:
                name = names.get(id(edge[0]), "")
                source = f"in{numbers.setdefault(id(edge[0]), len(numbers))}"
                inputs[source] = name
                if name and gradient is not None:
                    sums[name] = sums.get(name, 0) + _summed(gradient, edge[0].array.shape)
            elif array is None:
                continue
            else:
                source = f"const{len(inputs)}"
                inputs[source] = ""
            edges.append(Edge(source, nodes[id(fn)], _host(array, fn), gradient))
    value = _host(result.array, result.grad_fn)
    edges.append(Edge(nodes[id(result.grad_fn)], "result", value, np.ones_like(value)))
    ops = {nodes[id(fn)]: SYMBOLS.get(fn.name, fn.name) for fn in functions}
    return Graph(inputs, ops, edges, value, {name: np.asarray(g) for name, g in sums.items()})


def _host(value: Any, fn: Function) -> Any:
    return fn.backend.to_host(value) if isinstance(value, fn.backend.array_type) else value


def _summed(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Of an input that was broadcast, the sum over the places that it went to."""
    gradient = np.asarray(gradient)
    extra = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(extra)))
    stretched = tuple(i for i, size in enumerate(shape) if size == 1 and gradient.shape[i] != 1)
    return gradient.sum(axis=stretched, keepdims=True)


def _text(value: Any) -> str:
    """A number, a short list, or the shape."""
    value = np.asarray(value)
    if value.size == 1:
        return f"{value.item():.5g}"
    if value.ndim == 1 and value.size <= 4:
        return "[" + ", ".join(f"{v:.3g}" for v in value) + "]"
    return " \N{MULTIPLICATION SIGN} ".join(map(str, value.shape))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _draw(source: str, kind: str) -> bytes:
    try:
        import graphviz
    except ImportError as error:
        raise ConfigError("drawing a graph takes graphviz. Hint: pip install graphviz") from error
    try:
        return graphviz.Source(source).pipe(format=kind)
    except graphviz.ExecutableNotFound as error:
        hint = "apt-get install graphviz, or brew install graphviz"
        raise ConfigError(f"drawing a graph takes the program dot of Graphviz. Hint: {hint}") from error
