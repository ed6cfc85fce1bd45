"""Convolutions and poolings over one, two and three axes; their paddings may differ at the two ends."""

from __future__ import annotations

import math
from typing import Any

from deepcore import functional as F
from deepcore.onnx.operators.adapter import Adapter, Case, ints, need

CONV: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_TRANSPOSE: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def ends(
    sizes: tuple[int, ...], kernel: list[int], stride: list[int], dilation: list[int], pads: Any, auto_pad: str
) -> tuple[list[int], list[int]]:
    """The padding before and after each axis."""
    count = len(sizes)
    if auto_pad.startswith("SAME"):
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        totals = [
            max((math.ceil(n / s) - 1) * s + span - n, 0) for n, s, span in zip(sizes, stride, spans, strict=True)
        ]
        small, big = [t // 2 for t in totals], [t - t // 2 for t in totals]
        return (small, big) if auto_pad == "SAME_UPPER" else (big, small)
    pads = pads or [0] * (2 * count)
    return list(pads[:count]), list(pads[count:])


def padded(x: Any, before: list[int], after: list[int], value: float = 0.0) -> Any:
    pairs = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    return F.pad(x, pairs, "constant", value)


def conv(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    auto_pad: str,
    dilations: Any,
    group: int,
    kernel_shape: Any,
    pads: Any,
    strides: Any,
) -> Any:
    sizes = x.shape[2:]
    stride, dilation = strides or [1] * len(sizes), dilations or [1] * len(sizes)
    before, after = ends(sizes, list(w.shape[2:]), stride, dilation, pads, auto_pad)
    if before != after:
        x, before = padded(x, before, after), [0] * len(sizes)
    return CONV[len(sizes)](x, w, b, tuple(stride), tuple(before), tuple(dilation), group)


def conv_transpose(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    auto_pad: str,
    dilations: Any,
    group: int,
    kernel_shape: Any,
    output_padding: Any,
    output_shape: Any,
    pads: Any,
    strides: Any,
) -> Any:
    """Where the output's shape is given, the padding follows from it; what would be negative is output padding."""
    sizes, kernel = x.shape[2:], w.shape[2:]
    count = len(sizes)
    stride, dilation = strides or [1] * count, dilations or [1] * count
    extra = list(output_padding or [0] * count)
    pads = list(pads or [0] * (2 * count))
    if output_shape or auto_pad.startswith("SAME"):
        wanted = output_shape or [n * s for n, s in zip(sizes, stride, strict=True)]
        for i in range(count):
            total = stride[i] * (sizes[i] - 1) + extra[i] + (kernel[i] - 1) * dilation[i] + 1 - wanted[i]
            extra[i], total = extra[i] - min(total, 0), max(total, 0)
            small, big = total // 2, total - total // 2
            pads[i], pads[i + count] = (small, big) if auto_pad == "SAME_UPPER" else (big, small)
    before, after = pads[:count], pads[count:]
    both = [min(pair) for pair in zip(before, after, strict=True)]
    y = CONV_TRANSPOSE[count](x, w, b, tuple(stride), tuple(both), tuple(extra), group, tuple(dilation))
    inside = [slice(p - n, size - (q - n)) for p, q, n, size in zip(before, after, both, y.shape[2:], strict=True)]
    return y[(slice(None), slice(None), *inside)]


def causal_conv(x: Any, w: Any, b: Any = None, state: Any = None, *, activation: str) -> tuple[Any, Any]:
    """A depthwise conv1d that sees the last steps of the past, and those to remember."""
    past = w.shape[2] - 1
    longer = F.pad(x, (past, 0)) if state is None else F.cat([state, x], 2)
    y = F.conv1d(longer, w, b, groups=x.shape[1])
    return (F.silu(y) if activation in ("silu", "swish") else y), longer[:, :, longer.shape[2] - past :]


def max_pool(
    x: Any,
    *,
    auto_pad: str,
    ceil_mode: int,
    dilations: Any,
    kernel_shape: list[int],
    pads: Any,
    storage_order: int,
    strides: Any,
) -> Any:
    """PyTorch's paddings are equal and at most half the kernel; others are made with -inf beforehand."""
    sizes = x.shape[2:]
    stride, dilation = strides or [1] * len(sizes), dilations or [1] * len(sizes)
    before, after = ends(sizes, kernel_shape, stride, dilation, pads, auto_pad)
    if before != after or any(2 * p > k for p, k in zip(before, kernel_shape, strict=True)):
        x, before = padded(x, before, after, -math.inf), [0] * len(sizes)
    pool = MAX_POOL[len(sizes)]
    y, index = pool(x, tuple(kernel_shape), tuple(stride), tuple(before), tuple(dilation), bool(ceil_mode), True)
    if storage_order:  # places are counted along columns
        height, width = sizes
        index = index % width * height + index // width
    return y, index


def average_pool(
    x: Any,
    *,
    auto_pad: str,
    ceil_mode: int,
    count_include_pad: int,
    dilations: Any,
    kernel_shape: list[int],
    pads: Any,
    strides: Any,
) -> Any:
    """Paddings that PyTorch does not have are zeros made beforehand; where they do not count, a mean of ones tells."""
    sizes = x.shape[2:]
    need(not dilations or set(dilations) == {1})
    stride = strides or [1] * len(sizes)
    pool = AVG_POOL[len(sizes)]
    window = (tuple(kernel_shape), tuple(stride))
    before, after = ends(sizes, kernel_shape, stride, [1] * len(sizes), pads, auto_pad)
    if before == after and all(2 * p <= k for p, k in zip(before, kernel_shape, strict=True)):
        return pool(x, *window, tuple(before), bool(ceil_mode), bool(count_include_pad))
    need(not ceil_mode)
    y = pool(padded(x, before, after), *window)
    return y if count_include_pad else y / pool(padded(x * 0 + 1, before, after), *window)


def lp_pool(
    x: Any,
    *,
    auto_pad: str,
    ceil_mode: int,
    dilations: Any,
    kernel_shape: Any,
    p: int,
    pads: Any,
    strides: Any,
) -> Any:
    """PyTorch's has no padding, and takes x ** p of signed numbers where ONNX takes |x| ** p; rows are thin images."""
    need(len(x.shape) <= 4)
    need(not dilations or set(dilations) == {1})
    sizes = x.shape[2:]
    stride = strides or [1] * len(sizes)
    before, after = ends(sizes, kernel_shape, stride, [1] * len(sizes), pads, auto_pad)
    x = F.abs(padded(x, before, after))
    if len(sizes) == 1:
        return F.lp_pool2d(x.unsqueeze(2), p, (1, *kernel_shape), (1, *stride)).squeeze(2)
    return F.lp_pool2d(x, p, (kernel_shape[0], kernel_shape[1]), (stride[0], stride[1]), bool(ceil_mode))


def max_unpool(x: Any, index: Any, output_shape: Any = None, *, kernel_shape: Any, pads: Any, strides: Any) -> Any:
    """In ONNX the places are those in the image of the usual size, which a larger output shape only extends."""
    need(not pads)
    y = F.max_unpool2d(x, index, tuple(kernel_shape), tuple(strides))
    if output_shape is None:
        return y
    height, width = (n - m for n, m in zip(ints(output_shape)[2:], y.shape[2:], strict=True))
    return F.pad(y, (0, width, 0, height))


def col2im(x: Any, image: Any, block: Any, *, dilations: Any, pads: Any, strides: Any) -> Any:
    need(image.shape == (2,))
    need(not pads or pads[:2] == pads[2:])
    size: Any = tuple(ints(image))
    kernel: Any = tuple(ints(block))
    return F.fold(
        x,
        size,
        kernel,
        tuple(dilations or (1, 1)),
        tuple((pads or (0, 0))[:2]),
        tuple(strides or (1, 1)),
    )


def places(case: Case) -> int:
    """The products in one output of a convolution: channels (of one group) times the kernel, (O, C, ...)."""
    return math.prod(case.inputs[1].shape[1:])


def reaching(case: Case) -> int:
    """The products that meet in one output of a transposed convolution, at most: (C, O, ...)."""
    return case.inputs[1].shape[0] * math.prod(case.inputs[1].shape[2:])


def window(case: Case) -> int:
    """The number of elements in one window."""
    return math.prod(case.attributes["kernel_shape"])


ADAPTERS = {
    "AveragePool": Adapter(average_pool, window),
    "CausalConvWithState": Adapter(causal_conv, places),
    "Col2Im": Adapter(col2im, lambda case: math.prod(case.inputs[2].tolist())),
    "Conv": Adapter(conv, places),
    "ConvTranspose": Adapter(conv_transpose, reaching),
    "GlobalAveragePool": Adapter(
        lambda x: F.mean(x, tuple(range(2, x.ndim)), True), lambda case: math.prod(case.inputs[0].shape[2:])
    ),
    "GlobalMaxPool": Adapter(lambda x: F.amax(x, tuple(range(2, x.ndim)), True)),
    "LpPool": Adapter(lp_pool, window),
    "MaxPool": Adapter(max_pool),
    "MaxUnpool": Adapter(max_unpool),
}
