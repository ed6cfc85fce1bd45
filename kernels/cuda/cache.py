"""Compiled kernels kept on disk, so that a second process starts at once.

One file a kernel: a line of JSON (facts and a checksum), then the cubin. Files are written beside and renamed, so
several processes may share a folder; a damaged file counts as absent; a folder that cannot be written is no error. Both
are said, once in a process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["cache_dir", "load", "store"]


def cache_dir() -> Path:
    """Folder of the compiled kernels: $DEEPCORE_CACHE_DIR/cubin, else the user's cache folder.

    >>> cache_dir().name
    'cubin'
    """
    if given := os.environ.get("DEEPCORE_CACHE_DIR"):
        return Path(given) / "cubin"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "deepcore" / "cubin"


def load(name: str) -> tuple[dict[str, Any], bytes] | None:
    """Facts and cubin stored under `name`; None where there is none or where the file is damaged."""
    try:
        file = cache_dir() / name
        head, _, cubin = file.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        say("read", f"compiled CUDA kernels cannot be read ({_reason(error)}); they are compiled again")
        return None
    try:
        facts = json.loads(head)
        intact = facts.pop("sha256") == _digest(facts, cubin)
    except (ValueError, KeyError, TypeError, AttributeError):
        intact = False
    if not intact:
        say("damaged", f"{file} is damaged; the kernel is compiled again")
        return None
    return facts, cubin


def store(name: str, facts: dict[str, Any], cubin: bytes) -> bool:
    """Keep a cubin; False where the folder cannot be written (then every process compiles for itself)."""
    line = json.dumps({**facts, "sha256": _digest(facts, cubin)}).encode()
    beside = None
    try:
        folder = cache_dir()
        folder.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{name}-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(line + b"\n" + cubin)
        os.replace(beside, folder / name)
    except (OSError, RuntimeError) as error:
        if beside is not None:
            with contextlib.suppress(OSError):
                os.unlink(beside)
        hint = "DEEPCORE_CACHE_DIR names another folder"
        say("write", f"compiled CUDA kernels are not kept ({_reason(error)}); {hint}")
        return False
    return True


_SAID: set[str] = set()


def say(topic: str, text: str) -> None:
    """Print a line on the error stream, one for each topic in a process."""
    if topic not in _SAID:
        _SAID.add(topic)
        print(f"deepcore: {text}", file=sys.stderr, flush=True)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _digest(facts: dict[str, Any], cubin: bytes) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode() + b"\n" + cubin).hexdigest()
