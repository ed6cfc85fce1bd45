"""The page on derivatives, written from the op database: ``python -m deepcore.check.docs [FILE]``.

It lists the ops that are not twice differentiable, with the reason that their entry gives, and those that have no
gradient at all. `tests/test_check_docs.py` says when the page has to be written again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from deepcore.check.measure import REFERENCE, call
from deepcore.check.opdb import OpCase, all_cases, is_float

PAGE = Path("docs") / "twice_differentiable.md"

INTEGERS = "results that are integers or bools"
CONSTANT = "floating results without a gradient: they are made from sizes, or say which values there are"
OTHER = "a gradient that is by definition not the slope of the value; the docstring says which it is"


def page(cases: Sequence[OpCase]) -> str:
    """The page as Markdown."""
    differentiable = names_of(case for case in cases if case.differentiable)
    once = [case for case in cases if case.differentiable and not case.double_backward]
    never = [case for case in cases if not case.differentiable and not set(_names(case)) <= differentiable]
    groups: dict[str, list[OpCase]] = {INTEGERS: [], CONSTANT: [], OTHER: []}
    for case in never:
        groups[kind_of(case)].append(case)
    lines = [
        "# Which ops can be differentiated twice",
        "",
        "Written by `python -m deepcore.check.docs` from the op database; do not edit it by hand.",
        "",
        "`deepcore check` compares the gradient of every other op with the slope of its float64 oracle, and the",
        "gradient of the gradient (`create_graph=True`) with the slope of the gradient.",
        "",
        "## Not twice differentiable",
        "",
    ]
    if once:
        lines += [
            "These have a gradient, but no second one. Asked for it with `create_graph=True`, they raise a",
            "`GraphError` that names the op and gives the reason.",
            "",
            "| op | reason |",
            "|---|---|",
            *(f"| {_code(_names(case))} | {case.no_double_backward} |" for case in once),
        ]
    else:
        lines += ["None: every op that has a gradient has a second one too."]
    lines += [
        "",
        "A `Function` of your own whose `backward` cannot be differentiated gives the reason in its attribute",
        "`once_differentiable`; a gradient with `create_graph=True` through it then raises a `GraphError`",
        "that says so.",
        "",
        "## Without a gradient, or with one that is not a slope",
        "",
        "| ops | why |",
        "|---|---|",
        *(f"| {_code(sorted(names_of(group)))} | {why} |" for why, group in groups.items() if group),
    ]
    return "\n".join(lines) + "\n"


def kind_of(case: OpCase) -> str:
    """Why an entry counts as not differentiable, found by running it on its first sample that is not empty."""
    sample = next(s for s in case.make_samples() if not s.empty)
    floats = tuple(i for i, a in enumerate(sample.args) if isinstance(a, np.ndarray) and a.dtype == np.float64)
    results = call(case, replace(sample, diff=floats), REFERENCE, grad=True)[1]
    if not any(is_float(y) for y in results):
        return INTEGERS
    return OTHER if any(y.requires_grad for y in results) else CONSTANT


def names_of(cases: Iterable[OpCase]) -> set[str]:
    """The names of the functions that the entries cover."""
    return {name for case in cases for name in _names(case)}


def _names(case: OpCase) -> tuple[str, ...]:
    """The functions that an entry covers; what follows a comma in its own name says in which way it calls them."""
    return case.names or (case.name.partition(",")[0],)


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main(arguments: Sequence[str]) -> int:
    """Write the page; returns the exit status."""
    file = Path(arguments[0]) if arguments else PAGE
    if not file.parent.is_dir():
        print(f"deepcore.check.docs: there is no folder {file.parent}; give a file to write", file=sys.stderr)
        return 2
    file.write_text(page(all_cases()), encoding="utf-8")
    print(f"written: {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
