"""Everything that is compared with PyTorch: a row for each op, module, optimiser, schedule and group of signatures."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepcore.check.opdb import OpCase
from deepcore.check.torch import modules, reasons, signature_reasons, signatures, training
from deepcore.check.torch.compare import Difference, compare, compare_bad
from deepcore.check.torch.counterpart import counterpart
from deepcore.check.torch.extra import entries
from deepcore.check.torch.sweep import draw
from deepcore.check.torch.translated import ABSENT, NoCounterpart

DRAWN_DTYPES = ("float64", "float32")
MODULE_DTYPES = ("float64", "float32")

BY_ELEMENT = ("arithmetic", "elementwise", "activations", "rectifiers", "gates", "reductions", "sorting")
"""Families whose ops are also given infinities, NaN and the like."""


@dataclass
class Row:
    """What was compared under one name."""

    name: str
    kind: str
    """op, module, optimiser, schedule or signatures."""
    cases: int = 0
    without: int = 0
    """Samples with options that PyTorch has not."""
    absent: str = ""
    """Why PyTorch has no such op; nothing was compared then."""
    explained: dict[str, int] = field(default_factory=dict)
    """Each reason, and how many comparisons it explains."""
    unexplained: list[Difference] = field(default_factory=list)

    def take(self, found: Iterable[Difference]) -> None:
        """Count one case and what differs in it."""
        self.cases += 1
        name = "" if self.kind == "op" else self.name.partition("(")[0].removeprefix("nn.").lower()
        for d in found:
            because = reasons.reason_for(d.op if self.kind == "op" else name, d.key, d.error)
            if because:
                self.explained[because] = self.explained.get(because, 0) + 1
            else:
                self.unexplained.append(d)


def rows(names: Sequence[str] = (), devices: Sequence[str] = ("numpy", "cpu"), drawn: int = 0) -> Iterator[Row]:
    """A row as soon as it is done; `names` keeps the ops of those names only, and nothing but ops."""
    special = {case.name for f in BY_ELEMENT for case in importlib.import_module(f"deepcore.check.cases.{f}").CASES}
    for case in entries():
        if not names or is_named(case, names):
            yield op_row(case, devices, drawn, case.name in special)
    if not names:
        yield from module_rows(devices)
        yield from training_rows(devices)
        yield from signature_rows()


def is_named(case: OpCase, names: Sequence[str]) -> bool:
    """Whether an entry is one of those names; `solve` will do for `linalg.solve`."""
    return case.name in names or case.name.removeprefix("linalg.") in names


def op_row(case: OpCase, devices: Sequence[str], drawn: int, special: bool) -> Row:
    """One entry of the op database: its samples in its dtypes, drawn samples, its bad inputs."""
    row = Row(case.name, "op")
    try:
        op = counterpart(case)
    except LookupError as error:
        row.unexplained.append(Difference(case.name, "", "", "", "absent", str(error)))
        return row
    if op is None:
        row.absent = ABSENT[case.name]
        return row
    jobs: list[tuple[Any, Sequence[str]]] = [(s, case.dtypes) for s in case.make_samples()]
    jobs += [(s, [d for d in DRAWN_DTYPES if d in case.dtypes]) for s in draw(case, drawn, special)]
    for sample, dtypes in jobs:
        for device in devices:
            for dtype in dtypes:
                try:
                    row.take(list(compare(case, op, sample, device, dtype)))
                except NoCounterpart:
                    row.without += 1
    for wrong in case.errors:
        try:
            difference = compare_bad(case, op, wrong)
        except NoCounterpart:
            row.without += 1
        else:
            row.take([difference] if difference else [])
    return row


def module_rows(devices: Sequence[str]) -> Iterator[Row]:
    """The modules with PyTorch's weights, on each device, in train and in eval mode."""
    for case in modules.CASES:
        row = Row(str(case), "module")
        for device in devices:
            for dtype in MODULE_DTYPES:
                for training_mode in (True, False):
                    row.take(list(modules.compare_module(case, device, dtype, training_mode)))
        yield row


def training_rows(devices: Sequence[str]) -> Iterator[Row]:
    """The optimisers and the schedules."""
    for name, options in training.optimisers():
        row = Row(f"optim.{name}({', '.join(options)})", "optimiser")
        for device in devices:
            for dtype in MODULE_DTYPES:
                row.take(list(training.compare_optimiser(name, options, device, dtype)))
        yield row
    for name, options in training.schedules():
        row = Row(f"lr_scheduler.{name}({', '.join(options)})", "schedule")
        row.take(list(training.compare_schedule(name, options)))
        yield row


def signature_rows() -> Iterator[Row]:
    """Parameters and defaults, a row for each group of names."""
    made: dict[str, Row] = {}
    for name, mine, other in signatures.pairs():
        group = f"{name.rpartition('.')[0] or 'deepcore'}.*"
        row = made.setdefault(group, Row(group, "signatures"))
        found = signatures.mismatches(name, mine, other)
        if found is None:
            row.without += 1
            continue
        row.cases += 1
        for m in found:
            because = signature_reasons.reason_for(m.name, m.detail)
            if because:
                row.explained[because] = row.explained.get(because, 0) + 1
            else:
                row.unexplained.append(Difference(m.name, "", "", "", "signature", m.detail))
    yield from made.values()
