"""What to check: names of ops, devices and dtypes, and what is meant where a name is unknown."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence

from deepcore.backends import available, get_backend
from deepcore.check.opdb import OpCase
from deepcore.errors import ConfigError, DeviceError, message, nearest

ONLY_WITH_ALL = ("strict", "simulator")


def choose_ops(cases: Sequence[OpCase], names: Iterable[str]) -> list[OpCase]:
    """The entries of these names, or of the functions of these names; all where there is no name.

    Raises ConfigError for an unknown one, and names the nearest.
    """
    names = list(names)
    if not names:
        return list(cases)
    wanted: set[str] = set()
    for name in names:
        found = [case.name for case in cases if name == case.name or name in case.names]
        if not found:
            known = {other for case in cases for other in (case.name, *case.names)}
            hint = nearest(name, sorted(known)).strip() or "leave --op out to check every op"
            raise ConfigError(message("deepcore check", "an op of the database", repr(name), hint))
        wanted.update(found)
    return [case for case in cases if case.name in wanted]


def choose_dtypes(cases: Sequence[OpCase], names: Iterable[str]) -> list[str]:
    """These dtypes, or all of the cases. Raises ConfigError for one that none of them has, and names the nearest."""
    known = list(dict.fromkeys(dtype for case in cases for dtype in case.dtypes))
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in known:
            hint = nearest(name, known).strip() or f"there are {', '.join(known)}"
            raise ConfigError(message("deepcore check", "a dtype of the chosen ops", repr(name), hint))
    return names or known


def choose_devices(names: Iterable[str], everything: bool) -> tuple[list[str], dict[str, str]]:
    """(devices to check, devices that are absent with the reason).

    Without a name every device that works here; `everything` adds "strict" and "simulator". A named device that is
    unknown or does not work is a DeviceError.
    """
    names = list(dict.fromkeys(names))
    chosen: list[str] = []
    absent: dict[str, str] = {}
    if names:
        for name in names:
            _ready(name)
            chosen.append(name if name == "simulator" else get_backend(name).device)
    else:
        for device, works, reason in available():
            if works:
                chosen.append(device)
            else:
                absent[device] = reason
    for name in ONLY_WITH_ALL if everything else ():
        if name in chosen:
            continue
        try:
            _ready(name)
            chosen.append(name)
        except DeviceError as error:
            absent[name] = str(error)
    return list(dict.fromkeys(chosen)), absent


def _ready(device: str) -> None:
    """Raise DeviceError where a device cannot be used. The simulator is asked in its own process only."""
    if device == "simulator":
        if importlib.util.find_spec("numba") is None or importlib.util.find_spec("numba.cuda") is None:
            hint = 'pip install "numba-cuda"'
            raise DeviceError(message('device "simulator"', "Numba's CUDA simulator", "no numba.cuda", hint))
        return
    get_backend(device)
