"""Names, order and defaults of the parameters of every public name that PyTorch has too.

What PyTorch writes in Python is read by `inspect`; what it writes in C++ tells its signature in the first line of its
docstring, `sum(input, dim, keepdim=False, *, dtype=None) -> Tensor`, or in its schemas. A parameter that only deepcore
has, that only PyTorch has, another order or another default is a difference; what is meant is listed, with the reason
why, in `signature_reasons`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

import deepcore as dc
from deepcore import functional, functions, linalg, nn, optim

_EMPTY = inspect.Parameter.empty
_FUNCTIONS: list[str] = getattr(functions, "__all__", [])
_TOP: list[str] = getattr(dc, "__all__", [])


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, whether it is given by keyword only, and its default (`...` where it has none)."""

    name: str
    keyword: bool
    default: Any

    def __str__(self) -> str:
        return self.name if self.default is ... else f"{self.name}={self.default!r}"


@dataclass(frozen=True)
class Mismatch:
    """One parameter of one name that the two frameworks do not have alike."""

    name: str
    """For example `functional.relu` or `Tensor.sum`."""
    detail: str
    because: str = ""

    @property
    def key(self) -> str:
        return f"{self.name}: {self.detail}"


def pairs() -> Iterator[tuple[str, Any, Any]]:
    """(name, ours, PyTorch's) of everything public that both have."""
    for name in sorted(_FUNCTIONS):
        other = _first(name, torch.nn.functional, torch, torch.special, torch.Tensor)
        if other is not None:
            yield f"functional.{name}", getattr(functional, name), other
    for place, mine, other in (
        ("linalg", linalg, torch.linalg),
        ("nn", nn, torch.nn),
        ("optim", optim, torch.optim),
        ("optim.lr_scheduler", optim.lr_scheduler, torch.optim.lr_scheduler),
        ("nn.init", nn.init, torch.nn.init),
        ("nn.utils", nn.utils, torch.nn.utils),
    ):
        for name in sorted(_public(mine)):
            found = getattr(other, name, None)
            if callable(found) and name != "Tensor" and not (inspect.isclass(found) and issubclass(found, Exception)):
                yield f"{place}.{name}", getattr(mine, name), found
    for name in sorted(n for n in dir(dc.Tensor) if not n.startswith("_")):
        mine, found = getattr(dc.Tensor, name), getattr(torch.Tensor, name, None)
        if callable(mine) and callable(found):
            yield f"Tensor.{name}", mine, found
    for name in sorted(set(_TOP) - set(_FUNCTIONS)):
        mine, found = getattr(dc, name), getattr(torch, name, None)
        if callable(mine) and callable(found) and name not in ("Tensor", "Generator", "device"):
            yield name, mine, found


def _public(module: Any) -> list[str]:
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    return [n for n in names if callable(f := getattr(module, n)) and f.__module__.startswith("deepcore.")]


def _first(name: str, *places: Any) -> Any:
    return next((f for p in places if callable(f := getattr(p, name, None)) and not inspect.isclass(f)), None)


# --- reading signatures -----------------------------------------------------------------------------------------------


def parameters(function: Callable[..., Any]) -> list[Parameter] | None:
    """The parameters without `self`; None where nothing tells them."""
    if inspect.isclass(function) and issubclass(function, torch.nn.RNNBase):
        function = torch.nn.RNNBase  # its subclasses take *args and **kwargs
    elif inspect.isclass(function) and function.__init__ is torch.nn.Module.__init__:
        return []
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return _from_text(function)
    if [p.kind for p in found if p.name != "self"] == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]:
        return _from_text(function)
    return [
        Parameter(p.name, p.kind is p.KEYWORD_ONLY, ... if p.default is _EMPTY else p.default)
        for p in found
        if p.name not in ("self", "mode" if function is torch.nn.RNNBase else "") and p.kind is not p.VAR_KEYWORD
    ]


def _from_text(function: Any) -> list[Parameter] | None:
    """From the docstring: of the signatures that stand at its top the one with the most parameters."""
    text = inspect.getdoc(function) or ""
    name = re.escape(getattr(function, "__name__", "").rpartition(".")[2])
    name = {"_max_pool1d": "max_pool1d"}.get(name, name)
    found = [_parsed(m.group(1)) for m in re.finditer(rf"(?m)^\s*(?:\.\. function:: )?{name}\((.*)\)", text)]
    best = max((f for f in found if f is not None), key=len, default=None)
    return _from_schema(name) if best is None else best


def _from_schema(name: str) -> list[Parameter] | None:
    """From the schemas that PyTorch keeps of its operators: for what has a docstring without a signature."""
    schemas = [s for s in torch._C._jit_get_all_schemas() if s.name == f"aten::{name}"]
    return max((_of_schema(s) for s in schemas if not any(a.is_out for a in s.arguments)), key=len, default=None)


def _of_schema(schema: Any) -> list[Parameter]:
    made = [
        Parameter(a.name, a.kwarg_only, a.default_value if a.has_default_value() else ...) for a in schema.arguments
    ]
    return [Parameter("input", p.keyword, p.default) if p.name == "self" else p for p in made]


def _parsed(text: str) -> list[Parameter] | None:
    text = re.sub(r"\)\s*(->.*|—.*)?$", "", text)
    try:
        node = ast.parse(f"def f({text}): ...").body[0]
    except SyntaxError:
        return None
    arguments = node.args  # type: ignore[attr-defined]
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    made = [Parameter(a.arg, False, _value(d)) for a, d in zip(plain, defaults, strict=True)]
    if arguments.vararg:
        made.append(Parameter(arguments.vararg.arg, False, ...))
    made += [
        Parameter(a.arg, True, _value(d)) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    return [p for p in made if p.name != "self"]


def _value(node: Any) -> Any:
    if node is None:
        return ...
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


# --- comparing --------------------------------------------------------------------------------------------------------


def mismatches(name: str, mine: Any, other: Any) -> list[Mismatch] | None:
    """The parameters that differ; None where PyTorch tells no signature."""
    ours, theirs = parameters(mine), parameters(other)
    if theirs is None or ours is None:
        return None
    if name.startswith("Tensor.") and theirs and theirs[0].name == "input" and not (ours and ours[0].name == "input"):
        theirs = theirs[1:]
    known, given = {p.name: p for p in theirs}, {p.name: p for p in ours}
    found = [f"only deepcore has {p}" for p in ours if p.name not in known]
    found += [f"only PyTorch has {p}" for p in theirs if p.name not in given]
    found += [
        f"default {given[n].name}={given[n].default!r}, PyTorch {known[n].default!r}"
        for n in given
        if n in known and not _same(given[n].default, known[n].default)
    ]
    found += [
        f"{n} by keyword only in PyTorch" for n in given if n in known and known[n].keyword and not given[n].keyword
    ]
    found += [
        f"{n} by keyword only in deepcore" for n in given if n in known and given[n].keyword and not known[n].keyword
    ]
    order = [p.name for p in ours if p.name in known and not known[p.name].keyword and not p.keyword]
    if order != [p.name for p in theirs if p.name in order]:
        found.append(f"order {', '.join(order)}, PyTorch {', '.join(p.name for p in theirs if p.name in order)}")
    return [Mismatch(name, detail) for detail in found]


def _same(a: Any, b: Any) -> bool:
    if a is ... or b is ...:
        return a is b
    numbers = isinstance(a, int | float) and isinstance(b, int | float)
    return bool(a == b) and (numbers or type(a) is type(b) or isinstance(a, tuple | list))
