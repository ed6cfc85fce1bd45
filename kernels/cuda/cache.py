"""Compiled kernels kept on disk, so that a second process starts at once.

One file a kernel: a line of JSON (facts and a checksum), then the cubin. Files are written beside and renamed, so
several processes may share a folder; a damaged file counts as absent; a folder that cannot be written is no error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
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
        head, _, cubin = (cache_dir() / name).read_bytes().partition(b"\n")
        facts = json.loads(head)
        intact = facts.pop("sha256") == _digest(facts, cubin)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (facts, cubin) if intact else None


def store(name: str, facts: dict[str, Any], cubin: bytes) -> bool:
    """Keep a cubin; False where the folder cannot be written (then every process compiles for itself)."""
    line = json.dumps({**facts, "sha256": _digest(facts, cubin)}).encode()
    try:
        folder = cache_dir()
        folder.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{name}-", dir=folder)
    except (OSError, RuntimeError):
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(line + b"\n" + cubin)
        os.replace(beside, folder / name)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        return False
    return True


def _digest(facts: dict[str, Any], cubin: bytes) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode() + b"\n" + cubin).hexdigest()
