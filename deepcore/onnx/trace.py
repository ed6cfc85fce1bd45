"""One run of a model, written down as nodes of ONNX: an observer of every Function that it calls.

A value is known by its array. Arrays that are neither inputs, nor weights, nor made by a recorded op become constants;
two runs on different inputs tell real constants from values that were computed unseen (see deepcore.onnx.graph).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepcore.autograd.observer import observe
from deepcore.autograd.variable import Variable, wrap
from deepcore.errors import ConfigError

Emit = Callable[..., Any]
FUNCTIONS: dict[type, Emit] = {}
"""How a Function becomes nodes: emit(trace, fn, arrays, result) -> the names of the results."""
COMPOSITES: dict[str, Emit] = {}
"""The same for functions marked as composite, by name: emit(trace, args by name, result); None: by their parts."""


class ExportError(ConfigError):
    """A model or an op cannot be written as ONNX."""


@dataclass
class Node:
    """A node of the graph, and which op of which module it came from."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    source: str


@dataclass
class Trace:
    """What one run wrote down. `weights` are names of parameters and buffers by the id of their arrays."""

    opset: int
    weights: dict[int, str]
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    """Arrays by name: weights that were used, and constants."""
    sizes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Shapes, axes, starts and ends by name: they may follow from the sizes of the inputs."""
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    unknown: dict[int, str] = field(default_factory=dict)
    """Outputs that ONNX's operator does not give, with the op that made them."""
    kept: list[Any] = field(default_factory=list)  # alive, so that no id is met twice
    modules: list[str] = field(default_factory=list)
    op: str = ""
    count: int = 0

    # ---- what the emitters call

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}_{self.count}"

    def where(self) -> str:
        """The op that is being written, and its module."""
        path = next((m for m in reversed(self.modules) if m), "")
        return f"{self.op} in {path}" if path else self.op

    def fail(self, why: str) -> ExportError:
        return ExportError(f"onnx.export: {self.where()} cannot be exported: {why}")

    def use(self, a: Any, dtype: Any = None) -> str:
        """The name of an array or number, cast where it is not of `dtype`."""
        if not hasattr(a, "dtype"):
            return self.constant(np.asarray(a, np.float32 if dtype is None else dtype))
        name = self.name_of(a)
        return name if dtype is None or a.dtype == dtype else self.cast(name, dtype)

    def name_of(self, a: Any) -> str:
        if id(a) in self.unknown:
            raise self.fail(f"ONNX does not give the places that {self.unknown[id(a)]} found")
        if id(a) not in self.names:
            self.kept.append(a)
            name = self.weights.get(id(a))
            if name is None:
                name = self.fresh("constant")
            self.names[id(a)] = name
            host = a.get() if hasattr(a, "get") else np.asarray(getattr(a, "_host", a))
            self.constants[name] = host if id(a) in self.weights else host.copy()
            self.shapes[name] = tuple(host.shape)
        return self.names[id(a)]

    def constant(self, array: Any, dtype: Any = None) -> str:
        array = np.asarray(array, dtype)
        name = self.fresh("constant")
        self.constants[name], self.shapes[name] = array, array.shape
        return name

    def ints(self, values: Any) -> str:
        """A 1-d int64 value that may depend on the sizes of the inputs."""
        name = self.fresh("sizes")
        self.sizes[name] = tuple(int(v) for v in values)
        return name

    def cast(self, name: str, dtype: Any) -> str:
        return self.add("Cast", [name], to=onnx_dtype(dtype))

    def add(self, operator: str, inputs: list[str], outputs: int = 1, **attributes: Any) -> Any:
        """A new node; the name of its output, or the names of several."""
        names = [self.fresh(self.op or operator) for _ in range(outputs)]
        given = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(Node(operator, inputs, names, given, self.where()))
        return names[0] if outputs == 1 else names

    def bind(self, a: Any, name: str) -> None:
        """From now on the array stands for the value of that name."""
        self.kept.append(a)
        self.names[id(a)] = name
        self.shapes[name] = tuple(a.shape)

    # ---- what the observed run calls

    def forward(self, fn: Any, arrays: list[Any]) -> Any:
        if fn.may_overflow:
            with fn.backend.quiet():
                result = fn.forward(*arrays)
        else:
            result = fn.forward(*arrays)
        several = type(result) is tuple
        results = [
            y if isinstance(y, fn.backend.array_type) else fn.backend.xp.asarray(y)
            for y in (result if several else (result,))
        ]
        self.op = fn.name
        emit = next((FUNCTIONS[cls] for cls in type(fn).__mro__ if cls in FUNCTIONS), None)
        if emit is not None:
            self.finish(results, emit(self, fn, arrays, results[0]))
        elif fn.formula is not None:
            self.by_formula(fn, arrays, results)
        else:
            raise self.fail("ONNX has no operator for it, or deepcore does not write it")
        return tuple(results) if several else results[0]

    def by_formula(self, fn: Any, arrays: list[Any], results: list[Any]) -> None:
        inputs = [wrap(a, fn.backend) if isinstance(a, fn.backend.array_type) else a for a in arrays]
        found = fn.formula(*inputs)
        parts = found if isinstance(found, tuple) else (found,)
        self.finish(results, [self.name_of(p.array) for p in parts])

    def finish(self, results: list[Any], names: Any) -> None:
        names = list(names) if isinstance(names, (list, tuple)) else [names]
        for y, name in zip(results, [*names, *[None] * (len(results) - len(names))], strict=False):
            if name is None:
                self.kept.append(y)
                self.unknown[id(y)] = self.op
            else:
                self.bind(y, name)

    def composite(self, function: Any, args: Any, kwargs: Any) -> Any:
        emit = COMPOSITES.get(function.__name__)
        if emit is None:
            return function(*args, **kwargs)
        with observe(None):
            result = function(*args, **kwargs)
        parts = result if isinstance(result, tuple) else (result,)
        if not all(isinstance(p, Variable) for p in parts):
            return result
        outer, self.op = self.op, function.__name__.strip("_")
        names = emit(self, _bound(function, args, kwargs), parts[0].array)
        if names is None:
            self.op = outer
            return function(*args, **kwargs)
        self.finish([p.array for p in parts], names)
        return result

    def in_place(self, op: str, tensor: Any) -> None:
        self.op = op
        raise self.fail("it writes into a tensor. Hint: write out of place, y = x + 1 and not x += 1")

    def backward(self, fn: Any, grads: list[Any]) -> Any:
        raise self.fail("a backward pass has no place in an inference graph")


def _bound(function: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    import inspect

    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def onnx_dtype(dtype: Any) -> int:
    """The number of a dtype in TensorProto.DataType."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
