"""A Python program that shows one failing comparison again; it needs deepcore and NumPy only.

Everything that it uses is written out: the arguments, the cotangents, what the float64 oracle says. So it goes on
showing the fault when the entry of the op database changes, and can be pasted into a report of the fault.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import deepcore as dc
from deepcore import functional
from deepcore.check import measure
from deepcore.check.measure import Comparison
from deepcore.check.opdb import OpCase, Sample, host, is_float
from deepcore.check.tolerance import difference_tolerance

HOMES: tuple[tuple[str, str, Any], ...] = (
    ("from deepcore import functional as F", "F", functional),
    ("", "dc", dc),
    ("", "dc.linalg", dc.linalg),
    ("", "dc.Tensor", dc.Tensor),
    ("import operator", "operator", operator),
)
WIDTH = 100


class Unwritable(ValueError):
    """A value that no literal makes."""


def snippet(case: OpCase, sample: Sample, device: str, dtype: str, part: str, failed: Comparison | None) -> str:
    """The program. `failed` is the comparison; None where the op raised an exception."""
    try:
        args = _arguments(replace(sample, args=sample.cast(dtype)))
        kwargs = literal(sample.kwargs)
    except Unwritable as error:
        return (
            f"# cannot be written out: {error}\n# case {case.name!r}, sample {sample.name!r} in deepcore.check.cases\n"
        )
    body = _BODIES[_way(part, dtype, failed)](case, sample, device, dtype, failed)
    import_op, op = op_expression(case)
    lines = [
        f'"""{_headline(case, device, dtype, part, failed)}"""',
        "",
        "import numpy as np",
        *([import_op] if import_op and "deepcore" not in import_op else []),
        "",
        "import deepcore as dc",
        *([import_op] if "deepcore" in import_op else []),
        *([f"from deepcore.check.tolerance import check_close, {_table(failed)}"] if failed else []),
        "",
        "nan, inf = float('nan'), float('inf')",
        f"device = {device!r}",
        f"op = {op}",
        *args,
        f"kwargs = {kwargs}",
        "",
        *_CALL,
        "",
        "dc.manual_seed(0)",
        *body,
    ]
    return "\n".join(lines) + "\n"


def op_expression(case: OpCase) -> tuple[str, str]:
    """(import line, expression) of the op: its public name, or its entry where it is called in a way of its own."""
    for line, home, namespace in HOMES:
        for name in (case.name, *case.names, getattr(case.op, "__name__", "")):
            name = name.rpartition(".")[2]
            if name.isidentifier() and getattr(namespace, name, None) is case.op:
                return line, f"{home}.{name}"
    find = f"next(case.op for case in all_cases() if case.name == {case.name!r})"
    return "from deepcore.check.opdb import all_cases", find


_CALL = (
    "",
    "def call(args, device, diff=()):",
    '    """The inputs as tensors, those in `diff` with a gradient, and the list of outputs."""',
    "    inputs = [",
    "        dc.tensor(a, device=device, requires_grad=i in diff) if isinstance(a, np.ndarray) else a",
    "        for i, a in enumerate(args)",
    "    ]",
    "    result = op(*inputs, **kwargs)",
    "    return inputs, list(result) if isinstance(result, (tuple, list)) else [result]",
    "",
)


def literal(value: Any, indent: str = "") -> str:
    """An expression that makes the value again. Raises Unwritable for functions and the like."""
    if isinstance(value, np.ndarray):
        numbers = _broken(repr(value.tolist()), indent)
        dtype = repr(value.dtype.name) if value.dtype.kind != "V" else f"dc.{value.dtype.name}"
        shape = f".reshape({value.shape})" if value.size == 0 else ""
        return f"np.array({numbers}, dtype={dtype}){shape}"
    if isinstance(value, np.generic):
        return literal(value.item())
    if value is None or isinstance(value, (bool, int, float, str, slice)):
        return repr(value)  # nan and inf are names in the program
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, type(Ellipsis)):
        return "..."
    raise Unwritable(f"a value of type {type(value).__name__}")


def _broken(numbers: str, indent: str) -> str:
    """A long list of numbers over several lines."""
    if len(numbers) <= WIDTH:
        return numbers
    lines, line = [], ""
    for word in numbers.split(" "):
        if len(line) + len(word) > WIDTH:
            lines.append(line.rstrip())
            line = ""
        line += word + " "
    return f"\n{indent}    ".join([*lines, line.rstrip()])


def _arguments(sample: Sample) -> list[str]:
    """The lines that define `args`."""
    lines = [f"    {literal(a, '    ')}," for a in sample.args]
    return ["args = [", *lines, "]"]


def _headline(case: OpCase, device: str, dtype: str, part: str, failed: Comparison | None) -> str:
    if failed is None:
        return f"{case.name} on {device} in {dtype}: {part} raises an exception."
    beside = {"agreement": "the plain formulas on numpy", "double gradient": "a difference of the gradient"}
    return f"{case.name} on {device} in {dtype}: {failed.what} against {beside.get(part, 'the float64 oracle')}."


def _way(part: str, dtype: str, failed: Comparison | None) -> str:
    """Which body of a program shows the comparison."""
    if failed is None:
        return "no value" if part == "value" else "no second derivative" if part == "double gradient" else "no gradient"
    if part == "agreement" and failed.kind == "gradient":
        return "gradient"
    if part == "gradient" and dtype != "float64":
        return "rounded gradient"
    return part


# --- bodies of the program --------------------------------------------------------------------------------------------


def _value(case: OpCase, sample: Sample, device: str, dtype: str, failed: Comparison) -> list[str]:
    return [
        f"got = call(args, device)[1][{failed.number}].detach().cpu().numpy()",
        f"expected = {literal(failed.expected, '')}",
        *_compare(failed),
    ]


def _agreement(case: OpCase, sample: Sample, device: str, dtype: str, failed: Comparison) -> list[str]:
    return [
        f"got = call(args, device)[1][{failed.number}].detach().cpu().numpy()",
        f"expected = call(args, {measure.REFERENCE!r})[1][{failed.number}].detach().cpu().numpy()",
        *_compare(failed),
    ]


def _gradient_lines(case: OpCase, sample: Sample) -> list[str]:
    """The function `gradient`: of all outputs times the cotangents, by each argument of the sample's `diff`."""
    return [
        *_cotangents(case, sample),
        f"diff = {sample.diff}",
        "",
        "",
        "def gradient(args, device):",
        '    """The gradients of the sum of outputs times cotangents, by the arguments in `diff`."""',
        "    inputs, outputs = call(args, device, diff)",
        "    pairs = [(y, v) for y, v in zip(outputs, cotangents) if y.dtype.kind in 'fV']",
        "    seeds = [dc.tensor(v.astype(y.dtype), device=device) for y, v in pairs]",
        "    return dc.autograd.grad([y for y, _ in pairs], [inputs[i] for i in diff], seeds)",
        "",
        "",
    ]


def _cotangents(case: OpCase, sample: Sample) -> list[str]:
    shapes = [y.shape for y in measure.expected_values(case, sample, "float64")]
    arrays = measure.random_like([np.empty(shape) for shape in shapes], seed=1)
    return ["cotangents = [", *(f"    {literal(v, '    ')}," for v in arrays), "]"]


def _gradient(case: OpCase, sample: Sample, device: str, dtype: str, failed: Comparison) -> list[str]:
    at = sample.diff.index(failed.number)
    return [
        *_gradient_lines(case, sample),
        f"got = gradient(args, device)[{at}].detach().cpu().numpy()",
        f"expected = gradient(args, {measure.REFERENCE!r})[{at}].detach().cpu().numpy()",
        *_compare(failed),
    ]


def _rounded_gradient(case: OpCase, sample: Sample, device: str, dtype: str, failed: Comparison) -> list[str]:
    at = sample.diff.index(failed.number)
    return [
        *_gradient_lines(case, sample),
        f"narrow = [isinstance(a, np.ndarray) and a.dtype.name == {dtype!r} for a in args]",
        "wide = [a.astype('float64') if n else a for a, n in zip(args, narrow)]",
        f"got = gradient(args, device)[{at}].detach().cpu().numpy()",
        f"expected = gradient(wide, {measure.REFERENCE!r})[{at}].detach().cpu().numpy()",
        *_compare(failed),
    ]


def _difference(case: OpCase, sample: Sample, device: str, dtype: str, failed: Comparison) -> list[str]:
    at = sample.diff.index(failed.number)
    direction = measure.unit(measure.random_like([sample.args[failed.number]], seed=2)[0])
    return [
        *_gradient_lines(case, sample),
        f"direction = {literal(direction, '')}",
        f"got = np.asarray((gradient(args, device)[{at}].detach().cpu().numpy() * direction).sum())",
        f"expected = {literal(failed.expected, '')}  # a central difference of the float64 oracle",
        *_compare(failed),
    ]


def _second_lines(case: OpCase, sample: Sample, device: str) -> list[str]:
    outputs = [y for y in measure.call(case, sample, measure.REFERENCE)[1] if is_float(y)]
    cotangents = measure.random_like([host(y) for y in outputs], seed=1)
    weights = measure.random_like([sample.args[i] for i in sample.diff], seed=3)
    return [
        f"inputs, outputs = call(args, device, diff={sample.diff})",
        f"inputs = [inputs[i] for i in {sample.diff}]",
        "outputs = [y for y in outputs if y.dtype.kind in 'fV']",
        "cotangents = [",
        *(f"    dc.tensor({literal(v, '    ')}, device=device, requires_grad=True)," for v in cotangents),
        "]",
        "weights = [",
        *(f"    dc.tensor({literal(w, '    ')}, device=device)," for w in weights),
        "]",
        "gradients = dc.autograd.grad(outputs, inputs, cotangents, create_graph=True)",
        "products = [(g * w).sum() for g, w in zip(gradients, weights)]",
        "total = sum(products[1:], products[0])",
        "second = dc.autograd.grad(total, [*inputs, *cotangents], allow_unused=True)",
    ]


def _double_gradient(case: OpCase, sample: Sample, device: str, dtype: str, failed: Comparison) -> list[str]:
    shape = np.shape(failed.got)
    assert shape == ()
    points = [*(sample.args[i] for i in sample.diff)]
    outputs = [host(y) for y in measure.call(case, sample, measure.REFERENCE)[1] if is_float(y)]
    points += measure.random_like(outputs, seed=1)
    direction = measure.unit(measure.random_like([points[failed.number]], seed=4)[0])
    return [
        *_second_lines(case, sample, device),
        f"direction = {literal(direction, '')}",
        f"slope = second[{failed.number}]",
        "got = np.asarray(0.0 if slope is None else (slope.detach().cpu().numpy() * direction).sum())",
        f"expected = {literal(failed.expected, '')}  # a central difference of the gradient",
        *_compare(failed),
    ]


def _compare(failed: Comparison) -> list[str]:
    limit = failed.allowed
    dtype = "" if _table(failed) == "difference_tolerance" else f"{limit.dtype.name!r}, "
    return [
        f"limit = {_table(failed)}({dtype}{limit.length})  # c * eps * sqrt(length) = {limit}",
        f"check_close(got, np.asarray(expected), limit, {failed.what!r})  # raises AssertionError",
        "print('they agree')",
    ]


def _table(failed: Comparison) -> str:
    """The function of the table of tolerances that gave the limit."""
    limit = failed.allowed
    return "difference_tolerance" if limit == difference_tolerance(limit.length) else "tolerance"


def _no_value(case: OpCase, sample: Sample, device: str, dtype: str, failed: None) -> list[str]:
    try:
        count = len(measure.expected_values(case, sample, dtype))
    except Exception:  # the oracle is at fault: the program shows what the op does
        count = None
    return [
        "outputs = call(args, device)[1]",
        "for y in outputs:",
        "    print(y.shape, y.dtype, y.device, y.requires_grad)",
        f"assert np.dtype(outputs[0].dtype) == {case.result_dtype(dtype)!r}",
        "assert all(y.device == device and not y.requires_grad for y in outputs)",
        *([] if count is None else [f"assert len(outputs) == {count}"]),
    ]


def _no_gradient(case: OpCase, sample: Sample, device: str, dtype: str, failed: None) -> list[str]:
    if not case.differentiable or not sample.diff:
        return _no_value(case, sample, device, dtype, failed)
    return [
        *_gradient_lines(case, sample),
        "for i, g in zip(diff, gradient(args, device)):",
        "    print(g.shape, g.dtype, g.device)",
        "    assert (g.shape, np.dtype(g.dtype), g.device) == (args[i].shape, args[i].dtype, device)",
    ]


def _no_second(case: OpCase, sample: Sample, device: str, dtype: str, failed: None) -> list[str]:
    return [*_second_lines(case, sample, device), "print(second)"]


_BODIES: dict[str, Callable[..., list[str]]] = {
    "value": _value,
    "agreement": _agreement,
    "gradient": _difference,
    "rounded gradient": _rounded_gradient,
    "double gradient": _double_gradient,
    "no value": _no_value,
    "no gradient": _no_gradient,
    "no second derivative": _no_second,
}
