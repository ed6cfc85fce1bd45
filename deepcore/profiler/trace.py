"""A profile as a trace of Chrome's format, which Perfetto reads as well.

The format: "Trace Event Format", https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU:
complete events (ph X) with begin and duration in microseconds, names of processes and threads (ph M), and arrows from
each op to its backward (ph s and f). The host is one process with one track for each thread; each device is another.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from deepcore.profiler.recorder import OP, Span

CATEGORIES = {"op": "cpu_op", "region": "user_annotation", "module": "module", "step": "user_annotation"}
HOST_THREAD = 1
DEVICES_FROM = 1_000_000  # process numbers of devices: above those that Linux gives


def write_trace(path: Path, spans: list[Span], origin: int, thread: str) -> None:
    """Write the file; `origin` is the time (ns) that the trace calls 0."""
    path.write_text(json.dumps(trace(spans, origin, thread)), encoding="utf-8")


def trace(spans: list[Span], origin: int, thread: str) -> dict[str, Any]:
    """The trace as what JSON makes of it."""
    host = os.getpid()
    devices = list(dict.fromkeys(span.device for span in spans if span.device_at is not None))
    events = _names(host, "host", thread, 0)
    for i, device in enumerate(devices):
        events += _names(DEVICES_FROM + i, device, "current stream", i + 1)
    arrows: dict[int, int] = {}
    for span in spans:
        started = (span.start - origin) / 1000
        event = {
            "ph": "X",
            "name": span.name if span.phase != "backward" or span.kind != OP else f"{span.name} backward",
            "cat": CATEGORIES[span.kind],
            "ts": started,
            "dur": span.ns / 1000,
            "pid": host,
            "tid": HOST_THREAD,
            "args": _facts(span),
        }
        if span.kind == "module":
            event["name"] = f"{span.module} ({span.name})"
        events.append(event)
        if span.device_at is not None and span.device_s is not None:
            place = {"pid": DEVICES_FROM + devices.index(span.device), "tid": HOST_THREAD}
            times = {"ts": span.device_at * 1e6, "dur": span.device_s * 1e6}
            events.append({**event, **place, **times, "cat": "gpu_user_annotation" if span.kind != OP else "kernel"})
        if span.forward is not None and id(span.forward) not in arrows:
            number = arrows[id(span.forward)] = len(arrows) + 1
            arrow = {"name": "backward of", "cat": "fwdbwd", "id": number, "pid": host, "tid": HOST_THREAD}
            events.append({**arrow, "ph": "s", "ts": (span.forward.start - origin) / 1000})
            events.append({**arrow, "ph": "f", "bp": "e", "ts": started})
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _names(process: int, name: str, thread: str, order: int) -> list[dict[str, Any]]:
    facts = {
        "process_name": {"name": name},
        "process_sort_index": {"sort_index": order},
        "thread_name": {"name": thread},
    }
    return [
        {"ph": "M", "name": key, "pid": process, "tid": HOST_THREAD, "ts": 0, "args": value}
        for key, value in facts.items()
    ]


def _facts(span: Span) -> dict[str, Any]:
    facts: dict[str, Any] = {"module": span.module, "phase": span.phase, "device": span.device, "bytes": span.bytes}
    if span.shapes:
        facts["arguments"] = [s if isinstance(s, (str, int, float, bool)) else repr(s) for s in span.shapes]
    return {key: value for key, value in facts.items() if value}
