"""Every Function application of one step, kept so that each can be run again alone, on any backend, in any dtype."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepcore.autograd import Function, Variable, array_scope, wrap
from deepcore.autograd.observer import Observer, observe

# What the tape itself puts on a Function; the rest are its options.
_TAPE = frozenset({"backend", "saved", "edges", "metas", "roles", "sequence", "freed", "output_hooks", "where"})


@dataclass(frozen=True)
class Held:
    """An array of a device, kept on the host."""

    array: np.ndarray


def hold(value: Any, backend: Any) -> Any:
    """`value` with every array of the backend in it (in tuples, lists and dictionaries too) as a Held copy."""
    if isinstance(value, Variable):
        value = value.array
    if isinstance(value, backend.array_type):
        return Held(np.array(backend.to_host(value), order="K"))
    if type(value) in (tuple, list):
        return type(value)(hold(v, backend) for v in value)
    if type(value) is dict:
        return {k: hold(v, backend) for k, v in value.items()}
    return value


def release(value: Any, backend: Any, dtype: Any) -> Any:
    """The reverse of `hold` on another backend; floating arrays in `dtype`, unless that is None.

    Values are rounded to bfloat16 and come in float32, which is what a Function gets in its place.
    """
    if isinstance(value, Held):
        array = value.array
        with np.errstate(over="ignore"):
            if dtype is not None and array.dtype.kind in "fV":
                array = array.astype(dtype, order="K")
            wide = np.float32 if array.dtype.kind == "V" else None
            return backend.from_host(np.array(array, dtype=wide, order="K"))
    if type(value) in (tuple, list):
        return type(value)(release(v, backend, dtype) for v in value)
    if type(value) is dict:
        return {k: release(v, backend, dtype) for k, v in value.items()}
    return value


@dataclass
class Application:
    """One call of a Function."""

    number: int
    """Its place in the forward."""
    module: str
    """The dotted name of the module that called it."""
    name: str
    kind: type[Function]
    options: dict[str, Any]
    """The attributes that it had before its forward."""
    inputs: list[Any]
    grads: list[Any] | None = None
    """The gradients that reached its outputs; None where no backward ran."""
    backward: int = -1
    """Its place in the backward."""

    def run(
        self, backend: Any, dtype: Any, observer: Observer | None = None
    ) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
        """(outputs, gradients of the inputs), on the host, of a fresh Function on a backend.

        dtype: of all floating arrays that go in; None leaves each in its own.
        """
        fn = self.fresh(backend, dtype)
        arrays = release(self.inputs, backend, dtype)
        with array_scope(backend), observe(observer):
            result = fn.forward(*arrays) if observer is None else observer.forward(fn, arrays)
            outputs = list(result) if type(result) is tuple else [result]
            for i, y in enumerate(outputs):
                if not isinstance(y, backend.array_type):  # as in Function.__call__: NumPy makes 0-d results scalars
                    outputs[i] = backend.xp.asarray(y)
                    fn.saved = tuple([outputs[i] if s is y else s for s in fn.saved])
            held = [_host(y, backend) for y in outputs]
            if self.grads is None:
                return held, []
            grads = release(self.grads, backend, dtype)
            back = fn.backward(*grads) if observer is None else observer.backward(fn, grads)
        back = back if type(back) is tuple else (back,)
        return held, [_host(g, backend) for g in back]

    def sizes(self, with_grads: bool) -> list[int]:
        """How many numbers each floating input has, and each gradient that came in."""
        arrays = [*self.inputs, *((self.grads or []) if with_grads else [])]
        return [x.array.size for x in arrays if isinstance(x, Held) and x.array.dtype.kind in "fV"]

    def wants(self, i: int) -> bool:
        """Whether the gradient of input i was asked for."""
        needs = self.options.get("needs") or ()
        return i < len(needs) and bool(needs[i])

    def fresh(self, backend: Any, dtype: Any) -> Function:
        """A Function of the same class with the same options."""
        fn = self.kind.__new__(self.kind)
        fn.__dict__.update(release(self.options, backend, dtype))
        fn.backend = backend
        return fn


def _host(array: Any, backend: Any) -> np.ndarray | None:
    """A host copy: an op may write where another one still reads."""
    return None if array is None else np.array(backend.to_host(backend.xp.asarray(array)))


@dataclass
class Tape:
    """An observer that keeps every application of a step on one device; `module` says which module is running."""

    module: Callable[[], str]
    applications: list[Application] = field(default_factory=list)
    _live: dict[int, tuple[Function, Application]] = field(default_factory=dict)
    _depth: int = 0
    _backwards: int = 0

    def forward(self, fn: Function, arrays: list[Any]) -> Any:
        """Run it, and keep its class, options and inputs."""
        outermost = self._depth == 0 and fn.output_backend is None
        if outermost:
            options = {k: hold(_copied(v), fn.backend) for k, v in fn.__dict__.items() if k not in _TAPE}
            inputs = [hold(a, fn.backend) for a in arrays]
            app = Application(len(self.applications), self.module(), fn.name, type(fn), options, inputs)
            self.applications.append(app)
            self._live[id(fn)] = fn, app
        self._depth += 1
        try:
            with fn.backend.quiet():
                return fn.forward(*arrays)
        finally:
            self._depth -= 1

    def backward(self, fn: Function, grads: list[Any]) -> Any:
        """Run it, and keep the gradients that came in."""
        if self._depth == 0 and id(fn) in self._live:
            _, app = self._live[id(fn)]
            backend = fn.output_backend or fn.backend
            # NumPy makes scalars of 0-d gradients; other array libraries do not.
            app.grads = [None if g is None else hold(backend.xp.asarray(g), backend) for g in grads]
            app.backward = self._backwards
            self._backwards += 1
        self._depth += 1
        try:
            return fn.backward(*grads)
        finally:
            self._depth -= 1

    def close(self) -> list[Application]:
        """The applications; the Functions themselves, and with them the graph, are let go."""
        self._live.clear()
        return self.applications


def _copied(value: Any) -> Any:
    """An option that forward may change is kept as it was."""
    return copy.copy(value) if type(value) in (list, dict, set) else value


def calls(backend: Any, run: Callable[[], Any]) -> list[tuple[str, tuple[Any, ...], dict[str, Any], Any]]:
    """The methods of a backend that `run` calls, from outside of the backend: (name, arguments, keywords, result).

    While it runs, the methods of this one object are recorded; an argument that is written to is not kept apart.
    """
    found: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = []
    depth = [0]

    def recorded(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            depth[0] += 1
            try:
                result = method(*args, **kwargs)
            finally:
                depth[0] -= 1
            if depth[0] == 0:
                found.append((name, args, kwargs, result))
            return result

        return call

    names = [
        name
        for name in dir(type(backend))
        if not name.startswith("_") and name not in _PLUMBING and name not in vars(backend)
    ]
    wrapped = [name for name in names if callable(getattr(type(backend), name)) and not _is_class(backend, name)]
    for name in wrapped:
        setattr(backend, name, recorded(name, getattr(backend, name)))
    try:
        run()
    finally:
        for name in wrapped:
            delattr(backend, name)
    return found


_PLUMBING = frozenset(
    {"from_host", "to_host", "item", "is_array", "synchronize", "quiet", "shares_memory", "contiguous"}
)


def _is_class(backend: Any, name: str) -> bool:
    return isinstance(getattr(type(backend), name), type)


def tensors_of(values: Any, backend: Any, dtype: Any) -> Any:
    """Held arguments of a module as tensors."""
    if isinstance(values, Held):
        return wrap(release(values, backend, dtype), backend)
    if type(values) in (tuple, list):
        return type(values)(tensors_of(v, backend, dtype) for v in values)
    return values
