"""The figures of the pages, drawn from committed result files: ``python -m deepcore.bench.figures``.

In a page a line ``<!-- speed: bench/results/NAME.json -->`` names the result; what follows it, up to ``<!-- end -->``,
is written anew from there. `DRAWN` says what can be drawn, `PAGES` where. A test says when a page has to be written
again.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from deepcore.bench import conv_errors, report, result
from deepcore.bench.result import Case, Result
from deepcore.bench.samples import geometric_mean

PAGES = (Path("README.md"), Path("docs") / "convolution.md")
BLOCK = re.compile(r"(<!-- (\w+): (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
DEVICE = "cpu"
PARTS = {"training": "training", "inference": "inference", "inference, optimised": "inference, optimised"}
"""The parts of the suite "models" that are shown, as a reader is told of them."""


def best_peer(case: Case, found: Result) -> float:
    """The median of the fastest peer of the first one's family in a case, such as all of PyTorch's modes; 0 without."""
    family = found.baseline.partition("-")[0]
    times = [m.median for m in case.measurements if m.candidate.partition("-")[0] == family and m.samples]
    return min(times, default=0.0)


def speed(found: Result) -> str:
    """A table of the reference workloads: the device, the fastest mode of the peer, how many times faster."""
    lines = []
    for part, said in PARTS.items():
        rows = [
            (case, own.median, peer)
            for case in found.cases
            if case.suite == "models" and case.part == part and not case.axis
            if (own := case.of(DEVICE)) and own.samples and (peer := best_peer(case, found))
        ]
        if not rows:
            continue
        lines += [f"| {said} | deepcore | PyTorch, its fastest mode | times as fast |", "|---|---|---|---|"]
        lines += [
            f"| {case.name}, {case.size} | {report.cost(own)} | {report.cost(peer)} | {peer / own:.2f} |"
            for case, own, peer in rows
        ]
        mean = geometric_mean(peer / own for _, own, peer in rows)
        lines += [f"| geometric mean | | | **{mean:.2f}** |", ""]
    return "\n".join(lines)


def errors(file: Path) -> str:
    """The rounding errors of the convolution algorithms."""
    return conv_errors.table(json.loads(file.read_text(encoding="utf-8"))["rows"])


DRAWN = {"speed": lambda file: speed(result.read(file)), "errors": errors}


def drawn(text: str, root: Path) -> str:
    """A page with its figures written anew; result files are looked for under `root`."""
    return BLOCK.sub(lambda match: f"{match[1]}{DRAWN[match[2]](root / match[3])}{match[4]}", text)


def main() -> None:
    """Write the figures of all pages, from the folder of the repository."""
    for page in PAGES:
        page.write_text(drawn(page.read_text(encoding="utf-8"), Path()), encoding="utf-8")


if __name__ == "__main__":
    main()
