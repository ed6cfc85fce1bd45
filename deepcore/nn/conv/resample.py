"""Images made larger or smaller."""

from __future__ import annotations

from typing import Any

from deepcore import functional as F
from deepcore.errors import ConfigError
from deepcore.nn import args
from deepcore.nn.module import Module
from deepcore.tensor import Tensor


class Upsample(Module):
    """Resampling to a size or by a factor: x (N, C, ...) -> (N, C, ...); the arguments are those of `F.interpolate`.

    >>> import deepcore as dc
    >>> Upsample(scale_factor=2, mode="bilinear")(dc.zeros(1, 3, 4, 5)).shape
    (1, 3, 8, 10)
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ConfigError(
                f"Upsample: expected size or scale_factor; got size={size!r}, scale_factor={scale_factor!r}"
            )
        modes = ("nearest", "nearest-exact", "area", "linear", "bilinear", "bicubic", "trilinear")
        self.mode = args.choice("Upsample", "mode", mode, modes)
        self.size = size
        # as PyTorch stores and prints it
        several = isinstance(scale_factor, tuple | list)
        self.scale_factor = tuple(map(float, scale_factor)) if several else scale_factor and float(scale_factor)
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(
            x, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        by = f"size={self.size}" if self.scale_factor is None else f"scale_factor={self.scale_factor}"
        return f"{by}, mode={self.mode!r}"


class PixelShuffle(Module):
    """Channels become pixels: x (..., C * r * r, H, W) -> (..., C, H * r, W * r)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = args.integer("PixelShuffle", "upscale_factor", upscale_factor)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(x, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels become channels: x (..., C, H * r, W * r) -> (..., C * r * r, H, W)."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = args.integer("PixelUnshuffle", "downscale_factor", downscale_factor)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
