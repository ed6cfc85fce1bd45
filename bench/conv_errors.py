"""The rounding errors of the convolution algorithms of device "cpu", each against float64.

Run it as ``python -m deepcore.bench.conv_errors [--json FILE]``. Input, weights and the gradient of the output are
standard normal; an error is given in units of eps(float32) times the root mean square of the result.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepcore import machine
from deepcore.backends import get_backend
from deepcore.backends.cpu import pinned

SHAPES = ((32, 16, 28, 16), (16, 64, 16, 64), (8, 128, 16, 128), (8, 256, 8, 256), (4, 512, 8, 512))
"""(images, channels, side of the images, output channels) of 3 x 3 convolutions with padding 1."""
ALGORITHMS = ("winograd,winograd_weight", "direct", "im2col")
WINDOW = ((1, 1), (1, 1), (1, 1), 1)
PASSES = ("forward", "input gradient", "weight gradient")


def measure() -> Iterator[dict[str, Any]]:
    """One row for each shape, pass and algorithm."""
    cpu, numpy = get_backend("cpu"), get_backend("numpy")
    for n, c, side, o in SHAPES:
        rng = np.random.default_rng(0)
        shapes = (n, c, side, side), (o, c, 3, 3), (n, o, side, side)
        x, w, gy = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
        for name, method, arrays in (
            (PASSES[0], "conv2d", (x, w, None)),
            (PASSES[1], "conv2d_input", (gy, w, x.shape)),
            (PASSES[2], "conv2d_weight", (gy, x, w.shape)),
        ):
            wide = [a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in arrays]
            right = getattr(numpy, method)(*wide, *WINDOW)
            unit = float(np.finfo(np.float32).eps) * np.sqrt((right**2).mean())
            for algorithm in ALGORITHMS:
                with pinned(algorithm):
                    error = np.abs(getattr(cpu, method)(*arrays, *WINDOW) - right) / unit
                yield {
                    "shape": f"{n}x{c}x{side}x{side} to {o}",
                    "pass": name,
                    "algorithm": algorithm.partition(",")[0],
                    "rms_eps": round(float(np.sqrt((error**2).mean())), 2),
                    "max_eps": round(float(error.max()), 1),
                }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown: rms and largest error of each algorithm."""
    names = [algorithm.partition(",")[0] for algorithm in ALGORITHMS]
    lines = [f"| 3 x 3 convolution | pass | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    cells = {(row["shape"], row["pass"], row["algorithm"]): row for row in rows}
    for shape, what in dict.fromkeys((row["shape"], row["pass"]) for row in rows):
        found = [cells[shape, what, name] for name in names]
        figures = " | ".join(f"{row['rms_eps']:.1f} / {row['max_eps']:.0f}" for row in found)
        lines.append(f"| {shape} | {what} | {figures} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, and write it as JSON where asked."""
    parser = argparse.ArgumentParser(prog="python -m deepcore.bench.conv_errors", description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    rows = list(measure())
    print(table(rows), end="")
    if options.json:
        report = {
            "command": "python -m deepcore.bench.conv_errors",
            "machine": machine.describe(),
            "rows": rows,
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
