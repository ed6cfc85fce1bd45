"""Which callable of PyTorch computes an entry of the op database.

Three ways, in this order: the table `TRANSLATED` for what PyTorch spells in another way, each with its reason; for an
expression of the entry (`lambda x: 1.5 + x`) the same expression with `torch` in the place of deepcore; else the
function of the same name in torch.nn.functional, torch, torch.linalg or torch.special, or the method of its tensors.
The second and third way hand over the arguments and keywords as they are, so names and order are compared too.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import torch

import deepcore as dc
from deepcore import functional, linalg
from deepcore.check.opdb import OpCase
from deepcore.check.torch.translated import ABSENT, TRANSLATED

_OURS = {id(dc): torch, id(functional): torch.nn.functional, id(linalg): torch.linalg}
_HERE = "deepcore.check.cases"


def counterpart(case: OpCase) -> Callable[..., Any] | None:
    """The callable of PyTorch for an entry, with the same arguments; None where PyTorch has no such op.

    Raises LookupError for an op that is neither found nor listed in `ABSENT`: one of the tables lacks a line.
    """
    if case.name in ABSENT:
        return None
    if case.name in TRANSLATED:
        return TRANSLATED[case.name].call
    op = case.op
    module = getattr(op, "__module__", "")
    if module in ("_operator", "builtins"):
        return op
    if module.startswith(_HERE):
        return in_torch(op)
    return by_name(op.__name__, matrices=module == linalg.__name__ or case.name.startswith("linalg."))


def in_torch(function: Any) -> Callable[..., Any]:
    """The same code, in which `dc`, `F` and `linalg` are torch, torch.nn.functional and torch.linalg.

    Helpers of the same file are taken along, in the same way.
    """
    scope = dict(function.__globals__)
    for name in function.__code__.co_names:
        value = scope.get(name)
        if id(value) in _OURS:
            scope[name] = _Namespace() if value is dc else _OURS[id(value)]
        elif isinstance(value, types.FunctionType) and value.__module__ == function.__module__:
            scope[name] = in_torch(value)
    copy = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


class _Namespace:
    """`dc` of an expression: what is not in torch itself is looked for where `by_name` looks."""

    def __getattr__(self, name: str) -> Any:
        return by_name(name, matrices=False)


def by_name(name: str, matrices: bool) -> Callable[..., Any]:
    """PyTorch's function of that name, or the method of its tensors; raises LookupError where there is none."""
    first = (torch.linalg,) if matrices else (torch.nn.functional, torch)
    for place in (*first, torch.special, torch.Tensor):
        found = getattr(place, name, None)
        if callable(found):
            return found
    raise LookupError(f"PyTorch has no {name!r}: give it a line in ABSENT or TRANSLATED of deepcore/check/torch")
