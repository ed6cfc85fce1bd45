"""State dictionaries of modules: collecting them, and loading them all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepcore.errors import DataError
from deepcore.nn.parameter import copy_
from deepcore.tensor import Tensor

if TYPE_CHECKING:
    from deepcore.nn.module import Module


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found: names the module has and the state lacks, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def collect(module: Module, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
    """Parameters, then persistent buffers, module by module from the top, under every name they have."""
    state: dict[str, Tensor] = {}
    _collect_into(state, module, prefix, keep_vars)
    return state


def _collect_into(state: dict[str, Tensor], module: Module, prefix: str, keep_vars: bool) -> None:
    for name, tensor in _own_entries(module):
        state[prefix + name] = tensor if keep_vars else tensor.detach()
    for name, child in module._modules.items():
        if child is not None:
            _collect_into(state, child, f"{prefix}{name}.", keep_vars)


def _own_entries(module: Module) -> list[tuple[str, Tensor]]:
    entries = [(name, param) for name, param in module._parameters.items() if param is not None]
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent:
            entries.append((name, buffer))
    return entries


def load(module: Module, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
    """Copy ``state`` into ``module``; nothing is written unless everything fits. Raises DataError."""
    if not isinstance(state, Mapping):
        raise DataError(f"load_state_dict: expected a mapping of names to arrays; got {type(state).__name__}")
    own = collect(module, keep_vars=True)
    keys = IncompatibleKeys(
        missing_keys=[name for name in own if name not in state],
        unexpected_keys=[name for name in state if name not in own],
    )
    values = {name: _as_value(name, state[name]) for name in own if name in state}
    wrong = [
        f"{name}: {tuple(values[name].shape)} in the state, {tuple(own[name].shape)} in the model"
        for name in values
        if tuple(values[name].shape) != tuple(own[name].shape)
    ]
    problems = _problems(keys, wrong, strict)
    if problems:
        raise DataError(f"load_state_dict: the state does not fit {type(module).__name__}: " + "; ".join(problems))
    for name, value in values.items():
        copy_(own[name], value)
    return keys


def _problems(keys: IncompatibleKeys, wrong: list[str], strict: bool) -> list[str]:
    problems = []
    if strict and keys.missing_keys:
        problems.append("missing " + ", ".join(keys.missing_keys))
    if strict and keys.unexpected_keys:
        problems.append("unexpected " + ", ".join(keys.unexpected_keys))
    if wrong:
        problems.append("wrong shape " + ", ".join(wrong))
    return problems


def _as_value(name: str, value: Any) -> Tensor | np.ndarray:
    if isinstance(value, Tensor):
        return value
    try:
        array = np.asarray(value)
    except Exception:  # whatever a foreign object's __array__ raises
        array = np.asarray(None)
    if array.dtype.kind not in "biufV":
        raise DataError(f"load_state_dict: expected {name} to be a tensor or an array; got a {type(value).__name__}")
    return array
