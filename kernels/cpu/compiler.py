"""The one decorator of all CPU kernels: Numba's njit, compiled on the first call and kept on disk."""

from __future__ import annotations

import functools
import hashlib
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, event

from deepcore.kernels.cpu.sharing import KernelCompiler

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
        options |= {"pipeline_class": KernelCompiler}
        try:
            dispatcher = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no folder of this machine can be written to
            return numba.njit(**options)(function)
        _stamp_by_content(dispatcher._cache, Path(function.__code__.co_filename))
        _kept.append(dispatcher)
        return dispatcher

    return compile_lazily


_kept: list[Any] = []


def found_on_disk() -> int:
    """How many kernels, each for one combination of types, this process found compiled."""
    return sum(sum(dispatcher.stats.cache_hits.values()) for dispatcher in _kept)


FOLDER = Path(__file__).resolve().parent
_IMPORT = re.compile(r"^from deepcore\.kernels(\.cpu)?(?:\.(\w+))? import (.+)$", re.MULTILINE)


@functools.cache
def sources(path: Path) -> frozenset[Path]:
    """Return the file and those of this package that it imports, directly or not."""
    found, waiting = {path}, [path]
    while waiting:
        for match in _IMPORT.finditer(waiting.pop().read_text(encoding="utf-8")):
            folder = FOLDER if match[1] else FOLDER.parent
            for name in [match[2]] if match[2] else re.findall(r"\w+", match[3]):
                file = folder / f"{name}.py"
                if file not in found and file.exists():
                    found.add(file)
                    waiting.append(file)
    return frozenset(found)


@functools.cache
def content(path: Path) -> str:
    """Return a digest of a kernel file with all that is compiled into it."""
    digest = hashlib.sha256()
    for file in sorted(sources(path)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _stamp_by_content(cache: Any, path: Path) -> None:
    """Let machine code on disk be valid for as long as the text of its sources is the same.

    Numba asks for the time and size of the kernel's own file: code would outlive a change in a helper's file, and would
    be thrown away when the same version is installed again.
    """
    cache._cache_file = caching.IndexDataCacheFile(
        cache_path=cache._cache_path, filename_base=cache._impl.filename_base, source_stamp=content(path)
    )


class Notice(event.Listener):
    """Says that kernels are being compiled, once that takes long enough to look like a hang; and counts them."""

    def __init__(self) -> None:
        self.depth = 0
        self.timer: threading.Timer | None = None
        self.said = False
        self.compiled, self.seconds, self._started = 0, 0.0, 0.0

    def on_start(self, event: Any) -> None:
        """Set the timer when a kernel's compilation begins; one kernel compiles the helpers that it calls."""
        self.depth += 1
        module = event.data["dispatcher"].py_func.__module__ or ""
        if self.depth == 1:
            self._started = time.perf_counter()
            self.compiled += module.startswith("deepcore.kernels")
        if self.depth == 1 and not self.said and module.startswith("deepcore.kernels"):
            self.timer = threading.Timer(PATIENCE_S, self.say)
            self.timer.daemon = True
            self.timer.start()

    def on_end(self, event: Any) -> None:
        """Stop the timer when the outermost compilation ends."""
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self._started
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
