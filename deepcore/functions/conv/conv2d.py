"""Convolution and transposed convolution in two dimensions.

Convolution, its input gradient (the transposed convolution) and its weight gradient are each other's derivatives:

    y  = conv(x, w)            gx = conv_input(gy, w)        gw = conv_weight(gy, x)

so three Functions are closed under differentiation to any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.errors import ShapeError, got, message
from deepcore.functions.linalg.products import bias_grad, same_dtype
from deepcore.functions.reduce import sum

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "conv2d",
    "conv_transpose2d",
]

Pair = int | tuple[int, int]


class Window(NamedTuple):
    """How a kernel moves over an image; pairs are (height, width)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int = 1


def pair(op: str, name: str, value: Any, least: int) -> tuple[int, int]:
    """A number or a pair of numbers, each at least `least`, as a pair."""
    if type(value) is int and value >= least:
        return value, value
    values = (value, value) if isinstance(value, int) else tuple(value) if hasattr(value, "__iter__") else ()
    if len(values) != 2 or not all(_is_size(v, least) for v in values):
        raise ShapeError(message(op, f"{name} as an int or two ints, at least {least}", f"{name}={value!r}"))
    return values


def _is_size(value: Any, least: int) -> bool:
    return (type(value) is int or (isinstance(value, int) and not isinstance(value, bool))) and value >= least


def output_length(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """The number of places of a kernel along an axis of `size` pixels."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


class Conv2d(Function):
    def __init__(self, window: Window) -> None:
        self.window = window

    def forward(self, x: Any, w: Any, b: Any) -> Any:
        self.check(x, w, b)
        self.saved = (x, w)
        return self.backend.conv2d(x, w, b, *self.window)

    def backward(self, gy: Any) -> Any:
        x, w = self.saved
        return *self.input_grads(gy, x, w), (bias_grad(self, gy, 1) if self.wants(2) else None)

    def check(self, x: Any, w: Any, b: Any) -> None:
        """Raise ShapeError or DTypeError for operands that do not fit."""
        _check_conv(x, w, b, self.window, self.backend.device)

    def input_grads(self, gy: Any, x: Any, w: Any) -> tuple[Any, Any]:
        """(gx, gw), each None where it is not wanted."""
        gx = Conv2dInput(self.window, x.shape)(gy, w, None) if self.wants(0) else None
        return gx, (Conv2dWeight(self.window, w.shape)(gy, x) if self.wants(1) else None)


class Conv2dInput(Function):
    """The input gradient of a convolution, which is the transposed convolution (with its own bias)."""

    name = "conv_transpose2d"

    def __init__(self, window: Window, x_shape: tuple[int, ...]) -> None:
        self.window, self.x_shape = window, x_shape

    def forward(self, gy: Any, w: Any, b: Any) -> Any:
        self.saved = (gy, w)
        y = self.backend.conv2d_input(gy, w, self.x_shape, *self.window)
        if b is not None:
            y += b.reshape(1, -1, 1, 1)
        return y

    def backward(self, ggx: Any) -> Any:
        gy, w = self.saved
        ggy = Conv2d(self.window)(ggx, w, None)[..., : gy.shape[2], : gy.shape[3]] if self.wants(0) else None
        gw = Conv2dWeight(self.window, w.shape)(gy, ggx) if self.wants(1) else None
        return ggy, gw, (sum(ggx, (0, 2, 3)) if self.wants(2) else None)


class Conv2dWeight(Function):
    """The weight gradient of a convolution."""

    def __init__(self, window: Window, w_shape: tuple[int, ...]) -> None:
        self.window, self.w_shape = window, w_shape

    def forward(self, gy: Any, x: Any) -> Any:
        self.saved = (gy, x)
        return self.backend.conv2d_weight(gy, x, self.w_shape, *self.window)

    def backward(self, ggw: Any) -> Any:
        gy, x = self.saved
        ggy = Conv2d(self.window)(x, ggw, None)[..., : gy.shape[2], : gy.shape[3]] if self.wants(0) else None
        gx = Conv2dInput(self.window, x.shape)(gy, ggw, None) if self.wants(1) else None
        return ggy, gx


def _check_ranks(x: Any, w: Any, window: Window, on: str) -> None:
    if x.ndim != 4 or w.ndim != 4:
        given = got(on=on, x=x, weight=w, groups=window.groups)
        raise ShapeError(message("conv2d", "x (N, C, H, W) and weight (O, C // groups, KH, KW)", given))


def _check_conv(x: Any, w: Any, b: Any, window: Window, on: str) -> None:
    _check_ranks(x, w, window, on)

    def given() -> str:
        return got(on=on, x=x, weight=w, bias=b, groups=window.groups)

    if x.shape[1] != w.shape[1] * window.groups:
        hint = "the weight's second axis is the number of in-channels of one group"
        raise ShapeError(message("conv2d", "x.shape[1] == weight.shape[1] * groups", given(), hint))
    if w.shape[0] % window.groups or (b is not None and b.shape != w.shape[:1]):
        raise ShapeError(message("conv2d", "weight.shape[0] divisible by groups, bias (O,)", given()))
    same_dtype("conv2d", on, x=x, weight=w, bias=b)
    for axis in (0, 1):
        size, kernel = x.shape[2 + axis], w.shape[2 + axis]
        if (
            kernel == 0
            or output_length(size, kernel, window.stride[axis], window.padding[axis], window.dilation[axis]) < 1
        ):
            found = f"{given()}, padding={window.padding}, dilation={window.dilation}"
            hint = "use a larger input, more padding or a smaller kernel"
            raise ShapeError(message("conv2d", "a kernel that fits into the padded input", found, hint))


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation: x (N, C, H, W), weight (O, C // groups, KH, KW), bias (O,) or None -> (N, O, OH, OW).

    OH = (H + 2 * padding - dilation * (KH - 1) - 1) // stride + 1, and OW likewise. padding may be 'valid' (none) or
    'same' (OH == H, stride 1 only; an odd pixel goes behind). Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> conv2d(dc.ones(1, 1, 4, 4), dc.ones(2, 1, 3, 3), padding=1).shape
    (1, 2, 4, 4)
    """
    x, window = conv2d_window(x, weight, stride, padding, dilation, groups)
    return Conv2d(window)(x, weight, bias)


def conv2d_window(x: Any, weight: Any, stride: Pair, padding: Pair | str, dilation: Pair, groups: int) -> Any:
    """(x, window) from the arguments of conv2d; x is padded where 'same' asks for an odd pixel."""
    strides, dilations = pair("conv2d", "stride", stride, 1), pair("conv2d", "dilation", dilation, 1)
    if isinstance(padding, str):
        window = Window(strides, (0, 0), dilations, _groups(groups))
        _check_ranks(x, weight, window, x.device)
        x, padding = _named_padding(x, weight, padding, window)
    return x, Window(strides, pair("conv2d", "padding", padding, 0), dilations, _groups(groups))


def _groups(groups: int) -> int:
    if not isinstance(groups, int) or groups < 1:
        raise ShapeError(message("conv2d", "groups as an int of at least 1", f"groups={groups!r}"))
    return groups


def _named_padding(x: Any, weight: Any, padding: str, window: Window) -> tuple[Any, tuple[int, int]]:
    """'valid' and 'same' as numbers; an odd pixel of 'same' is padded on first."""
    if padding not in ("same", "valid"):
        raise ShapeError(message("conv2d", "padding as numbers, 'same' or 'valid'", f"padding={padding!r}"))
    if padding == "valid":
        return x, (0, 0)
    if window.stride != (1, 1):
        raise ShapeError(message("conv2d", "stride 1 with padding='same'", f"stride={window.stride}"))
    total = [window.dilation[i] * (weight.shape[2 + i] - 1) for i in (0, 1)]
    if total[0] % 2 or total[1] % 2:
        from deepcore.functions.pad import pad

        x = pad(x, (0, total[1] % 2, 0, total[0] % 2))
    return x, (total[0] // 2, total[1] // 2)


@cast_as_one
def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """Transposed convolution, the input gradient of conv2d.

    x (N, C, H, W), weight (C, O // groups, KH, KW), bias (O,) or None -> (N, O, OH, OW), where
    OH = (H - 1) * stride - 2 * padding + dilation * (KH - 1) + output_padding + 1, and OW likewise.
    Raises ShapeError and DTypeError.
    """
    op = "conv_transpose2d"
    window = Window(
        pair(op, "stride", stride, 1),
        pair(op, "padding", padding, 0),
        pair(op, "dilation", dilation, 1),
        _groups(groups),
    )
    extra = pair(op, "output_padding", output_padding, 0)

    def given() -> str:
        return got(x=x, weight=weight, bias=bias, groups=groups)

    if len(x.shape) != 4 or len(weight.shape) != 4 or x.shape[1] != weight.shape[0] or weight.shape[0] % groups:
        raise ShapeError(message(op, "x (N, C, H, W), weight (C, O // groups, KH, KW), C divisible by groups", given()))
    channels = weight.shape[1] * groups
    if bias is not None and bias.shape != (channels,):
        raise ShapeError(message(op, f"bias ({channels},)", given()))
    same_dtype(op, x=x, weight=weight, bias=bias)
    size = []
    for i in (0, 1):
        if extra[i] >= max(window.stride[i], window.dilation[i]):
            found = f"output_padding={extra}, stride={window.stride}, dilation={window.dilation}"
            raise ShapeError(message(op, "output_padding smaller than stride or dilation", found))
        reach = window.dilation[i] * (weight.shape[2 + i] - 1) + 1
        size.append((x.shape[2 + i] - 1) * window.stride[i] - 2 * window.padding[i] + reach + extra[i])
    if min(size) < 1:
        raise ShapeError(message(op, "an output of at least one pixel", f"{given()}, output size {tuple(size)}"))
    return Conv2dInput(window, (x.shape[0], channels, *size))(x, weight, bias)
