"""Adaptive and p-norm pooling of sequences and volumes, and the undoing of maximum pooling there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepcore import functional as F
from deepcore.errors import ConfigError
from deepcore.nn import args
from deepcore.nn.module import Module
from deepcore.tensor import Tensor


class _Adaptive(Module):
    """Windows chosen so that the output has `output_size`."""

    _axes = 1

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        name = type(self).__name__
        sizes = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,) * self._axes
        if len(sizes) != self._axes:
            several = "one size" if self._axes == 1 else "one size or three"
            raise ConfigError(f"{name}: expected output_size to be {several}; got {output_size!r}")
        for size in sizes:
            if size is not None or self._axes == 1:
                args.integer(name, "output_size", size)
        self.output_size = tuple(output_size) if isinstance(output_size, list) else output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """The mean of `output_size` windows: x (N, C, T) -> (N, C, OT)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(x, self.output_size)


class AdaptiveAvgPool3d(_Adaptive):
    """The mean of windows: x (N, C, D, H, W) -> (N, C, OD, OH, OW); None keeps a size of the input."""

    _axes = 3

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(x, self.output_size)


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The maximum of `output_size` windows: x (N, C, T) -> (N, C, OT), with return_indices also the places."""

    def forward(self, x: Tensor) -> Any:
        return F.adaptive_max_pool1d(x, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMax):
    """The maximum of windows: x (N, C, D, H, W) -> (N, C, OD, OH, OW), with return_indices also the places."""

    _axes = 3

    def forward(self, x: Tensor) -> Any:
        return F.adaptive_max_pool3d(x, self.output_size, self.return_indices)


class _LPPool(Module):
    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """(sum of x ** norm_type over each window) ** (1 / norm_type): x (N, C, T) -> (N, C, OT)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.lp_pool1d(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPool):
    """(sum of x ** norm_type over each window) ** (1 / norm_type): x (N, C, D, H, W) -> (N, C, OD, OH, OW)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.lp_pool3d(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class _MaxUnpool(Module):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Maxima put back at their places: x and the indices of MaxPool1d(..., return_indices=True) -> (N, C, T)."""

    def forward(self, x: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return F.max_unpool1d(x, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpool):
    """Maxima put back at their places: x and the indices of MaxPool3d(..., return_indices=True) -> (N, C, D, H, W)."""

    def forward(self, x: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return F.max_unpool3d(x, indices, self.kernel_size, self.stride, self.padding, output_size)
