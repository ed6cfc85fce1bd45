"""What one forward of a model does, module by module: calls and shapes through hooks, ops through an observer."""

from __future__ import annotations

import contextlib
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

from deepcore.autograd import Function
from deepcore.autograd.observer import observe
from deepcore.nn import Module
from deepcore.summaries.multiply_adds import multiply_adds
from deepcore.tensor import Tensor

Shapes = tuple[tuple[int, ...], ...]


class Watch:
    """An observer that adds up, for each module by name, what the ops inside it did.

    outside: arrays that are no activations, such as parameters and the model's inputs.
    keep: whether the Functions are held, to see at the end what the tape keeps.
    """

    def __init__(self, model: Module, outside: list[Any], keep: bool = False) -> None:
        self.names = {id(module): name for name, module in model.named_modules()}
        self.running: list[str] = []
        self.calls: Counter[str] = Counter()
        self.inputs: dict[str, Shapes] = {}
        self.outputs: dict[str, Shapes] = {}
        self.multiply_adds: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.peak = 0
        self._living = 0
        self._outside = {id(owner(array)) for array in outside}
        self._alive: dict[int, int] = {}  # bytes of each activation that lives, by id of what owns the memory
        self._functions: list[tuple[str, Function]] | None = [] if keep else None
        self._depth = 0

    # ---- modules

    @contextlib.contextmanager
    def on(self, model: Module) -> Iterator[None]:
        """Inside, every call of a module of the model and every op of this thread is watched."""
        handles = []
        for module in model.modules():
            handles.append(module.register_forward_pre_hook(self._enter, prepend=True))
            handles.append(module.register_forward_hook(self._leave))
        try:
            with observe(self):
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: Module, args: tuple[Any, ...]) -> None:
        name = self.names[id(module)]
        self.running.append(name)
        self.calls[name] += 1
        self.inputs[name] = shapes(args)

    def _leave(self, module: Module, args: tuple[Any, ...], output: Any) -> None:
        self.outputs[self.running.pop()] = shapes(output)

    # ---- ops

    def forward(self, fn: Function, arrays: list[Any]) -> Any:
        """Run it and count it; what it calls itself is a part of it."""
        self._depth += 1
        try:
            with fn.backend.quiet() if fn.may_overflow else contextlib.nullcontext():
                result = fn.forward(*arrays)
        finally:
            self._depth -= 1
        if self._depth == 0:
            name = self.running[-1] if self.running else ""
            self.multiply_adds[name] += multiply_adds(fn, arrays, result)
            for array in result if type(result) is tuple else (result,):
                self._made(name, array)
            if self._functions is not None:
                self._functions.append((name, fn))
        return result

    def backward(self, fn: Function, grads: list[Any]) -> Any:
        """Run it: a model may differentiate within its forward."""
        return fn.backward(*grads)

    def _made(self, name: str, array: Any) -> None:
        memory = owner(array)
        key = id(memory)
        if key in self._alive or key in self._outside or not getattr(memory, "nbytes", 0):
            return
        with contextlib.suppress(TypeError):  # a number, or an array that cannot be watched
            weakref.finalize(memory, self._gone, key)
            self._alive[key] = memory.nbytes
            self._living += memory.nbytes
            self.peak = max(self.peak, self._living)
        self.made[name] += memory.nbytes

    def _gone(self, key: int) -> None:
        self._living -= self._alive.pop(key)

    def kept(self) -> Counter[str]:
        """Bytes that the tape keeps for backward, by the module whose op was the first to keep them."""
        found: Counter[str] = Counter()
        seen = set(self._outside)
        for name, fn in self._functions or []:
            if fn.edges:
                found[name] += newly_kept(fn, seen)
        return found


def kept_by(outputs: Any, outside: list[Any]) -> int:
    """Bytes that the tape of these outputs keeps for backward, beside the arrays `outside`."""
    seen = {id(owner(array)) for array in outside}
    waiting = [tensor.grad_fn for tensor in tensors_of(outputs) if tensor.grad_fn is not None]
    known = set(waiting)
    total = 0
    while waiting:
        fn = waiting.pop()
        total += newly_kept(fn, seen)
        for edge in fn.edges:
            if edge is not None and isinstance(edge[0], Function) and edge[0] not in known:
                known.add(edge[0])
                waiting.append(edge[0])
    return total


def newly_kept(fn: Function, seen: set[int]) -> int:
    """Bytes that a recorded Function keeps for backward in memory that is not in `seen`, where it is then added."""
    total = 0
    for array in arrays_of((fn.saved, [getattr(fn, part) for part in fn.intermediates]), fn.backend):
        memory = owner(array)
        if id(memory) not in seen:
            seen.add(id(memory))
            total += memory.nbytes
    return total


def owner(array: Any) -> Any:
    """The array whose memory this one shows; itself where it has its own."""
    while isinstance(getattr(array, "base", None), type(array)):
        array = array.base
    return array


def arrays_of(value: Any, backend: Any) -> Iterator[Any]:
    """Every array of the backend in tuples, lists and dictionaries."""
    if isinstance(value, backend.array_type):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from arrays_of(part, backend)
    elif isinstance(value, dict):
        yield from arrays_of(list(value.values()), backend)


def tensors_of(value: Any) -> list[Tensor]:
    """All tensors in tuples, lists and dictionaries, in their order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for part in value for tensor in tensors_of(part)] if isinstance(value, tuple | list) else []


def shapes(value: Any) -> Shapes:
    """The shapes of all tensors in tuples, lists and dictionaries, in their order."""
    return tuple(tuple(tensor.shape) for tensor in tensors_of(value))
