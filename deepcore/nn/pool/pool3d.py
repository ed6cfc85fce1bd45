"""Pooling of volumes."""

from __future__ import annotations

from typing import Any

from deepcore import functional as F
from deepcore.errors import ConfigError
from deepcore.nn import args
from deepcore.nn.module import Module
from deepcore.nn.pool.pool2d import _as_given
from deepcore.tensor import Tensor

Triple = tuple[int, int, int]


def _triple(owner: str, name: str, value: Any, minimum: int = 1) -> Triple:
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * 3
    if len(values) != 3:
        raise ConfigError(f"{owner}: expected {name} to be one integer or three; got {value!r}")
    d, h, w = (args.integer(owner, name, v, minimum) for v in values)
    return d, h, w


class _Pool3d(Module):
    """The sizes that every window needs; stride defaults to kernel_size."""

    def __init__(self, kernel_size: Any, stride: Any, padding: Any) -> None:
        super().__init__()
        owner = type(self).__name__
        kernel = _triple(owner, "kernel_size", kernel_size)
        pads = _triple(owner, "padding", padding, 0)
        if stride is not None:
            _triple(owner, "stride", stride)
        if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
            raise ConfigError(f"{owner}: expected padding at most half of kernel_size {kernel}; got padding={padding}")
        self.kernel_size = _as_given(kernel_size)
        self.stride = self.kernel_size if stride is None else _as_given(stride)
        self.padding = _as_given(padding)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool3d(_Pool3d):
    """The maximum of every window: x (N, C, D, H, W) -> (N, C, OD, OH, OW), or with return_indices also its place."""

    def __init__(
        self,
        kernel_size: int | Triple,
        stride: int | Triple | None = None,
        padding: int | Triple = 0,
        dilation: int | Triple = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        _triple("MaxPool3d", "dilation", dilation)
        self.dilation = _as_given(dilation)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Any:
        sizes = (self.kernel_size, self.stride, self.padding, self.dilation)
        return F.max_pool3d(x, *sizes, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class AvgPool3d(_Pool3d):
    """The mean of every window; count_include_pad counts the zeros of the border, divisor_override replaces the count.

    >>> import deepcore as dc
    >>> AvgPool3d(2)(dc.ones(1, 1, 4, 4, 6)).shape
    (1, 1, 2, 2, 3)
    """

    def __init__(
        self,
        kernel_size: int | Triple,
        stride: int | Triple | None = None,
        padding: int | Triple = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        if divisor_override is not None:
            args.integer("AvgPool3d", "divisor_override", divisor_override)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        sizes = (self.kernel_size, self.stride, self.padding)
        return F.avg_pool3d(x, *sizes, self.ceil_mode, self.count_include_pad, self.divisor_override)
