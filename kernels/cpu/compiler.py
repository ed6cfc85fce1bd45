"""The one decorator of all CPU kernels: Numba's njit, compiled on the first call and kept on disk."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numba
from numba.core import event

PATIENCE_S = 1.0
NOTICE = "deepcore: compiling CPU kernels, once per machine ..."


def kernel(fastmath: bool | set[str] = False, inlined: bool = False) -> Callable:
    """Compile a function with Numba when it is first called, once for each combination of argument types.

    The machine code is kept beside the source, or in the user's cache folder where that is read-only. It runs without
    the GIL. Without `fastmath` every operation is rounded as written. `inlined`: a helper of other kernels, so that the
    loops that call it are vectorised.
    """

    def compile_lazily(function: Callable) -> Any:
        options = {"nogil": True, "fastmath": fastmath, "error_model": "numpy", "forceinline": inlined}
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no folder of this machine can be written to
            return numba.njit(**options)(function)

    return compile_lazily


class Notice(event.Listener):
    """Says that kernels are being compiled, once that takes long enough to look like a hang."""

    def __init__(self) -> None:
        self.depth = 0
        self.timer: threading.Timer | None = None
        self.said = False

    def on_start(self, event: Any) -> None:
        """Set the timer when a kernel's compilation begins; one kernel compiles the helpers that it calls."""
        self.depth += 1
        module = event.data["dispatcher"].py_func.__module__ or ""
        if self.depth == 1 and not self.said and module.startswith("deepcore.kernels"):
            self.timer = threading.Timer(PATIENCE_S, self.say)
            self.timer.daemon = True
            self.timer.start()

    def on_end(self, event: Any) -> None:
        """Stop the timer when the outermost compilation ends."""
        self.depth -= 1
        if self.depth == 0 and self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def say(self) -> None:
        """Print the line, once in a process."""
        if not self.said:
            self.said = True
            print(NOTICE, file=sys.stderr, flush=True)


notice = Notice()
event.register("numba:compile", notice)
