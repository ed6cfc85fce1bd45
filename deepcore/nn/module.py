"""Module: a tree of layers that owns parameters, buffers and sub-modules, with PyTorch's names and semantics."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from deepcore.autograd import memory
from deepcore.autograd.mode import state
from deepcore.autograd.observer import module_call
from deepcore.errors import ConfigError
from deepcore.nn import state as _state
from deepcore.nn.parameter import Parameter, convert_, parse_to
from deepcore.tensor import RemovableHandle, Tensor

Hook = Callable[..., Any]
_hook_ids = itertools.count()
_REGISTRIES = ("_parameters", "_buffers", "_modules")


class Module:
    """The base of every layer and model: assign parameters and modules as attributes, write ``forward``.

    >>> from deepcore import nn
    >>> class Twice(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = nn.Linear(4, 4)
    ...     def forward(self, x):
    ...         return self.layer(self.layer(x))
    >>> [name for name, _ in Twice().named_parameters()]
    ['layer.weight', 'layer.bias']
    """

    training: bool

    def __init__(self) -> None:
        # object.__setattr__ because our own __setattr__ needs these dictionaries to exist.
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_buffers", {})
        object.__setattr__(self, "_modules", {})
        object.__setattr__(self, "_non_persistent", set())
        object.__setattr__(self, "_forward_hooks", {})
        object.__setattr__(self, "_forward_pre_hooks", {})
        object.__setattr__(self, "training", True)

    # ---- calling -----------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define forward(self, ...) in the class")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the pre-hooks, ``forward`` and the hooks."""
        if state.observer is not None:
            with module_call(self):
                return self._call_with_hooks(args, kwargs)
        if not self._forward_pre_hooks and not self._forward_hooks:
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for pre_hook in tuple(self._forward_pre_hooks.values()):
            changed = pre_hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)
        for hook in tuple(self._forward_hooks.values()):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output

    def register_forward_hook(self, hook: Hook, *, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after every forward; what it returns, unless None, is the new output."""
        return _add_hook(self._forward_hooks, hook, prepend)

    def register_forward_pre_hook(self, hook: Hook, *, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, args)`` before every forward; what it returns, unless None, are the new arguments."""
        return _add_hook(self._forward_pre_hooks, hook, prepend)

    # ---- registration ------------------------------------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under ``name``; None reserves the name for a parameter that is absent."""
        self._check_name(name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise ConfigError(f"register_parameter: expected a Parameter for {name!r}; got {type(param).__name__}")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that moves and is saved with the module but is not trained (saved only if ``persistent``)."""
        self._check_name(name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ConfigError(f"register_buffer: expected a Tensor for {name!r}; got {type(tensor).__name__}")
        self._buffers[name] = tensor
        self._non_persistent.discard(name)
        if not persistent:
            self._non_persistent.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a sub-module under ``name``."""
        self._check_name(name, "_modules")
        if module is not None and not isinstance(module, Module):
            raise ConfigError(f"register_module: expected a Module for {name!r}; got {type(module).__name__}")
        self._modules[name] = module

    add_module = register_module

    def _check_name(self, name: str, registry: str) -> None:
        if "_parameters" not in self.__dict__:
            raise ConfigError(f"{type(self).__name__}: call super().__init__() before assigning {name!r}")
        if not isinstance(name, str) or not name or "." in name:
            raise ConfigError(f"{type(self).__name__}: a name must be a non-empty string without a dot; got {name!r}")
        if hasattr(self, name) and name not in getattr(self, registry):
            raise ConfigError(f"{type(self).__name__}: the attribute {name!r} exists already")

    def __setattr__(self, name: str, value: Any) -> None:
        registry = self._registry_of(name, value)
        if registry is None:
            object.__setattr__(self, name, value)
            return
        self.__dict__.pop(name, None)
        for other in _REGISTRIES:
            if other != registry:
                self.__dict__[other].pop(name, None)
        if registry == "_parameters":
            self.register_parameter(name, value)
        elif registry == "_modules":
            self.register_module(name, value)
        else:
            self.register_buffer(name, value, persistent=name not in self._non_persistent)

    def _registry_of(self, name: str, value: Any) -> str | None:
        """Which registry an assignment goes to: by the value's type, else where the name lives already."""
        is_special = isinstance(value, Parameter | Module)
        if "_parameters" not in self.__dict__:
            if is_special:
                raise ConfigError(f"{type(self).__name__}: call super().__init__() before assigning {name!r}")
            return None
        if is_special:
            return "_parameters" if isinstance(value, Parameter) else "_modules"
        for registry in _REGISTRIES:
            if name in self.__dict__[registry]:
                # A plain tensor or None may replace a registered one; anything else gets the registry's own message.
                return registry
        return None

    def __getattr__(self, name: str) -> Any:
        # Only called when the normal lookup failed; __dict__ is used so that a half-built module does not recurse.
        for registry in _REGISTRIES:
            entries = self.__dict__.get(registry)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            if name in self.__dict__[registry]:
                del self.__dict__[registry][name]
                self._non_persistent.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = set(super().__dir__())
        for registry in _REGISTRIES:
            names.update(self.__dict__[registry])
        return sorted(names)

    # ---- walking the tree --------------------------------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it with their dotted names, each once, parents first."""
        yield from _named_modules(self, prefix, set())

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct sub-modules with their names, each once."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct sub-modules, each once."""
        for _, module in self.named_children():
            yield module

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """Parameters with their dotted names; a parameter that is shared appears once, under its first name."""
        yield from self._named_members("_parameters", prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once: what an optimiser takes."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Buffers with their dotted names, each once."""
        yield from self._named_members("_buffers", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def _named_members(self, registry: str, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules: Iterable[tuple[str, Module]] = self.named_modules(prefix) if recurse else [(prefix, self)]
        for module_name, module in modules:
            for name, member in module.__dict__[registry].items():
                if member is not None and id(member) not in seen:
                    seen.add(id(member))
                    yield _join(module_name, name), member

    def get_submodule(self, target: str) -> Module:
        """The module with that dotted name ("" is this one); AttributeError if there is none."""
        module: Module = self
        for name in target.split(".") if target else []:
            child = getattr(module, name)
            if not isinstance(child, Module):
                raise AttributeError(f"{name!r} in {target!r} is not a module")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with that dotted name; AttributeError if there is none."""
        path, _, name = target.rpartition(".")
        param = getattr(self.get_submodule(path), name)
        if not isinstance(param, Parameter):
            raise AttributeError(f"{target!r} is not a parameter")
        return param

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every module below and then on this one (used for initialisation)."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ---- modes, devices, gradients -----------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Training mode (dropout drops, batch norm uses the batch's statistics) for this module and all below."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """Evaluation mode: the same as ``train(False)``."""
        return self.train(False)

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move parameters, gradients and buffers in place: ``to(device)``, ``to(dtype)``, ``to(device, dtype)``.

        A dtype changes floating-point tensors only. Make the optimiser after moving the module: its state stays
        where it was made.
        """
        device, dtype = parse_to(*args, **kwargs)
        for tensor in (*self.parameters(), *self.buffers()):
            convert_(tensor, device, dtype)
        return self

    def cpu(self) -> Self:
        """The same as ``to("cpu")``."""
        return self.to("cpu")

    def cuda(self, index: int | None = None) -> Self:
        """The same as ``to("cuda")`` or ``to("cuda:index")``."""
        return self.to("cuda" if index is None else f"cuda:{index}")

    def float(self) -> Self:
        """The same as ``to("float32")``."""
        return self.to(dtype="float32")

    def double(self) -> Self:
        """The same as ``to("float64")``."""
        return self.to(dtype="float64")

    def half(self) -> Self:
        """The same as ``to("float16")``."""
        return self.to(dtype="float16")

    def bfloat16(self) -> Self:
        """The same as ``to("bfloat16")``."""
        return self.to(dtype="bfloat16")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or fill them with zeros)."""
        for param in self.parameters():
            if param.grad is None:
                continue
            if set_to_none:
                param.grad = None
            else:
                param.grad = param.grad.detach() * 0

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Switch training of all parameters on or off (to freeze a part of a model)."""
        for param in self.parameters():
            param.requires_grad = requires_grad
        return self

    # ---- saving ------------------------------------------------------------------------------------------------

    def state_dict(self, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, detached but sharing their memory."""
        return _state.collect(self, prefix, keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> _state.IncompatibleKeys:
        """Copy values (tensors of any device, or NumPy arrays) into this module, all or nothing.

        Raises DataError with every missing name, unexpected name and wrong shape; ``strict=False`` forgives the
        names (and returns them) but not the shapes.
        """
        return _state.load(self, state_dict, strict)

    # ---- printing ----------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the brackets of the module's line; subclasses override it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr().splitlines()
        children = [f"({name}): {indent(repr(module))}" for name, module in self._modules.items()]
        return bracket(type(self).__name__, extra, children)


def _add_hook(hooks: dict[int, Hook], hook: Hook, prepend: bool) -> RemovableHandle:
    """Put a hook last (or first); the handle takes it off again."""
    key = next(_hook_ids)
    others = dict(hooks)
    hooks.clear()
    hooks.update({key: hook, **others} if prepend else {**others, key: hook})
    return RemovableHandle(lambda: hooks.pop(key, None))


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _named_modules(module: Module, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
    if id(module) in seen:
        return
    seen.add(id(module))
    yield prefix, module
    for name, child in module._modules.items():
        if child is not None:
            yield from _named_modules(child, _join(prefix, name), seen)


def indent(text: str) -> str:
    first, *rest = text.split("\n")
    return "\n".join([first, *("  " + line for line in rest)])


def bracket(name: str, extra: list[str], children: list[str]) -> str:
    """PyTorch's layout: one line where there are no children, else one indented line for each of them."""
    if not children and len(extra) <= 1:
        return f"{name}({''.join(extra)})"
    lines = "\n  ".join(extra + children)
    return f"{name}(\n  {lines}\n)"


def _memory_names(modules: list[Any]) -> Iterator[memory.Named]:
    """The arrays of all modules, for a report on memory."""
    inner = {id(child) for module in modules for child in module.__dict__.get("_modules", {}).values()}
    for root in modules:
        if id(root) in inner or "_modules" not in root.__dict__:
            continue
        title = type(root).__name__
        for name, param in root.named_parameters():
            yield param.backend, param.array, "parameter", f"parameter {title}.{name}"
            if param.grad is not None:
                yield param.grad.backend, param.grad.array, "gradient", f"gradient of {title}.{name}"
        for name, buffer in root.named_buffers():
            yield buffer.backend, buffer.array, "buffer", f"buffer {title}.{name}"


memory.NAMERS.insert(0, (Module, _memory_names))
