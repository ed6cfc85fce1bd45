"""Winograd's algorithm for 3 x 3 convolutions on device "cpu"; see kernels.cpu.winograd."""

from __future__ import annotations

import numpy as np

from deepcore.backends.cpu.conv_choice import FORWARD, Algorithm
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import ALL, pieces, team

BLOCK_BYTES = 700 << 10  # the transformed tiles of a block, of a second cache of 1 MiB
# A block reads all weights from the third cache or from memory. Where they are large and the tiles few, it is better to
# transform all tiles first, and then to take one panel of the weights at a time into the second cache.
LARGE_WEIGHTS, FEW_TILES = 128 * 128, 512
DEPTH = 128  # channels of a panel's weights that fit into the second cache
LEAST_SHARES = 4  # of the images, when all tiles are transformed first
FILTER_COST = 20  # elementary operations to transform one filter


class Winograd(Algorithm):
    """F(4 x 4, 3 x 3) for kernels of 3 x 3 with stride and dilation 1, in float32: forward and input gradient.

    Of standard normal x and w, the root mean square of the rounding errors is 4 epsilons of y's with 16 channels and 17
    with 512, about twice that of a direct sum in one chain of float32.

    An infinite number or a NaN spreads: all pixels of the 4 x 4 tiles that it is under become NaN.
    """

    name = "winograd"

    def fits(self, problem):
        """Whether it is a plain 3 x 3 convolution, and so is its gradient: padding of at most 2."""
        window = (problem.dtype, problem.kh, problem.kw, problem.stride, problem.dilation, problem.groups)
        ph, pw = problem.padding
        whole = (problem.out_h, problem.out_w) == (problem.h + 2 * ph - 2, problem.w + 2 * pw - 2)
        possible = problem.run == FORWARD or max(ph, pw) <= 2
        return window == ("float32", 3, 3, (1, 1), (1, 1), 1) and whole and possible

    def pays(self, problem):
        """Whether there are enough channels for the transforms to pay: then even for images smaller than a tile."""
        return min(problem.c, problem.o) >= kernels.winograd.LANES

    def forward(self, problem, x, w, b, relu):
        """Cross-correlate, with bias and ReLU in the last transform."""
        return _convolve(x, w, b, relu, problem.o, problem.padding, turned=False)

    def input_gradient(self, problem, gy, w):
        """Cross-correlate gy with the weights turned by half a turn, outputs and channels exchanged."""
        padding = (2 - problem.padding[0], 2 - problem.padding[1])
        return _convolve(gy, w, None, False, problem.c, padding, turned=True)


def _convolve(x, w, b, relu, outputs, padding, turned):
    """Return x (N, C, H, W) convolved to (N, outputs, OH, OW); `turned`: w is (C, outputs, 3, 3), for a gradient."""
    kernel = kernels.winograd
    n, channels, h, width = x.shape
    y = np.empty((n, outputs, h + 2 * padding[0] - 2, width + 2 * padding[1] - 2), x.dtype)
    down, across = pieces(y.shape[2], kernel.M), pieces(y.shape[3], kernel.M)
    vectors, chunks, tiles = pieces(outputs, kernel.LANES), pieces(channels, kernel.LANES), n * down * across
    panels = pieces(vectors, kernel.WIDE)
    bias = np.zeros(vectors * kernel.LANES, x.dtype)
    if b is not None:
        bias[:outputs] = b
    bound = np.array([0 if relu else -np.inf], x.dtype)
    if channels * outputs >= LARGE_WEIGHTS and tiles <= FEW_TILES:
        groups, group = pieces(tiles, kernel.GROUP), chunks * kernel.GROUP * kernel.LANES
        v = _lines(kernel.POINTS, groups * group)
        rows = pieces(n, LEAST_SHARES) * down
        team.run(kernel.all_tiles, pieces(n * down, rows) * chunks, ALL, v, x, *y.shape[2:], padding, rows)
        team.run(kernel.by_panels, panels, ALL, y, v, w, bias, bound, channels, turned, DEPTH)
    else:
        u = _lines(kernel.POINTS * panels, channels * kernel.WIDE * kernel.LANES)
        cost = FILTER_COST * kernel.LANES * channels
        team.run(kernel.weights, vectors, cost, u, w, outputs, channels, turned)
        rows = _block_rows(n * down, down, across, (chunks + min(vectors, kernel.WIDE)) * kernel.LANES)
        team.run(kernel.by_blocks, pieces(n * down, rows), ALL, y, x, u, bias, bound, padding, rows)
    return y


def _lines(count, size):
    """Return `count` times `size` uninitialised numbers, and what `spread` adds to each; aligned."""
    line = kernels.winograd_layout.LINE
    buffer = np.empty(count * (size + 3 * line) + line, np.float32)
    return buffer[-buffer.ctypes.data // 4 % line :]


def _block_rows(total, down, across, channels):
    """Return how many rows of tiles make a block: whole images, where one fits; `channels` are those of v and m."""
    kernel = kernels.winograd
    tiles = max(kernel.GROUP, BLOCK_BYTES // (kernel.POINTS * 4 * channels))
    rows = tiles // (down * across) * down or max(1, tiles // across)
    return max(1, min(rows, pieces(total, team.size)))
