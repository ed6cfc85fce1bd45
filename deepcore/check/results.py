"""What a check found, as plain values: they travel between processes and go into the report's table, file and page."""

from __future__ import annotations

from dataclasses import dataclass, field

PASS, FAIL, NOT_RUN = "pass", "FAIL", "not run"


@dataclass(frozen=True)
class Worst:
    """The comparison that came nearest to its limit, or went furthest beyond it."""

    error: float
    """Relative to 1 + |expected|, at the worst element; infinite where exact values or shapes differ."""
    eps: float
    """The rounding unit that the limit is counted in; 0 for values that have to be equal."""
    allowed: float
    what: str
    sample: str

    @property
    def share(self) -> float:
        """The error as a share of what is allowed: above 1 it has failed."""
        if self.error == 0:
            return 0.0
        return self.error / self.allowed if self.allowed else float("inf")

    @property
    def error_eps(self) -> float | None:
        """The error in units of eps; None for values that have to be equal and are."""
        if self.eps:
            return self.error / self.eps
        return None if self.error == 0 else float("inf")

    @property
    def allowed_eps(self) -> float | None:
        """The limit in units of eps; None for values that have to be equal."""
        return self.allowed / self.eps if self.eps else None


@dataclass
class Part:
    """One of `measure.PARTS` of one op in one dtype on one device, over all its samples."""

    comparisons: int = 0
    failures: int = 0
    worst: Worst | None = None

    def add(self, found: Worst, failed: bool) -> None:
        """Count a comparison."""
        self.comparisons += 1
        self.failures += failed
        if self.worst is None or found.share > self.worst.share:
            self.worst = found


@dataclass
class Cell:
    """One op in one dtype on one device."""

    op: str
    dtype: str
    device: str
    cases: int = 0
    """How many samples were run."""
    seconds: float = 0.0
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        return sum(part.failures for part in self.parts.values())

    @property
    def rounding(self) -> Worst | None:
        """The worst of the comparisons that are counted in eps of the dtype itself, not in those of a difference."""
        exact = [self.parts[name] for name in ("value", "agreement") if name in self.parts]
        if self.dtype != "float64" and "gradient" in self.parts:
            exact.append(self.parts["gradient"])
        return max((p.worst for p in exact if p.worst), key=lambda worst: worst.share, default=None)


@dataclass(frozen=True)
class Limit:
    """The parts of a tolerance: c * eps * sqrt(length)."""

    c: float
    eps: float
    length: int
    allowed: float


@dataclass
class Failure:
    """One comparison that failed, or an exception, with what it takes to see it again."""

    op: str
    dtype: str
    device: str
    part: str
    sample: str
    message: str
    """One line: the worst element, or the exception."""
    what: str = ""
    """Which value or gradient; empty for an exception."""
    index: tuple[int, ...] | None = None
    got: str = ""
    expected: str = ""
    error: float = 0.0
    wrong: int = 0
    size: int = 0
    limit: Limit | None = None
    traceback: str = ""
    smallest: str = ""
    """The arguments of the smallest case that still fails, such as ``x (1, 2) float32, stride=2``."""
    shrinking: str = ""
    """How far the search for it went."""
    snippet: str = ""
    more: int = 0
    """How many comparisons of the same op, dtype, device and part failed besides."""


@dataclass(frozen=True)
class NotRun:
    """Something that was left out, and why."""

    op: str
    device: str
    part: str
    """One of `measure.PARTS`, or ``all``."""
    reason: str
    samples: int
    """How many samples it would have been, each dtype counted."""


@dataclass
class OpResult:
    """One op on one device."""

    op: str
    device: str
    cells: list[Cell] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    not_run: list[NotRun] = field(default_factory=list)
    seconds: float = 0.0


@dataclass
class Report:
    """A whole check."""

    ops: list[str]
    dtypes: list[str]
    devices: list[str]
    seed: int = 0
    results: list[OpResult] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    """Devices that were looked for and are not there, with the reason."""
    stopped: str = ""
    """Why the check ended early; empty where it did not."""
    seconds: float = 0.0

    @property
    def cells(self) -> list[Cell]:
        """Every cell, in the order of the ops, then of dtypes, then of devices."""
        order = {name: i for i, name in enumerate(self.ops)}
        cells = [cell for result in self.results for cell in result.cells]
        return sorted(cells, key=lambda c: (order[c.op], self.dtypes.index(c.dtype), self.devices.index(c.device)))

    @property
    def failures(self) -> list[Failure]:
        return [failure for result in self.results for failure in result.failures]

    @property
    def not_run(self) -> list[NotRun]:
        return [left for result in self.results for left in result.not_run]

    @property
    def comparisons(self) -> int:
        return sum(part.comparisons for cell in self.cells for part in cell.parts.values())

    @property
    def passed(self) -> bool:
        """Whether everything that was asked for ran and nothing failed."""
        return not self.failures and not self.stopped
