"""ONNX files, read without trust: sizes are checked before memory is taken; no file outside the folder is opened."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepcore.errors import DataError
from deepcore.onnx.library import onnx_library

OLDEST = 13
"""The first opset whose operators mean what those of today do; in earlier ones Softmax flattened its input."""


class OnnxError(DataError):
    """An ONNX file is damaged, or holds what deepcore does not have."""


def read(path: Path) -> Any:
    """The ModelProto of a file, without its external data."""
    onnx = onnx_library()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OnnxError(f"onnx.load: {path} cannot be read ({error.strerror or error})") from error
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # the protobuf library has its own errors
        raise OnnxError(f"onnx.load: {path} is damaged, or no ONNX file ({error})") from error
    if not model.HasField("graph") or not model.graph.output or not model.opset_import:
        raise OnnxError(f"onnx.load: {path} is damaged, or no ONNX file (it has no graph with an output)")
    if not all(isinstance(text, str) for text in _texts(model.graph)):  # what is not UTF-8 comes as bytes
        raise OnnxError(f"onnx.load: {path} is damaged (it has a name that is not UTF-8)")
    oldest = min((i.version for i in model.opset_import if i.domain in ("", "ai.onnx")), default=OLDEST)
    if oldest < OLDEST:
        hint = "onnx.version_converter makes it newer"
        raise OnnxError(f"onnx.load: {path} has opset {oldest}, older than {OLDEST}. Hint: {hint}")
    if len(model.functions):
        raise OnnxError(f"onnx.load: {path} has functions of its own ({model.functions[0].name}), which are not read")
    if len(model.graph.sparse_initializer):
        raise OnnxError(f"onnx.load: {path} has sparse weights, which are not read")
    return model


def _texts(graph: Any) -> Iterator[Any]:
    """Every name in a graph."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    for tensor in graph.initializer:
        yield tensor.name
        for entry in tensor.external_data:
            yield from (entry.key, entry.value)
    for value in (*graph.input, *graph.output):
        yield value.name


def array_of(tensor: Any, folder: Path) -> np.ndarray:
    """The array of a TensorProto. Raises OnnxError where dtype, shape and data do not fit each other."""
    onnx = onnx_library()
    name, dims = tensor.name, list(tensor.dims)
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except (KeyError, TypeError, ValueError):
        raise OnnxError(f"onnx.load: {name!r} has the unknown dtype {tensor.data_type}") from None
    if any(n < 0 for n in dims) or math.prod(dims) > 2**40:
        raise OnnxError(f"onnx.load: {name!r} has the impossible shape {dims}")
    if dtype.kind not in "biufV" or (dtype.kind == "V" and dtype.name != "bfloat16"):
        raise OnnxError(f"onnx.load: {name!r} has the dtype {dtype}, which deepcore does not have")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        content = _external(tensor, folder, math.prod(dims) * dtype.itemsize)
        return np.frombuffer(content, dtype.newbyteorder("<") if dtype.kind != "V" else dtype).reshape(dims)
    try:
        array = onnx.numpy_helper.to_array(tensor)
    except Exception as error:
        raise OnnxError(f"onnx.load: the data of {name!r} do not fit its shape {dims} ({error})") from error
    if array.dtype != dtype or array.shape != tuple(dims):
        raise OnnxError(f"onnx.load: the data of {name!r} do not fit its shape {dims}")
    return array


def _external(tensor: Any, folder: Path, size: int) -> bytes:
    """The bytes of a tensor in a file beside the model."""
    given = {entry.key: entry.value for entry in tensor.external_data}
    location, root = given.get("location", ""), folder.resolve()
    try:
        path = (root / location).resolve()
        inside = bool(location) and path.is_relative_to(root) and path.is_file() and not Path(location).is_absolute()
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise OnnxError(f"onnx.load: {tensor.name!r} lies in {location!r}, which is no file in the model's folder")
    try:
        offset = int(given.get("offset", "0"))
        length = int(given.get("length", str(size)))
    except ValueError:
        offset = length = -1
    if offset < 0 or length != size or offset + length > path.stat().st_size:
        raise OnnxError(f"onnx.load: {location} does not hold the {size} bytes of {tensor.name!r} at {offset}")
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def attributes_of(node: Any, versions: dict[str, int], title: str, folder: Path) -> dict[str, Any]:
    """All attributes of a node by name: the standard's default where it has none, None where there is none."""
    onnx = onnx_library()
    try:
        schema = onnx.defs.get_schema(node.op_type, versions.get(node.domain, versions.get("", 0)), node.domain)
        newest = onnx.defs.get_schema(node.op_type, domain=node.domain)
    except Exception as error:
        raise OnnxError(f"onnx.load: {title}: ONNX has no such operator in opset {versions}") from error
    # Attributes that came later have the default that keeps the old meaning.
    known = {**newest.attributes, **schema.attributes}
    values: dict[str, Any] = dict.fromkeys(known)
    given = [(n, a.default_value) for n, a in known.items() if a.default_value.name]
    given += [(a.name, a) for a in node.attribute]
    for name, attribute in given:
        if name not in values:
            raise OnnxError(f"onnx.load: {title} has the unknown attribute {name!r}")
        if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            raise OnnxError(f"onnx.load: {title} has a graph of its own: control flow is not read")
        try:
            value = onnx.helper.get_attribute_value(attribute)
            value = value.decode() if isinstance(value, bytes) else value
        except ValueError as error:
            raise OnnxError(f"onnx.load: {title}: the attribute {name!r} cannot be read ({error})") from error
        values[name] = array_of(value, folder) if isinstance(value, onnx.TensorProto) else value
    return values
