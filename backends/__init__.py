"""The seam: one backend per device, found by its device string.

>>> from deepcore.backends import get_backend
>>> get_backend("numpy").device
'numpy'
"""

from __future__ import annotations

if __name__ == "backends":  # a second copy of the registry would be created under this name
    raise ImportError(
        "deepcore's backends are imported as `deepcore.backends`: write `from deepcore.backends import ...`"
    )

import importlib
import threading
from collections.abc import Callable

from deepcore.backends.base import Backend
from deepcore.backends.errors import DeepcoreError, DeviceError, DTypeError, ShapeError, message
from deepcore.backends.override import override

__all__ = [
    "Backend",
    "DTypeError",
    "DeepcoreError",
    "DeviceError",
    "ShapeError",
    "available",
    "get_backend",
    "message",
    "override",
    "register",
]

ENTRY_POINT_GROUP = "deepcore.backends"

# name -> "module:class", imported only when somebody asks for that device
_BUILTIN = {
    "numpy": "deepcore.backends.base:Backend",
    "cpu": "deepcore.backends.cpu:CpuBackend",
    "cuda": "deepcore.backends.cuda:CudaBackend",
    "strict": "deepcore.backends.strict:StrictBackend",
    "simulator": "deepcore.backends.simulator:SimulatorBackend",
}
_FOR_TESTS = ("strict", "simulator")

_registered: dict[str, Callable[..., Backend]] = {}
_cache: dict[str, Backend] = {}
_lock = threading.RLock()


def register(name: str, factory: Callable[..., Backend]) -> None:
    """Make device `name` known: `factory()` builds its backend, `factory(index)` the one of "name:index".

    A later registration of the same name replaces the earlier one.
    """
    with _lock:
        _registered[name] = factory
        for device in [d for d in _cache if d.partition(":")[0] == name]:
            del _cache[device]


def get_backend(device: str) -> Backend:
    """Return the backend of a device string such as "cpu", "numpy", "cuda" or "cuda:1"; one object per device.

    Raises DeviceError when the device is unknown or cannot be used on this machine.
    """
    try:
        return _cache[device]
    except (KeyError, TypeError):
        pass
    with _lock:
        name, index = _parse(device)
        factory = _factory(name, device)
        backend = _build(factory, name, index)
        # "cuda" and "cuda:0" are the same device and must be the same object
        backend = _cache.setdefault(backend.device, backend)
        _cache[str(device)] = backend
        return backend


def available() -> list[tuple[str, bool, str]]:
    """Return (device, usable, reason it is not) for every device that a user can choose; builds each backend once."""
    rows = []
    for name in _known():
        if name in _FOR_TESTS:
            continue
        try:
            rows.append((get_backend(name).device, True, ""))
        except (DeepcoreError, ImportError) as error:
            rows.append((name, False, str(error)))
    return rows


def _parse(device: str) -> tuple[str, int | None]:
    if not isinstance(device, str):
        got = f"{device!r} of type {type(device).__name__}"
        raise DeviceError(message("get_backend", 'a device string such as "cpu" or "cuda:0"', got))
    name, colon, index = device.partition(":")
    if not colon:
        return name, None
    if not index.isdecimal():
        raise DeviceError(message("get_backend", 'a number after the colon, as in "cuda:1"', repr(device)))
    return name, int(index)


def _entry_points() -> dict:
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def _known() -> list[str]:
    return list(dict.fromkeys([*_BUILTIN, *_registered, *_entry_points()]))


def _factory(name: str, device: str) -> Callable[..., Backend]:
    if name in _registered:
        return _registered[name]
    if name in _BUILTIN:
        module, _, attribute = _BUILTIN[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    points = _entry_points()
    if name in points:
        return points[name].load()
    import difflib  # only for this message

    known = [other for other in _known() if other not in _FOR_TESTS]
    near = ["cuda"] if name.lower() == "gpu" else difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.4)
    hint = f'another package can add one through the entry-point group "{ENTRY_POINT_GROUP}"'
    if near:
        hint = f'did you mean "{near[0]}"?'
    raise DeviceError(message("get_backend", f"one of the devices {', '.join(known)}", f'"{device}"', hint))


def _build(factory: Callable[..., Backend], name: str, index: int | None) -> Backend:
    if index is None:
        return factory()
    if name in _BUILTIN and name != "cuda":
        got, hint = f'"{name}:{index}"', f'write "{name}": there is one such device'
        raise DeviceError(message("get_backend", f'"{name}" without a number', got, hint))
    return factory(index)
