"""Convolution by im2col: tiles of columns that stay in a core's cache, each multiplied by kernels.cpu.gemm."""

from __future__ import annotations

import functools

import numpy as np

from deepcore.backends.cpu.conv_choice import Algorithm
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import ALL, pieces, team

PIXELS = 784
"""Pixels of a tile, about: as often is a packed weight used."""
LEAST_PIXELS = 192
"""Below so many the packing of the weights weighs more than a core that waits."""
DEPTH = 576
"""Pixels of a tile of a weight gradient, about."""
ENOUGH = 96
CHANNELS, TAPS = 512, 384
"""Output channels and rows of columns of a block of a weight gradient, at most."""
LEAST_BLOCKS = 8
"""Blocks of a weight gradient, at least: not one for each thread, so that these do not change the bits."""
BLOCK_BYTES = 1 << 20
"""Columns of a tile of an input gradient, about."""


def tile_rows(n: int, out_h: int, out_w: int, pixels: int) -> int:
    """Return how many output rows of the batch make a tile of about so many pixels: part of an image, or whole ones."""
    bands = pieces(out_h * out_w, pixels)
    if bands > 1:
        return pieces(out_h, min(out_h, bands))
    return out_h * pieces(n, pieces(n, max(1, pixels // (out_h * out_w))))


def tiles(n: int, out_h: int, rows: int) -> int:
    """Return how many tiles of so many rows the batch makes; none has parts of two images."""
    return n * pieces(out_h, rows) if rows < out_h else pieces(n * out_h, rows)


class Im2col(Algorithm):
    """Columns of pixels times weights; every pass of every shape, in float32 and float64."""

    name = "im2col"

    def fits(self, problem):
        return True

    def forward(self, problem, x, w, b, relu):
        """By tiles of output rows and blocks of output channels."""
        k = w[0].size
        y = np.empty((problem.n, problem.o, problem.out_h, problem.out_w), x.dtype)
        _multiply(problem, y, x, w, (problem.o // problem.groups * k, k, 1), b, relu, geometry(problem))
        return y

    def input_gradient(self, problem, gy, w):
        """By tiles of images and channels."""
        n, c, groups = problem.n, problem.c, problem.groups
        c_group, pixels, taps = c // groups, problem.out_h * problem.out_w, problem.kh * problem.kw
        gx = np.empty((n, c, problem.h, problem.w), gy.dtype)
        if taps == 1 and geometry(problem) == POINTWISE and gy.shape[2:] == gx.shape[2:]:
            strides = (problem.o // groups * c_group, 1, c_group)
            _multiply(problem, gx, gy, w, strides, None, False, POINTWISE)
            return gx
        images = tile_rows(n, problem.out_h, problem.out_w, PIXELS) // problem.out_h or 1
        channels = max(1, min(c_group, BLOCK_BYTES // (taps * images * pixels * gy.itemsize)))
        channels = pieces(c_group, pieces(c_group, channels))
        blocks = pieces(n, images) * groups * pieces(c_group, channels)
        arguments = w.reshape(-1), _bounds(gy.dtype)[1:], geometry(problem), groups, images, channels
        team.run(kernels.conv.input_gradient, blocks, ALL, gx, gy, *arguments)
        return gx

    def weight_gradient(self, problem, gy, x):
        """By blocks of output channels and taps; where these are few, several sums over parts of the batch."""
        groups, taps = problem.groups, problem.c // problem.groups * problem.kh * problem.kw
        down, across = pieces(problem.o // groups, CHANNELS), pieces(taps, TAPS)
        one = geometry(problem) == POINTWISE and problem.out_h * problem.out_w >= ENOUGH  # nothing need be copied
        rows = tile_rows(1 if one else problem.n, problem.out_h, problem.out_w, DEPTH)
        shares = min(pieces(LEAST_BLOCKS, down * across * groups), tiles(problem.n, problem.out_h, rows))
        partial = np.empty((shares, groups, problem.o // groups, taps), gy.dtype)
        arguments = _bounds(gy.dtype)[1:], geometry(problem), rows, (down, across)
        team.run(kernels.conv.weight_gradient, partial[..., 0, 0].size * down * across, ALL, partial, gy, x, *arguments)
        gw = partial[0] if shares == 1 else partial.sum(axis=0)
        return gw.reshape(problem.o, problem.c // groups, problem.kh, problem.kw)


def _multiply(problem, y, x, w, strides, b, relu, window) -> None:
    """Write the convolution of x, as a window of this geometry sees it, with weights of these strides to y."""
    n, o, out_h, out_w = y.shape
    groups, threads = problem.groups, team.size
    rows = tile_rows(n, out_h, out_w, PIXELS)
    if tiles(n, out_h, rows) * groups < threads:
        rows = tile_rows(n, out_h, out_w, max(LEAST_PIXELS, n * out_h * out_w * groups // threads))
    parts = tiles(n, out_h, rows) * groups
    blocks = min(pieces(threads, parts), pieces(o // groups, kernels.gemm.ROWS))
    width = kernels.gemm.COLUMNS_BYTES // y.itemsize
    bias = _nothing(y.dtype, o) if b is None else np.repeat(b, width).reshape(o, width)
    low = _bounds(y.dtype)[0 if relu else 1 :][:2]
    plan = (*strides, groups, rows, blocks)
    team.run(kernels.conv.forward, parts * blocks, ALL, y, x, w.reshape(-1), bias, low, window, plan)


@functools.lru_cache(16)
def _bounds(dtype):
    """Return [0, -inf, -inf]."""
    return np.array([0, -np.inf, -np.inf], dtype)


@functools.lru_cache(64)
def _nothing(dtype, o: int):
    """Return what a convolution without a bias starts from."""
    return np.zeros((o, kernels.gemm.COLUMNS_BYTES // dtype.itemsize), dtype)


POINTWISE = (1, 1, 1, 1, 0, 0, 1, 1)
"""The geometry of a 1 x 1 kernel without padding."""


def geometry(problem):
    """Return (KH, KW, sh, sw, ph, pw, dh, dw)."""
    return (problem.kh, problem.kw, *problem.stride, *problem.padding, *problem.dilation)
