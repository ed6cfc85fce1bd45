"""Max, average and adaptive average pooling in two dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.variable import wrap
from deepcore.errors import ShapeError, got, message
from deepcore.functions.conv.conv2d import Pair, output_length, pair
from deepcore.functions.linalg.products import matmul, same_dtype
from deepcore.functions.reduce import mean
from deepcore.functions.shape import reshape, transpose

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "max_pool2d",
]


def _pooled_length(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """The number of windows along an axis; with ceil_mode the last may hang over, but starts inside (PyTorch)."""
    if not ceil_mode:
        return output_length(size, kernel, stride, padding, dilation)
    count = -(-(size + 2 * padding - dilation * (kernel - 1) - 1) // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


class Windows:
    """The checked arguments of a pooling."""

    def __init__(self, op: str, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair, ceil_mode: bool):
        self.op = op
        self.kernel_size = pair(op, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(op, "stride", stride, 1)
        self.padding = pair(op, "padding", padding, 0)
        self.dilation = pair(op, "dilation", dilation, 1)
        self.ceil_mode = ceil_mode
        if any(p > k // 2 for p, k in zip(self.padding, self.kernel_size, strict=True)):
            found = f"padding={self.padding}, kernel_size={self.kernel_size}"
            raise ShapeError(message(op, "padding of at most half the kernel", found))

    def output_size(self, x: Any, on: str) -> tuple[int, int]:
        if x.ndim != 4:
            raise ShapeError(message(self.op, "x (N, C, H, W)", got(on=on, x=x)))
        if 0 in x.shape[1:]:
            raise ShapeError(message(self.op, "at least one channel and one pixel", got(on=on, x=x)))
        sizes = zip(x.shape[2:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        out = tuple(_pooled_length(*args, self.ceil_mode) for args in sizes)
        if min(out) < 1:
            found = got(on=on, x=x, kernel_size=self.kernel_size, padding=self.padding, dilation=self.dilation)
            raise ShapeError(message(self.op, "a window that fits into the padded input", found))
        return out  # type: ignore[return-value]


class MaxPool2d(Function):
    intermediates = ("indices",)

    def __init__(self, windows: Windows) -> None:
        self.windows = windows

    def forward(self, x: Any) -> Any:
        w = self.windows
        size = w.output_size(x, self.backend.device)
        self.x_shape = x.shape
        y, self.indices = self.backend.max_pool2d(x, w.kernel_size, w.stride, w.padding, w.dilation, size)
        return y, self.indices

    def backward(self, gy: Any, _: Any = None) -> Any:
        return MaxPool2dGrad(self.windows, self.indices, self.x_shape)(gy)


class MaxPool2dOnly(Function):
    """The maxima alone; the places are kept in a form of the backend's own."""

    name = "max_pool2d"
    intermediates = ("marks",)

    def __init__(self, windows: Windows) -> None:
        self.windows = windows

    def forward(self, x: Any) -> Any:
        w = self.windows
        self.size = w.output_size(x, self.backend.device)
        self.x_shape = x.shape
        y, self.marks = self.backend.max_pool2d_marked(x, w.kernel_size, w.stride, w.padding, w.dilation, self.size)
        return y

    def backward(self, gy: Any) -> Any:
        if not hasattr(gy, "backend"):
            return MaxPool2dGrad(self.windows, self.marks, self.x_shape)(gy)
        indices = self.backend.max_pool2d_places(self.marks, self.x_shape, self.size)
        return MaxPool2dGrad(self.windows, indices, self.x_shape)(gy)


class MaxPool2dGrad(Function):
    """Every gradient to the place of its maximum; linear in gy."""

    intermediates = ("indices",)

    def __init__(self, windows: Windows, indices: Any, x_shape: tuple[int, ...]) -> None:
        self.windows, self.indices, self.x_shape = windows, indices, x_shape

    def forward(self, gy: Any) -> Any:
        w = self.windows
        return self.backend.max_pool2d_grad(
            gy, self.indices, self.x_shape, w.kernel_size, w.stride, w.padding, w.dilation
        )

    def backward(self, ggx: Any) -> Any:
        return MaxPool2dSelect(self.windows, self.indices, self.x_shape)(ggx)


class MaxPool2dSelect(Function):
    """The values at the places of the maxima; linear."""

    intermediates = ("indices",)

    def __init__(self, windows: Windows, indices: Any, x_shape: tuple[int, ...]) -> None:
        self.windows, self.indices, self.x_shape = windows, indices, x_shape

    def forward(self, x: Any) -> Any:
        n, c, h, w = self.x_shape
        xp = self.backend.xp
        places = self.indices.reshape(n, c, -1)
        found = xp.take_along_axis(x.reshape(n, c, h * w), xp.maximum(places, 0), axis=2)
        return xp.where(places < 0, 0, found).reshape(self.indices.shape)

    def backward(self, gy: Any) -> Any:
        return MaxPool2dGrad(self.windows, self.indices, self.x_shape)(gy)


class AvgPool2d(Function):
    def __init__(self, windows: Windows, count_include_pad: bool, divisor_override: int | None) -> None:
        self.windows, self.divisor = windows, (count_include_pad, divisor_override)

    def forward(self, x: Any) -> Any:
        w = self.windows
        size = w.output_size(x, self.backend.device)
        same_dtype("avg_pool2d", self.backend.device, x=x)
        self.x_shape = x.shape
        return self.backend.avg_pool2d(x, w.kernel_size, w.stride, w.padding, size, *self.divisor)

    def backward(self, gy: Any) -> Any:
        return AvgPool2dGrad(self.windows, self.divisor, self.x_shape)(gy)


class AvgPool2dGrad(Function):
    """Every gradient spread evenly over its window; linear in gy."""

    def __init__(self, windows: Windows, divisor: tuple[bool, int | None], x_shape: tuple[int, ...]) -> None:
        self.windows, self.divisor, self.x_shape = windows, divisor, x_shape

    def forward(self, gy: Any) -> Any:
        w = self.windows
        return self.backend.avg_pool2d_grad(gy, self.x_shape, w.kernel_size, w.stride, w.padding, *self.divisor)

    def backward(self, ggx: Any) -> Any:
        return AvgPool2d(self.windows, *self.divisor)(ggx)


def max_pool2d(
    x: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window: x (N, C, H, W) -> (N, C, OH, OW); stride None means kernel_size.

    The first of equal maxima wins and NaN beats all. With return_indices also the places, int64, as h * W + w.
    Raises ShapeError.
    """
    windows = Windows("max_pool2d", kernel_size, stride, padding, dilation, ceil_mode)
    return MaxPool2d(windows)(x) if return_indices else MaxPool2dOnly(windows)(x)


def avg_pool2d(
    x: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window: x (N, C, H, W) -> (N, C, OH, OW); stride None means kernel_size.

    count_include_pad: padding counts in the divisor. divisor_override: divide by this number instead.
    Raises ShapeError and DTypeError.
    """
    if divisor_override is not None and divisor_override == 0:
        raise ShapeError(message("avg_pool2d", "divisor_override other than 0", "divisor_override=0"))
    windows = Windows("avg_pool2d", kernel_size, stride, padding, 1, ceil_mode)
    return AvgPool2d(windows, count_include_pad, divisor_override)(x)


def adaptive_avg_pool2d(x: Tensor, output_size: int | tuple[int | None, int | None]) -> Tensor:
    """Means over output_size windows that cover the image: x (N, C, H, W) -> (N, C, OH, OW); None keeps an axis.

    output_size=1 is global average pooling (Lin et al. 2014). Window i spans floor(i * H / OH) ..
    ceil((i + 1) * H / OH). More than one window is two matrix products, A x B^T, with rows of A and B that average one
    window each, and so differentiable to any order.
    """
    op = "adaptive_avg_pool2d"
    if len(x.shape) != 4 or 0 in x.shape[2:]:
        raise ShapeError(message(op, "x (N, C, H, W) with at least one pixel", got(x=x)))
    same_dtype(op, x=x)
    wanted = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    if len(wanted) != 2:
        raise ShapeError(message(op, "output_size as an int or two", f"output_size={output_size!r}"))
    size = pair(op, "output_size", tuple(h if n is None else n for n, h in zip(wanted, x.shape[2:], strict=True)), 1)
    if size == (1, 1) and x.dtype.itemsize >= 4:  # sums of float16 might overflow
        n, c, h, w = x.shape
        return reshape(mean(reshape(x, (n, c, h * w)), 2), (n, c, 1, 1))
    a, b = (_averaging(n, out, x) for n, out in zip(x.shape[2:], size, strict=True))
    return matmul(matmul(a, x), transpose(b, 0, 1))


def _averaging(size: int, out: int, x: Any) -> Any:
    """A constant (out, size) matrix whose row i averages window i, made on the device and in the dtype of x."""
    xp = x.backend.xp
    windows = xp.arange(out).reshape(out, 1)
    starts, stops = windows * size // out, ((windows + 1) * size + out - 1) // out
    pixels = xp.arange(size)
    rows = ((pixels >= starts) & (pixels < stops)) / (stops - starts)
    return wrap(rows.astype(x.dtype), x.backend)
