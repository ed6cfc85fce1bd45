"""One entry of the op database in deepcore and in PyTorch: values, gradients, second gradients, refusals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deepcore import autograd
from deepcore.check import measure
from deepcore.check.opdb import BadInput, OpCase, Sample, host, is_float, to_tensors
from deepcore.check.tolerance import Tolerance, errors, tolerance
from deepcore.check.torch.arrays import dtype_name, outputs, to_numpy, to_torch, to_torches
from deepcore.check.torch.sweep import is_drawn, is_special, nudged
from deepcore.check.torch.translated import NoCounterpart
from deepcore.creation import tensor
from deepcore.dtypes import as_dtype, is_floating
from deepcore.errors import DeepcoreError

REFUSALS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError, ArithmeticError)
"""What PyTorch raises for arguments that it does not take."""


@dataclass(frozen=True)
class Difference:
    """What the two frameworks do not do alike, and the reason where one is written."""

    op: str
    sample: str
    device: str
    dtype: str
    kind: str
    """value, gradient, second gradient, dtype, shape, outputs, refusal or crash."""
    detail: str
    empty: bool = False
    """Whether a tensor of the sample has no elements."""
    error: float = math.inf
    """The worst error relative to 1 + |PyTorch's|, where numbers differ."""

    @property
    def key(self) -> str:
        """What the patterns of `reasons` are matched with: `gradient: sample (float32, empty): detail`."""
        return f"{self.kind}: {self.sample} ({self.dtype}{', empty' if self.empty else ''}): {self.detail}"


@dataclass
class Side:
    """What one framework made of a sample: arrays, or the exception that it raised."""

    values: list[np.ndarray]
    dtypes: list[str]
    gradients: list[np.ndarray]
    second: list[np.ndarray]
    error: Exception | None = None
    gradient_error: Exception | None = None
    second_error: Exception | None = None


def _cotangents(values: list[Any], floats: list[bool]) -> list[np.ndarray]:
    return [v for v, f in zip(measure.random_like(values, seed=1), floats, strict=True) if f]


def ours(case: OpCase, sample: Sample, device: str, dtype: str, order: int) -> Side:
    """What deepcore computes: values, with `order` 1 gradients, with 2 those of the gradients too."""
    side = Side([], [], [], [])
    diff = sample.diff if order else ()
    try:
        args = to_tensors(sample.cast(dtype), device, diff)
        results = outputs(case.op(*args, **sample.kwargs))
    except Exception as error:
        side.error = error
        return side
    side.values, side.dtypes = [host(y) for y in results], [dtype_name(y) for y in results]
    floats = [is_float(y) for y in results]
    ys, xs = [y for y in results if is_float(y)], [args[i] for i in diff]
    if not ys or not xs:
        return side
    vs = [
        tensor(v.astype(y.dtype), device=device, requires_grad=order > 1)
        for v, y in zip(_cotangents(side.values, floats), ys, strict=True)
    ]
    try:
        grads = autograd.grad(ys, xs, vs, create_graph=order > 1, allow_unused=True)
        side.gradients = [np.zeros(x.shape) if g is None else host(g) for g, x in zip(grads, xs, strict=True)]
    except Exception as error:
        side.gradient_error = error
        return side
    if order > 1:
        try:
            ws = measure.random_like(side.gradients, seed=3)
            used = [(g, w) for g, w in zip(grads, ws, strict=True) if g is not None and g.requires_grad]
            total = [(g * tensor(w.astype(g.dtype), device=device)).sum() for g, w in used]
            if total:
                second = autograd.grad(sum(total[1:], total[0]), [*xs, *vs], allow_unused=True)
                side.second = [
                    np.zeros(x.shape) if g is None else host(g) for g, x in zip(second, [*xs, *vs], strict=True)
                ]
        except Exception as error:
            side.second_error = error
    return side


def theirs(op: Callable[..., Any], sample: Sample, dtype: str, order: int, wide: bool = False) -> Side:
    """The same in PyTorch; with `wide` the numbers rounded to `dtype` are computed with in float64.

    Raises NoCounterpart where PyTorch lacks the options of the sample.
    """
    side = Side([], [], [], [])
    diff = sample.diff if order else ()
    arrays = [
        a.astype(np.float64) if wide and isinstance(a, np.ndarray) and is_floating(a.dtype) else a
        for a in sample.cast(dtype)
    ]
    try:
        args = to_torches(arrays, diff)
        results = outputs(op(*args, **sample.kwargs))
    except NoCounterpart:
        raise
    except REFUSALS as error:
        side.error = error
        return side
    side.values, side.dtypes = [to_numpy(y) for y in results], [dtype_name(y) for y in results]
    floats = [isinstance(y, torch.Tensor) and y.is_floating_point() for y in results]
    ys, xs = [y for y, f in zip(results, floats, strict=True) if f], [args[i] for i in diff]
    if not ys or not xs:
        return side
    vs = [
        to_torch(v).to(y.dtype).requires_grad_(order > 1)
        for v, y in zip(_cotangents(side.values, floats), ys, strict=True)
    ]
    try:
        live = [(y, v) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
        grads = torch.autograd.grad(
            [y for y, _ in live], xs, [v for _, v in live], create_graph=order > 1, materialize_grads=True
        )
        side.gradients = [to_numpy(g) for g in grads]
    except REFUSALS as error:
        side.gradient_error = error
        return side
    if order > 1:
        try:
            ws = measure.random_like(side.gradients, seed=3)
            used = [(g, w) for g, w in zip(grads, ws, strict=True) if g.requires_grad]
            if used:
                total = torch.stack([(g * to_torch(w).to(g.dtype)).sum() for g, w in used]).sum()
                second = torch.autograd.grad(total, [*xs, *vs], materialize_grads=True)
                side.second = [to_numpy(g) for g in second]
        except REFUSALS as error:
            side.second_error = error
    return side


def compare(case: OpCase, op: Callable[..., Any], sample: Sample, device: str, dtype: str) -> Iterator[Difference]:
    """The differences for one sample on one device in one dtype. Raises NoCounterpart, see `theirs`."""
    floating = is_floating(as_dtype(dtype))
    order = 0 if not (case.differentiable and sample.diff and floating) else 2 if dtype == "float64" else 1
    order = min(order, 2 if case.double_backward and not sample.empty and not is_special(sample) else 1)

    def difference(kind: str, detail: str, error: float = math.inf) -> Difference:
        return Difference(case.name, sample.name, device, dtype, kind, detail, sample.empty, error)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        b = theirs(op, sample, dtype, order)
        a = ours(case, sample, device, dtype, order)
        if a.error is not None and type(a.error) is type(b.error) and str(a.error) == str(b.error):
            return  # the entry itself cannot be called so
        if a.error is not None and not isinstance(a.error, DeepcoreError):
            yield difference("crash", f"{type(a.error).__name__}: {_line(a.error)}")
            return
        if a.error is not None or b.error is not None:
            if a.error is None:
                yield difference("refusal", f"only PyTorch refuses: {_line(b.error)}")
            elif b.error is None:
                yield difference("refusal", f"only deepcore refuses: {_line(a.error)}")
            return
        if len(a.values) != len(b.values):
            yield difference("outputs", f"{len(a.values)} outputs, PyTorch {len(b.values)}")
            return
        if a.dtypes != b.dtypes:
            yield difference("dtype", f"{', '.join(a.dtypes)}; PyTorch {', '.join(b.dtypes)}")
        c = theirs(op, sample, dtype, order, wide=True) if floating and dtype != "float64" else None
        length = case.length(*sample.args, **sample.kwargs)
        side: Side | None = None
        for kind, name in (("value", "values"), ("gradient", "gradients"), ("second gradient", "second")):
            if kind != "value" and (detail := _one_refuses(a, b, kind)):
                yield difference(kind, detail)
                return
            xs, ys = getattr(a, name), getattr(b, name)
            zs = getattr(c, name) if c is not None else []
            for k, (x, y) in enumerate(zip(xs, ys, strict=False)):
                wanted = a.dtypes[k] if kind == "value" and not floating else dtype  # sqrt of integers is float32
                allowed = tolerance(wanted, length)
                detail = unlike(x, y, allowed)
                if detail and k < len(zs) and not unlike(x, zs[k], allowed):
                    detail = ""  # PyTorch's own result in this dtype is the one that is far from its float64 result
                if detail and is_drawn(sample):
                    side = side or theirs(op, nudged(sample, dtype), dtype, order)
                    moved = getattr(side, name)
                    detail = detail if k >= len(moved) or _farther(x, y, moved[k], allowed) else ""
                if detail:
                    yield difference(kind, f"{k}: {detail}", worst(x, y))


def _one_refuses(a: Side, b: Side, kind: str) -> str:
    """Which side alone has no gradient, in words. A second gradient that PyTorch lacks is no difference."""
    mine, other = (a.gradient_error, b.gradient_error) if kind == "gradient" else (a.second_error, b.second_error)
    if mine is not None and other is None:
        return f"only deepcore refuses: {_line(mine)}"
    if other is not None and mine is None and kind == "gradient":
        return f"only PyTorch refuses: {_line(other)}"
    return ""


def unlike(x: np.ndarray, y: np.ndarray, allowed: Tolerance) -> str:
    """How two arrays differ, in words; an empty string where they agree."""
    if x.shape != y.shape:
        return f"shape {x.shape}, PyTorch {y.shape}"
    if x.dtype.kind in "biu" and y.dtype.kind in "biu":
        wrong = np.asarray(x != y)
    else:
        with np.errstate(over="ignore"):
            wrong = errors(x, y) > allowed.allowed
    if not wrong.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{x[at]!r}, PyTorch {y[at]!r} at {at}; {int(wrong.sum())} of {wrong.size} differ"


def worst(x: np.ndarray, y: np.ndarray) -> float:
    """The worst error relative to 1 + |y|; infinite for shapes that differ."""
    with np.errstate(over="ignore"):
        return float(errors(x, y).max(initial=0.0)) if x.shape == y.shape else math.inf


def _farther(x: np.ndarray, y: np.ndarray, moved: np.ndarray, allowed: Tolerance) -> bool:
    """Whether `x` is further from `y` than PyTorch's own result moves when its inputs move by one rounding error.

    Drawn numbers can make a problem as badly conditioned as they like; no algorithm is exact there. The same multiple
    of what one rounding error does is allowed as everywhere.
    """
    if x.shape != y.shape or y.shape != moved.shape or x.dtype.kind not in "fV":
        return True
    x, y, moved = (a.astype(np.float64) for a in (x, y, moved))
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    far = np.where(same, 0.0, np.abs(x - y)).max(initial=0.0)
    spread = np.abs(moved - y)
    spread = np.where(np.isfinite(spread), spread, 0.0).max(initial=0.0)
    return not far <= allowed.c * allowed.length**0.5 * spread


def compare_bad(case: OpCase, op: Callable[..., Any], wrong: BadInput) -> Difference | None:
    """None where PyTorch refuses the bad input too (that deepcore does is tested in tests/test_ops.py)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = outputs(op(*to_torches(wrong.args), **wrong.kwargs))
    except REFUSALS:
        return None
    shapes = ", ".join(str(tuple(np.shape(to_numpy(y)))) for y in result)
    return Difference(case.name, wrong.name, "", "", "refusal", f"PyTorch takes the bad input and returns {shapes}")


def _line(error: BaseException | None) -> str:
    """The first line of a message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
