"""The machine that a figure was measured on, and the variables that processes started on it inherit."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path


def processor() -> str:
    """The processor's name, such as "Intel(R) Xeon(R) Processor @ 2.50GHz"; the architecture where none is told."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe() -> str:
    """One line: `Linux x86_64, Intel(R) Xeon(R) Processor @ 2.50GHz, 2 cores`."""
    return f"{platform.system()} {platform.machine()}, {processor()}, {cores()} cores"


@contextlib.contextmanager
def variables(more: Mapping[str, str]) -> Iterator[None]:
    """The variables of this process while another one is started, which inherits them."""
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
