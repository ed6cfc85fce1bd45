"""Export of what works element by element, and of reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore.functions import arithmetic, arranging, elementwise, powers, reduce, trigonometry
from deepcore.functions.activation import basic, gates, rectifiers
from deepcore.functions.index import sorting
from deepcore.functions.loss import classification, distance
from deepcore.functions.vision import boxes
from deepcore.onnx.trace import COMPOSITES, FUNCTIONS, Trace

UNARY = {
    elementwise: "Neg Abs Sign Exp Log Sqrt Sin Cos",
    trigonometry: "Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh",
    powers: "Ceil Floor Round Reciprocal",
    gates: "Erf Softsign",
    basic: "Relu Sigmoid Tanh",
}


def _unary(operator: str) -> Any:
    return lambda t, fn, arrays, y: t.add(operator, [t.use(arrays[0], y.dtype)])


for module, names in UNARY.items():
    for name in names.split():
        FUNCTIONS[getattr(module, name)] = _unary(name)
FUNCTIONS[boxes.Arctan] = _unary("Atan")


def _binary(operator: str) -> Any:
    return lambda t, fn, arrays, y: t.add(operator, [t.use(a, y.dtype) for a in arrays])


for function in (arithmetic.Add, arithmetic.Sub, arithmetic.Mul, arithmetic.Div, arithmetic.Pow):
    FUNCTIONS[function] = _binary(function.__name__)
FUNCTIONS[arithmetic.Maximum], FUNCTIONS[arithmetic.Minimum] = _binary("Max"), _binary("Min")


def number(t: Trace, value: float, y: Any) -> str:
    return t.constant(value, y.dtype)


def _clip(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    limits = ["" if v is None else number(t, v, y) for v in (fn.low, fn.high)]
    return t.add("Clip", [t.use(arrays[0], y.dtype), *limits])


FUNCTIONS[arithmetic.Clamp] = FUNCTIONS[rectifiers.Hardtanh] = _clip


def _where(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    return t.add("Where", [t.use(arrays[0]), t.use(arrays[1], y.dtype), t.use(arrays[2], y.dtype)])


def _softmax(operator: str) -> Any:
    def emit(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
        x = t.use(arrays[0], y.dtype)
        if y.ndim:
            return t.add(operator, [x], axis=fn.axis)
        row = t.add("Reshape", [x, t.ints([1])])
        return t.add("Reshape", [t.add(operator, [row], axis=0), t.ints([])])

    return emit


def _elu(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    found = t.add("Elu", [t.use(arrays[0], y.dtype)], alpha=float(fn.alpha))
    return found if fn.scale == 1 else t.add("Mul", [found, number(t, fn.scale, y)])


def _softplus(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    x = t.use(arrays[0], y.dtype)
    scaled = x if fn.beta == 1 else t.add("Mul", [x, number(t, fn.beta, y)])
    soft = t.add("Softplus", [scaled])
    soft = soft if fn.beta == 1 else t.add("Div", [soft, number(t, fn.beta, y)])
    return t.add("Where", [t.add("Greater", [scaled, number(t, fn.threshold, y)]), x, soft])


def _gelu(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    x = t.use(arrays[0], y.dtype)
    if t.opset >= 20:
        return t.add("Gelu", [x], approximate=fn.approximate)
    if fn.approximate == "tanh":
        cube = t.add("Mul", [t.add("Mul", [x, x]), t.add("Mul", [x, number(t, 0.044715, y)])])
        inner = t.add("Mul", [t.add("Add", [x, cube]), number(t, math.sqrt(2 / math.pi), y)])
        gate = t.add("Tanh", [inner])
    else:
        gate = t.add("Erf", [t.add("Mul", [x, number(t, math.sqrt(0.5), y)])])
    return t.add("Mul", [t.add("Mul", [x, number(t, 0.5, y)]), t.add("Add", [gate, number(t, 1, y)])])


def _silu(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    x = t.use(arrays[0], y.dtype)
    return t.add("Mul", [x, t.add("Sigmoid", [x])])


def _step(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    x = t.use(arrays[0])
    positive = t.cast(t.add("Greater", [x, number(t, 0, y)]), y.dtype)
    return t.add("Where", [t.add("IsNaN", [x]), x, positive]) if y.dtype.kind == "f" else positive


def _trunc(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    x = t.use(arrays[0])
    return t.add("Mul", [t.add("Sign", [x]), t.add("Floor", [t.add("Abs", [x])])])


def _log_with(base: float) -> Any:
    return lambda t, fn, arrays, y: t.add(
        "Mul", [t.add("Log", [t.use(arrays[0], y.dtype)]), number(t, 1 / math.log(base), y)]
    )


FUNCTIONS.update(
    {
        arithmetic.Where: _where,
        basic.Softmax: _softmax("Softmax"),
        basic.LogSoftmax: _softmax("LogSoftmax"),
        basic.LeakyRelu: lambda t, fn, a, y: t.add("LeakyRelu", [t.use(a[0], y.dtype)], alpha=float(fn.slope)),
        basic.BiasRelu: lambda t, fn, a, y: t.add(
            "Relu",
            [t.add("Add", [t.use(a[0]), t.add("Reshape", [t.use(a[1]), t.ints(_along(a[1], fn.axis, y.ndim))])])],
        ),
        rectifiers.Prelu: lambda t, fn, a, y: t.add("PRelu", [t.use(a[0]), t.use(a[1])]),
        rectifiers.Elu: _elu,
        rectifiers.Step: _step,
        rectifiers.Hardsigmoid: lambda t, fn, a, y: t.add("HardSigmoid", [t.use(a[0], y.dtype)], alpha=1 / 6, beta=0.5),
        rectifiers.Hardswish: lambda t, fn, a, y: t.add("HardSwish", [t.use(a[0], y.dtype)]),
        gates.Gelu: _gelu,
        gates.Silu: _silu,
        gates.Mish: lambda t, fn, a, y: t.add("Mish", [t.use(a[0], y.dtype)]),
        gates.Softplus: _softplus,
        gates.Logsigmoid: lambda t, fn, a, y: t.add("Neg", [t.add("Softplus", [t.add("Neg", [t.use(a[0], y.dtype)])])]),
        powers.Trunc: _trunc,
        powers.Rsqrt: lambda t, fn, a, y: t.add("Reciprocal", [t.add("Sqrt", [t.use(a[0], y.dtype)])]),
        powers.Exp2: lambda t, fn, a, y: t.add("Pow", [number(t, 2, y), t.use(a[0], y.dtype)]),
        powers.Expm1: lambda t, fn, a, y: t.add("Sub", [t.add("Exp", [t.use(a[0], y.dtype)]), number(t, 1, y)]),
        powers.Log2: _log_with(2),
        powers.Log10: _log_with(10),
        elementwise.Log1p: lambda t, fn, a, y: t.add("Log", [t.add("Add", [t.use(a[0], y.dtype), number(t, 1, y)])]),
    }
)


def _along(vector: Any, axis: int, ndim: int) -> list[int]:
    return [vector.shape[0] if i == axis else 1 for i in range(ndim)]


# --- reductions -------------------------------------------------------------------------------------------------------


def _reduction(operator: str) -> Any:
    def emit(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
        x = t.use(arrays[0], y.dtype)
        return t.add(operator, [x, t.ints(fn.dims)], keepdims=int(fn.keepdim)) if arrays[0].ndim else x

    return emit


for reduction, operator in (
    (reduce.Sum, "ReduceSum"),
    (reduce.Mean, "ReduceMean"),
    (reduce.Prod, "ReduceProd"),
    (reduce.Amax, "ReduceMax"),
    (reduce.Amin, "ReduceMin"),
):
    FUNCTIONS[reduction] = _reduction(operator)


def _best(operator: str) -> Any:
    def emit(t: Trace, fn: Any, arrays: Any, y: Any) -> list[str]:
        x = t.use(arrays[0])
        if not arrays[0].ndim:
            return [x, t.constant(0, np.int64)]
        place = t.add(operator, [x], axis=fn.axis, keepdims=1)
        value = t.add("GatherElements", [x, place], axis=fn.axis)
        if fn.keepdim:
            return [value, place]
        return [t.add("Squeeze", [name, t.ints([fn.axis])]) for name in (value, place)]

    return emit


def _running(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    x = t.use(arrays[0], y.dtype)
    return t.add("CumSum", [x, t.constant(fn.dim % y.ndim, np.int64)]) if y.ndim else x


def _sort(t: Trace, fn: Any, arrays: Any, y: Any) -> list[str]:
    x = t.use(arrays[0])
    if not y.ndim:
        return [x, t.constant(0, np.int64)]
    return t.add("TopK", [x, t.ints([y.shape[fn.dim]])], 2, axis=fn.dim, largest=int(fn.descending), sorted=1)


FUNCTIONS.update(
    {
        reduce.MaxDim: _best("ArgMax"),
        reduce.MinDim: _best("ArgMin"),
        reduce.Cumsum: _running,
        sorting.Sort: _sort,
        arranging.Tril: lambda t, fn, a, y: t.add(
            "Trilu", [t.use(a[0]), t.constant(fn.diagonal, np.int64)], upper=int(not fn.lower)
        ),
    }
)


# --- without a gradient -----------------------------------------------------------------------------------------------

COMPARISONS = {"eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}
BITS = {"and": "And", "or": "Or", "xor": "Xor"}


def _plain(t: Trace, args: dict[str, Any], y: Any) -> str | None:
    from deepcore.dtypes import result_type

    x, other, op = args["self"].array, args["other"], args["op"]
    t.op = op
    b = other.array if hasattr(other, "array") else other
    dtype = result_type(x, b)
    names = [t.use(x, dtype), t.use(b, dtype)]
    if op == "ne":
        return t.add("Not", [t.add("Equal", names)])
    if op in COMPARISONS:
        return t.add(COMPARISONS[op], names)
    if op in BITS:
        return t.add(BITS[op] if dtype.kind == "b" else f"Bitwise{BITS[op]}", names)
    if dtype.kind != "f":
        raise t.fail("ONNX rounds a division of integers towards zero, deepcore down")
    whole = t.add("Floor", [t.add("Div", names)])
    return whole if op == "floor_divide" else t.add("Sub", [names[0], t.add("Mul", [whole, names[1]])])


def _invert(t: Trace, args: dict[str, Any], y: Any) -> str:
    return t.add("Not" if y.dtype.kind == "b" else "BitwiseNot", [t.use(args["self"].array)])


def _some(operator: str) -> Any:
    """any and all, as the largest and the smallest of 0 and 1."""

    def emit(t: Trace, args: dict[str, Any], y: Any) -> str:
        x, dim = args["self"].array, args["dim"]
        dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
        found = t.cast(t.cast(t.use(x), np.bool_), np.int32)
        if x.ndim:
            found = t.add(operator, [found, t.ints(dims)], keepdims=int(args["keepdim"]))
        return t.cast(found, np.bool_)

    return emit


def _finite(t: Trace, args: dict[str, Any], y: Any) -> str:
    x = t.use(args["self"].array)
    return t.add("Not", [t.add("Or", [t.add("IsNaN", [x]), t.add("IsInf", [x])])])


COMPOSITES.update(
    {
        "_plain": _plain,
        "__invert__": _invert,
        "any": _some("ReduceMax"),
        "all": _some("ReduceMin"),
        "isnan": lambda t, args, y: t.add("IsNaN", [t.use(args["self"].array)]),
        "isfinite": _finite,
    }
)


# --- losses of which one op is made -----------------------------------------------------------------------------------


def _bce(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    """max(x, 0) - x t + log(1 + exp(-|x|)); with a weight of the positive class by its parts."""
    if len(arrays) > 2 and arrays[2] is not None:
        raise t.fail("pos_weight is not written")
    x, target = t.use(arrays[0], y.dtype), t.use(arrays[1], y.dtype)
    return t.add("Sub", [t.add("Softplus", [x]), t.add("Mul", [x, target])])


def _near(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    """Smooth L1 and Huber: a parabola near zero, straight lines beyond."""
    smooth = isinstance(fn, distance.SmoothL1)
    edge = fn.beta if smooth else fn.delta
    far = t.add("Abs", [t.add("Sub", [t.use(arrays[0], y.dtype), t.use(arrays[1], y.dtype)])])
    square = t.add("Mul", [t.add("Mul", [far, far]), number(t, 0.5 / edge if smooth else 0.5, y)])
    line = t.add("Sub", [far, number(t, 0.5 * edge, y)])
    line = line if smooth else t.add("Mul", [line, number(t, edge, y)])
    return t.add("Where", [t.add("Less", [far, number(t, edge, y)]), square, line])


FUNCTIONS[classification.BCEWithLogits] = _bce
FUNCTIONS[distance.SmoothL1] = FUNCTIONS[distance.Huber] = _near
