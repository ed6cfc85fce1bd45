"""Export of convolutions, pooling, normalisation, recurrent layers and attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore.functions.activation import fused
from deepcore.functions.conv import columns, conv2d
from deepcore.functions.norm import batch_norm, layer_norm
from deepcore.functions.pool import adaptive, pool2d
from deepcore.functions.sequence import attention
from deepcore.functions.vision import sampling
from deepcore.onnx.arranging import _linear, cut, reshape
from deepcore.onnx.elementwise import number
from deepcore.onnx.trace import COMPOSITES, FUNCTIONS, Trace


def _conv(relu: bool) -> Any:
    def emit(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
        w = fn.window
        name = t.add(
            "Conv",
            [t.use(a) for a in arrays if a is not None],
            kernel_shape=list(arrays[1].shape[2:]),
            strides=list(w.stride),
            pads=[*w.padding, *w.padding],
            dilations=list(w.dilation),
            group=w.groups,
        )
        return t.add("Relu", [name]) if relu else name

    return emit


def transposed(t: Trace, operands: Any, y: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> str:
    """A ConvTranspose whose output has the size of y."""
    x, w, _ = operands
    reach = [
        (n - 1) * s - 2 * p + d * (k - 1) + 1
        for n, s, p, d, k in zip(x.shape[2:], stride, padding, dilation, w.shape[2:], strict=True)
    ]
    return t.add(
        "ConvTranspose",
        [t.use(a) for a in operands if a is not None],
        kernel_shape=list(w.shape[2:]),
        strides=list(stride),
        pads=[*padding, *padding],
        dilations=list(dilation),
        group=groups,
        output_padding=[n - r for n, r in zip(y.shape[2:], reach, strict=True)],
    )


def _conv_input(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    return transposed(t, arrays, y, *fn.window)


def _operands(args: dict[str, Any]) -> list[Any]:
    return [None if args[k] is None else args[k].array for k in ("x", "weight", "bias")]


def _conv_nd(t: Trace, args: dict[str, Any], y: Any) -> str | None:
    x, w, b = _operands(args)
    count = x.ndim - 2
    stride, dilation = _several(args["stride"], count), _several(args["dilation"], count)
    if args["padding"] == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
        pads = [n // 2 for n in totals] + [n - n // 2 for n in totals]
    else:
        pads = 2 * _several(0 if args["padding"] == "valid" else args["padding"], count)
    return t.add(
        "Conv",
        [t.use(a) for a in (x, w, b) if a is not None],
        kernel_shape=list(w.shape[2:]),
        strides=stride,
        pads=pads,
        dilations=dilation,
        group=args["groups"],
    )


def _transposed_nd(t: Trace, args: dict[str, Any], y: Any) -> str:
    operands = _operands(args)
    stride, padding, dilation = (_several(args[k], y.ndim - 2) for k in ("stride", "padding", "dilation"))
    return transposed(t, operands, y, stride, padding, dilation, args["groups"])


def _several(value: Any, count: int) -> list[int]:
    found = [value] * count if isinstance(value, int) else list(value)
    return found * count if len(found) == 1 else found


def _im2col(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    """One strided slice of the padded image for each place of the kernel."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = fn.geometry
    name = t.use(arrays[0])
    if ph or pw:
        pads = t.ints([0, 0, ph, pw, 0, 0, ph, pw])
        name = t.add("Pad", [name, pads, t.constant(fn.value, y.dtype)], mode="constant")
    oh, ow = y.shape[4:]
    parts = [
        cut(t, name, [(2, j * dh, j * dh + (oh - 1) * sh + 1, sh), (3, i * dw, i * dw + (ow - 1) * sw + 1, sw)])
        for j in range(kh)
        for i in range(kw)
    ]
    joined = t.add("Concat", [t.add("Unsqueeze", [p, t.ints([2])]) for p in parts], axis=2)
    return reshape(t, joined, y.shape)


def _col2im(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    kernel, stride, padding, dilation = fn.geometry
    n, c, kh, kw, oh, ow = arrays[0].shape
    rows = reshape(t, t.use(arrays[0]), (n, c * kh * kw, oh * ow))
    return t.add(
        "Col2Im",
        [rows, t.ints(y.shape[2:]), t.ints(kernel)],
        strides=list(stride),
        pads=[*padding, *padding],
        dilations=list(dilation),
    )


def _window(fn: Any) -> dict[str, Any]:
    w = fn.windows
    return {
        "kernel_shape": list(w.kernel_size),
        "strides": list(w.stride),
        "pads": [*w.padding, *w.padding],
        "ceil_mode": int(w.ceil_mode),
    }


def _max_pool(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    return t.add("MaxPool", [t.use(arrays[0])], **_window(fn), dilations=list(fn.windows.dilation))


def _max_pool_places(t: Trace, fn: Any, arrays: Any, y: Any) -> list[str]:
    """ONNX counts the places through the whole tensor, PyTorch in each image."""
    options = _window(fn) | {"dilations": list(fn.windows.dilation)}
    value, place = t.add("MaxPool", [t.use(arrays[0])], 2, **options)
    return [value, t.add("Mod", [place, t.constant(math.prod(arrays[0].shape[2:]), np.int64)])]


def _avg_pool(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    counts, divisor = fn.divisor
    options = _window(fn) | {"count_include_pad": int(counts or divisor is not None)}
    if divisor is None:
        return t.add("AveragePool", [t.use(arrays[0])], **options)
    if options["ceil_mode"]:
        raise t.fail("divisor_override with ceil_mode")
    mean = t.add("AveragePool", [t.use(arrays[0])], **options)
    return t.add("Mul", [mean, number(t, math.prod(options["kernel_shape"]) / divisor, y)])


def _adaptive_max(t: Trace, fn: Any, arrays: Any, y: Any) -> list[str | None]:
    x, size = arrays[0], fn.output_size
    if tuple(size) == (1, 1):
        return [t.add("GlobalMaxPool", [t.use(x)]), None]
    if any(n % m for n, m in zip(x.shape[2:], size, strict=True)):
        raise t.fail(f"ONNX pools {tuple(x.shape[2:])} into {tuple(size)} only where the sizes divide")
    kernel = [n // m for n, m in zip(x.shape[2:], size, strict=True)]
    return [t.add("MaxPool", [t.use(x)], kernel_shape=kernel, strides=kernel), None]


def _batch_norm(relu: bool) -> Any:
    def emit(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
        x, mean, var, w, b, *rest = arrays
        scale = t.constant(np.ones(mean.shape, y.dtype)) if w is None else t.use(w)
        bias = t.constant(np.zeros(mean.shape, y.dtype)) if b is None else t.use(b)
        name = t.add("BatchNormalization", [t.use(x), scale, bias, t.use(mean), t.use(var)], epsilon=fn.eps)
        if rest and rest[0] is not None:
            name = t.add("Add", [name, t.use(rest[0])])
        return t.add("Relu", [name]) if relu else name

    return emit


def _layer_norm(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    x, w, b = arrays
    scale = t.constant(np.ones(x.shape[x.ndim - fn.count :], y.dtype)) if w is None else t.use(w)
    return t.add(
        "LayerNormalization", [t.use(x), scale, *([] if b is None else [t.use(b)])], axis=-fn.count, epsilon=fn.eps
    )


def _lrn(t: Trace, args: dict[str, Any], y: Any) -> str | None:
    if args["size"] % 2 == 0 or y.ndim != 4:
        raise t.fail("ONNX has it for images, and puts the window of an even size one channel further")
    options = {"size": args["size"], "alpha": float(args["alpha"]), "beta": float(args["beta"])}
    return t.add("LRN", [t.use(args["x"].array)], **options, bias=float(args["k"]))


COMPOSITES["local_response_norm"] = _lrn


def _attention(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    q, k, v = (t.use(a) for a in arrays)
    order = [*range(y.ndim - 2), y.ndim - 1, y.ndim - 2]
    scores = t.add("MatMul", [t.add("Mul", [q, number(t, fn.scale, y)]), t.add("Transpose", [k], perm=order)])
    rows, wide = arrays[0].shape[-2], arrays[1].shape[-2]
    low = number(t, -math.inf, y)
    if fn.mask is None and not fn.is_causal:
        return t.add("MatMul", [t.add("Softmax", [scores], axis=-1), v])
    if fn.is_causal:  # every query sees the first key at least
        above = t.add("Expand", [low, t.ints([rows, wide])])
        scores = t.add("Add", [scores, t.add("Trilu", [above, t.constant(1, np.int64)], upper=1)])
        return t.add("MatMul", [t.add("Softmax", [scores], axis=-1), v])
    mask = t.use(fn.mask)
    weights = t.add("Softmax", [t.add("Where", [mask, scores, number(t, np.finfo(y.dtype).min, y)])], axis=-1)
    return t.add("MatMul", [t.add("Where", [mask, weights, number(t, 0, y)]), v])


def _grid_sample(t: Trace, fn: Any, arrays: Any, y: Any) -> str:
    mode, padding, corners = fn.options
    if t.opset < 20:
        raise t.fail("it needs opset_version=20")
    mode = {"bilinear": "linear", "nearest": "nearest"}[mode]
    return t.add("GridSample", [t.use(a) for a in arrays], mode=mode, padding_mode=padding, align_corners=int(corners))


# --- recurrent layers: ONNX has the gates in another order, and an axis for the direction -----------------------------

ORDERS = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}  # of i, f, g, o and r, z, n


def _recurrent(kind: str) -> Any:
    def emit(t: Trace, args: dict[str, Any], y: Any) -> list[str] | None:
        if args["batch_sizes"] is not None:
            raise t.fail("packed sequences")
        x, order = args["input"].array, ORDERS[kind]

        def gates(a: Any) -> str:
            size = a.shape[0] // len(order)
            name = t.use(a)
            if len(order) > 1:
                parts = [cut(t, name, [(0, i * size, (i + 1) * size, 1)]) for i in order]
                name = t.add("Concat", parts, axis=0)
            return t.add("Unsqueeze", [name, t.ints([0])])

        w_ih, w_hh = (args[k].array for k in ("w_ih", "w_hh"))
        biases = [args[k] for k in ("b_ih", "b_hh")]
        bias = ""
        if any(b is not None for b in biases):
            nothing = np.zeros(w_ih.shape[0], y.dtype)
            parts = [
                t.add("Unsqueeze", [t.constant(nothing), t.ints([0])]) if b is None else gates(b.array) for b in biases
            ]
            bias = t.add("Concat", parts, axis=1)
        states = [t.add("Unsqueeze", [t.use(args[k].array), t.ints([0])]) for k in ("h0", "c0") if k in args]
        inputs = [t.use(x), gates(w_ih), gates(w_hh), bias, "", *states]
        options: dict[str, Any] = {
            "hidden_size": w_hh.shape[1],
            "direction": "reverse" if args["reverse"] else "forward",
        }
        if kind == "gru":
            options["linear_before_reset"] = int(args["reset_after"])
        if kind == "rnn" and args["nonlinearity"] == "relu":
            options["activations"] = ["Relu"]
        peephole = args.get("peephole")
        if peephole is not None:  # rows i, f, o as i, o, f
            rows = [cut(t, t.use(peephole.array), [(0, i, i + 1, 1)]) for i in (0, 2, 1)]
            inputs.append(t.add("Concat", rows, axis=1))
        found = t.add({"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}[kind], inputs, 1 + len(states), **options)
        return [t.add("Squeeze", [found[0], t.ints([1])]), *(t.add("Squeeze", [f, t.ints([0])]) for f in found[1:])]

    return emit


FUNCTIONS.update(
    {
        conv2d.Conv2d: _conv(False),
        conv2d.Conv2dInput: _conv_input,
        fused.Conv2dRelu: _conv(True),
        fused.LinearRelu: _linear(True),
        columns.Im2col: _im2col,
        columns.Col2im: _col2im,
        pool2d.MaxPool2dOnly: _max_pool,
        pool2d.MaxPool2d: _max_pool_places,
        pool2d.AvgPool2d: _avg_pool,
        adaptive.AdaptiveMaxPool2d: _adaptive_max,
        batch_norm.BatchNormEval: _batch_norm(False),
        batch_norm.BatchNormReluEval: _batch_norm(True),
        layer_norm.LayerNorm: _layer_norm,
        attention.Attention: _attention,
        sampling.GridSample: _grid_sample,
    }
)
COMPOSITES.update({name: _recurrent(name) for name in ORDERS})
COMPOSITES.update({f"conv{n}d": _conv_nd for n in (1, 3)} | {f"conv_transpose{n}d": _transposed_nd for n in (1, 3)})
