"""What a benchmark found: the document that `deepcore bench --json FILE` writes and every report is drawn from.

One object with `schema` and `version`, then the fields of `Result`. Each dataclass below is an object of the file with
the same names; the text under a field says what it means and in which unit. A later version may add fields with a
default; one that takes away a field or changes a meaning has another number.

Every sample is a cost, in the `unit` of its case: less is better. A speed-up is `baseline / candidate`: more is better.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deepcore.bench import schema

SCHEMA, VERSION = "deepcore.bench", 1

MEASURED, REFUSED, SKIPPED, FAILED = "measured", "refused", "skipped", "failed"
"""States of a measurement; see `Measurement.state`."""

SECONDS, BYTES, FAULTS = "s", "bytes", "faults"
"""Units of samples: seconds, bytes, page faults; all of them for one step."""


@dataclass
class Machine:
    """Where it was measured."""

    system: str
    """Such as "Linux x86_64"."""
    processor: str
    """The name that the processor gives itself."""
    cores: int
    """How many the process may run on."""
    flags: list[str]
    """The vector instructions that it has, such as "avx2", "avx512f", "neon"."""
    memory_bytes: int
    """Main memory; 0 where unknown."""
    gpus: list[str]
    """Their names; empty without a CUDA device among the candidates."""
    load: float
    """The load average over one minute when the run began: above 0.5 other programs took part."""


@dataclass
class Roof:
    """What the machine can do at most, measured in the same run, on the same threads."""

    gemm_flops_per_s: float
    """Best rate of a large float32 matrix product (a multiplication and an addition are two)."""
    copy_bytes_per_s: float
    """Best rate of copying an array much larger than the caches, bytes read and bytes written counted."""
    gemm: str
    """How the first was measured, such as "numpy matmul 2048x2048x2048"."""
    copy: str
    """How the second was measured."""


@dataclass
class Settings:
    """What was asked for."""

    suites: list[str]
    filter: str
    """Only cases whose key contains this text; "" for all."""
    threads: int
    """For every candidate, where a case does not say otherwise (scaling by threads)."""
    rounds: int
    """How many samples of each candidate in each case were asked for (a suite of processes takes fewer)."""
    warmup: int
    """How many rounds before those were thrown away."""
    round_s: float
    """A round takes at least so many seconds of work: short steps are repeated within it."""
    seed: int
    """Of weights, data and the bootstrap."""


@dataclass
class Candidate:
    """One device of deepcore, or a peer, as its own process described itself."""

    name: str
    """As on the command line: "cpu", "numpy", "torch-compile"."""
    kind: str
    """ "device" or "peer"."""
    about: str
    """One line: what it is and how it was set up."""
    versions: dict[str, str]
    """Of its packages."""
    threads: int
    """How many it computes with."""
    blas: list[str]
    """The BLAS and OpenMP libraries of its process, such as "openblas 0.3.30, 2 threads"."""


@dataclass
class Ratio:
    """How many times better than the baseline, with the interval that the samples leave open."""

    value: float
    """median(baseline) / median(this one)."""
    low: float
    """Lower end of the bootstrap interval of 95 %: rounds are drawn again, with both samples of a round together."""
    high: float
    """Upper end."""


@dataclass
class Measurement:
    """One candidate in one case."""

    candidate: str
    state: str
    """ "measured"; "refused": its result differs from the baseline's, so it was not timed; "skipped": it does not have
    this case, or something that it needs is absent; "failed": it raised an error."""
    reason: str = ""
    """Why it was not measured."""
    samples: list[float] = field(default_factory=list)
    """One for each round, in the order of the rounds: the cost of one step, in the unit of the case. On a CUDA device
    this is the host's time until all work of the round is done, divided by its steps."""
    steps: int = 0
    """How many steps each round ran."""
    gpu_samples: list[float] = field(default_factory=list)
    """On a CUDA device, seconds a step between events on its stream, for the same rounds; else empty."""
    launch_samples: list[float] = field(default_factory=list)
    """On a CUDA device, seconds a step until the host had handed over all the work; else empty."""
    median: float = 0.0
    """Of the samples."""
    low_quartile: float = 0.0
    """A quarter of the samples is below."""
    high_quartile: float = 0.0
    """A quarter of the samples is above."""
    ratio: Ratio | None = None
    """Beside the baseline of the case; None for the baseline itself and where that was not measured."""
    error: float | None = None
    """The largest difference of its results from the baseline's, relative to rms + |value| with the root mean square of
    the output or gradient that it belongs to; None where nothing is compared."""
    note: str = ""
    """What else it says of the run, such as the algorithm that was chosen."""


@dataclass
class Case:
    """One thing that was measured on every candidate."""

    suite: str
    name: str
    """The op, the layer, the workload."""
    part: str
    """ "forward", "backward", "input gradient", "weight gradient", "training", "inference", "import", ..."""
    size: str
    """Shapes and settings as a reader would write them; "" where the name says it all."""
    group: str
    """What a geometric mean may be taken over: the network of a layer, the family of an op, "training"."""
    unit: str
    """Of the samples: "s", "bytes" or "faults"."""
    baseline: str
    """The candidate that ratios are taken to: of those that take part in the case the first peer, or without one the
    first device."""
    flops: float = 0.0
    """Floating-point operations of a step, by the plain formula; 0 where they are not counted."""
    bytes: float = 0.0
    """Bytes that a step must at least read and write; 0 where they are not counted."""
    items: float = 0.0
    """Images, sequences or rows in a step: items / median is the rate; 0 where it makes no sense."""
    axis: str = ""
    """In the suite "scaling": what is varied, such as "batch", "side", "channels", "length", "threads"."""
    at: float = 0.0
    """In the suite "scaling": the value of `axis`."""
    allowed: float = 0.0
    """The largest `Measurement.error` that is timed; 0 where nothing is compared."""
    measurements: list[Measurement] = field(default_factory=list)
    """In the order of `Result.candidates`."""

    @property
    def key(self) -> str:
        """What names the case in every result file: "convs/resnet50 3x3 64/weight gradient [8x64x56x56]"."""
        return f"{self.suite}/{self.name}/{self.part}" + (f" [{self.size}]" if self.size else "")

    def of(self, candidate: str) -> Measurement | None:
        """The measurement of a candidate, whatever its state."""
        return next((m for m in self.measurements if m.candidate == candidate), None)


@dataclass
class Fit:
    """A straight line through one scaling line in logarithms: cost = factor * at ** exponent."""

    name: str
    """The workload or op, as in `Case.name`."""
    part: str
    axis: str
    candidate: str
    exponent: float
    low: float
    """Lower end of the interval of 95 % of the exponent; equal to `exponent` with two points only."""
    high: float
    """Upper end."""
    factor: float
    """Seconds at 1."""
    points: int


@dataclass
class LayerTime:
    """One layer of a model within a training step."""

    name: str
    """Its path in the model, such as "0.conv1"; "(rest)" for what no layer accounts for."""
    kind: str
    """Its class, such as "Conv2d"."""
    forward_s: float
    """Median over the profiled steps."""
    backward_s: float
    """Likewise, of the gradients of its input and its parameters."""


@dataclass
class Profile:
    """Where the time of a training step goes: each layer is run alone, forward and backward, on what it got within one
    step; this is done after the samples are taken, and its sum is near the time of a step, not equal to it."""

    workload: str
    candidate: str
    step_s: float
    """Median time of the profiled steps, the optimiser included."""
    optimizer_s: float
    """Median time of the optimiser's step alone."""
    layers: list[LayerTime]
    """In the order of the forward pass."""


@dataclass
class Result:
    """A whole run."""

    command: str
    """How it was called."""
    started: str
    """UTC, ISO 8601."""
    seconds: float
    """How long it took."""
    stopped: str
    """Why it ended early, or ""."""
    commit: str
    """The git commit of the source tree, with "+changes" where files differ from it; "" for an installed package."""
    python: str
    machine: Machine
    settings: Settings
    candidates: list[Candidate]
    """Devices first, then peers, in the order of the command line; absent ones are not among them."""
    absent: dict[str, str]
    """Devices and peers that were asked for and are not there, with the reason."""
    roof: Roof | None = None
    cases: list[Case] = field(default_factory=list)
    """In the order in which they were measured."""
    fits: list[Fit] = field(default_factory=list)
    profiles: list[Profile] = field(default_factory=list)

    @property
    def baseline(self) -> str:
        """The candidate that ratios are taken to; "" without candidates."""
        peers = [c.name for c in self.candidates if c.kind == "peer"]
        return (peers or [c.name for c in self.candidates] or [""])[0]


def to_json(result: Result) -> str:
    """The document as text; numbers are rounded to 6 digits."""
    return schema.to_json(result, SCHEMA, VERSION)


def from_json(text: str, where: str = "the text") -> Result:
    """The result that `to_json` wrote. Raises DataError, which says what is wrong, where it is no such document."""
    return schema.from_json(text, Result, SCHEMA, VERSION, where)


def write(result: Result, file: Path) -> None:
    """Write the document to a file."""
    file.write_text(to_json(result), encoding="utf-8")


def read(file: Path) -> Result:
    """Read a document. Raises DataError where the file is absent, damaged or of another version."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise schema.unreadable(str(file), error) from None
    return from_json(text, str(file))
