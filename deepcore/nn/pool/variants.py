"""Pooling in one dimension, adaptive maxima, p-norms, and unpooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepcore import functional as F
from deepcore.errors import ConfigError
from deepcore.nn import args
from deepcore.nn.args import Pair
from deepcore.nn.module import Module
from deepcore.nn.pool.pool2d import _as_given, _Pool
from deepcore.tensor import Tensor


def _one(owner: str, name: str, value: Any, minimum: int = 1) -> int:
    (size,) = value if isinstance(value, tuple | list) and len(value) == 1 else (value,)
    return args.integer(owner, name, size, minimum)


class _Pool1d(Module):
    """The sizes that every window over a row needs; stride defaults to kernel_size."""

    def __init__(self, kernel_size: Any, stride: Any, padding: Any) -> None:
        super().__init__()
        owner = type(self).__name__
        self.kernel_size = _one(owner, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else _one(owner, "stride", stride)
        self.padding = _one(owner, "padding", padding, 0)
        if 2 * self.padding > self.kernel_size:
            found = f"kernel_size={kernel_size}, padding={padding}"
            raise ConfigError(f"{owner}: expected padding at most half of kernel_size; got {found}")


class MaxPool1d(_Pool1d):
    """The maximum of every window: x (N, C, T) -> (N, C, OT), or with return_indices also its place."""

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        dilation: int | tuple[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.dilation = _one("MaxPool1d", "dilation", dilation)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Any:
        sizes = (self.kernel_size, self.stride, self.padding, self.dilation)
        return F.max_pool1d(x, *sizes, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool1d(_Pool1d):
    """The mean of every window: x (N, C, T) -> (N, C, OT); count_include_pad counts the zeros of the border."""

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        sizes = (self.kernel_size, self.stride, self.padding)
        return F.avg_pool1d(x, *sizes, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size=({self.kernel_size},), stride=({self.stride},), padding=({self.padding},)"


class AdaptiveMaxPool2d(Module):
    """The maximum of windows chosen so that the output has ``output_size`` (OH, OW); None keeps a size of the input.

    ``AdaptiveMaxPool2d(1)`` is global max pooling, ``AdaptiveAvgPool2d(1)`` global average pooling (Lin et al. 2014).
    With return_indices also the places, h * W + w.

    >>> import deepcore as dc
    >>> AdaptiveMaxPool2d((1, 3))(dc.ones(2, 4, 7, 5)).shape
    (2, 4, 1, 3)
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None, return_indices: bool = False) -> None:
        super().__init__()
        sizes = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size, output_size)
        if len(sizes) != 2:
            raise ConfigError(f"AdaptiveMaxPool2d: expected output_size to be one size or two; got {output_size!r}")
        for size in sizes:
            if size is not None:
                args.integer("AdaptiveMaxPool2d", "output_size", size)
        self.output_size = _as_given(output_size)
        self.return_indices = return_indices

    def forward(self, x: Tensor) -> Any:
        return F.adaptive_max_pool2d(x, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class LPPool2d(Module):
    """(sum of x ** norm_type over each window) ** (1 / norm_type): x (N, C, H, W) -> (N, C, OH, OW)."""

    def __init__(
        self, norm_type: float, kernel_size: int | Pair, stride: int | Pair | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        args.pair("LPPool2d", "kernel_size", kernel_size)
        if stride is not None:
            args.pair("LPPool2d", "stride", stride)
        self.norm_type = norm_type
        self.kernel_size = _as_given(kernel_size)
        self.stride = _as_given(stride)
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        return F.lp_pool2d(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxUnpool2d(_Pool):
    """Maxima put back at their places: x and the indices of MaxPool2d(..., return_indices=True) -> (N, C, H, W)."""

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        super().__init__(kernel_size, stride, padding)

    def forward(self, x: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return F.max_unpool2d(x, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
