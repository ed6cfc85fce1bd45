"""A check as JSON, for other programs.

Version 1. One object with

- "schema": "deepcore.check", "version": 1, "command": how it was called, or "", "date": when it ended (UTC, ISO 8601)
- "machine", "python", "packages": where it ran; "packages" gives the version of each by its name
- "devices": those that were checked; "absent": those that are not there, each with the reason
- "dtypes", "seed": what was asked for
- "seconds": how long it took; "stopped": why it ended early, or ""; "passed": whether it was not, and nothing failed
- "totals": the numbers of "ops", "cells", "comparisons" and "failures"
- "cells": one for each op, dtype and device: "op", "dtype", "device", "cases" (samples that were run), "seconds",
  "verdict" ("pass" or "FAIL") and "parts". A part is "value" (against the float64 oracle), "agreement" (with the device
  "numpy"), "gradient" or "double gradient". It has the numbers of "comparisons" and "failures", and the "worst"
  comparison, which came nearest to its limit: "error" and "allowed" relative to 1 + |expected|; "eps", the unit of
  "error_eps" and "allowed_eps"; "share" = error / allowed; "what" and "sample" say which one it was. "eps" is that
  of the dtype, but eps(float64) ** (2/3) for derivatives that are compared with a central difference, and 0 for
  values that must be equal, which have null for "allowed_eps" and null or "Infinity" for "error_eps".
- "failures": what failed, with the fields of `deepcore.check.results.Failure`: "limit" has the parts of the tolerance
  or is null; "index" is the worst element or null; "snippet" is a program that shows the failure again, or ""
- "not_run": what was left out, with "op", "device", "part" ("all" for a whole sample), "reason" and "samples"

Numbers are rounded to 7 digits; those that JSON lacks are the texts "NaN", "Infinity" and "-Infinity". A later version
may add fields; one that takes away a field or changes a meaning has another number.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from deepcore import machine
from deepcore.check.results import FAIL, PASS, Cell, Report, Worst

SCHEMA, VERSION = "deepcore.check", 1
PACKAGES = (
    "deepcore", "numpy", "scipy", "numba", "llvmlite", "ml_dtypes", "numba-cuda", "cupy-cuda12x", "cupy-cuda13x",
)  # fmt: skip


def to_json(report: Report, command: str = "") -> str:
    """The whole check as JSON text; see the top of this file."""
    return json.dumps(to_dict(report, command), allow_nan=False, separators=(",", ":")) + "\n"


def to_dict(report: Report, command: str = "") -> dict[str, Any]:
    """What `to_json` writes, as plain dictionaries, lists, texts and numbers."""
    cells = report.cells
    tree = {
        "schema": SCHEMA,
        "version": VERSION,
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **environment(),
        "devices": report.devices,
        "absent": report.absent,
        "dtypes": report.dtypes,
        "seed": report.seed,
        "seconds": round(report.seconds, 3),
        "stopped": report.stopped,
        "passed": report.passed,
        "totals": {
            "ops": len({cell.op for cell in cells}),
            "cells": len(cells),
            "comparisons": report.comparisons,
            "failures": len(report.failures),
        },
        "cells": [_cell(cell) for cell in cells],
        "failures": [dataclasses.asdict(failure) for failure in report.failures],
        "not_run": [dataclasses.asdict(item) for item in report.not_run],
    }
    return _plain(tree)


def environment() -> dict[str, Any]:
    """The machine, Python and the packages below deepcore."""
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"machine": machine.describe(), "python": platform.python_version(), "packages": packages}


def _cell(cell: Cell) -> dict[str, Any]:
    parts = {
        name: {
            "comparisons": part.comparisons,
            "failures": part.failures,
            "worst": None if part.worst is None else _worst(part.worst),
        }
        for name, part in cell.parts.items()
    }
    return {
        "op": cell.op,
        "dtype": cell.dtype,
        "device": cell.device,
        "cases": cell.cases,
        "seconds": round(cell.seconds, 4),
        "verdict": FAIL if cell.failures else PASS,
        "parts": parts,
    }


def _worst(worst: Worst) -> dict[str, Any]:
    numbers = {"error_eps": worst.error_eps, "allowed_eps": worst.allowed_eps, "share": worst.share}
    return dataclasses.asdict(worst) | numbers


def _plain(value: Any) -> Any:
    """The same with numbers of 7 digits, and with texts in place of those that JSON lacks."""
    if isinstance(value, float):
        if math.isfinite(value):
            return float(f"{value:.7g}")
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
