"""Sampling an image at the points of a grid. One block column of the grid is one image; a thread reads all channels."""

from __future__ import annotations

import math

from numba import cuda, int32

from deepcore.kernels.cuda.compiler import device
from deepcore.kernels.cuda.declare import kernel

__all__ = ["BORDER", "REFLECTION", "ZEROS", "grid_sample"]

ZEROS, BORDER, REFLECTION = 0, 1, 2
FAR_OUTSIDE = 2**30  # what no int32 can hold lies outside of every image


@device
def _reflect(p, low, span):
    """Fold p into [low, low + span] as between two mirrors; NaN where p is not finite."""
    real = type(p)
    if span == real(0):
        return real(0)
    distance = abs(p - low)
    if not distance < real(math.inf):
        return real(math.nan)
    turns = real(math.floor(distance / span))
    rest = distance - turns * span
    half = turns * real(0.5)
    odd = half != real(math.floor(half))
    return (span - rest if odd else rest) + low


@device
def _coordinate(u, size, padding, align_corners):
    """Pixel coordinate of u in [-1, 1]; -100 for one that no integer can hold and for NaN."""
    real = type(u)
    length = real(size)
    if align_corners:
        p = (u + real(1)) * ((length - real(1)) * real(0.5))
    else:
        p = ((u + real(1)) * length - real(1)) * real(0.5)
    if padding == REFLECTION:
        p = _reflect(p, real(0), length - real(1)) if align_corners else _reflect(p, real(-0.5), length)
    if padding != ZEROS:
        if p < real(0):
            p = real(0)
        elif p > length - real(1):
            p = length - real(1)
    return p if abs(p) < real(FAR_OUTSIDE) else real(-100)


@device
def _nearest(p):
    """p rounded to an integer, halves to the even one."""
    real = type(p)
    below = int32(math.floor(p))
    rest = p - real(below)
    if rest > real(0.5) or (rest == real(0.5) and below & 1):
        below += 1
    return int32(below)


@device
def _read(x, image, row, col, h, w):
    """Pixel of an image, 0 outside."""
    if row >= 0 and row < h and col >= 0 and col < w:
        return x[image + row * w + col]
    return type(x[image])(0)


@kernel(
    "x: T*, grid: T*, y: T*, c: i32, h: i32, w: i32, points: i32, bilinear: i32, padding: i32, align_corners: i32",
    fma=False,
)
def grid_sample(x, grid, y, c, h, w, points, bilinear, padding, align_corners):
    """y (N, C, points) = x (N, C, H, W) at grid (N, points, 2), which holds (x, y).

    Not fused, so that a coordinate is the reference's to the bit: rounding to the nearest pixel is not continuous.
    """
    n = cuda.blockIdx.x
    point = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while point < points:
        place = 2 * (n * points + point)
        px = _coordinate(grid[place], w, padding, align_corners)
        py = _coordinate(grid[place + 1], h, padding, align_corners)
        real = type(px)
        if bilinear:
            col, row = int32(math.floor(px)), int32(math.floor(py))
            right, down = px - real(col), py - real(row)
        else:
            col, row = _nearest(px), _nearest(py)
            right, down = real(0), real(0)
        left, up = real(1) - right, real(1) - down
        for channel in range(c):
            image = (n * c + channel) * h * w
            value = _read(x, image, row, col, h, w) * (up * left)
            if bilinear:
                value += _read(x, image, row, col + 1, h, w) * (up * right)
                value += _read(x, image, row + 1, col, h, w) * (down * left)
                value += _read(x, image, row + 1, col + 1, h, w) * (down * right)
            y[(n * c + channel) * points + point] = value
        point += cuda.gridDim.y * cuda.blockDim.x
