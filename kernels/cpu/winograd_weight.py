"""The gradient of 3 x 3 filters by Winograd's F(4 x 4, 3 x 3): a quarter of the multiplications of a direct sum.

For every 4 x 4 tile of gy and the 6 x 6 pixels of x that it came from,

    S += (A gy A^T) * (B^T x B),    at last    gw = G^T S G,

all three for each pair of an output and an input channel; the sum over tiles is 36 matrix products. Channels lie in
the lanes of vectors. S should stay in the core's second cache:

by_steps    where all of S does: transforms a few tiles, adds them to S, and so on
by_blocks   for a block of output channels and one of input channels, multiplies what `tiles` has transformed before

Shapes: x (N, C, H, W), gy (N, O, OH, OW), gw (O, C, 3, 3); stride 1, any padding, float32. Transformed tiles are flat
[vector of channels][point][tile][lane], S is [point][output channel][input channel].
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.vector import REGISTERS, vectorised
from deepcore.kernels.cpu.winograd_layout import LANES, aligned, clear, fill, new_strip, places, spread, up
from deepcore.kernels.cpu.winograd_transform import F4, both, transposed

M, N = F4.m, F4.n
POINTS = N * N
# A register tile is HIGH output channels x WIDE vectors of input channels, or for the rest LANES x 1: as many sums as
# the pipeline of multiply-adds needs.
BLOCK = 64  # channels of gy, and of x, in a block: its 36 sums for each pair take 576 KiB
HIGH, WIDE = (min(8, LANES), 2 if LANES > 4 else 4) if REGISTERS >= 32 else (4, 2)
DEPTH = 128  # tiles of one product: WIDE vectors of each stay in the core's first cache


def transform(name, matrix, step, doc):
    """Make name(v, out, strip, to, point, at, pitch, count): tiles of one row of tiles."""

    def function(v, out, strip, to, point, at, pitch, count):
        with v.loop(count) as t:
            target, source = out + to + t * v.lanes, strip + at + t * (step * v.lanes)
            both(
                v,
                matrix,
                lambda i, j: v.load(source + pitch * i + j * v.lanes),
                lambda i, j, vector: v.store(target + point * (i * N + j), vector),
            )

    function.__name__, function.__doc__ = name, doc
    return vectorised(function)


image_tiles = transform("image_tiles", F4.data, M, "B^T x B of `count` tiles that overlap by two pixels.")
gradient_tiles = transform("gradient_tiles", transposed(F4.output), M, "A gy A^T of `count` tiles side by side.")


def product(name, high, wide):
    """Make name(v, s, w, x, tiles, outputs, s_at, w_at, x_at, group, row, add): s = w^T x, s += w^T x where add is 1.

    s is for one point, `outputs` channels of gy and `wide` vectors of channels of x, its rows are `row` apart. group
    leads from one vector of channels to the next in w and x; high divides v.lanes.
    """

    def function(v, s, w, x, tiles, outputs, s_at, w_at, x_at, group, row, add):
        with v.loop(outputs // high) as block:
            sums = [[v.variable(v.zero()) for _ in range(wide)] for _ in range(high)]
            vector = block // (v.lanes // high)
            left, right = w + w_at + vector * (group - v.lanes) + block * high, x + x_at
            with v.loop(tiles) as t:
                inputs = [v.load(right + j * group + t * v.lanes) for j in range(wide)]
                for i in range(high):
                    factor = v.broadcast(left + t * v.lanes + i)
                    for j in range(wide):
                        sums[i][j].set(v.fma(factor, inputs[j], sums[i][j].vector))
            target = s + s_at + block * high * row
            for old, condition in ((True, add), (False, add * -1 + 1)):
                with v.when(condition):
                    for i in range(high):
                        for j in range(wide):
                            place = target + i * row + j * v.lanes
                            v.store(place, v.load(place) + sums[i][j].vector if old else sums[i][j].vector)

    function.__name__, function.__doc__ = name, product.__doc__
    return vectorised(function)


product_1, product_wide = product("product_1", LANES, 1), product("product_wide", HIGH, WIDE)


@vectorised
def filter_taps(v, gw, s, to, at, point, add):
    """Write (or add) the 9 numbers of G^T s G for v.lanes input channels, behind each other."""
    taps = {}
    both(
        v,
        transposed(F4.filter),
        lambda i, j: v.load(s + at + point * (i * N + j)),
        lambda i, j, vector: taps.update({(i, j): vector}),
    )
    rows = [taps[i, j] for i in range(3) for j in range(3)]
    for first in range(0, 9, v.lanes):
        some = rows[first : first + v.lanes]
        count = None if len(some) == v.lanes else len(some)
        for lane, vector in enumerate(v.transpose(some + [v.zero()] * (v.lanes - len(some)))):
            place = gw + to + 9 * lane + first
            with v.when(add):
                v.store(place, v.load(place, count) + vector, count)
            with v.when(add * -1 + 1):
                v.store(place, vector, count)


@kernel()
def image_step(v, at, point, strip, where, pitch, x, shape, padding, window, channels):
    """Transform a rectangle of tiles of some images, the channels first..end of x, to v from `at` on.

    window is (image, images, row, rows, column, columns) of tiles; point is the stride of v; x is flat.
    """
    (image, images, row, rows, column, columns), (first, end), (ph, pw) = window, channels, padding
    top, left = M * row - ph, M * column - pw
    for n in range(images):
        for c in range(first, end, LANES):
            fill(strip, where, pitch, x, shape, image + n, c, top, left, M * rows + 2, M * columns + 2)
            for i in range(rows):
                to = at + (c - first) // LANES * POINTS * point + (n * rows + i) * columns * LANES
                image_tiles(v, strip, to, point, i * M * pitch, pitch, columns)


@kernel()
def gradient_step(w, at, point, strip, where, pitch, gy, shape, window, channels):
    """Do for gy what image_step does for x."""
    (image, images, row, rows, column, columns), (first, end) = window, channels
    for n in range(images):
        for o in range(first, end, LANES):
            fill(strip, where, pitch, gy, shape, image + n, o, M * row, M * column, M * rows, M * columns)
            for i in range(rows):
                to = at + (o - first) // LANES * POINTS * point + (n * rows + i) * columns * LANES
                gradient_tiles(w, strip, to, point, i * M * pitch, pitch, columns)


@kernel()
def multiply(s, w, v, tiles, outputs, inputs, w_at, v_at, s_point, point, row, add):
    """Write (or add) the products of `tiles` tiles to s, for channels that fill vectors; row is its stride."""
    group = POINTS * point
    for k in range(POINTS):
        for t in range(0, tiles, DEPTH):
            depth, more = min(DEPTH, tiles - t), max(add, min(t, 1))
            w_from, v_from, s_from = w_at + k * point + t * LANES, v_at + k * point + t * LANES, k * s_point
            c = 0
            while c + WIDE * LANES <= inputs:
                product_wide(s, w, v, depth, outputs, s_from + c, w_from, v_from, group, row, more)
                c += WIDE * LANES
                v_from += WIDE * group
            while c < inputs:
                product_1(s, w, v, depth, outputs, s_from + c, w_from, v_from, group, row, more)
                c += LANES
                v_from += group


@kernel()
def finish(gw, at, inputs, s, s_point, row, channels, add):
    """Write (or add) G^T s G to the flat gw (O, C, 9) from `at` on; channels are (first, end) of gy and then of x."""
    o_first, o_end, c_first, c_end = channels
    rest = np.empty(9 * LANES, np.float32)
    for o in range(o_first, o_end):
        for c in range(c_first, c_end, LANES):
            source, to = (o - o_first) * row + c - c_first, at + (o * inputs + c) * 9
            if c + LANES <= inputs:
                filter_taps(gw, s, to, source, s_point, add)
            else:
                filter_taps(rest, s, 0, source, s_point, 0)
                for i in range((inputs - c) * 9):
                    gw[to + i] = gw[to + i] + rest[i] if add else rest[i]


@kernel()
def by_steps(first, last, parts, gy, x, padding, rectangle):
    """Fill the shares first..last of parts (shares, O, C, 9), each the sum over its share of the steps.

    A step transforms a rectangle (images, rows, columns) of tiles.
    """
    shares, outputs, inputs, _ = parts.shape
    images, _, out_h, out_w = gy.shape
    (ph, pw), (n_step, y_step, x_step) = padding, rectangle
    tiles_y, tiles_x = (out_h + M - 1) // M, (out_w + M - 1) // M
    steps_y, steps_x = (tiles_y + y_step - 1) // y_step, (tiles_x + x_step - 1) // x_step
    steps = (images + n_step - 1) // n_step * steps_y * steps_x
    high, wide = up(outputs, LANES), up(inputs, LANES)
    point, s_point = spread(n_step * y_step * x_step * LANES), spread(high * wide)
    w, v = aligned(high // LANES * POINTS * point), aligned(wide // LANES * POINTS * point)
    s = aligned(POINTS * s_point)
    x_rows, x_pitch, y_pitch = M * y_step + 2, (M * x_step + 2) * LANES, M * x_step * LANES
    x_strip, y_strip = new_strip(x_rows, x_pitch, x.shape[3]), new_strip(M * y_step, y_pitch, out_w)
    x_where, y_where = places(x_rows, x.shape[3], x_pitch), places(M * y_step, out_w, y_pitch)
    flat, flat_x, flat_y = parts.reshape(parts.size), x.reshape(x.size), gy.reshape(gy.size)
    for share in range(first, last):
        begin, end = steps * share // shares, steps * (share + 1) // shares
        for step in range(begin, end):
            column, row = step % steps_x * x_step, step // steps_x % steps_y * y_step
            n = step // steps_x // steps_y * n_step
            columns, rows, count = min(x_step, tiles_x - column), min(y_step, tiles_y - row), min(n_step, images - n)
            if steps_y * steps_x > 1:  # other pixels are outside of the image
                clear(x_strip, x_pitch, x.shape, M * row - ph, M * column - pw, M * rows + 2, M * columns + 2)
                clear(y_strip, y_pitch, gy.shape, M * row, M * column, M * rows, M * columns)
            window = (n, count, row, rows, column, columns)
            image_step(v, 0, point, x_strip, x_where, x_pitch, flat_x, x.shape, padding, window, (0, inputs))
            gradient_step(w, 0, point, y_strip, y_where, y_pitch, flat_y, gy.shape, window, (0, outputs))
            multiply(s, w, v, count * rows * columns, high, wide, 0, 0, s_point, point, wide, min(1, step - begin))
        finish(flat, share * outputs * inputs * 9, inputs, s, s_point, wide, (0, outputs, 0, inputs), 0)


@kernel()
def tiles(first, last, w, v, gy, x, padding, rectangle, begin, origin, total):
    """Transform the items first..last of a share: a step each, and BLOCK channels of gy or x.

    The share begins with step `begin`, whose first tile is number `origin`; it has `total` tiles.
    """
    (ph, pw), (n_step, y_step, x_step) = padding, rectangle
    images, outputs, inputs, (out_h, out_w) = x.shape[0], gy.shape[1], x.shape[1], gy.shape[2:]
    tiles_y, tiles_x = (out_h + M - 1) // M, (out_w + M - 1) // M
    steps_y, steps_x = (tiles_y + y_step - 1) // y_step, (tiles_x + x_step - 1) // x_step
    o_blocks, c_blocks = (outputs + BLOCK - 1) // BLOCK, (inputs + BLOCK - 1) // BLOCK
    point = spread(total * LANES)
    x_rows, x_pitch, y_pitch = M * y_step + 2, (M * x_step + 2) * LANES, M * x_step * LANES
    x_strip, y_strip = new_strip(x_rows, x_pitch, x.shape[3]), new_strip(M * y_step, y_pitch, out_w)
    x_where, y_where = places(x_rows, x.shape[3], x_pitch), places(M * y_step, out_w, y_pitch)
    flat_x, flat_y = x.reshape(x.size), gy.reshape(gy.size)
    for item in range(first, last):
        block, step = item % (o_blocks + c_blocks), begin + item // (o_blocks + c_blocks)
        column, row = step % steps_x * x_step, step // steps_x % steps_y * y_step
        n = step // steps_x // steps_y * n_step
        columns, rows, count = min(x_step, tiles_x - column), min(y_step, tiles_y - row), min(n_step, images - n)
        window = (n, count, row, rows, column, columns)
        tile = (n * tiles_y + row) * tiles_x + rows * column - origin
        low = (block if block < c_blocks else block - c_blocks) * BLOCK
        to = low // LANES * POINTS * point + tile * LANES
        if block < c_blocks:
            if steps_y * steps_x > 1:
                clear(x_strip, x_pitch, x.shape, M * row - ph, M * column - pw, M * rows + 2, M * columns + 2)
            channels = (low, min(inputs, low + BLOCK))
            image_step(v, to, point, x_strip, x_where, x_pitch, flat_x, x.shape, padding, window, channels)
        else:
            if steps_y * steps_x > 1:
                clear(y_strip, y_pitch, gy.shape, M * row, M * column, M * rows, M * columns)
            channels = (low, min(outputs, low + BLOCK))
            gradient_step(w, to, point, y_strip, y_where, y_pitch, flat_y, gy.shape, window, channels)


@kernel()
def by_blocks(first, last, gw, w, v, total, add):
    """Write (or add) to the blocks first..last of gw (O, C, 9) the sums over `total` transformed tiles."""
    outputs, inputs, _ = gw.shape
    point, s_point = spread(total * LANES), spread(BLOCK * BLOCK)
    c_blocks = (inputs + BLOCK - 1) // BLOCK
    s = aligned(POINTS * s_point)
    flat = gw.reshape(gw.size)
    for task in range(first, last):
        o, c = task // c_blocks * BLOCK, task % c_blocks * BLOCK
        o_end, c_end = min(outputs, o + BLOCK), min(inputs, c + BLOCK)
        w_at, v_at = o // LANES * POINTS * point, c // LANES * POINTS * point
        multiply(s, w, v, total, up(o_end - o, LANES), up(c_end - c, LANES), w_at, v_at, s_point, point, BLOCK, 0)
        finish(flat, 0, inputs, s, s_point, BLOCK, (o, o_end, c, c_end), add)


@kernel()
def total(first, last, gw, parts):
    """Write the sums over shares of parts (shares, size) to places first..last of gw, in one order."""
    for i in range(first, last):
        gw[i] = parts[0, i]
    for share in range(1, parts.shape[0]):
        for i in range(first, last):
            gw[i] += parts[share, i]
