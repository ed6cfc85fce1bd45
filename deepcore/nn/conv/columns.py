"""Image patches as columns, and back."""

from __future__ import annotations

from typing import Any

from deepcore import functional as F
from deepcore.nn import args
from deepcore.nn.module import Module
from deepcore.tensor import Tensor


class _Columns(Module):
    """How the kernel moves over the image."""

    def __init__(self, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> None:
        super().__init__()
        owner = type(self).__name__
        self.kernel_size = args.pair(owner, "kernel_size", kernel_size)
        self.dilation = args.pair(owner, "dilation", dilation)
        self.padding = args.pair(owner, "padding", padding, minimum=0)
        self.stride = args.pair(owner, "stride", stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Unfold(_Columns):
    """Every patch as a column: x (N, C, H, W) -> (N, C * KH * KW, OH * OW); see `F.unfold`."""

    def __init__(
        self,
        kernel_size: int | args.Pair,
        dilation: int | args.Pair = 1,
        padding: int | args.Pair = 0,
        stride: int | args.Pair = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Columns):
    """Columns added back into images: x (N, C * KH * KW, OH * OW) -> (N, C, *output_size); see `F.fold`."""

    def __init__(
        self,
        output_size: int | args.Pair,
        kernel_size: int | args.Pair,
        dilation: int | args.Pair = 1,
        padding: int | args.Pair = 0,
        stride: int | args.Pair = 1,
    ) -> None:
        super().__init__(kernel_size, dilation, padding, stride)
        self.output_size = args.pair("Fold", "output_size", output_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.fold(x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}, {super().extra_repr()}"
