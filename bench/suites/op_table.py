"""The ops that are timed: how each is called, on which inputs, and how far two frameworks may be apart.

An entry calls the op by the name that deepcore and PyTorch share: `call(op, x, ...)` with `op("softmax")` the function.
An input is the shape of float32 numbers from a normal distribution, or an `Ints`, or a `Near`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepcore.check.tolerance import tolerance

FORWARD, BACKWARD, INPUT_GRADIENT, WEIGHT_GRADIENT = "forward", "backward", "input gradient", "weight gradient"


class Ints(NamedTuple):
    """Whole numbers from 0 to `high - 1`."""

    shape: tuple[int, ...]
    high: int


class Near(NamedTuple):
    """Numbers between `low` and `high`, evenly."""

    shape: tuple[int, ...]
    low: float
    high: float
    grad: bool = True
    """Whether a backward pass computes its gradient."""


Input = tuple[int, ...] | Ints | Near
Inputs = tuple[Input, ...]


def shape_of(value: Input) -> tuple[int, ...]:
    return value.shape if isinstance(value, Ints | Near) else value


class OpEntry(NamedTuple):
    """One op. `sizes`: the inputs of each size, the first of them small enough for a cache, as a rule."""

    name: str
    family: str
    call: Callable[..., Any]
    sizes: Sequence[Inputs]
    length: Callable[[Sequence[Input]], int] = lambda inputs: 1
    """The longest reduction of the forward pass, for the tolerance."""
    counted: Callable[[Sequence[Input], tuple[int, ...]], float] | None = None
    """Floating-point operations, from the inputs and the output's shape; None where there are few for each byte."""
    backward: bool = True

    def wanted(self, part: str, inputs: Sequence[Input]) -> list[int]:
        """Which inputs get a gradient in this part."""
        if part == INPUT_GRADIENT:
            return [0]
        if part == WEIGHT_GRADIENT:
            return [1]
        return [i for i, value in enumerate(inputs) if getattr(value, "grad", not isinstance(value, Ints))]

    def flops(self, inputs: Sequence[Input], output: tuple[int, ...]) -> float:
        """Floating-point operations of one direction; of a gradient as many as of the forward pass."""
        return self.counted(inputs, output) if self.counted else float(math.prod(output))

    def traffic(self, part: str, arrays: Sequence[np.ndarray], output: tuple[int, ...], wanted: Sequence[int]) -> float:
        """Bytes that are read and written at least: each input and result once."""
        given, made = sum(array.nbytes for array in arrays), 4 * math.prod(output)
        return float(given + made + sum(arrays[i].nbytes for i in wanted))

    def allowed(self, length: int) -> float:
        """Each of two candidates may be this suite's tolerance away from the true value, so twice that apart."""
        return 2 * tolerance("float32", length).allowed


def make_inputs(op: OpEntry, inputs: Sequence[Input], rng: np.random.Generator) -> list[np.ndarray]:
    """Random arrays, float32 or int64."""
    arrays: list[np.ndarray] = []
    for value in inputs:
        if isinstance(value, Ints):
            arrays.append(rng.integers(0, value.high, value.shape))
        elif isinstance(value, Near):
            arrays.append(rng.uniform(value.low, value.high, value.shape).astype(np.float32))
        else:
            arrays.append(rng.standard_normal(value, dtype=np.float32))
    return arrays


def op_of(arguments: Mapping[str, Any]) -> tuple[OpEntry, Sequence[Input]]:
    """The entry and the inputs that the arguments of a spec name."""
    return BY_NAME[arguments["op"]], arguments["inputs"]


def _unary(name: str) -> Callable[..., Any]:
    return lambda op, x: op(name)(x)


def _binary(name: str) -> Callable[..., Any]:
    return lambda op, x, y: op(name)(x, y)


def _last(inputs: Sequence[Input]) -> int:
    return shape_of(inputs[0])[-1]


def _convolved(inputs: Sequence[Input]) -> int:
    """Channels of a group times the kernel's area."""
    return math.prod(shape_of(inputs[1])[1:])


def _conv_flops(inputs: Sequence[Input], output: tuple[int, ...]) -> float:
    return 2.0 * math.prod(output) * _convolved(inputs)


def _conv(stride: int = 1, padding: int = 1, groups: int = 1) -> Callable[..., Any]:
    return lambda op, x, w: op("conv2d")(x, w, None, stride, padding, 1, groups)


def _transposed(stride: int, padding: int) -> Callable[..., Any]:
    return lambda op, x, w: op("conv_transpose2d")(x, w, None, stride, padding)


def _spread(inputs: Sequence[Input]) -> int:
    """The channels that meet in one pixel of a transposed convolution whose windows do not overlap."""
    return shape_of(inputs[0])[1]


def _spread_flops(inputs: Sequence[Input], output: tuple[int, ...]) -> float:
    return 2.0 * math.prod(output) * _spread(inputs)


def _product_flops(inputs: Sequence[Input], output: tuple[int, ...]) -> float:
    return 2.0 * math.prod(output) * _last(inputs)


def _attention_flops(inputs: Sequence[Input], output: tuple[int, ...]) -> float:
    *batch, length, width = output
    return 4.0 * math.prod(batch) * length * length * width


FLAT = ((256, 1024),), ((4096, 2048),)  # 1 MB and 32 MB
IMAGES = ((16, 32, 32, 32),), ((32, 64, 56, 56),)  # 2 MB and 26 MB
ROWS = ((256, 1000),), ((8192, 1024),)


def _with(sizes: Sequence[Inputs], *more: Callable[[tuple[int, ...]], Input]) -> list[Inputs]:
    """Each size with further inputs made of the first one's shape."""
    return [(*size, *(make(shape_of(size[0])) for make in more)) for size in sizes]


def _channels(shape: tuple[int, ...]) -> Input:
    return shape[1:2]


def _width(shape: tuple[int, ...]) -> Input:
    return shape[-1:]


def _layer_norm(op: Any, x: Any, w: Any, b: Any) -> Any:
    return op("layer_norm")(x, (x.shape[-1],), w, b)


def _batch_norm(op: Any, x: Any, w: Any, b: Any) -> Any:
    return op("batch_norm")(x, None, None, w, b, True)


OPS: tuple[OpEntry, ...] = (
    OpEntry("exp", "elementwise", _unary("exp"), FLAT),
    OpEntry("tanh", "activation", _unary("tanh"), FLAT),
    OpEntry("sigmoid", "activation", _unary("sigmoid"), FLAT),
    OpEntry("relu", "activation", _unary("relu"), FLAT),
    OpEntry("gelu", "activation", _unary("gelu"), FLAT),
    OpEntry("silu", "activation", _unary("silu"), FLAT),
    OpEntry("add", "elementwise", lambda op, x, y: x + y, _with(FLAT, lambda s: s)),
    OpEntry("add a row", "elementwise", lambda op, x, y: x + y, _with(FLAT, _width)),
    OpEntry("mul", "elementwise", lambda op, x, y: x * y, _with(FLAT, lambda s: s)),
    OpEntry("sum", "reduction", lambda op, x: x.sum(), FLAT, lambda inputs: math.prod(shape_of(inputs[0]))),
    OpEntry("sum of columns", "reduction", lambda op, x: x.sum(dim=0), FLAT, lambda inputs: shape_of(inputs[0])[0]),
    OpEntry("amax of rows", "reduction", lambda op, x: x.amax(dim=1), FLAT),
    OpEntry("argmax of rows", "reduction", lambda op, x: x.argmax(dim=1), FLAT, backward=False),
    OpEntry("permute and copy", "shape", lambda op, x: x.permute(0, 2, 3, 1).contiguous(), IMAGES),
    OpEntry("cat", "shape", lambda op, x, y: op("cat")([x, y], 1), _with(IMAGES, lambda s: s)),
    OpEntry("pad", "shape", lambda op, x: op("pad")(x, (1, 1, 1, 1)), IMAGES),
    OpEntry(
        "embedding",
        "index",
        lambda op, i, w: op("embedding")(i, w),
        (
            (Ints((32, 64), 65), (65, 256)),
            (Ints((64, 512), 32000), (32000, 256)),
        ),
    ),
    OpEntry(
        "matmul", "product", _binary("matmul"), [((n, n), (n, n)) for n in (128, 512, 2048)], _last, _product_flops
    ),
    OpEntry(
        "matmul, batched",
        "product",
        _binary("matmul"),
        [((64, n, 64), (64, 64, n)) for n in (64, 256)],
        _last,
        _product_flops,
    ),
    OpEntry(
        "linear",
        "product",
        lambda op, x, w, b: op("linear")(x, w, b),
        [((128, 784), (512, 784), (512,)), ((2048, 256), (1024, 256), (1024,))],
        _last,
        _product_flops,
    ),
    OpEntry("softmax", "activation", lambda op, x: op("softmax")(x, dim=-1), ROWS, _last),
    OpEntry("log_softmax", "activation", lambda op, x: op("log_softmax")(x, dim=-1), ROWS, _last),
    OpEntry("layer_norm", "norm", _layer_norm, _with(ROWS, _width, _width), _last),
    OpEntry(
        "batch_norm",
        "norm",
        _batch_norm,
        _with(IMAGES, _channels, _channels),
        lambda inputs: math.prod(shape_of(inputs[0])) // shape_of(inputs[0])[1],
    ),
    OpEntry(
        "group_norm",
        "norm",
        lambda op, x, w, b: op("group_norm")(x, 8, w, b),
        _with(IMAGES, _channels, _channels),
        lambda inputs: math.prod(shape_of(inputs[0])[1:]) // 8,
    ),
    OpEntry(
        "cross_entropy",
        "loss",
        lambda op, x, t: op("cross_entropy")(x, t),
        _with(ROWS, lambda s: Ints(s[:1], s[1])),
        lambda inputs: math.prod(shape_of(inputs[0])),
    ),
    OpEntry(
        "mse_loss",
        "loss",
        lambda op, x, t: op("mse_loss")(x, t),
        _with(FLAT, lambda s: s),
        lambda inputs: math.prod(shape_of(inputs[0])),
    ),
    OpEntry(
        "binary_cross_entropy_with_logits",
        "loss",
        lambda op, x, t: op("binary_cross_entropy_with_logits")(x, t),
        _with(FLAT, lambda s: Near(s, 0.0, 1.0, grad=False)),
        lambda inputs: math.prod(shape_of(inputs[0])),
    ),
    OpEntry(
        "conv2d 3x3",
        "convolution",
        _conv(),
        [((128, 16, 28, 28), (16, 16, 3, 3)), ((16, 64, 56, 56), (64, 64, 3, 3))],
        _convolved,
        _conv_flops,
    ),
    OpEntry(
        "conv2d 1x1", "convolution", _conv(padding=0), [((16, 64, 28, 28), (256, 64, 1, 1))], _convolved, _conv_flops
    ),
    OpEntry(
        "conv2d 3x3, stride 2", "convolution", _conv(2), [((16, 64, 56, 56), (128, 64, 3, 3))], _convolved, _conv_flops
    ),
    OpEntry(
        "conv2d 3x3, depthwise",
        "convolution",
        _conv(groups=64),
        [((16, 64, 56, 56), (64, 1, 3, 3))],
        _convolved,
        _conv_flops,
    ),
    OpEntry(
        "conv1d",
        "convolution",
        lambda op, x, w: op("conv1d")(x, w, None, 1, 2),
        [((32, 64, 256), (64, 64, 5))],
        _convolved,
        _conv_flops,
    ),
    OpEntry(
        "conv_transpose2d 2x2, stride 2",
        "convolution",
        _transposed(2, 0),
        [((8, 128, 32, 32), (128, 64, 2, 2))],
        _spread,
        _spread_flops,
    ),
    OpEntry("max_pool2d", "pooling", lambda op, x: op("max_pool2d")(x, 2), IMAGES),
    OpEntry("avg_pool2d", "pooling", lambda op, x: op("avg_pool2d")(x, 2), IMAGES),
    OpEntry(
        "adaptive_avg_pool2d",
        "pooling",
        lambda op, x: op("adaptive_avg_pool2d")(x, 1),
        IMAGES,
        lambda inputs: math.prod(shape_of(inputs[0])[2:]),
    ),
    OpEntry(
        "scaled_dot_product_attention",
        "sequence",
        lambda op, q, k, v: op("scaled_dot_product_attention")(q, k, v),
        [((16, 4, 128, 64),) * 3, ((2, 4, 512, 64),) * 3],
        lambda inputs: shape_of(inputs[0])[-2],
        _attention_flops,
    ),
    OpEntry(
        "interpolate, bilinear",
        "vision",
        lambda op, x: op("interpolate")(x, scale_factor=2, mode="bilinear", align_corners=False),
        [((8, 32, 32, 32),)],
    ),
    OpEntry(
        "grid_sample",
        "vision",
        lambda op, x, g: op("grid_sample")(x, g, align_corners=False),
        [((8, 16, 64, 64), Near((8, 64, 64, 2), -1.1, 1.1))],
    ),
)


def _layer(transposed: bool, stride: int, padding: int) -> OpEntry:
    """A convolution of the suite "convs", whose shapes stand there."""
    name = f"conv{'_transpose' if transposed else ''}2d, stride {stride}, padding {padding}"
    if not transposed:
        return OpEntry(name, "convolution", _conv(stride, padding), (), _convolved, _conv_flops)
    return OpEntry(name, "convolution", _transposed(stride, padding), (), _spread, _spread_flops)


CONVS = {
    key: _layer(*key)
    for key in [*((False, stride, padding) for stride in (1, 2) for padding in (0, 1, 2, 3)), (True, 2, 0)]
}
"""By (transposed, stride, padding)."""
BY_NAME = {op.name: op for op in (*OPS, *CONVS.values())}
