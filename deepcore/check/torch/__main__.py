"""``python -m deepcore.check.torch [--op NAME] [--device NAME] [--random N] [--json FILE]``: deepcore beside PyTorch.

Every entry of the op database is computed by both: values, gradients and second gradients with random cotangents,
dtypes, and whether both refuse the bad inputs; then modules with the same weights, optimisers over 20 steps, schedules
over 50, and the parameters and defaults of every public name that both have. Each difference that is meant has its
written reason; the exit status is 1 where one has none, and 2 where PyTorch is not installed.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import json
import sys
from pathlib import Path

MISSING = (
    "deepcore.check.torch: expected PyTorch to compare with; it is not installed. "
    "Hint: pip install torch --index-url https://download.pytorch.org/whl/cpu"
)


def main(arguments: list[str] | None = None) -> int:
    """Compare, print the table, write the report; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deepcore.check.torch", description="deepcore beside PyTorch.")
    parser.add_argument("--op", action="append", default=[], metavar="NAME", help="this op only; may be repeated")
    parser.add_argument("--device", default="numpy,cpu", help="devices, with commas between (default numpy,cpu)")
    parser.add_argument("--random", type=int, default=8, metavar="N", help="more samples of each op, drawn (default 8)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the report to this file")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("torch") is None:
        print(MISSING, file=sys.stderr)
        return 2

    from deepcore.backends import get_backend
    from deepcore.check.torch import report
    from deepcore.check.torch.extra import entries
    from deepcore.check.torch.run import is_named, rows
    from deepcore.errors import DeviceError

    devices = [name.strip() for name in options.device.split(",") if name.strip()]
    try:
        for name in devices:
            get_backend(name)
    except DeviceError as error:
        parser.error(f"--device: {error}")
    if unknown := [name for name in options.op if not any(is_named(case, [name]) for case in entries())]:
        parser.error(f"--op: expected names of the op database; got {', '.join(unknown)}")
    print(report.head(), flush=True)
    done = []
    for row in rows(options.op, devices, options.random):
        print(report.line(row), flush=True)
        done.append(row)
    print(report.tail(done))
    if options.json:
        command = " ".join(["python -m deepcore.check.torch", *(sys.argv[1:] if arguments is None else arguments)])
        options.json.write_text(json.dumps(report.as_json(done, command), indent=1, ensure_ascii=False) + "\n")
    return 1 if any(row.unexplained for row in done) else 0


if __name__ == "__main__":
    faulthandler.enable()  # PyTorch checks less than deepcore: a bad argument may end the process
    sys.exit(main())
