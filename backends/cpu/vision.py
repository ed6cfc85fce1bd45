"""Sampling of images on device "cpu"."""

from __future__ import annotations

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import team

PADDING = {"zeros": 0, "border": 1, "reflection": 2}


class CpuVision(Backend):
    """The sampling of CpuBackend."""

    @override()
    def grid_sample(self, x, grid, mode, padding_mode, align_corners):
        """Return x at the grid's points; see Vision.grid_sample."""
        n, c = x.shape[:2]
        y = np.empty((n, c, *grid.shape[1:3]), x.dtype)
        team.run(
            kernels.vision.grid_sample,
            n,
            4 * y[0].size + 20 * grid[0].size,
            y,
            x,
            grid,
            *_codes(mode, padding_mode, align_corners),
        )
        return y

    @override()
    def grid_sample_grad(self, gy, x, grid, mode, padding_mode, align_corners):
        """Return (gx, ggrid); see Vision.grid_sample_grad."""
        gx, ggrid = np.zeros_like(x), np.empty_like(grid)
        team.run(
            kernels.vision.grid_sample_grad,
            x.shape[0],
            8 * gy[0].size + 20 * grid[0].size,
            gx,
            ggrid,
            gy,
            x,
            grid,
            *_codes(mode, padding_mode, align_corners),
        )
        return gx, ggrid


def _codes(mode: str, padding_mode: str, align_corners: bool) -> tuple[bool, int, bool]:
    return mode == "nearest", PADDING[padding_mode], bool(align_corners)
