"""Operators that reduce or accumulate along axes, and products of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepcore import creation, linalg
from deepcore import functional as F
from deepcore.onnx.operators.adapter import Adapter, ints, longest, number, per_output


def over_axes(op: Callable[..., Any]) -> Adapter:
    """A reduction `op(x, dim, keepdim)`; no axes mean all of them, or none where the attribute says so."""

    def call(x: Any, axes: Any = None, *, keepdims: int, noop_with_empty_axes: int = 0) -> Any:
        dims = [] if axes is None else ints(axes)
        if not dims and noop_with_empty_axes:
            return x
        return op(x, tuple(dims or range(x.ndim)), bool(keepdims))

    return Adapter(call, per_output)


def product(x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """PyTorch's prod takes one axis."""
    for dim in sorted((d % x.ndim for d in dims), reverse=True):
        x = F.prod(x, dim, keepdim)
    return x


def place(op: Callable[..., Any]) -> Adapter:
    """ArgMax and ArgMin; the last of equal elements is the first of the flipped ones."""

    def call(x: Any, axis: int, keepdims: int, select_last_index: int) -> Any:
        if select_last_index:
            return x.shape[axis] - 1 - op(F.flip(x, (axis,)), axis, bool(keepdims))
        return op(x, axis, bool(keepdims))

    return Adapter(call)


def accumulation(op: Callable[..., Any], neutral: float) -> Adapter:
    """CumSum and CumProd; `exclusive` leaves out the element itself, `reverse` comes from the end."""

    def call(x: Any, axis: Any, exclusive: int, reverse: int) -> Any:
        dim = number(axis)
        if reverse:
            x = F.flip(x, (dim,))
        y = op(x, dim).to(x.dtype)  # ONNX keeps the dtype, PyTorch makes integers int64
        if exclusive:
            first = creation.full_like(F.index_select(y, dim, creation.tensor([0], device=y.device)), neutral)
            y = F.cat([first, F.split(y, [y.shape[dim] - 1, 1], dim)[0]], dim)
        return F.flip(y, (dim,)) if reverse else y

    return Adapter(call, longest)


def gemm(a: Any, b: Any, c: Any = None, *, alpha: float, beta: float, transA: int, transB: int) -> Any:
    y = alpha * F.matmul(a.T if transA else a, b.T if transB else b)
    return y if c is None else y + beta * c


ADAPTERS = {
    "ArgMax": place(F.argmax),
    "ArgMin": place(F.argmin),
    "CumProd": accumulation(F.cumprod, 1),
    "CumSum": accumulation(F.cumsum, 0),
    "Det": Adapter(linalg.det, longest),
    "Einsum": Adapter(lambda *xs, equation: F.einsum(equation, *xs), longest),
    "Gemm": Adapter(gemm, longest),
    "LogSoftmax": Adapter(lambda x, axis: F.log_softmax(x, axis), longest),
    "MatMul": Adapter(F.matmul, longest),
    "ReduceL1": over_axes(lambda x, dim, keep: linalg.vector_norm(x, 1, dim, keep)),
    "ReduceL2": over_axes(lambda x, dim, keep: linalg.vector_norm(x, 2, dim, keep)),
    "ReduceLogSum": over_axes(lambda x, dim, keep: F.log(F.sum(x, dim, keep))),
    "ReduceLogSumExp": over_axes(F.logsumexp),
    "ReduceMax": over_axes(F.amax),
    "ReduceMean": over_axes(F.mean),
    "ReduceMin": over_axes(F.amin),
    "ReduceProd": over_axes(product),
    "ReduceSum": over_axes(F.sum),
    "ReduceSumSquare": over_axes(lambda x, dim, keep: F.sum(F.square(x), dim, keep)),
    "Softmax": Adapter(lambda x, axis: F.softmax(x, axis), longest),
}
