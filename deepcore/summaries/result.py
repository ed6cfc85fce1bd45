"""What `summary` found, as a table, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from deepcore.errors import ConfigError, message

SCHEMA = "deepcore-summary/1"
UNITS = ("B", "KB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Layer:
    """One module of the tree. All figures include the modules below it."""

    name: str
    """Dotted, as in `named_modules`; "" is the model itself."""
    kind: str
    """The name of its class."""
    depth: int
    calls: int
    """How often it ran in one forward; 0 for a module that took no part."""
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    """Shapes of the tensors that its last call got and returned."""
    parameters: int
    trainable: int
    multiply_adds: int
    activation_bytes: int
    """Of all results that its ops made; a view shares its memory and is none."""
    kept_bytes: int | None
    """What the tape keeps until backward, in training mode; None where that is not known."""


@dataclass(frozen=True)
class Summary:
    """What a model is made of and what one forward costs; `print` shows the table."""

    model: str
    device: str
    layers: tuple[Layer, ...]
    """The model first, then its modules in the order in which they were registered."""
    inputs: tuple[tuple[int, ...], ...]
    input_bytes: int
    parameter_bytes: int
    buffers: int
    buffer_bytes: int
    peak_bytes: int
    """The most bytes of activations that lived at one time in a forward in evaluation mode under `no_grad`."""
    kept_bytes: int | None
    """What the tape keeps until backward, beside parameters, buffers and inputs; None where it is not known."""
    notes: tuple[str, ...] = field(default=())

    @property
    def parameters(self) -> int:
        """How many numbers the parameters hold; a shared parameter counts once."""
        return self.layers[0].parameters

    @property
    def trainable(self) -> int:
        """Those of them that ask for a gradient."""
        return self.layers[0].trainable

    @property
    def multiply_adds(self) -> int:
        """Of one forward, as `deepcore.summaries.multiply_adds` counts them."""
        return self.layers[0].multiply_adds

    @property
    def activation_bytes(self) -> int:
        """Of all results of one forward."""
        return self.layers[0].activation_bytes

    @property
    def ran(self) -> bool:
        """Whether a forward was run; without one only parameters and buffers are known."""
        return bool(self.inputs)

    def to_dict(self) -> dict[str, Any]:
        """The figures for programs, ready for `json.dumps`."""
        totals = ("parameters", "trainable", "multiply_adds", "activation_bytes")
        return {"schema": SCHEMA, **{name: getattr(self, name) for name in totals}, **asdict(self)}

    def to_text(self, depth: int | None = None) -> str:
        """The table and the totals; `depth` leaves out modules that lie deeper in the tree."""
        if depth is not None and (type(depth) is not int or depth < 0):
            raise ConfigError(message("summary", "depth as an int of at least 0, or None", f"depth={depth!r}"))
        shown = [layer for layer in self.layers if depth is None or layer.depth <= depth]
        rows = [self._row(layer) for layer in shown]
        return "\n".join([*_aligned(self._head(), rows), "", *self._totals()])

    def table(self) -> tuple[list[str], list[list[str]]]:
        """(head, rows) of the table, as texts."""
        return self._head(), [self._row(layer) for layer in self.layers]

    def __str__(self) -> str:
        return self.to_text()

    def _head(self) -> list[str]:
        more = ["output", "parameters", "multiply-adds", "activations", "kept"] if self.ran else ["parameters"]
        return ["layer", "module", *more]

    def _row(self, layer: Layer) -> list[str]:
        times = f" ({layer.calls} calls)" if layer.calls > 1 else ""
        name = layer.name.rpartition(".")[2] or self.model
        cells = ["  " * layer.depth + name, (layer.kind if layer.name else "") + times]
        parameters = f"{layer.parameters:,}" if layer.parameters else "-"
        if not self.ran:
            return [*cells, parameters]
        if not layer.calls and not layer.activation_bytes:
            inside = any(o.calls and o.name.startswith(f"{layer.name}.") for o in self.layers)
            return [*cells, "" if inside else "not run", parameters, "-", "-", "-"]
        return [
            *cells,
            ", ".join(map(str, layer.outputs)),
            parameters,
            f"{layer.multiply_adds:,}" if layer.multiply_adds else "-",
            in_bytes(layer.activation_bytes) if layer.activation_bytes else "-",
            "?" if layer.kept_bytes is None else in_bytes(layer.kept_bytes) if layer.kept_bytes else "-",
        ]

    def _totals(self) -> list[str]:
        return [f"{name}: {value}" for name, value in self.totals()] + [f"note: {note}" for note in self.notes]

    def totals(self) -> list[tuple[str, str]]:
        """Pairs (what, how much) for the whole model."""
        fixed = self.parameters - self.trainable
        lines = [("parameters", f"{self.parameters:,} ({self.trainable:,} trainable, {fixed:,} not)")]
        lines.append(("memory of parameters", in_bytes(self.parameter_bytes)))
        if self.buffers:
            lines.append(("buffers", f"{self.buffers:,} ({in_bytes(self.buffer_bytes)})"))
        if not self.ran:
            return lines
        given = ", ".join(map(str, self.inputs))
        kept = "not known" if self.kept_bytes is None else in_bytes(self.kept_bytes)
        each = self.layers[0].kept_bytes
        if self.kept_bytes is not None and each is not None and each != self.kept_bytes:
            kept += (
                f" in training, where Sequential merges layers; {in_bytes(each)} as listed, one layer after the other"
            )
        return [
            ("input", f"{given} on {self.device} ({in_bytes(self.input_bytes)})"),
            *lines,
            ("multiply-adds", f"{self.multiply_adds:,}"),
            ("activations of one forward", in_bytes(self.activation_bytes)),
            ("at one time, without gradients", in_bytes(self.peak_bytes)),
            ("kept for backward", kept),
        ]


def in_bytes(number: float) -> str:
    """`1.5 MB` (of 1,000 KB each)."""
    unit = 0
    while number >= 999.5 and unit < len(UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.3g} {UNITS[unit]}"


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The columns under each other: texts to the left, numbers (from the parameters on) to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    first_number = list(head).index("parameters")

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if i >= first_number else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return [line(head), "-" * len(line(head).ljust(sum(widths) + 2 * len(widths) - 2)), *map(line, rows)]
