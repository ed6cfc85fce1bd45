"""`deepcore.onnx.load`: an ONNX file as a module, to run and to train further."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcore import creation
from deepcore import functional as F
from deepcore.errors import ConfigError, DataError, DeepcoreError
from deepcore.nn import Module, Parameter
from deepcore.onnx.library import onnx_library
from deepcore.onnx.operators.table import ADAPTERS
from deepcore.onnx.reading import OnnxError, array_of, attributes_of, read
from deepcore.tensor import Tensor


class Step(NamedTuple):
    """One node: what it is called in messages, the call that stands for it, and the names that it reads and makes."""

    title: str
    call: Callable[..., Any]
    inputs: list[str]
    outputs: list[str]
    options: dict[str, Any]


class OnnxModule(Module):
    """The graph of a file. Weights are parameters, other values that it carries are buffers, under their names.

    forward takes the inputs of the graph in their order, or by name, and gives its output, or a tuple of them. In
    training mode BatchNormalization takes the statistics of the batch and moves its own, and Dropout drops.
    """

    def __init__(self, model: Any, folder: Path) -> None:
        super().__init__()
        graph = model.graph
        self.metadata = {p.key: p.value for p in model.metadata_props}
        versions = {i.domain: i.version for i in model.opset_import}
        self._places: dict[str, tuple[Module, str]] = {}
        carried = {tensor.name: tensor for tensor in graph.initializer}
        statistics = {n for node in graph.node if node.op_type == "BatchNormalization" for n in node.input[3:5]}
        for name, tensor in carried.items():
            self._enter(name, array_of(tensor, folder), name not in statistics)
        self.input_names = [v.name for v in graph.input if v.name not in carried]
        self.output_names = [v.name for v in graph.output]
        self._inputs = {v.name: _described(v) for v in graph.input}
        known = {"", *self._places, *self.input_names}
        self._steps = []
        for i, node in enumerate(graph.node):
            title = f"node {node.name or i!r} ({node.op_type})"
            for name in node.input:
                if name not in known:
                    raise OnnxError(f"onnx.load: {title} reads {name!r}, which nothing before it makes")
            if not known.isdisjoint(set(node.output) - {""}) or len(set(node.output)) != len(node.output):
                raise OnnxError(f"onnx.load: {title} makes a value that is there already")
            known.update(node.output)
            if node.op_type == "Constant" and not node.input:
                made = ADAPTERS["Constant"].call(**attributes_of(node, versions, title, folder))
                self._enter(node.output[0], np.asarray(made), False)
            else:
                self._steps.append(self._step(node, versions, title, folder))
        for name in self.output_names:
            if name not in known:
                raise OnnxError(f"onnx.load: nothing makes the output {name!r}")

    def _enter(self, name: str, array: np.ndarray, weight: bool) -> None:
        """A parameter or a buffer under `name`, its dots as levels of modules where they can be."""
        tensor = creation.tensor(array)
        trained = weight and tensor.is_floating_point() and tensor.ndim > 0 and not name.startswith("constant_")
        *path, last = name.split(".")
        owner: Module = self
        try:
            for part in path:
                if part not in owner._modules:
                    owner.register_module(part, Module())
                owner = owner._modules[part]
            self._register(owner, last, tensor, trained)
        except ConfigError:
            owner, last = self, f"onnx_{len(self._places)}"
            self._register(owner, last, tensor, trained)
        self._places[name] = owner, last

    @staticmethod
    def _register(owner: Module, name: str, tensor: Tensor, trained: bool) -> None:
        if hasattr(owner, name):
            raise ConfigError(f"{name!r} is taken")
        if trained:
            owner.register_parameter(name, Parameter(tensor))
        else:
            owner.register_buffer(name, tensor)

    def _step(self, node: Any, versions: dict[str, int], title: str, folder: Path) -> Step:
        if node.domain not in ("", "ai.onnx") or node.op_type not in ADAPTERS:
            domain = f" of the domain {node.domain!r}" if node.domain not in ("", "ai.onnx") else ""
            raise OnnxError(f"onnx.load: {title}: deepcore has no operator {node.op_type}{domain}")
        options = attributes_of(node, versions, title, folder)
        adapter = ADAPTERS[node.op_type]
        if adapter.counts_outputs:
            options["outputs"] = len(node.output)
        own: dict[str, Callable[..., Any]] = {"BatchNormalization": self._batch_norm, "Dropout": self._dropout}
        call = own.get(node.op_type, adapter.call)
        return Step(title, call, list(node.input), list(node.output), options)

    def _batch_norm(self, x: Any, scale: Any, bias: Any, mean: Any, var: Any, **options: Any) -> Any:
        momentum, eps = options.get("momentum", 0.9), options.get("epsilon", 1e-5)
        return F.batch_norm(x, mean, var, scale, bias, self.training, 1 - momentum, eps)

    def _dropout(self, x: Any, ratio: Any = None, training: Any = None, **options: Any) -> Any:
        given = options.get("ratio", 0.5) if ratio is None else ratio.item()
        return F.dropout(x, 0.5 if given is None else given, self.training)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for the inputs of the graph."""
        values: dict[str, Any] = {"": None}
        values.update(zip(self.input_names, args, strict=False))
        values.update(kwargs)
        if len(args) > len(self.input_names) or values.keys() - {""} != set(self.input_names):
            raise ConfigError(f"onnx: expected the inputs {', '.join(self.input_names)}; got {len(args) + len(kwargs)}")
        for name in self.input_names:
            _check_input(name, values[name], self._inputs[name])
        device = next((x.backend.device for x in values.values() if x is not None), None)
        for name, (owner, attribute) in self._places.items():
            values[name] = getattr(owner, attribute)
        for step in self._steps:
            made = self._run(step, [values[n] for n in step.inputs])
            for name, y in zip(step.outputs, made, strict=False):
                if name and y is not None:
                    values[name] = creation.tensor(y, device=device) if isinstance(y, np.ndarray) else y
        missing = [name for name in self.output_names if name not in values]
        if missing:
            raise OnnxError(f"onnx: deepcore's op does not give the output {missing[0]!r}")
        found = tuple(values[name] for name in self.output_names)
        return found[0] if len(found) == 1 else found

    def _run(self, step: Step, inputs: list[Any]) -> tuple[Any, ...]:
        try:
            result = step.call(*inputs, **step.options)
        except (DeepcoreError, ArithmeticError, AssertionError, AttributeError, LookupError) as error:
            raise OnnxError(f"onnx: {step.title}: {error}") from error
        except (MemoryError, RuntimeError, StopIteration, TypeError, ValueError) as error:
            raise OnnxError(f"onnx: {step.title}: {error}") from error
        return result if isinstance(result, tuple) else (result,)

    def extra_repr(self) -> str:
        return f"{', '.join(self.input_names)} -> {', '.join(self.output_names)}, {len(self._steps)} nodes"


def _described(value: Any) -> tuple[Any, list[int | None] | None]:
    """(dtype, sizes) of an input of the graph, None for what is open."""
    onnx = onnx_library()
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise OnnxError(f"onnx.load: the input {value.name!r} is no tensor")
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except (KeyError, TypeError, ValueError):
        raise OnnxError(f"onnx.load: the input {value.name!r} has the unknown dtype {kind.elem_type}") from None
    if not kind.HasField("shape"):
        return dtype, None
    return dtype, [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]


def _check_input(name: str, x: Any, described: tuple[Any, list[int | None] | None]) -> None:
    dtype, sizes = described
    fits = isinstance(x, Tensor) and x.dtype == dtype
    if fits and sizes is not None:
        fits = len(sizes) == x.ndim and all(n in (None, m) for n, m in zip(sizes, x.shape, strict=True))
    if not fits:
        shape = "" if sizes is None else f" ({', '.join('?' if n is None else str(n) for n in sizes)})"
        found = f"{tuple(x.shape)} {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise DataError(f"onnx: expected the input {name!r} as a tensor{shape} {dtype}; got {found}")


def load(path: str | Path) -> OnnxModule:
    """The model of an ONNX file as a module, in evaluation mode, its parameters ready to be trained further.

    Weights beside the file (external data) are read from its folder only. Raises OnnxError for a file that is damaged,
    and for operators, domains, options and control flow that deepcore does not have; it names the node.
    """
    path = Path(path)
    module = OnnxModule(read(path), path.parent)
    return module.eval()
