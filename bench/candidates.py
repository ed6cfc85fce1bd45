"""Who takes part: devices of deepcore and peers, from the names on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from deepcore.backends import get_backend
from deepcore.bench import peers
from deepcore.bench.framework import Device, Framework
from deepcore.errors import ConfigError, DeepcoreError, message

NOT_TIMED = ("strict", "simulator")


def make(name: str, kind: str) -> Framework:
    """The candidate of that name; raises ConfigError for an unknown peer."""
    return Device(name) if kind == "device" else peers.find(name)


def choose(devices: Sequence[str], peer_names: Sequence[str]) -> tuple[list[Framework], dict[str, str]]:
    """(those that can take part, devices first; those that are absent, each with the reason).

    Raises ConfigError or DeviceError for unknown names, and where nobody is left.
    """
    found: list[Framework] = []
    absent: dict[str, str] = {}
    for name in dict.fromkeys(devices):
        reason = _why_not(name)
        if reason:
            absent[name] = reason
        else:
            found.append(Device(name))
    for name in dict.fromkeys(peer_names):
        peer = peers.find(name)
        reason = peer.absent()
        if reason:
            absent[peer.name] = reason
        else:
            found.append(peer)
    names = [framework.name for framework in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        hint = "a peer's name is that of its class, not of its file"
        raise ConfigError(message("deepcore bench", "candidates with different names", f"{twice[0]!r} twice", hint))
    if not found:
        got = "; ".join(f"{name}: {reason}" for name, reason in absent.items()) or "no name"
        raise ConfigError(message("deepcore bench", "a device or a peer that works here", got))
    return found, absent


def _why_not(device: str) -> str:
    """Why a known device cannot be used here; "" where it can. Raises DeviceError for an unknown one."""
    if device.partition(":")[0] in NOT_TIMED:
        hint = "--devices numpy,cpu,cuda"
        raise ConfigError(message("deepcore bench", "a device to be timed", f"{device}, which is for tests", hint))
    try:
        get_backend(device)
    except (DeepcoreError, ImportError) as error:
        if device.partition(":")[0] == "cuda":
            return str(error)
        raise
    return ""
