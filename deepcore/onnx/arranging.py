"""Export of what moves elements: shapes, joining, cutting, padding, indices; and matrix products."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.functions import arranging, shape
from deepcore.functions.index import embedding, gathering, indexing
from deepcore.functions.linalg import products, solving
from deepcore.functions.pad import Pad
from deepcore.functions.vision import resample
from deepcore.onnx.trace import COMPOSITES, FUNCTIONS, Trace

FAR = 2**62  # an end beyond every axis


def _same(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    return t.add("Identity", [t.use(arrays[0])])


def reshape(t: Trace, name: str, sizes: Any) -> str:
    return t.add("Reshape", [name, t.ints(sizes)], allowzero=1 if 0 in sizes else None)


def _expand(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    if 0 in y.shape and 0 not in arrays[0].shape:
        raise t.fail("ONNX does not expand an axis to no elements")
    return t.add("Expand", [t.use(arrays[0]), t.ints(y.shape)])


def _sum_to(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    x = arrays[0]
    lead = x.ndim - y.ndim
    axes = [*range(lead), *(i + lead for i, n in enumerate(y.shape) if n == 1 and x.shape[i + lead] != 1)]
    return reshape(t, t.add("ReduceSum", [t.use(x), t.ints(axes)], keepdims=1), y.shape)


def _cat(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    return t.add("Concat", [t.use(a, y.dtype) for a in arrays], axis=fn.axis)


def cut(t: Trace, name: str, parts: list[tuple[int, int, int, int]]) -> str:
    """A Slice by (axis, start, end, step)."""
    if not parts:
        return name
    axes, starts, ends, steps = zip(*parts, strict=True)
    return t.add("Slice", [name, t.ints(starts), t.ints(ends), t.ints(axes), t.ints(steps)])


def _flip(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    return cut(t, t.use(arrays[0]), [(d, -1, -FAR, -1) for d in fn.dims]) if fn.dims else _same(t, fn, arrays, y)


def _pad(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    widths = [*(before for before, _ in fn.widths), *(after for _, after in fn.widths)]
    return t.add("Pad", [t.use(arrays[0]), t.ints(widths), t.constant(fn.value, y.dtype)], mode="constant")


def _getitem(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    """Slices and integers; index arrays one at a time, or side by side from the first axis on; one mask."""
    x = arrays[0]
    index = fn.index if isinstance(fn.index, tuple) else (fn.index,)
    if any(isinstance(p, bool) for p in index):
        raise t.fail("an index of True or False")
    spanned = sum(
        p.ndim if getattr(getattr(p, "dtype", None), "kind", "") == "b" else p is not None and p is not Ellipsis
        for p in index
    )
    full = [slice(None)] * (x.ndim - spanned)
    at = next((i for i, p in enumerate(index) if p is Ellipsis), len(index))
    index = (*index[:at], *full, *index[at + 1 :])
    arrays_in = [p for p in index if hasattr(p, "dtype")]
    if len(arrays_in) == 1 and arrays_in[0].dtype == bool:
        return _masked(t, x, index, arrays_in[0])
    cuts: list[tuple[int, int, int, int]] = []
    drop: list[int] = []
    new: list[int] = []
    places: list[tuple[int, Any]] = []
    axis = kept = 0
    for part in index:
        if part is None:
            new.append(kept)
            kept += 1
            continue
        if isinstance(part, slice):
            step = 1 if part.step is None else part.step
            if part != slice(None):
                start = part.start if part.start is not None else 0 if step > 0 else -1
                stop = part.stop if part.stop is not None else FAR if step > 0 else -FAR
                cuts.append((axis, start, stop, step))
            kept += 1
        elif hasattr(part, "dtype"):
            places.append((axis - len(drop), part))
            kept += part.ndim
        else:
            cuts.append((axis, part, part + 1 if part != -1 else FAR, 1))
            drop.append(axis)
        axis += 1
    if places and (new or (drop and len(places) > 1)):
        raise t.fail("index arrays beside None or integers")
    name = cut(t, t.use(x), cuts)
    if drop:
        name = t.add("Squeeze", [name, t.ints(drop)])
    if len(places) == 1:
        if places[0][1].ndim != 1 and drop:
            raise t.fail("an index array beside integers")
        return t.add("Gather", [name, t.use(places[0][1])], axis=places[0][0])
    if places:
        if [a for a, _ in places] != list(range(len(places))):
            raise t.fail("several index arrays that do not begin at the first axis")
        wide = np.broadcast_shapes(*(p.shape for _, p in places))
        columns = [t.add("Expand", [t.use(p, np.int64), t.ints(wide)]) for _, p in places]
        columns = [t.add("Unsqueeze", [c, t.ints([-1])]) for c in columns]
        return t.add("GatherND", [name, t.add("Concat", columns, axis=-1)])
    if new:
        name = t.add("Unsqueeze", [name, t.ints(new)])
    return name if cuts or drop or new else t.add("Identity", [name])


def _masked(t: Trace, x: Any, index: tuple[Any, ...], mask: Any) -> str:
    if index[0] is not mask or any(p != slice(None) for p in index[1:]):
        raise t.fail("a mask beside other indices")
    return t.add("GatherND", [t.use(x), t.add("Transpose", [t.add("NonZero", [t.use(mask)])], perm=[1, 0])])


def _gather(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    if arrays[0].ndim != arrays[1].ndim or not arrays[0].ndim:
        raise t.fail("an index of another rank")
    return t.add("GatherElements", [t.use(arrays[0]), t.use(arrays[1])], axis=fn.dim)


def _scatter(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    x, index, src = arrays
    if not x.ndim:
        raise t.fail("a 0-d tensor")
    values = t.use(src, y.dtype)
    if not getattr(src, "shape", ()):
        values = t.add("Expand", [values, t.ints(index.shape)])
    elif src.shape != index.shape:
        values = cut(t, values, [(i, 0, n, 1) for i, n in enumerate(index.shape)])
    return t.add("ScatterElements", [t.use(x), t.use(index), values], axis=fn.dim)


def _scatter_along(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    if not y.ndim:
        raise t.fail("a 0-d tensor")
    zeros = t.constant(np.zeros(fn.shape, y.dtype))
    return t.add("ScatterElements", [zeros, t.use(arrays[1]), t.use(arrays[0])], axis=fn.dim, reduction="add")


def _roll(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    name = t.use(arrays[0])
    for shift, dim in zip(fn.shifts, fn.dims, strict=True):
        size = y.shape[dim]
        if size and shift % size:
            at = -(shift % size)
            pieces = [cut(t, name, [(dim, at, FAR, 1)]), cut(t, name, [(dim, 0, at, 1)])]
            name = t.add("Concat", pieces, axis=dim)
    return t.add("Identity", [name])


def _on_diagonal(rows: int, columns: int, offset: int) -> np.ndarray:
    """The places of a diagonal in a flattened matrix."""
    along = np.arange(max(min(rows - max(-offset, 0), columns - max(offset, 0)), 0))
    return (along + max(-offset, 0)) * columns + along + max(offset, 0)


def _matrices_last(ndim: int, dims: tuple[int, int]) -> list[int]:
    return [*(i for i in range(ndim) if i not in dims), *dims]


def _diagonal(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    x = arrays[0]
    order = _matrices_last(x.ndim, fn.dims)
    rows, columns = (x.shape[d] for d in fn.dims)
    flat = reshape(t, t.add("Transpose", [t.use(x)], perm=order), (*y.shape[:-1], rows * columns))
    return t.add("Gather", [flat, t.constant(_on_diagonal(rows, columns, fn.offset))], axis=-1)


def _diagonal_scatter(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    g, order = arrays[0], _matrices_last(y.ndim, fn.dims)
    rows, columns = (fn.shape[d] for d in fn.dims)
    places = t.add("Expand", [t.constant(_on_diagonal(rows, columns, fn.offset)), t.ints(g.shape)])
    zeros = t.constant(np.zeros((*g.shape[:-1], rows * columns), y.dtype))
    flat = t.add("ScatterElements", [zeros, places, t.use(g)], axis=-1)
    whole = reshape(t, flat, (*g.shape[:-1], rows, columns))
    return t.add("Transpose", [whole], perm=[order.index(i) for i in range(y.ndim)])


def _one_hot(t: Trace, args: dict[str, Any], y: Any) -> str | None:
    if args["num_classes"] == -1:
        raise t.fail("num_classes follows from the values; name it")
    if y.ndim == 1:
        raise t.fail("a 0-d tensor")
    values = t.constant([0, 1], np.int64)
    return t.add("OneHot", [t.use(args["input"].array), t.constant(y.shape[-1], np.int64), values], axis=-1)


def _nonzero(t: Trace, args: dict[str, Any], y: Any) -> str | None:
    if args["as_tuple"] or not args["x"].ndim:
        raise t.fail("as_tuple, or a 0-d tensor")
    return t.add("Transpose", [t.add("NonZero", [t.use(args["x"].array)])], perm=[1, 0])


COMPOSITES.update({"one_hot": _one_hot, "nonzero": _nonzero})


def _matmul(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    return t.add("MatMul", [t.use(a, y.dtype) for a in arrays])


def _linear(relu: bool) -> Any:
    def emit(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
        x, w, b = arrays
        if x.ndim == 2:
            name = t.add("Gemm", [t.use(a) for a in arrays if a is not None], transB=1)
        else:
            name = t.add("MatMul", [t.use(x), t.add("Transpose", [t.use(w)], perm=[1, 0])])
            name = name if b is None else t.add("Add", [name, t.use(b)])
        return t.add("Relu", [name]) if relu else name

    return emit


FUNCTIONS.update(
    {
        shape.Reshape: lambda t, fn, a, y: reshape(t, t.use(a[0]), y.shape),
        shape.Permute: lambda t, fn, a, y: (
            t.add("Transpose", [t.use(a[0])], perm=list(fn.dims)) if y.ndim else _same(t, fn, a, y)
        ),
        shape.BroadcastTo: _expand,
        shape.SumTo: _sum_to,
        shape.Cat: _cat,
        shape.Flip: _flip,
        shape.Clone: _same,
        shape.Contiguous: _same,
        shape.Cast: lambda t, fn, a, y: t.cast(t.use(a[0]), y.dtype),
        Pad: _pad,
        indexing.GetItem: _getitem,
        gathering.Gather: _gather,
        gathering.Scatter: _scatter,
        gathering.ScatterAlong: _scatter_along,
        embedding.Embedding: lambda t, fn, a, y: t.add("Gather", [t.use(a[0]), t.use(a[1])], axis=0),
        resample.TakeAxis: lambda t, fn, a, y: t.add("Gather", [t.use(a[0]), t.use(fn.index)], axis=fn.axis),
        arranging.Roll: _roll,
        arranging.Diagonal: _diagonal,
        arranging.DiagonalScatter: _diagonal_scatter,
        products.Matmul: _matmul,
        products.Linear: _linear(False),
        solving.Det: lambda t, fn, a, y: t.add("Det", [t.use(a[0])]),
    }
)
