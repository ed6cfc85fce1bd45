"""grid_sample, with the semantics of the reference (backends/base/vision.py). A range is over images.

x (N, C, H, W), grid (N, OH, OW, 2). Codes: nearest; padding 0 zeros, 1 border, 2 reflection.
"""

from __future__ import annotations

import math

import numpy as np

from deepcore.kernels.cpu.compiler import kernel


@kernel()
def coordinate(u, size, padding, align_corners):
    """Return (pixel coordinate, its slope by u) of u in [-1, 1]; u and size in the grid's dtype, as all that follows.

    The float32 roundings are those of the reference, so that the nearest pixel is the same one.
    """
    one = type(u)(1)
    two = one + one
    half = one / two
    if align_corners:
        slope = (size - one) / two
        p = (u + one) * slope
    else:
        slope = size / two
        p = ((u + one) * size - one) / two
    if padding == 2:
        low, span = (one - one, size - one) if align_corners else (-half, size)
        if span == 0:
            return 0.0, 0.0
        if p < low:
            slope = -slope
        distance = abs(p - low)
        turns = np.floor(distance / span)
        rest = distance - turns * span
        if turns - two * np.floor(turns / two) == one:
            rest = span - rest
            slope = -slope
        p = rest + low
    if padding != 0 and (p <= 0 or p >= size - one):
        slope = one - one
        p = one - one if p <= 0 else size - one
    return (np.float64(p) if abs(p) < 2**30 else -100.0), np.float64(slope)


@kernel()
def taps(px, py, nearest):
    """Return (first row, first column, fraction of the next row, of the next column)."""
    if nearest:
        return int(np.rint(py)), int(np.rint(px)), 0.0, 0.0
    row, col = math.floor(py), math.floor(px)
    return int(row), int(col), py - row, px - col


@kernel()
def grid_sample(first, last, y, x, grid, nearest, padding, align_corners):
    """Write y (N, C, OH, OW)."""
    _, c_, h, w = x.shape
    _, _, out_h, out_w = y.shape
    height, width = grid.dtype.type(h), grid.dtype.type(w)
    for n in range(first, last):
        for oh in range(out_h):
            for ow in range(out_w):
                px, _ = coordinate(grid[n, oh, ow, 0], width, padding, align_corners)
                py, _ = coordinate(grid[n, oh, ow, 1], height, padding, align_corners)
                row, col, fy, fx = taps(px, py, nearest)
                for c in range(c_):
                    total = 0.0
                    for j in range(2):
                        for i in range(2):
                            if (nearest and i + j > 0) or not (0 <= row + j < h and 0 <= col + i < w):
                                continue
                            weight = (fy if j else 1 - fy) * (fx if i else 1 - fx)
                            total += x[n, c, row + j, col + i] * weight
                    y[n, c, oh, ow] = total


@kernel()
def grid_sample_grad(first, last, gx, ggrid, gy, x, grid, nearest, padding, align_corners):
    """Add to gx, zero at first, and write ggrid."""
    _, c_, h, w = x.shape
    _, _, out_h, out_w = gy.shape
    height, width = grid.dtype.type(h), grid.dtype.type(w)
    for n in range(first, last):
        for oh in range(out_h):
            for ow in range(out_w):
                px, slope_x = coordinate(grid[n, oh, ow, 0], width, padding, align_corners)
                py, slope_y = coordinate(grid[n, oh, ow, 1], height, padding, align_corners)
                row, col, fy, fx = taps(px, py, nearest)
                along_x = 0.0
                along_y = 0.0
                for c in range(c_):
                    g = np.float64(gy[n, c, oh, ow])
                    for j in range(2):
                        for i in range(2):
                            if (nearest and i + j > 0) or not (0 <= row + j < h and 0 <= col + i < w):
                                continue
                            wy, wx = (fy if j else 1 - fy), (fx if i else 1 - fx)
                            gx[n, c, row + j, col + i] += g * wy * wx
                            value = x[n, c, row + j, col + i] * g
                            along_x += value * wy * (1 if i else -1)
                            along_y += value * wx * (1 if j else -1)
                ggrid[n, oh, ow, 0] = 0 if nearest else along_x * slope_x
                ggrid[n, oh, ow, 1] = 0 if nearest else along_y * slope_y
