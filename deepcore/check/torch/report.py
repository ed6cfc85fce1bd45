"""What `python -m deepcore.check.torch` prints and writes."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import deepcore as dc
from deepcore import machine
from deepcore.check.torch.run import Row

WIDTH = 46
SHOWN = 5
"""Differences without a reason that are printed for each name; the JSON file has them all."""


def head() -> str:
    """The first lines."""
    about = f"deepcore {dc.__version__} and PyTorch {torch.__version__} (numpy {np.__version__}), {machine.describe()}"
    return f"{about}\n\n{'name':<{WIDTH}} {'cases':>7} {'with a reason':>14} {'without':>8}"


def line(row: Row) -> str:
    """The row of the table, and below it what has no reason."""
    if row.absent:
        return f"{row.name[:WIDTH]:<{WIDTH}} {'-':>7}   PyTorch has none: {row.absent}"
    text = (
        f"{row.name[:WIDTH]:<{WIDTH}} {row.cases:>7} {len(row.explained) or '-':>14} {len(row.unexplained) or '-':>8}"
    )
    for d in row.unexplained[:SHOWN]:
        text += f"\n    {d.op} on {d.device or '-'}: {d.key}"
    more = len(row.unexplained) - SHOWN
    return text + (f"\n    and {more} more" if more > 0 else "")


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """The numbers of the last line, and those behind them."""
    ops = [r for r in rows if r.kind == "op"]
    compared = [r for r in ops if not r.absent]
    return {
        "ops": len(compared),
        "modules": sum(r.kind == "module" for r in rows),
        "optimisers": sum(r.kind == "optimiser" for r in rows),
        "schedules": sum(r.kind == "schedule" for r in rows),
        "signatures": sum(r.cases for r in rows if r.kind == "signatures"),
        "cases": sum(r.cases for r in rows),
        "differences": sum(len(r.explained) + len(r.unexplained) for r in rows),
        "without_a_reason": sum(len(r.unexplained) for r in rows),
        "options_pytorch_has_not": sum(r.without for r in rows),
        "ops_pytorch_has_not": sum(bool(r.absent) for r in ops),
    }


def tail(rows: Sequence[Row]) -> str:
    """The reasons, the ops that PyTorch has not, and the last line."""
    parts = []
    explained: dict[str, list[str]] = {}
    for row in rows:
        for because in row.explained:
            explained.setdefault(because, []).append(row.name)
    if explained:
        parts.append("\nDifferences that have a reason:")
        parts += [f"- {because} ({_few(names)})" for because, names in explained.items()]
    absent: dict[str, list[str]] = {}
    for row in rows:
        if row.absent:
            absent.setdefault(row.absent, []).append(row.name)
    if absent:
        parts.append("\nOps that PyTorch has not:")
        parts += [f"- {', '.join(names)}: {because}" for because, names in absent.items()]
    n = counts(rows)
    parts.append(
        f"\n{n['differences'] - n['without_a_reason']} differences have a reason, {n['without_a_reason']} have none"
    )
    parts.append(
        f"{n['ops']} ops, {n['cases']} cases compared, {n['differences']} differences, "
        f"{n['ops_pytorch_has_not']} ops PyTorch has not (listed)"
    )
    return "\n".join(parts)


def _few(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def as_json(rows: Sequence[Row], command: str) -> dict[str, Any]:
    """The report as it is written to a file."""
    return {
        "command": command,
        "machine": machine.describe(),
        "python": platform.python_version(),
        "deepcore": dc.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        **counts(rows),
        "rows": [
            {"name": r.name, "kind": r.kind, "cases": r.cases}
            | ({"absent": r.absent} if r.absent else {})
            | ({"options_pytorch_has_not": r.without} if r.without else {})
            | ({"reasons": r.explained} if r.explained else {})
            | ({"unexplained": [f"{d.op} on {d.device}: {d.key}" for d in r.unexplained]} if r.unexplained else {})
            for r in rows
        ],
    }
