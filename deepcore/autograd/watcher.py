"""What observers that only look on have in common: the names of the modules that run, and the op run as it would be.

A watcher stands around the observer that was on before it, so that `DEEPCORE_DEBUG=1` and a profile may be on together.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

from deepcore.autograd.function import Function


class Watcher:
    """Runs every Function unchanged; `begin` and `end` are what a subclass writes, around each of them.

    begin(phase, fn, arrays) returns what `end` gets back as `token`; phase is "forward" or "backward".
    """

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner
        self.names = ModuleNames()

    @property
    def passive(self) -> bool:
        """Whether all runs as it would without observers."""
        return self.inner is None or getattr(self.inner, "passive", False)

    def begin(self, phase: str, fn: Function, arrays: list[Any]) -> Any:
        """Before an op; its module's name is in fn.module_name."""

    def end(self, token: Any, fn: Function, arrays: list[Any], result: Any) -> None:
        """After an op; result is None where it raised."""

    def forward(self, fn: Function, arrays: list[Any]) -> Any:
        fn.module_name = self.names.current
        result = None
        token = self.begin("forward", fn, arrays)
        try:
            result = self.run_forward(fn, arrays)
        finally:
            self.end(token, fn, arrays, result)
        return result

    def backward(self, fn: Function, grads: list[Any]) -> Any:
        result = None
        token = self.begin("backward", fn, grads)
        outside, self.names.current = self.names.current, fn.module_name
        try:
            result = self.run_backward(fn, grads)
        finally:
            self.names.current = outside
            self.end(token, fn, grads, result)
        return result

    def run_forward(self, fn: Function, arrays: list[Any]) -> Any:
        """What the op computes."""
        if self.inner is not None:
            return self.inner.forward(fn, arrays)
        if fn.may_overflow:
            with fn.backend.quiet():
                return fn.forward(*arrays)
        return fn.forward(*arrays)

    def run_backward(self, fn: Function, grads: list[Any]) -> Any:
        """The gradients that the op returns."""
        return fn.backward(*grads) if self.inner is None else self.inner.backward(fn, grads)

    @contextlib.contextmanager
    def module_call(self, *modules: Any) -> Iterator[None]:
        """Inside, `modules` run."""
        around = getattr(self.inner, "module_call", None)
        with self.names.inside(*modules), contextlib.nullcontext() if around is None else around(*modules):
            yield

    @contextlib.contextmanager
    def region(self, name: str) -> Iterator[None]:
        """Inside, a block that the program named."""
        around = getattr(self.inner, "region", None)
        with contextlib.nullcontext() if around is None else around(name):
            yield


class ModuleNames:
    """Dotted names of modules, `LeNet.features.0`, by the module that was called from outside of all others."""

    def __init__(self) -> None:
        self.current = ""
        self.depth = 0
        self.paths: dict[int, str] = {}
        self.roots: dict[int, tuple[Any, dict[int, str]]] = {}
        self.titles: dict[str, int] = {}

    @contextlib.contextmanager
    def inside(self, *modules: Any) -> Iterator[None]:
        """`current` is the name of the module, `features.0+1` for two that run as one."""
        outside = self.current
        if not self.depth:
            self.paths = self._paths(modules[0])
        first, *more = [self.paths.get(id(module)) or f"{outside}.{type(module).__name__}" for module in modules]
        self.current = "+".join([first, *(name.rpartition(".")[2] for name in more)])
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            self.current = outside

    def _paths(self, root: Any) -> dict[int, str]:
        known = self.roots.get(id(root))
        if known is not None and known[0]() is root and len(known[1]) == sum(1 for _ in root.modules()):
            return known[1]
        title = type(root).__name__
        self.titles[title] = self.titles.get(title, 0) + 1
        if self.titles[title] > 1:
            title = f"{title}#{self.titles[title]}"
        paths = {id(module): f"{title}.{name}" if name else title for name, module in root.named_modules()}
        self.roots[id(root)] = weakref.ref(root), paths
        return paths
