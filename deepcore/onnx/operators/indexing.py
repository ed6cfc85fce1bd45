"""Operators that take, put or order elements by index."""

from __future__ import annotations

from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.onnx.operators.adapter import Adapter, counted, need, number


def gather(x: Any, index: Any, axis: int) -> Any:
    """Negative places count from the end, which only getitem allows; else it is index_select."""
    if index.ndim == 1 and min(index.tolist(), default=0) >= 0:
        return F.index_select(x, axis, index)
    return x[(slice(None),) * (axis % x.ndim) + (index,)]


def gather_nd(x: Any, index: Any, batch_dims: int) -> Any:
    """The last axis of `index` is a place in x; the first `batch_dims` axes of both run in step."""
    batches = []
    for d in range(batch_dims):
        size = [1] * (index.ndim - 1)
        size[d] = x.shape[d]
        batches.append(creation.arange(x.shape[d], device=x.device).reshape(size))
    return x[(*batches, *F.unbind(index, -1))]


def scatter(x: Any, index: Any, updates: Any, *, axis: int, reduction: str = "none") -> Any:
    index = counted(index, x.shape[axis])
    if reduction == "add":
        return F.scatter_add(x, axis, index, updates)
    need(reduction == "none")
    return F.scatter(x, axis, index, updates)


def scatter_nd(x: Any, index: Any, updates: Any, *, reduction: str) -> Any:
    if reduction == "add" and index.shape[-1] == 1:
        return F.index_add(x, 0, index.squeeze(-1), updates)
    need(reduction == "none")
    y = x.clone()
    y[F.unbind(index, -1)] = updates
    return y


def compress(x: Any, condition: Any, axis: int | None) -> Any:
    """The condition may be shorter than the axis: what it does not reach is left out."""
    if axis is None:
        return F.masked_select(F.flatten(x)[: condition.shape[0]], condition)
    return F.index_select(x, axis, F.nonzero(condition)[:, 0])


def top_k(x: Any, k: Any, *, axis: int, largest: int, sorted: int) -> Any:
    return F.topk(x, number(k), axis, bool(largest), bool(sorted))


def one_hot(index: Any, depth: Any, values: Any, *, axis: int) -> Any:
    """Off and on are `values`; negative classes count from the end."""
    size = int(number(depth))
    on = F.movedim(F.one_hot(counted(index.long(), size), size), -1, axis)
    return F.where(on.bool(), values[1], values[0])


def unique(x: Any, axis: int | None, sorted: int) -> Any:
    y, inverse, counts = F.unique(x, bool(sorted), True, True, axis)
    return y, None, inverse.flatten(), counts


ADAPTERS = {
    "Compress": Adapter(compress),
    "Gather": Adapter(gather),
    "GatherElements": Adapter(lambda x, index, axis: F.gather(x, axis, counted(index, x.shape[axis]))),
    "GatherND": Adapter(gather_nd),
    "NonZero": Adapter(lambda x: F.nonzero(x).T),
    "OneHot": Adapter(one_hot),
    "Scatter": Adapter(scatter),
    "ScatterElements": Adapter(scatter),
    "ScatterND": Adapter(scatter_nd),
    "TopK": Adapter(top_k),
    "Unique": Adapter(unique, without="unique does not return the first place of each element"),
}
