"""Peers: other frameworks that the same case runs on, one file each.

A file in this folder, or one that is named on the command line (`--peers mine.py`), has a `PEER`: a subclass of
`deepcore.bench.framework.Framework`, called without arguments. It imports its framework in `start` only.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from pathlib import Path

from deepcore.bench.framework import Framework
from deepcore.errors import ConfigError, message, nearest


@functools.cache
def known() -> dict[str, type[Framework]]:
    """Every peer of this folder by its name."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    peers = [module.PEER for module in modules if hasattr(module, "PEER")]
    return {peer.name: peer for peer in sorted(peers, key=lambda peer: peer.order)}


def find(name: str) -> Framework:
    """The peer of that name, or in that file. Raises ConfigError for an unknown one, with the names that there are."""
    if name.endswith(".py"):
        return _from_file(Path(name))
    peers = known()
    if name not in peers:
        hint = nearest(name, peers).strip() or "a file of your own is named by its path, which ends in .py"
        raise ConfigError(message("deepcore bench", f"a peer of {', '.join(peers)}", repr(name), hint))
    return peers[name]()


def _from_file(file: Path) -> Framework:
    if not file.is_file():
        raise ConfigError(message("deepcore bench", "the file of a peer", f"{file}, which does not exist"))
    spec = importlib.util.spec_from_file_location(f"deepcore_bench_peer_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "PEER"):
        hint = "PEER is a subclass of deepcore.bench.framework.Framework"
        raise ConfigError(message("deepcore bench", "a file with a PEER", str(file), hint))
    peer: Framework = module.PEER()
    peer.source = str(file)
    return peer
