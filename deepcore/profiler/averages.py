"""Spans added up by op or by module, and the table of them. Times are in microseconds, as in PyTorch's profiler."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deepcore.errors import ConfigError, nearest
from deepcore.profiler.recorder import MODULE, OP, REGION, Span

NOWHERE = "(in no module)"
OUTSIDE = "(outside of ops)"
SORTS = (
    "self_cpu_time_total",
    "cpu_time_total",
    "self_device_time_total",
    "device_time_total",
    "count",
    "bytes",
    "key",
    "order",
)


@dataclass
class Averages:
    """What one op, or one module with all inside, took in the whole profile.

    count: calls; of an op, forward calls, of which `backward_count` had their backward. The times of the host:
    cpu_time_total with, self_cpu_time_total without the ops inside, of which forward_cpu and backward_cpu. The times
    of a device that queues its work: likewise, None where there is none. bytes: of the arrays that went in, were saved
    and came out.
    """

    key: str
    kind: str
    detail: Any = ""
    count: int = 0
    backward_count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    forward_cpu: float = 0.0
    backward_cpu: float = 0.0
    device_time_total: float | None = None
    self_device_time_total: float | None = None
    forward_device: float | None = None
    backward_device: float | None = None
    bytes: int = 0

    @property
    def cpu_time(self) -> float:
        """cpu_time_total for one call."""
        return self.cpu_time_total / max(1, self.count + self.backward_count)

    def add(self, span: Span) -> None:
        """Add an op or a named block."""
        own = span.self_ns / 1000
        backward = span.phase == "backward"
        self.cpu_time_total += span.ns / 1000
        self.self_cpu_time_total += own
        if self.kind != MODULE or span.parent is None or span.parent.kind != OP:  # else counted with the op around it
            self.bytes += span.bytes
        if backward:
            self.backward_cpu += own
        elif span.phase == "forward":
            self.forward_cpu += own
        if span.device_s is not None and span.device_self_s is not None:
            own = span.device_self_s * 1e6
            self.device_time_total = (self.device_time_total or 0.0) + span.device_s * 1e6
            self.self_device_time_total = (self.self_device_time_total or 0.0) + own
            if backward:
                self.backward_device = (self.backward_device or 0.0) + own
            elif span.phase == "forward":
                self.forward_device = (self.forward_device or 0.0) + own


def by_op(spans: Iterable[Span], by_shape: bool = False) -> list[Averages]:
    """One row for each op and each named block; with `by_shape`, for each op with arguments of the same shapes."""
    rows: dict[Any, Averages] = {}
    for span in spans:
        if span.kind in (OP, REGION):
            detail = ", ".join(map(str, span.shapes)) if by_shape else ""
            row = rows.setdefault((span.name, detail), Averages(span.name, span.kind, detail))
            row.add(span)
            if span.phase == "backward":
                row.backward_count += 1
            else:
                row.count += 1
    return list(rows.values())


def by_module(spans: Iterable[Span]) -> list[Averages]:
    """One row for each module with all the ops inside of it, in the order in which they were first called."""
    spans = list(spans)
    rows: dict[str, Averages] = {}
    for span in sorted((s for s in spans if s.kind == MODULE), key=lambda s: s.start):
        row = rows.setdefault(span.module, Averages(span.module, MODULE, span.name))
        row.count += 1
    for span in spans:
        if span.kind not in (OP, REGION):
            continue
        if not span.module:
            rows.setdefault(NOWHERE, Averages(NOWHERE, MODULE)).add(span)
            continue
        pieces = span.module.split(".")
        for n in range(1, len(pieces) + 1):
            name = ".".join(pieces[:n])
            rows.setdefault(name, Averages(name, MODULE)).add(span)
    for row in rows.values():  # the ops inside of others were counted with these
        row.cpu_time_total, row.device_time_total = row.self_cpu_time_total, row.self_device_time_total
    return list(rows.values())


class EventList(list[Averages]):
    """Rows of a table, with the wall time (us) and the number of steps that they belong to."""

    def __init__(self, rows: Iterable[Averages], wall: float, steps: int) -> None:
        super().__init__(rows)
        self.wall, self.steps = wall, steps

    def table(self, sort_by: str | None = None, row_limit: int = 100) -> str:
        """The rows as text, the longest first, with the share of the wall time that each took.

        sort_by: one of PyTorch's names, such as "self_cpu_time_total" or "self_device_time_total", or "order": that of
        the first calls. By default modules stand in their order, ops by the device's time where there is one, else by
        the host's. Raises ConfigError for another name.
        """
        modules = bool(self) and self[0].kind == MODULE
        queued = any(row.self_device_time_total is not None for row in self)
        if sort_by is None:
            sort_by = "order" if modules else "self_device_time_total" if queued else "self_cpu_time_total"
        sort_by = sort_by.replace("cuda_time", "device_time")
        if sort_by not in SORTS:
            raise ConfigError(
                f"table: expected sort_by among {', '.join(SORTS)}; got {sort_by!r}.{nearest(sort_by, SORTS)}"
            )
        rows = list(self)
        if sort_by != "order":
            rows.sort(key=lambda row: getattr(row, sort_by) or 0, reverse=sort_by != "key")
        shown, left = rows[:row_limit], len(rows) - row_limit
        device = sum(row.self_device_time_total or 0.0 for row in self if row.kind == OP) if not modules else None
        lines = [_head(modules, queued, any(row.detail for row in self))]
        lines += [_line(row, self.wall, device, queued, lines[0]) for row in shown]
        if not modules:
            lines.append(_outside(self, lines[0]))
        text = _aligned(lines)
        if left > 0:
            text += f"\n({left} more)"
        return f"{text}\n{self._summary(modules)}"

    def _summary(self, modules: bool) -> str:
        steps = f", {self.steps} steps of {duration(self.wall / self.steps)}" if self.steps else ""
        parts = [f"wall time {duration(self.wall)}{steps}"]
        device = sum(row.self_device_time_total or 0.0 for row in self if row.kind == OP)
        if device and not modules:
            parts.append(f"the device's time in ops {duration(device)}")
        return "; ".join(parts)


def _head(modules: bool, queued: bool, detailed: bool) -> list[str]:
    head = ["module" if modules else "op"]
    if detailed:
        head.append("type" if modules else "arguments")
    head += ["calls", "forward CPU", "backward CPU", "CPU", "share"]
    if queued:
        head += ["forward GPU", "backward GPU", "GPU", "share"]
    return [*head, "bytes"]


def _line(row: Averages, wall: float, device: float | None, queued: bool, head: list[str]) -> list[str]:
    calls = str(row.count or "") if not row.backward_count else f"{row.count}+{row.backward_count}"
    cells = [row.key]
    if head[1] in ("type", "arguments"):
        cells.append(str(row.detail))
    cells += [
        calls,
        *_times(row.forward_cpu, row.backward_cpu, row.self_cpu_time_total),
        _share(row.self_cpu_time_total, wall),
    ]
    if queued:
        own = row.self_device_time_total
        cells += [
            *_times(row.forward_device, row.backward_device, own),
            _share(own, wall if device is None else device),
        ]
    return [*cells, _size(row.bytes)]


def _outside(rows: EventList, head: list[str]) -> list[str]:
    rest = max(0.0, rows.wall - sum(row.self_cpu_time_total for row in rows))
    cells = {"op": OUTSIDE, "CPU": duration(rest), "share": _share(rest, rows.wall)}
    line = [cells.get(name, "") for name in head]
    if "GPU" in head:
        line[head.index("GPU") + 1] = ""
    return line


def _times(*times: float | None) -> list[str]:
    return [duration(t) if t else "" for t in times]


def _share(part: float | None, whole: float) -> str:
    return "" if part is None or not whole else f"{100 * part / whole:.1f} %"


def duration(us: float) -> str:
    """Microseconds in words, with three digits.

    >>> duration(0.25), duration(43.21), duration(12345), duration(2.5e6)
    ('0.25 us', '43.2 us', '12.3 ms', '2.50 s')
    """
    for unit, size in (("us", 1.0), ("ms", 1e3), ("s", 1e6)):
        value = us / size
        if value < 999.5 or unit == "s":
            break
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def _size(count: int) -> str:
    if not count:
        return ""
    value, unit = float(count), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _aligned(lines: list[list[str]]) -> str:
    """Columns under each other: names to the left, numbers to the right."""
    left = 2 if lines[0][1] in ("type", "arguments") else 1
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    text.insert(1, "-" * len(text[0]))
    return "\n".join(line.rstrip() for line in text)
