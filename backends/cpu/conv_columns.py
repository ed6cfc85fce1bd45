"""Convolution by im2col: tiles of columns that stay in a core's cache, one single-threaded product of BLAS for each."""

from __future__ import annotations

import numpy as np

from deepcore.backends.cpu.conv_choice import Algorithm
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import ALL, pieces, team

# one convolution tile: OpenBLAS multiplies fewer than 10**6 numbers without packing them first; below MIN_COLUMNS the
# call itself and above MAX_COLUMNS the cache weighs more
PRODUCT = 10**6
MIN_COLUMNS, MAX_COLUMNS = 384, 4096
BLOCK_BYTES = 2 << 20
# How many parts a sum over the batch has, and at least how many tiles a result: not one for each thread, so that the
# number of threads does not change the bits. More of them where the partial sums, of so many weights, are small.
LEAST_SHARES, MOST_SHARES, SHARED_WEIGHTS = 4, 16, 1 << 18


def columns(multiplications: int) -> int:
    """Return how many pixels a tile should have when each takes this many multiplications."""
    return max(MIN_COLUMNS, min(MAX_COLUMNS, PRODUCT // multiplications))


def padded(x, padding):
    """Return x (N, C, H, W) with zeros around every image; x itself without padding."""
    ph, pw = padding
    if not (ph or pw):
        return x
    n, c, h, w = x.shape
    image = np.empty((n, c, h + 2 * ph, w + 2 * pw), x.dtype)
    image[:, :, :ph] = image[:, :, ph + h :] = 0
    image[:, :, :, :pw] = image[:, :, :, pw + w :] = 0
    image[:, :, ph : ph + h, pw : pw + w] = x
    return image


def unpadded(image, padding, h, w):
    """Return the (N, C, h, w) inside of a padded image, C-contiguous."""
    ph, pw = padding
    return np.ascontiguousarray(image[:, :, ph : ph + h, pw : pw + w])


class Im2col(Algorithm):
    """Columns of pixels times weights; every pass of every shape, in float32 and float64."""

    name = "im2col"

    def fits(self, problem):
        return True

    def forward(self, problem, x, w, b, relu):
        """By tiles of output rows."""
        n, o, out_h, out_w, groups = problem.n, problem.o, problem.out_h, problem.out_w, problem.groups
        y = np.empty((n, o, out_h, out_w), x.dtype)
        weights = w.reshape(groups, o // groups, w[0].size)
        per_tile = _rows_per_tile(weights, n * out_h, out_w)
        bias = np.zeros(o, x.dtype) if b is None else b
        image, shape = padded(x, problem.padding), geometry(problem)
        with kernels.blas.one_thread:
            tiles = pieces(n * out_h, per_tile)
            team.run(kernels.conv.forward, tiles, ALL, y, image, weights, bias, relu, shape, per_tile)
        return y

    def input_gradient(self, problem, gy, w):
        """By tiles of images and channels."""
        n, c, o, groups, (ph, pw) = problem.n, problem.c, problem.o, problem.groups, problem.padding
        c_group, pixels, taps = c // groups, problem.out_h * problem.out_w, problem.kh * problem.kw
        image = np.zeros((n, c, problem.h + 2 * ph, problem.w + 2 * pw), gy.dtype)
        weights = np.ascontiguousarray(w.reshape(groups, o // groups, w[0].size).swapaxes(1, 2))
        channels = max(1, min(c_group, BLOCK_BYTES // (taps * pixels * gy.itemsize)))
        images = max(1, min(pieces(n, LEAST_SHARES), columns(weights[0].size) // pixels)) if channels == c_group else 1
        tiles = pieces(n, images) * groups * pieces(c_group, channels)
        with kernels.blas.one_thread:
            arguments = image, gy, weights, geometry(problem), images, channels
            team.run(kernels.conv.input_gradient, tiles, ALL, *arguments)
        return unpadded(image, problem.padding, problem.h, problem.w)

    def weight_gradient(self, problem, gy, x):
        """By tiles of output rows, one partial sum for each thread."""
        groups, total = problem.groups, problem.n * problem.out_h
        c_group, taps = problem.c // groups, problem.kh * problem.kw
        weights = problem.o * c_group * taps
        shares = min(max(LEAST_SHARES, min(MOST_SHARES, SHARED_WEIGHTS // weights)), total)
        partial = np.zeros((shares, groups, problem.o // groups, c_group * taps), gy.dtype)
        per_tile = _rows_per_tile(partial[0], total, problem.out_w)
        image, shape = padded(x, problem.padding), geometry(problem)
        with kernels.blas.one_thread:
            team.run(kernels.conv.weight_gradient, shares, ALL, partial, gy, image, shape, per_tile)
        return partial.sum(axis=0).reshape(problem.o, c_group, problem.kh, problem.kw)


def geometry(problem):
    """Return (KH, KW, sh, sw, dh, dw)."""
    return (problem.kh, problem.kw, *problem.stride, *problem.dilation)


def _rows_per_tile(weights, total: int, out_w: int) -> int:
    """Return how many output rows make a tile for weights (G, O // G, K)."""
    return max(1, min(columns(weights[0].size) // out_w, pieces(total, LEAST_SHARES)))
