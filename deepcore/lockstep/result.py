"""What a comparison of devices found: plain data, filled by the engine and read by the reports.

Distances are L2 norms of differences, in float64, of a whole tensor. "exact" is the float64 shadow of the run, "noise"
the largest distance of its noisy copies from it, "bound" what rounding explains (docs/comparing.md says how).
Lists over steps have one entry for each step that was run, from step 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

KINDS = ("output", "loss", "buffer", "output_grad", "grad", "update", "weights")
"""Kinds of quantities: a module's output, the loss, a buffer after the forward, the gradient with respect to a module's
output, a parameter's gradient, a parameter's change by the optimiser, and all parameters together after the step."""

EXACT = "float64"
"""The name that the exact shadow has in `Event.b`."""


def pair_key(a: str, b: str) -> str:
    """The key of two devices in `Track.between`.

    >>> pair_key("numpy", "cpu")
    'numpy | cpu'
    """
    return f"{a} | {b}"


@dataclass(frozen=True)
class Device:
    """One of the compared devices, or the float64 shadow."""

    name: str
    """As it was asked for and as it is called everywhere in the result: "cpu", "cpu@float16", "MyBackend"; of a
    class of a file "file.MyBackend"."""
    device: str
    """The device string of its backend."""
    backend: str
    """The class of its backend."""
    dtype: str
    """The dtype of weights and activations; "tf32" is written "float32"."""
    eps: float
    """Distance from 1 to the next number of that dtype."""
    product_eps: float
    """The same for what goes into matrix products and convolutions: larger than `eps` with tf32 only."""


@dataclass(frozen=True)
class Settings:
    """How the comparison was run."""

    devices: tuple[Device, ...]
    shadow: Device
    """The exact shadow; the noisy ones run on the same backend."""
    shadows: int
    """The number of noisy shadows."""
    eps: float
    product_eps: float
    """eps and product_eps of the coarsest device: the size of the noise."""
    factor: float
    """The bound is this many times the noise."""
    steps: int
    """Steps that were asked for."""
    seed: int
    resync: int
    """Every so many steps all copies take over the first device's state; 0 is never."""
    stop_at_first: bool
    model: str
    """The class of the model."""
    parameters: int
    """How many numbers the model learns."""
    loss: str
    optimizer: str

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The names of every two devices, in the order given."""
        names = [d.name for d in self.devices]
        return tuple((a, b) for i, a in enumerate(names) for b in names[i + 1 :])


@dataclass(frozen=True)
class Quantity:
    """One thing that is compared at each step."""

    index: int
    """Its place in the order of execution, from 0."""
    kind: str
    """One of KINDS."""
    name: str
    """Of the module, parameter or buffer: "conv1", "conv1.weight"; of a module's second call "relu#2", of the second
    of its outputs "lstm[1]"; "loss" and "weights" for those two."""
    module: str
    """The dotted name of the module that it belongs to; "" is the model itself."""
    type: str
    """The class of that module."""
    shape: tuple[int, ...]

    @property
    def label(self) -> str:
        """For people: `output of conv1 (Conv2d)`, `gradient of conv1.weight`."""
        if self.kind in ("loss", "weights"):
            return "all weights" if self.kind == "weights" else "the loss"
        words = {
            "output": "output of",
            "buffer": "buffer",
            "output_grad": "gradient at the output of",
            "grad": "gradient of",
            "update": "update of",
        }
        which = (self.name or "the model") + (f" ({self.type})" if self.kind in ("output", "output_grad") else "")
        return f"{words[self.kind]} {which}"


@dataclass
class Track:
    """A quantity over the steps."""

    quantity: Quantity
    norm: list[float] = field(default_factory=list)
    """Its L2 norm in the exact shadow."""
    noise: list[float] = field(default_factory=list)
    """The largest distance of a noisy shadow from the exact one, at this step alone."""
    bound: list[float] = field(default_factory=list)
    """What rounding explains, at this step: made of the largest noise so far (since the last resync)."""
    to_exact: dict[str, list[float]] = field(default_factory=dict)
    """For each device by name: its distance from the exact shadow."""
    between: dict[str, list[float]] = field(default_factory=dict)
    """For each two devices by `pair_key`: their distance."""


@dataclass(frozen=True)
class Event:
    """A distance that is larger than its bound, and was not at the step before."""

    step: int
    quantity: Quantity
    a: str
    b: str
    """The two that differ: names of devices; b is EXACT where a device is compared with the exact shadow."""
    distance: float
    bound: float
    norm: float
    """Of the exact shadow's value."""
    shape: str
    """"jump": it left the bound at once; "drift": it grew across it."""

    @property
    def ratio(self) -> float:
        """How many times the bound the distance is."""
        return self.distance / self.bound if self.bound > 0 else float("inf")


@dataclass(frozen=True)
class Replay:
    """One op run alone, on the same inputs, on a device and in float64 on the reference: how far apart they are."""

    op: str
    """The name of the Function: "conv2d", "max_pool2d"; for the optimiser its class, for a buffer its name."""
    direction: str
    """"forward", "backward", "step" (the optimiser) or "buffer" (a buffer that the forward writes)."""
    module: str
    """The dotted name of the module in which it was called; "" is the model itself or the loss."""
    type: str
    """The class of that module."""
    device: str
    """Where it was run."""
    inputs_of: str
    """The device whose inputs it was given."""
    result: str
    """Which result is the worst: "output", "output 1", "gradient of input 0", "conv1.weight"."""
    shape: tuple[int, ...]
    index: tuple[int, ...]
    """Its worst element."""
    value: float
    """That element on the device."""
    exact: float
    """That element in float64."""
    error_eps: float
    """The largest error in units of eps, relative to the size of the values (the root of their mean square)."""
    times_allowed: float
    """The error of the worst element as a multiple of what the tolerance table allows there; above 1 is a fault.
    math.inf for a NaN and for a wrong integer."""
    repeatable: bool = True
    """False where the same bits went in twice and other bits came out."""


@dataclass(frozen=True)
class Verdict:
    """What the bisection of one step says."""

    step: int
    cause: str
    """"op": an op computes wrongly; "not repeatable": an op gives other bits each time (a race); "optimizer": the
    update is wrong; "buffer": a module writes a wrong buffer; "rounding": everything is right on its own inputs;
    "unexplained": so it is, and yet a step from equal states does not end within the bound."""
    text: str
    """One or two sentences for people."""
    event: Event | None
    """The event that asked for it; None at the end of a run without events."""
    worst: Replay | None
    """The replay that convicts; without a fault, the one that came closest to its allowance."""
    device: str = ""
    """The device that is at fault, "" without a fault."""
    method: str = ""
    """The method of the backend that is wrong, such as "MyBackend.max_pool2d_grad", where it could be had."""
    values: dict[str, float] = field(default_factory=dict)
    """The worst element on every device, by name, given the same inputs."""
    replayed: int = 0
    """How many ops were run alone."""
    replays: tuple[Replay, ...] = ()
    """The worst replay of each op and direction, those nearest to (or above) their allowance first; at most 20."""
    amplifier: str = ""
    """With "rounding": the op after which the two devices' difference grew the most, and how."""

    @property
    def is_fault(self) -> bool:
        """Whether something computes wrongly."""
        return self.cause in ("op", "not repeatable", "optimizer", "buffer")


@dataclass
class Comparison:
    """Everything that `dc.compare` found."""

    settings: Settings
    tracks: list[Track] = field(default_factory=list)
    """One for each quantity, in the order of execution."""
    losses: dict[str, list[float]] = field(default_factory=dict)
    """For each device by name, and for EXACT: the loss at each step."""
    steps: int = 0
    """Steps that were run."""
    events: list[Event] = field(default_factory=list)
    """In the order of steps and of execution; each quantity and pair has one for each time that it left its bound."""
    verdicts: list[Verdict] = field(default_factory=list)
    """In the order in which steps were bisected; the last one may belong to an earlier step (the worst one)."""
    power: list[float] = field(default_factory=list)
    """For each step the median over all quantities of bound / norm: near 1 the bound would excuse anything."""
    power_lost: int | None = None
    """The first step at which that is above POWER_LOST; None if never. A resync gives the power back."""
    growth: dict[str, float] = field(default_factory=dict)
    """By `pair_key`, and for "noise": the factor by which the distance of all weights grows in a step (a fit)."""
    stopped: str = ""
    """Why the run ended before `settings.steps`, or ""."""
    seconds: float = 0.0

    @property
    def fault(self) -> Verdict | None:
        """The first verdict that names a fault, or None."""
        return next((v for v in self.verdicts if v.is_fault), None)

    @property
    def ok(self) -> bool:
        """Whether rounding explains all that was seen."""
        return all(v.cause == "rounding" for v in self.verdicts)

    @property
    def first(self) -> Event | None:
        """The first event: of the first step with one, the first in the order of execution."""
        return self.events[0] if self.events else None


POWER_LOST = 0.1
"""Where the bound of the typical quantity is more than this part of the quantity itself, a comparison says little."""
