"""Convolution by tiles of im2col that stay in a core's cache, each multiplied by single-threaded BLAS.

Shapes: x (N, C, HP, WP) is padded already, w (G, O // G, C // G * KH * KW), a column matrix (C // G * KH * KW, T) holds
one column for each pixel of a tile. `geometry` is (KH, KW, sh, sw, dh, dw). Indices are unsigned where a loop must be
vectorised: Numba then leaves out the branch for negative ones.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel

u64 = np.uint64


@kernel()
def gather(cols, x, channel, row, rows, out_h, out_w, geometry):
    """Fill cols (K, rows * OW) with the pixels under output rows row, row + 1, ... of the batch, from `channel` on."""
    kh, kw, sh, sw, dh, dw = geometry
    _, channels, h, w = x.shape
    source = x.reshape(x.size)
    target = cols.reshape(cols.size)
    at = 0
    for k in range(cols.shape[0]):
        c, j, i = channel + k // (kh * kw), k // kw % kh, k % kw
        n, y = row // out_h, row % out_h
        for _ in range(rows):
            start = ((n * channels + c) * h + y * sh + j * dh) * w + i * dw
            if sw == 1:
                for q in range(out_w):
                    target[u64(at + q)] = source[u64(start + q)]
            else:
                for q in range(out_w):
                    target[u64(at + q)] = source[u64(start + q * sw)]
            at += out_w
            y += 1
            if y == out_h:
                n, y = n + 1, 0


@kernel()
def rows_to_tile(tile, image, channel, row):
    """Fill tile (channels, rows * OW) with output rows row, row + 1, ... of image (N, O, OH, OW), from `channel` on."""
    _, channels, h, w = image.shape
    source = image.reshape(image.size)
    target = tile.reshape(tile.size)
    at = 0
    for c in range(tile.shape[0]):
        for r in range(row, row + tile.shape[1] // w):
            start = ((r // h * channels + channel + c) * h + r % h) * w
            for q in range(w):
                target[u64(at + q)] = source[u64(start + q)]
            at += w


@kernel()
def tile_to_rows(image, tile, bias, relu, channel, row):
    """Write tile + bias (channels, rows * OW), `relu` of it, to output rows row, ... of image, from `channel` on."""
    _, channels, h, w = image.shape
    source = tile.reshape(tile.size)
    target = image.reshape(image.size)
    zero = source.dtype.type(0)
    at = 0
    for c in range(tile.shape[0]):
        b = bias[channel + c]
        for r in range(row, row + tile.shape[1] // w):
            start = ((r // h * channels + channel + c) * h + r % h) * w
            if relu:
                for q in range(w):
                    value = source[u64(at + q)] + b
                    target[u64(start + q)] = zero if value <= zero else value  # NaN stays
            else:
                for q in range(w):
                    target[u64(start + q)] = source[u64(at + q)] + b
            at += w


@kernel()
def scatter(x, cols, channel, image, images, out_h, out_w, geometry):
    """Add cols (K, images * OH * OW) to the pixels that they stand for, in images image, image + 1, ... of x."""
    kh, kw, sh, sw, dh, dw = geometry
    _, channels, h, w = x.shape
    source = cols.reshape(cols.size)
    target = x.reshape(x.size)
    at = 0
    for k in range(cols.shape[0]):
        c, j, i = channel + k // (kh * kw), k // kw % kh, k % kw
        for n in range(image, image + images):
            for y in range(out_h):
                start = ((n * channels + c) * h + y * sh + j * dh) * w + i * dw
                if sw == 1:
                    for q in range(out_w):
                        target[u64(start + q)] += source[u64(at + q)]
                else:
                    for q in range(out_w):
                        target[u64(start + q * sw)] += source[u64(at + q)]
                at += out_w


@kernel()
def forward(first, last, y, x, w, bias, relu, geometry, rows_per_tile):
    """Write tiles first..last of y (N, O, OH, OW), the convolution of x plus bias (O,), or the ReLU of that."""
    n, _, out_h, out_w = y.shape
    groups, o_group, k = w.shape
    c_group = x.shape[1] // groups
    for tile in range(first, last):
        row = tile * rows_per_tile
        rows = min(rows_per_tile, n * out_h - row)
        cols = np.empty((k, rows * out_w), x.dtype)
        product = np.empty((o_group, rows * out_w), x.dtype)
        for g in range(groups):
            gather(cols, x, g * c_group, row, rows, out_h, out_w, geometry)
            np.dot(w[g], cols, product)
            tile_to_rows(y, product, bias, relu, g * o_group, row)


@kernel()
def input_gradient(first, last, gx, gy, w_t, geometry, images_per_tile, channels_per_tile):
    """Add tiles first..last of the gradient to gx (N, C, HP, WP), zero at first; w_t is (G, K, O // G).

    A tile is a block of images and channels, so that no two tiles write to the same pixel.
    """
    n, c, _, _ = gx.shape
    _, _, out_h, out_w = gy.shape
    groups, k, o_group = w_t.shape
    c_group = c // groups
    taps = k // c_group
    blocks = (c_group + channels_per_tile - 1) // channels_per_tile
    for tile in range(first, last):
        block, g, image = tile % blocks, tile // blocks % groups, tile // blocks // groups * images_per_tile
        images = min(images_per_tile, n - image)
        channel = block * channels_per_tile
        channels = min(channels_per_tile, c_group - channel)
        part = np.empty((o_group, images * out_h * out_w), gy.dtype)
        rows_to_tile(part, gy, g * o_group, image * out_h)
        cols = np.empty((channels * taps, part.shape[1]), gy.dtype)
        np.dot(w_t[g, channel * taps : (channel + channels) * taps], part, cols)
        scatter(gx, cols, g * c_group + channel, image, images, out_h, out_w, geometry)


@kernel()
def weight_gradient(first, last, partial, gy, x, geometry, rows_per_tile):
    """Fill partial (S, G, O // G, K): element s is the gradient of w from share s of the batch's output rows."""
    shares, groups, o_group, k = partial.shape
    n, _, out_h, out_w = gy.shape
    c_group = x.shape[1] // groups
    total = n * out_h
    product = np.empty((o_group, k), x.dtype)
    flat = product.reshape(product.size)
    for share in range(first, last):
        end = total * (share + 1) // shares
        for row in range(total * share // shares, end, rows_per_tile):
            rows = min(rows_per_tile, end - row)
            cols = np.empty((k, rows * out_w), x.dtype)
            part = np.empty((o_group, rows * out_w), x.dtype)
            for g in range(groups):
                gather(cols, x, g * c_group, row, rows, out_h, out_w, geometry)
                rows_to_tile(part, gy, g * o_group, row)
                np.dot(part, cols.T, product)
                total_g = partial[share, g].reshape(product.size)
                for i in range(product.size):
                    total_g[i] += flat[i]


@kernel()
def im2col(first, last, cols, x, geometry):
    """Fill images first..last of cols (N, K, OH, OW) from x (N, C, HP, WP)."""
    _, k, out_h, out_w = cols.shape
    for n in range(first, last):
        gather(cols[n].reshape(k, out_h * out_w), x, 0, n * out_h, out_h, out_h, out_w, geometry)


@kernel()
def col2im(first, last, x, cols, geometry):
    """Add images first..last of cols (N, K, OH, OW) to x (N, C, HP, WP)."""
    _, k, out_h, out_w = cols.shape
    for n in range(first, last):
        scatter(x, cols[n].reshape(k, out_h * out_w), 0, n, 1, out_h, out_w, geometry)
