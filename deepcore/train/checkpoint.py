"""Weights and training state in safetensors files: arrays as tensors, everything else as JSON in the metadata.

A file carries the SHA-256 of its content, so that a single changed bit is noticed. Nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepcore.errors import DeepcoreError, RunError
from deepcore.tensor import Tensor
from deepcore.train.run import RunFolder, write_atomic

KEY, DIGEST = "deepcore", "sha256"

# What reading the values of a file can raise where they are not what was expected.
MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError, DeepcoreError)


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
    try:
        return unpack(packed, arrays)
    except MALFORMED as error:
        raise RunError(f"{path} is damaged or was not written by deepcore ({_words(error)}).") from error


def load_newest(run: RunFolder, use: Callable[[Any], None], say: Callable[[str], None]) -> int | None:
    """Hands the newest good checkpoint of a run to `use`, and returns its step; None where the run has none.

    One that is damaged is said, and the one before it is taken. Raises RunError where all are damaged, and where a good
    one does not belong to what shall go on with it.
    """
    damaged = []
    for step, path in run.saved():
        try:
            tree = load(path)
        except RunError as error:
            say(f"note: {error}")
            damaged.append(path)
            continue
        try:
            use(tree)
        except MALFORMED as error:
            raise RunError(f"{path} does not belong to {run.config} ({_words(error)}).") from error
        if damaged:
            say(f"note: going on from the checkpoint before, of step {step}")
        return step
    if damaged:
        hint = f" Hint: start anew: deepcore train --config {run.config}" if run.config.is_file() else ""
        count = "its only checkpoint is" if len(damaged) == 1 else f"all of its {len(damaged)} checkpoints are"
        raise RunError(f"{run} cannot be gone on with: {count} damaged.{hint}")
    return None


def _words(error: BaseException) -> str:
    """`KeyError: 'model'`; an error of ours speaks for itself."""
    return str(error) if isinstance(error, DeepcoreError) else f"{type(error).__name__}: {error}"


def snapshot(tree: Any) -> Any:
    """The tree as it would come back from a file, without one: copies on the host that later steps do not change."""
    arrays: dict[str, np.ndarray] = {}
    packed = pack(tree, arrays)
    return unpack(packed, {name: array.copy() for name, array in arrays.items()})


def save_model(path: Path, weights: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Weights under their own names, so that other programs find them, and `info` as JSON in the metadata."""
    _write(path, {name: to_numpy(value) for name, value in weights.items()}, dict(info))


def load_model(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The weights and the info that `save_model` wrote. Raises RunError for a missing or damaged file."""
    return _read(path)


def _write(path: Path, arrays: dict[str, np.ndarray], values: Any) -> None:
    from safetensors.numpy import save as to_bytes

    # One entry of metadata: safetensors writes several in no fixed order, and equal states shall be equal files.
    document = (values if isinstance(values, dict) else {"value": values}) | {DIGEST: ""}
    document[DIGEST] = _digest(arrays, json.dumps(document))
    content = to_bytes(arrays, metadata={KEY: json.dumps(document)})
    write_atomic(path, lambda file: file.write(content))


def _read(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    import ml_dtypes  # noqa: F401 (with it NumPy knows the bfloat16 that a file may hold)
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise RunError(f"there is no {path}.")
    if not path.is_file():  # a pipe would be waited for
        raise RunError(f"{path} is damaged or was not written by deepcore (it is not a file).")
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            document = json.loads((file.metadata() or {})[KEY])
        digest = document[DIGEST]
        if digest != _digest(arrays, json.dumps(document | {DIGEST: ""})):
            raise ValueError("its content is not what was written: the checksum differs")
        del document[DIGEST]
        return arrays, document["value"] if list(document) == ["value"] else document
    except (SafetensorError, OSError, MemoryError, *MALFORMED) as error:
        raise RunError(f"{path} is damaged or was not written by deepcore ({_words(error)}).") from error


def _digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    """SHA-256 of the values, and of the names, dtypes, shapes and bytes of the arrays."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
