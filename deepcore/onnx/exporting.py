"""`deepcore.onnx.export`: a model as an ONNX file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepcore import creation
from deepcore.autograd import no_grad
from deepcore.autograd.observer import observe
from deepcore.errors import ConfigError, DeepcoreError
from deepcore.nn import Module
from deepcore.onnx import arranging, elementwise, layers  # noqa: F401 (they fill the tables)
from deepcore.onnx.graph import Graph, Symbol, other_numbers, trial_sizes
from deepcore.onnx.library import onnx_library
from deepcore.onnx.trace import ExportError, Trace, onnx_dtype
from deepcore.tensor import Tensor

OPSETS = range(18, 23)
OPSET = 20
DynamicAxes = Mapping[str, Mapping[int, str] | Sequence[int]]


def export(
    model: Any,
    args: Any,
    f: str | Path,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_axes: DynamicAxes | None = None,
    opset_version: int = OPSET,
    external_data: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a model as an ONNX file, in evaluation mode.

    model: a module, or a function of tensors. args: a tensor, or a tuple of them, that it is called with. dynamic_axes,
    by input name: {axis: name} or [axis, ...], for sizes that the file leaves open; equal names are one size.
    opset_version: 18 to 22. external_data: weights in a file beside it, f + ".data", as files above 2 GiB need. Weights
    keep their names in state_dict(). Raises ExportError, which names the op and its module, for what ONNX does not
    have, for writing in place, and for sizes or values that only Python knows.

    >>> import deepcore as dc, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    >>> model = dc.nn.Sequential(dc.nn.Linear(3, 2), dc.nn.ReLU())
    >>> export(model, dc.randn(1, 3), path, dynamic_axes={"input": {0: "batch"}})
    """
    onnx = onnx_library()
    if opset_version not in OPSETS:
        raise ConfigError(f"onnx.export: expected opset_version {OPSETS[0]} to {OPSETS[-1]}; got {opset_version!r}")
    inputs = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    if not inputs or not all(isinstance(x, Tensor) for x in inputs):
        raise ConfigError("onnx.export: expected args as a tensor or a tuple of tensors")
    names = _names("input", input_names, len(inputs))
    axes = _axes(dynamic_axes or {}, dict(zip(names, inputs, strict=True)))
    runs = _runs(inputs, names, axes)
    weights = _weights(model)
    traces: list[Trace] = []
    outputs: list[list[str]] = []
    with _evaluating(model), no_grad():
        for run in runs:
            trace = Trace(opset_version, weights)
            for name, x in zip(names, run, strict=True):
                trace.bind(x.array, name)
            try:
                with _paths(model, trace), observe(trace):
                    found = model(*run)
            except ExportError:
                raise
            except DeepcoreError as error:
                if not traces:
                    raise
                raise ExportError(f"onnx.export: the model does not run on other numbers or sizes: {error}") from error
            traces.append(trace)
            outputs.append([trace.name_of(y.array) for y in _flat(found)])
    given = {name for axis in axes.values() for name in axis.values()}
    symbols = [
        Symbol(symbol, name, axis, tuple(run[names.index(name)].shape[axis] for run in runs))
        for symbol in sorted(given)
        for name, axis in [next((n, a) for n, by in axes.items() for a, s in by.items() if s == symbol)]
    ]
    graph = Graph(traces, symbols, names, outputs)
    _write(
        onnx,
        graph,
        dict(zip(names, inputs, strict=True)),
        axes,
        output_names,
        opset_version,
        metadata,
        f,
        external_data,
    )


def _flat(found: Any) -> list[Tensor]:
    if isinstance(found, Tensor):
        return [found]
    if isinstance(found, (tuple, list)):
        return [t for part in found for t in _flat(part)]
    if isinstance(found, dict):
        return [t for part in found.values() for t in _flat(part)]
    if found is None:
        return []
    raise ExportError(f"onnx.export: expected tensors from the model; got a {type(found).__name__}")


def _names(stem: str, given: Sequence[str] | None, count: int) -> list[str]:
    names = list(given) if given is not None else [stem] if count == 1 else [f"{stem}_{i}" for i in range(count)]
    if len(names) != count or len(set(names)) != count or not all(isinstance(n, str) and n for n in names):
        raise ConfigError(f"onnx.export: expected {count} different names for the {stem}s; got {names!r}")
    return names


def _axes(dynamic: DynamicAxes, inputs: dict[str, Tensor]) -> dict[str, dict[int, str]]:
    """The name of each dynamic axis; those given by number alone get a name of their own. Outputs may be named too."""
    found: dict[str, dict[int, str]] = {}
    for name, given in dynamic.items():
        if name not in inputs:
            continue  # the sizes of an output follow from those of the inputs
        pairs = given.items() if isinstance(given, Mapping) else ((a, f"{name}_{a}") for a in given)
        ndim = inputs[name].ndim
        found[name] = {}
        for axis, symbol in pairs:
            if not isinstance(axis, int) or not -ndim <= axis < ndim:
                raise ConfigError(f"onnx.export: dynamic_axes: {name} has no axis {axis!r}; it has {ndim}")
            found[name][axis % ndim] = str(symbol)
    if dynamic and not found:
        raise ConfigError(f"onnx.export: dynamic_axes names {', '.join(dynamic)}; the inputs are {', '.join(inputs)}")
    return found


def _runs(inputs: tuple[Tensor, ...], names: list[str], axes: dict[str, dict[int, str]]) -> list[tuple[Tensor, ...]]:
    """The arguments, then twice other numbers, in other sizes where axes are dynamic."""
    rng = np.random.default_rng(0)
    symbols = sorted({s for by in axes.values() for s in by.values()})
    runs = [inputs]
    for run in (1, 2):
        others = []
        for name, x in zip(names, inputs, strict=True):
            sizes = {a: trial_sizes(x.shape[a], run, symbols.index(s)) for a, s in axes.get(name, {}).items()}
            host = other_numbers(x.backend.to_host(x.array), sizes, rng)
            others.append(creation.tensor(host, device=x.backend.device))
        runs.append(tuple(others))
    return runs


def _weights(model: Any) -> dict[int, str]:
    if not isinstance(model, Module):
        return {}
    tensors = [*model.named_buffers(), *model.named_parameters()]
    return {id(t.array): name for name, t in reversed(tensors)}


@contextlib.contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    modules = [(m, m.training) for m in model.modules()] if isinstance(model, Module) else []
    for m, _ in modules:
        m.training = False
    try:
        yield
    finally:
        for m, training in modules:
            m.training = training


@contextlib.contextmanager
def _paths(model: Any, trace: Trace) -> Iterator[None]:
    """The trace knows which module runs."""
    handles = []

    def leave(*_: Any) -> None:
        trace.modules.pop()

    for name, module in model.named_modules() if isinstance(model, Module) else ():
        handles.append(module.register_forward_pre_hook(lambda m, a, n=name: trace.modules.append(n)))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _write(
    onnx: Any,
    graph: Graph,
    inputs: dict[str, Tensor],
    axes: dict[str, dict[int, str]],
    output_names: Sequence[str] | None,
    opset: int,
    metadata: Mapping[str, str] | None,
    path: Any,
    external: bool,
) -> None:
    from onnx import helper, numpy_helper

    names = _names("output", output_names, len(graph.outputs))
    nodes = []
    for i, node in enumerate(graph.nodes):
        values = {k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in node.attributes.items()}
        nodes.append(helper.make_node(node.operator, node.inputs, node.outputs, f"{node.source} ({i})", **values))
    for name, found in zip(names, graph.outputs, strict=True):
        nodes.append(helper.make_node("Identity", [found], [name], f"{name} of the model"))
    taken = {*inputs, *names} & {n for node in graph.nodes for n in node.outputs} | {*inputs, *names} & set(
        graph.constants
    )
    if taken:
        raise ConfigError(f"onnx.export: {', '.join(sorted(taken))} is the name of a weight or a value; choose another")
    proto = helper.make_graph(
        nodes,
        "deepcore",
        [
            helper.make_tensor_value_info(
                name, onnx_dtype(x.dtype), [axes.get(name, {}).get(i, n) for i, n in enumerate(x.shape)]
            )
            for name, x in inputs.items()
        ],
        [
            helper.make_tensor_value_info(name, onnx_dtype(_dtype_of(graph, o)), _shape_of(graph, o))
            for name, o in zip(names, graph.outputs, strict=True)
        ],
        [numpy_helper.from_array(np.ascontiguousarray(a).reshape(a.shape), n) for n, a in graph.constants.items()],
    )
    model = helper.make_model(proto, producer_name="deepcore", opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10
    helper.set_model_props(model, dict(metadata or {}))
    _save(onnx, model, Path(path), external)


def _dtype_of(graph: Graph, name: str) -> Any:
    return next(a.dtype for a in graph.first.kept if graph.first.names.get(id(a)) == name)


def _shape_of(graph: Graph, name: str) -> list[Any]:
    """Sizes that differ between the runs by the name of the axis that they equal, or left open."""
    shapes = [t.shapes[name] for t in graph.traces]
    sizes: list[Any] = []
    for column in zip(*shapes, strict=True):
        equal = [s.name for s in graph.symbols if s.sizes == column]
        sizes.append(column[0] if len(set(column)) == 1 else equal[0] if equal else None)
    return sizes


def _save(onnx: Any, model: Any, path: Path, external: bool) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    data = path.name + ".data"
    try:
        if external:
            (path.parent / data).unlink(missing_ok=True)  # the library appends to a file that is there
            onnx.save_model(model, str(beside), save_as_external_data=True, location=data, size_threshold=1024)
        else:
            onnx.checker.check_model(model, full_check=True)
            onnx.save_model(model, str(beside))
        os.replace(beside, path)
    except OSError as error:
        raise ExportError(f"onnx.export: {path} cannot be written ({error.strerror or error})") from error
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"onnx.export: the model makes no valid graph: {error}") from error
    except ValueError as error:
        hint = "pass external_data=True"
        raise ExportError(f"onnx.export: the model does not fit into one file ({error}). Hint: {hint}") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
