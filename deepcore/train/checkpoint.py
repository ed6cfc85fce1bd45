"""Weights and training state in safetensors files: arrays as tensors, everything else as JSON in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepcore.errors import RunError
from deepcore.tensor import Tensor
from deepcore.train.run import write_atomic

KEY = "deepcore"


def to_numpy(value: Tensor | np.ndarray) -> np.ndarray:
    """A C-ordered host copy, whatever device the tensor is on."""
    # Not ascontiguousarray: that makes a scalar, such as the counter of a batch normalisation, an array of one value.
    return np.asarray(value.detach().cpu().numpy() if isinstance(value, Tensor) else value, order="C")


def pack(tree: Any, arrays: dict[str, np.ndarray], path: str = "") -> Any:
    """The tree as JSON values; tensors and arrays go to `arrays` under their path, a reference stays in their place.

    JSON knows neither tuples nor keys that are not text, so both are written as tagged lists.
    """
    if isinstance(tree, Tensor | np.ndarray):
        arrays[path] = to_numpy(tree)
        return {"array": path}
    if isinstance(tree, Mapping):
        return {
            "map": [[key, pack(value, arrays, f"{path}.{key}" if path else str(key))] for key, value in tree.items()]
        }
    if isinstance(tree, tuple):
        return {"tuple": [pack(value, arrays, f"{path}.{i}") for i, value in enumerate(tree)]}
    if isinstance(tree, list):
        return [pack(value, arrays, f"{path}.{i}") for i, value in enumerate(tree)]
    return tree.item() if isinstance(tree, np.generic) else tree


def unpack(packed: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """What `pack` was given, with every tensor as an array."""
    if isinstance(packed, list):
        return [unpack(value, arrays) for value in packed]
    if not isinstance(packed, dict):
        return packed
    if "array" in packed:
        return arrays[packed["array"]]
    if "tuple" in packed:
        return tuple(unpack(value, arrays) for value in packed["tuple"])
    return {key: unpack(value, arrays) for key, value in packed["map"]}


def save(path: Path, tree: Any) -> None:
    """Writes the tree atomically. Raises RunError where the disk does not take it; the file of before stays."""
    arrays: dict[str, np.ndarray] = {}
    packed = pack(tree, arrays)
    _write(path, arrays, packed)


def load(path: Path) -> Any:
    """The tree that `save` wrote. Raises RunError for a missing, truncated or foreign file."""
    arrays, packed = _read(path)
    return unpack(packed, arrays)


def save_model(path: Path, weights: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Weights under their own names, so that other programs find them, and `info` as JSON in the metadata."""
    _write(path, {name: to_numpy(value) for name, value in weights.items()}, dict(info))


def load_model(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The weights and the info that `save_model` wrote. Raises RunError for a missing or damaged file."""
    return _read(path)


def _write(path: Path, arrays: dict[str, np.ndarray], values: Any) -> None:
    from safetensors.numpy import save as to_bytes

    content = to_bytes(arrays, metadata={KEY: json.dumps(values)})
    write_atomic(path, lambda file: file.write(content))


def _read(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    import ml_dtypes  # noqa: F401 (with it NumPy knows the bfloat16 that a file may hold)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            return arrays, json.loads((file.metadata() or {})[KEY])
    except FileNotFoundError as error:
        raise RunError(f"there is no {path}.") from error
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RunError(f"{path} is damaged or was not written by deepcore ({error}).") from error
