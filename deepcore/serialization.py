"""Tensors in safetensors files, under the names and in the layouts of PyTorch: `dc.save` and `dc.load`.

What `safetensors.torch.save_file(model.state_dict(), path)` wrote, `model.load_state_dict(dc.load(path))` reads, and
the other way round. Such a file holds numbers only; nothing in it is run when it is read. Pickles, PyTorch's `.pt`
files, are not read: loading one runs what its maker put into it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepcore import creation
from deepcore.errors import DataError
from deepcore.tensor import Tensor

_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch.save writes a zip of pickles


def save(tensors: Mapping[str, Any], path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors or arrays by name, such as a module's state_dict(), to a safetensors file.

    metadata: text by name, kept in the header. A file of before is replaced when the new one is complete. Raises
    DataError for other values and where the file cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    if not isinstance(tensors, Mapping):
        hint = "pass model.state_dict()"
        raise DataError(f"save: expected a mapping of names to tensors; got a {type(tensors).__name__}. Hint: {hint}.")
    arrays = {name: _as_array(name, value) for name, value in tensors.items()}
    content = to_bytes(arrays, metadata=None if metadata is None else dict(metadata))
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError as error:
        raise DataError(f"save: {path} cannot be written ({error.strerror or error}).") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def load(path: str | Path, device: str | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name, on `device` (None: the default one).

    Raises DataError for a file that is missing, damaged or of another kind.
    """
    import ml_dtypes  # noqa: F401 (with it NumPy knows the bfloat16 that a file may hold)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as tensors:
            # In a list first: a damaged tensor is found before anything is made of the others.
            found = [(name, tensors.get_tensor(name)) for name in tensors.keys()]  # noqa: SIM118 (not a dict)
    except OSError as error:
        raise DataError(f"load: {path} cannot be read ({error.strerror or error}).") from error
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, MemoryError) as error:
        with open(path, "rb") as file:  # only now: a good file's first bytes are a number, and may be any
            pickle = file.read(4).startswith(_PICKLES)
        if not pickle:
            raise DataError(f"load: {path} is damaged, or no safetensors file ({error}).") from error
        raise DataError(
            f"load: {path} is a pickle, as torch.save writes it; reading one can run any program. Hint: in "
            "PyTorch, write it anew by safetensors.torch.save_file(torch.load(old, weights_only=True), new)."
        ) from error
    return {name: creation.tensor(array, device=device) for name, array in found}


def _as_array(name: Any, value: Any) -> np.ndarray:
    """A C-ordered host array; a 0-d one stays 0-d."""
    array = value.backend.to_host(value.array) if isinstance(value, Tensor) else value
    if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype.kind not in "biufV":
        raise DataError(f"save: expected names with tensors or arrays of numbers; got {name!r}: {type(value).__name__}")
    return np.asarray(array, order="C")
