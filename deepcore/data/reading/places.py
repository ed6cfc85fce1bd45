"""Where the files of a data set are looked for, and where downloads go."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """`~/.cache/deepcore/<name>`, or what the operating system has in its place."""
    import pooch

    return Path(pooch.os_cache("deepcore")) / name


def folders(name: str, cache: Path, root: str | Path | None = None, inside: tuple[str, ...] = ()) -> list[Path]:
    """The folders to look in, in this order: `$DEEPCORE_DATA/<name>` and the cache folder.

    With a `root`, that folder alone: itself, `<name>` in it, and what else it may be called `inside`.
    """
    if root is not None:
        base = Path(root).expanduser()
        return [base, base / name, *(base / more for more in inside)]
    named = os.environ.get("DEEPCORE_DATA")
    return ([Path(named).expanduser() / name] if named else []) + [cache]


def target(name: str, cache: Path, root: str | Path | None = None) -> Path:
    """The folder that a download goes to: `<root>/<name>`, or the cache folder without a root."""
    return cache if root is None else Path(root).expanduser() / name
