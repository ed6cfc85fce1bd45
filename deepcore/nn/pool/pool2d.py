"""Pooling of images."""

from __future__ import annotations

from typing import Any

from deepcore import functional as F
from deepcore.errors import ConfigError
from deepcore.nn import args
from deepcore.nn.args import Pair
from deepcore.nn.module import Module
from deepcore.tensor import Tensor


def _as_given(value: Any) -> Any:
    """Sizes are kept as the caller wrote them, because PyTorch prints them so."""
    return tuple(value) if isinstance(value, list) else value


class _Pool(Module):
    """The sizes that every window needs; stride defaults to kernel_size."""

    def __init__(self, kernel_size: Any, stride: Any, padding: Any) -> None:
        super().__init__()
        owner = type(self).__name__
        kernel = args.pair(owner, "kernel_size", kernel_size)
        pads = args.pair(owner, "padding", padding, minimum=0)
        if stride is not None:
            args.pair(owner, "stride", stride)
        if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
            raise ConfigError(f"{owner}: expected padding at most half of kernel_size {kernel}; got padding={padding}")
        self.kernel_size = _as_given(kernel_size)
        self.stride = self.kernel_size if stride is None else _as_given(stride)
        self.padding = _as_given(padding)


class MaxPool2d(_Pool):
    """The maximum of every window: x (N, C, H, W) -> (N, C, OH, OW), or with return_indices also its flat position.

    The border counts as minus infinity. ceil_mode also keeps windows that begin inside the image but do not fit.
    """

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        args.pair("MaxPool2d", "dilation", dilation)
        self.dilation = _as_given(dilation)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Any:
        return F.max_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool2d(_Pool):
    """The mean of every window; count_include_pad counts the zeros of the border, divisor_override replaces the count.

    >>> import deepcore as dc
    >>> AvgPool2d(2)(dc.ones(1, 1, 4, 4)).shape
    (1, 1, 2, 2)
    """

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        if divisor_override is not None:
            args.integer("AvgPool2d", "divisor_override", divisor_override)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
            divisor_override=self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The mean of windows chosen so that the output has ``output_size`` (OH, OW); None keeps a size of the input."""

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        sizes = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size, output_size)
        if len(sizes) != 2:
            raise ConfigError(f"AdaptiveAvgPool2d: expected output_size to be one size or two; got {output_size!r}")
        for size in sizes:
            if size is not None:
                args.integer("AdaptiveAvgPool2d", "output_size", size)
        self.output_size = _as_given(output_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
