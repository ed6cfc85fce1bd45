"""Several runs of a model as one graph: what stays the same, and what follows from the sizes of the inputs.

A model is run on its arguments, and twice on other numbers, in other sizes where axes are dynamic. A constant that
differs was computed from the input without being recorded, and is refused. A size that differs must be a * n + b for
the size n of a dynamic axis, or a product of two of them; the graph then computes it.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from deepcore.onnx.trace import ExportError, Node, Trace


class Symbol(NamedTuple):
    """A dynamic axis: its name, the input and axis that it is read from, and its size in each run."""

    name: str
    input: str
    axis: int
    sizes: tuple[int, ...]


class Graph:
    """The nodes and constants that hold for all runs; `traces[0]` is the run on the arguments themselves."""

    def __init__(self, traces: list[Trace], symbols: list[Symbol], inputs: list[str], outputs: list[list[str]]) -> None:
        self.traces, self.symbols = traces, symbols
        self.first = traces[0]
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.known: dict[Any, str] = {}
        self.outputs = outputs[0]
        if any(o != self.outputs for o in outputs):
            raise self.differs("the outputs", "the model")
        self._check_nodes()
        for node in self.first.nodes:
            self._add(node)
        for name in self.outputs:
            self._supply(name, "the output")
        read = {name for node in self.nodes for name in node.inputs} | set(self.outputs)
        unread = [name for name in inputs if name not in read]
        if unread:
            raise ExportError(
                f"onnx.export: no recorded op reads the input {unread[0]!r}; what was computed from it would be a "
                "constant of the file. Hint: leave it out of args, or compute with recorded ops"
            )

    def differs(self, what: str, source: str) -> ExportError:
        why = "on the values or sizes of the inputs"
        hint = "leave it out of dynamic_axes, or compute it by recorded ops" if self.symbols else "use recorded ops"
        return ExportError(f"onnx.export: {what} of {source} depends {why}, unseen by the export. Hint: {hint}")

    def _check_nodes(self) -> None:
        for other in self.traces[1:]:
            for a, b in itertools.zip_longest(self.first.nodes, other.nodes):
                if a is None or b is None or (a.operator, a.inputs, a.outputs) != (b.operator, b.inputs, b.outputs):
                    raise self.differs("the way", (a or b).source)
                if a.attributes != b.attributes:
                    raise self.differs("an attribute", a.source)

    def _add(self, node: Node) -> None:
        inputs = list(node.inputs)
        for i, name in enumerate(inputs):
            if name in self.first.sizes:
                inputs[i] = self._sizes(name, node)
            else:
                self._supply(name, node.source)
        self.nodes.append(Node(node.operator, inputs, node.outputs, node.attributes, node.source))

    # ---- constants

    def _supply(self, name: str, source: str) -> None:
        """Enter a constant that a node reads; values of other nodes are there already."""
        if name in self.constants or name in self.known or name not in self.first.constants:
            return
        values = [t.constants[name] for t in self.traces]
        if all(v is values[0] or _same(v, values[0]) for v in values[1:]):
            self.constants[name] = values[0]
            return
        if len({v.shape for v in values}) == 1 or not self.symbols:
            raise self.differs("a value", source)
        self.known[name] = name
        if all(v.size and (v == v.flat[0]).all() and v.flat[0] == values[0].flat[0] for v in values):
            shape = self.size_of([v.shape for v in values], source)
            fill = np.asarray([values[0].flat[0]], values[0].dtype)
            self.nodes.append(Node("ConstantOfShape", [shape], [name], {"value": fill}, source))
        elif all(v.ndim == 1 and v.dtype == np.int64 and _same(v, np.arange(v.size)) for v in values):
            end = self.size_of([v.shape for v in values], source)
            end = self._new("Squeeze", [end, self._ints((0,))], source)
            zero, one = self._constant(np.asarray(0)), self._constant(np.asarray(1))
            self.nodes.append(Node("Range", [zero, end, one], [name], {}, source))
        else:
            raise self.differs("a constant", source)

    def _constant(self, array: np.ndarray) -> str:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.known:
            self.known[key] = f"constant_of_graph_{len(self.known)}"
            self.constants[self.known[key]] = array
        return self.known[key]

    def _ints(self, values: tuple[int, ...]) -> str:
        return self._constant(np.asarray(values, np.int64).reshape(len(values)))

    def _new(self, operator: str, inputs: list[str], source: str, **attributes: Any) -> str:
        name = f"{operator}_of_graph_{len(self.nodes)}"
        self.nodes.append(Node(operator, inputs, [name], attributes, source))
        return name

    # ---- sizes

    def _sizes(self, name: str, node: Node) -> str:
        values = [t.sizes[name] for t in self.traces]
        if len(set(values)) == 1:
            return self._ints(values[0])
        if len({len(v) for v in values}) > 1:
            raise self.differs("the number of axes", node.source)
        if node.operator in ("Reshape", "Expand") and 0 not in values[0]:
            values = self._shortened(values, node)
            if len(set(values)) == 1:
                return self._ints(values[0])
        return self.size_of(values, node.source)

    def _shortened(self, values: list[tuple[int, ...]], node: Node) -> list[tuple[int, ...]]:
        """Sizes that are those of the input as 0 (Reshape) or 1 (Expand), and one more of a Reshape as -1."""
        shapes = [t.shapes.get(node.inputs[0]) for t in self.traces]
        rows = [list(v) for v in values]
        reshape = node.operator == "Reshape"
        for i in range(len(rows[0])):
            if len({row[i] for row in rows}) == 1 or any(s is None for s in shapes):
                continue
            at = [i if reshape else i - len(values[0]) + len(s or ()) for s in shapes]
            if all(s and 0 <= k < len(s) and s[k] == row[i] for s, k, row in zip(shapes, at, rows, strict=True)):
                for row in rows:
                    row[i] = 0 if reshape else 1
        if reshape:
            open_ = [i for i in range(len(rows[0])) if len({row[i] for row in rows}) > 1]
            if len(open_) == 1:
                for row in rows:
                    row[open_[0]] = -1
        return [tuple(row) for row in rows]

    def size_of(self, values: list[tuple[int, ...]], source: str) -> str:
        """A 1-d int64 value that is computed from the sizes of the inputs."""
        parts = [self._size([v[i] for v in values], source) for i in range(len(values[0]))]
        return parts[0] if len(parts) == 1 else self._new("Concat", parts, source, axis=0)

    def _size(self, found: list[int], source: str) -> str:
        if len(set(found)) == 1:
            return self._ints((found[0],))
        for s in self.symbols:
            run = s.sizes[1] - s.sizes[0]
            a, rest = divmod(found[1] - found[0], run) if run else (0, 1)
            b = found[0] - a * s.sizes[0]
            if not rest and all(v == a * n + b for v, n in zip(found, s.sizes, strict=True)):
                return self._line(self._read(s, source), a, b, source)
        for s, other in itertools.combinations_with_replacement(self.symbols, 2):
            products = [n * m for n, m in zip(s.sizes, other.sizes, strict=True)]
            a, rest = divmod(found[0], products[0]) if products[0] else (0, 1)
            if not rest and all(v == a * p for v, p in zip(found, products, strict=True)):
                both = self._new("Mul", [self._read(s, source), self._read(other, source)], source)
                return self._line(both, a, 0, source)
        raise self.differs(f"a size ({', '.join(map(str, found))} in {len(found)} runs)", source)

    def _line(self, name: str, a: int, b: int, source: str) -> str:
        if a != 1:
            name = self._new("Mul", [name, self._ints((a,))], source)
        return self._new("Add", [name, self._ints((b,))], source) if b else name

    def _read(self, s: Symbol, source: str) -> str:
        if s not in self.known:
            shape = self._new("Shape", [s.input], source)
            self.known[s] = self._new("Gather", [shape, self._ints((s.axis,))], source, axis=0)
        return self.known[s]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def other_numbers(array: np.ndarray, sizes: dict[int, int], rng: np.random.Generator) -> np.ndarray:
    """Values of the same kind: floats shuffled with noise, others shuffled; axes in `sizes` made so long."""
    for axis, size in sizes.items():
        array = np.take(array, rng.integers(0, array.shape[axis], size) if array.shape[axis] else [], axis)
    flat = rng.permutation(array.reshape(-1))
    if array.dtype.kind == "f":
        noisy = flat + (rng.standard_normal(flat.shape) * 0.1).astype(array.dtype)
        # Within the range of before: probabilities stay probabilities.
        flat = np.clip(noisy, flat.min(), flat.max()) if flat.size and flat.min() < flat.max() else noisy
    elif array.dtype.kind in "iu" and np.array_equal(flat, array.reshape(-1)):
        flat = np.maximum(flat, 1) - 1  # smaller, and so still an index
    elif array.dtype.kind == "b":
        flat = ~flat if flat.size and (flat == flat[0]).all() else flat
    return flat.reshape(array.shape).astype(array.dtype)


def trial_sizes(size: int, run: int, number: int) -> int:
    """The size of dynamic axis `number` in one more run, unlike all others and not too large."""
    return size + (run * (2 * number + 1)) + math.comb(run, 2)
