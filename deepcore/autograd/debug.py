"""What `DEEPCORE_DEBUG=1` and `DEEPCORE_NVTX=1` switch on for every op.

DEEPCORE_DEBUG=1    the device finishes each op before the next begins, and an op that fails is named: with its shapes,
                    dtypes, device and module. On a GPU an error is otherwise reported by whatever op comes later.
DEEPCORE_NVTX=1     each op is a range for the device's own profiler (Nsight Systems), and each module and named block.

Both are read when deepcore is imported. Without them nothing is on and nothing is asked.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from deepcore.autograd.function import Function
from deepcore.autograd.mode import _State, state
from deepcore.autograd.watcher import Watcher
from deepcore.errors import DeepcoreError, OpError, describe, message


class Debug(Watcher, threading.local):
    """Waits for the device after each op (`finish`) and names the op that fails; `ranges` tells profilers of each."""

    def __init__(self, finish: bool = True, ranges: bool = False) -> None:
        super().__init__()
        self.finish, self.ranges = finish, ranges
        self.backend: Any = None  # of the op that ran last: blocks of the program have none of their own

    def forward(self, fn: Function, arrays: list[Any]) -> Any:
        with self._watching("forward", fn, arrays):
            return super().forward(fn, arrays)

    def backward(self, fn: Function, grads: list[Any]) -> Any:
        with self._watching("backward", fn, grads):
            return super().backward(fn, grads)

    @contextlib.contextmanager
    def _watching(self, phase: str, fn: Function, arrays: list[Any]) -> Iterator[None]:
        self.backend = backend = fn.backend
        if self.ranges:
            backend.push_range(fn.name if phase == "forward" else f"{fn.name} backward")
        try:
            yield
            if self.finish:
                backend.synchronize()
                if fn.output_backend is not None:
                    fn.output_backend.synchronize()
        except (DeepcoreError, MemoryError):
            raise
        except Exception as error:
            raise _named(error, phase, fn, arrays) from error
        finally:
            if self.ranges:
                backend.pop_range()

    @contextlib.contextmanager
    def module_call(self, *modules: Any) -> Iterator[None]:
        with self.names.inside(*modules), self._range(self.names.current):
            yield

    @contextlib.contextmanager
    def region(self, name: str) -> Iterator[None]:
        with self._range(name):
            yield
        if self.finish and self.backend is not None:
            try:
                self.backend.synchronize()
            except Exception as error:
                text = " ".join(str(error).split()) or type(error).__name__
                raise OpError(message(name, "it to succeed", f"{type(error).__name__}: {text}")) from error

    @contextlib.contextmanager
    def _range(self, name: str) -> Iterator[None]:
        backend = self.backend
        if not self.ranges or backend is None:
            yield
            return
        backend.push_range(name)
        try:
            yield
        finally:
            backend.pop_range()


def _named(error: Exception, phase: str, fn: Function, arrays: list[Any]) -> OpError:
    device = fn.backend.device
    what = "argument" if phase == "forward" else "gradient of output"
    given = [describe(f"{what} {i}", a, device) for i, a in enumerate(arrays) if hasattr(a, "shape")]
    if phase == "backward":
        given += [describe(f"saved {i}", a, device) for i, a in enumerate(fn.saved) if hasattr(a, "shape")]
    module = f" in {fn.module_name}" if fn.module_name else ""
    text = " ".join(str(error).split())
    what_came = f"{type(error).__name__}: {text}" if text else type(error).__name__
    expected = f"its {phase}{module} to succeed"
    hint = "every op before this one was finished by the device" if fn.backend.queued else None
    return OpError(message(fn.name, expected, f"{what_came}; {', '.join(given) or 'no arrays'}", hint))


def from_environment(environment: Mapping[str, str] = os.environ) -> Debug | None:
    """The observer that the environment asks for, if any.

    >>> from_environment({"DEEPCORE_DEBUG": "0"}) is None
    True
    """
    finish, ranges = (environment.get(name, "") not in ("", "0") for name in ("DEEPCORE_DEBUG", "DEEPCORE_NVTX"))
    return Debug(finish, ranges) if finish or ranges else None


def install(observer: Any) -> None:
    """Make `observer` the one of every thread that has set no other; None for nobody."""
    _State.observer = observer
    state.__dict__.pop("observer", None)
