"""Containers: modules and parameters in a row, in a list, in a dictionary."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from deepcore.nn.fusion import in_turn
from deepcore.nn.module import Module, bracket, indent
from deepcore.nn.parameter import Parameter
from deepcore.tensor import Tensor


def _position(owner: Module, size: int, index: Any) -> int:
    """``index`` counted from the front; IndexError outside of the list."""
    number = operator.index(index)
    if not -size <= number < size:
        raise IndexError(f"{type(owner).__name__} has {size} entries; got index {number}")
    return number % size


class _Modules(Module):
    """Modules under the names "0", "1", ...: what `Sequential` and `ModuleList` share."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._of(list(self._modules.items())[index])
        return list(self._modules.values())[_position(self, len(self), index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self.register_module(list(self._modules)[_position(self, len(self), index)], module)

    def __delitem__(self, index: int | slice) -> None:
        positions = range(len(self))
        drop = set(positions[index]) if isinstance(index, slice) else {_position(self, len(self), index)}
        self._renumber([module for i, module in enumerate(self) if i not in drop])

    def _renumber(self, modules: list[Module]) -> None:
        self._modules.clear()
        for i, module in enumerate(modules):
            self.register_module(str(i), module)

    def _of(self, entries: list[tuple[str, Module]]) -> _Modules:
        """A container of the same kind for a slice."""
        raise NotImplementedError

    def append(self, module: Module) -> Self:
        """Add ``module`` at the end."""
        self.register_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add all ``modules`` at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put ``module`` before position ``index``."""
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)
        return self


class Sequential(_Modules):
    """Modules applied one after the other; takes modules, or one dictionary of named modules.

    >>> import deepcore as dc
    >>> from deepcore import nn
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> net(dc.zeros(3, 4)).shape
    (3, 2)
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.register_module(name, module)
        else:
            self.extend(modules)

    def forward(self, x: Any) -> Any:
        return in_turn(self._modules.values(), x)

    def _of(self, entries: list[tuple[str, Module]]) -> Sequential:
        return Sequential(dict(entries))


class ModuleList(_Modules):
    """A list of modules that are part of the model; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or [])

    def _of(self, entries: list[tuple[str, Module]]) -> ModuleList:
        return ModuleList([module for _, module in entries])

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __repr__(self) -> str:
        """Equal neighbours are printed once, as in PyTorch: ``(0-2): 3 x Linear(...)``."""
        runs: list[list[Any]] = []  # [first, last, text]
        for i, module in enumerate(self):
            text = repr(module)
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        lines = [
            f"({first}): {indent(text)}" if first == last else f"({first}-{last}): {last - first + 1} x {indent(text)}"
            for first, last, text in runs
        ]
        return bracket(type(self).__name__, [], lines)


class ModuleDict(Module):
    """Modules by name that are part of the model; it has no forward of its own."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __getitem__(self, name: str) -> Module:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.register_module(name, module)

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules by name."""
        for name, module in dict(modules).items():
            self.register_module(name, module)

    def pop(self, name: str) -> Module:
        """Take the module out and return it."""
        return self._modules.pop(name)

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()

    def keys(self) -> Iterable[str]:
        """The names, in order."""
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        """The modules, in order."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Names and modules, in order."""
        return self._modules.items()


class ParameterList(Module):
    """A list of parameters that are part of the model; plain tensors become parameters.

    >>> import deepcore as dc
    >>> [name for name, _ in ParameterList([dc.zeros(2), dc.ones(3)]).named_parameters()]
    ['0', '1']
    """

    def __init__(self, values: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.extend(values or [])

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters.values())

    def __getitem__(self, index: int | slice) -> Any:
        params = list(self._parameters.values())
        if isinstance(index, slice):
            return type(self)(params[index])
        return params[_position(self, len(self), index)]

    def __setitem__(self, index: int, value: Tensor) -> None:
        self.register_parameter(str(_position(self, len(self), index)), _as_parameter(value))

    def append(self, value: Tensor) -> Self:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), _as_parameter(value))
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        """Add all parameters at the end."""
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        lines = []
        for name, param in self._parameters.items():
            size = "x".join(map(str, param.shape))
            lines.append(f"({name}): Parameter containing: [{param.dtype} of size {size} on {param.backend.device}]")
        return "\n".join(lines)


def _as_parameter(value: Tensor) -> Parameter:
    return value if isinstance(value, Parameter) else Parameter(value)
