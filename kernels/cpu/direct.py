"""Convolution without columns: register tiles of sums over shifted vectors of pixels; float32.

The pixels that a tile of output rows needs are copied once to planes in the core's cache (kernels.cpu.planes), one for
every s-th row and column of a channel where the stride is s: there every tap of the kernel is a distance in memory, and
neighbours in the output are neighbours in the plane. `offsets` (K,) holds these distances, K = C // G * KH * KW. Where
that is enough, the zeros on the left of a plane's row are also those on the right of the row before.

No result depends on how the tiles are shared among threads.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.direct_tiles import LANES, run_forward, run_weight
from deepcore.kernels.cpu.planes import buffer, fill, fill_channels, merge_row


@kernel()
def vectors_of_rows(table, lanes, images, rows, pitch, width, x_image, y_image):
    """Fill table (blocks, 3, parts of vectors) with parts of `lanes` pixels: where from, where to, how many lanes.

    Each lies in one row of `width` pixels.
    """
    blocks, _, count = table.shape
    image, row, col = 0, 0, 0
    for block in range(blocks):
        for i in range(count):
            inside = image < images
            table[block, 0, i] = image * x_image + row * pitch + col if inside else 0
            table[block, 1, i] = image * y_image + row * width + col if inside else 0
            table[block, 2, i] = min(lanes, width - col) if inside else 0
            col += lanes
            if col >= width:
                row, col = row + 1, 0
                if row == rows:
                    image, row = image + 1, 0


@kernel()
def forward(first, last, y, x, w, bias, bound, offsets, phases, shape, place, reach, images_per_tile, rows_per_tile):
    """Write tiles first..last of y (N, O, OH, OW): x convolved, plus bias, no less than `bound`.

    A tile is a group of images or, where rows_per_tile < OH, a band of rows of one. w: (G, blocks of output channels,
    K, MR); bias (O + MR,); reach: the rows of planes that a band needs beyond its own.
    """
    n, o, out_h, out_w = y.shape
    groups, blocks, taps, high = w.shape
    parts = len(shape[2])
    wide, lanes = len(shape[1]) * parts, LANES // parts
    pitch, plane = place[2], place[3]
    c_group, o_group, pixels = x.shape[1] // groups, o // groups, out_h * out_w
    bands = (out_h + rows_per_tile - 1) // rows_per_tile
    target, weights = y.reshape(y.size), w.reshape(w.size)
    x_image = c_group * len(phases) * plane
    planes = buffer(images_per_tile * x_image + pitch + 4 * LANES)
    vectors = (out_w + lanes - 1) // lanes
    most = (images_per_tile * rows_per_tile * vectors + wide - 1) // wide
    table = np.empty((most, 3, wide), np.int64)
    places = table.reshape(table.size)
    before = (0, 0)
    for tile in range(first, last):
        image, g, row = tile // bands // groups * images_per_tile, tile // bands % groups, tile % bands * rows_per_tile
        images, rows = min(images_per_tile, n - image), min(rows_per_tile, out_h - row)
        for i in range(images):
            channel = g * c_group
            fill_channels(planes, i * x_image, x, image + i, channel, c_group, row, rows + reach, phases, place)
        used = (images * rows * vectors + wide - 1) // wide
        if before != (images, rows):
            before = (images, rows)
            vectors_of_rows(table[:used], lanes, images, rows, pitch, out_w, x_image, o * pixels)
        for block in range(blocks):
            channel = g * o_group + block * high
            for i in range(used):
                run_forward(
                    shape,
                    target,
                    planes,
                    weights,
                    bias,
                    bound,
                    offsets,
                    places,
                    i * 3 * wide,
                    taps,
                    (g * blocks + block) * taps * high,
                    channel,
                    (image * o + channel) * pixels + row * out_w,
                    o_group - block * high,
                    pixels,
                )


@kernel()
def input_gradient(first, last, gx, gy, w, bias, bound, offsets, remainders, shape, step, size, rows_per_tile):
    """Write tiles first..last of gx (N, C, H, W), the gradient of the input of a convolution with any stride.

    The pixels of gx with the same remainders (y % sh, x % sw) get the same taps: each remainder is a forward pass over
    gy with stride 1, and the rows of a band are put together from its remainders at the end. remainders (sh * sw, 3):
    how many taps each has, where its offsets begin, and where its weights do in w: (G, blocks, taps, MR), flat. size:
    groups, blocks, the first row and column of gy for one of gx, the rows beyond, pitch and plane.
    """
    _, c, h, width = gx.shape
    _, o, gy_h, gy_w = gy.shape
    (step_h, step_w), (groups, blocks, top, left, reach, pitch, plane) = step, size
    parts, high = len(shape[2]), len(shape[0])
    wide, lanes = len(shape[1]) * parts, LANES // parts
    c_group, o_group = c // groups, o // groups
    out_h, out_w = (h + step_h - 1) // step_h, (width + step_w - 1) // step_w
    bands = (out_h + rows_per_tile - 1) // rows_per_tile
    target, source = gx.reshape(gx.size), gy.reshape(gy.size)
    planes = buffer(o_group * plane + pitch + 4 * LANES)
    vectors = (out_w + lanes - 1) // lanes
    row_size = vectors * lanes
    band = rows_per_tile * row_size
    found = buffer(len(remainders) * high * band + LANES)
    table = np.empty(((rows_per_tile * vectors + wide - 1) // wide, 3, wide), np.int64)
    places = table.reshape(table.size)
    before = 0
    for tile in range(first, last):
        image, g, row = tile // bands // groups, tile // bands % groups, tile % bands * rows_per_tile
        rows = min(rows_per_tile, out_h - row)
        for k in range(o_group):
            start = (image * o + g * o_group + k) * gy_h * gy_w
            fill(planes, k * plane, source, start, gy_h, gy_w, row + top, left, 1, 1, rows + reach, pitch, -1)
        used = (rows * vectors + wide - 1) // wide
        if rows != before:
            before = rows
            vectors_of_rows(table[:used], lanes, 1, rows, pitch, row_size, 0, 0)
        for block in range(blocks):
            for p in range(len(remainders)):
                taps, at, w_at = remainders[p]
                for i in range(used):
                    run_forward(
                        shape,
                        found,
                        planes,
                        w,
                        bias,
                        bound,
                        offsets[at:],
                        places,
                        i * 3 * wide,
                        taps,
                        w_at + (g * blocks + block) * taps * high,
                        0,
                        p * high * band,
                        high,
                        band,
                    )
            for r in range(min(high, c_group - block * high)):
                for y in range(row * step_h, min(h, (row + rows) * step_h)):
                    to = ((image * c + g * c_group + block * high + r) * h + y) * width
                    at = (y % step_h * step_w * high + r) * band + (y // step_h - row) * row_size
                    if step_w == 2:
                        merge_row(target, found, to, at, at + high * band, width)
                    else:
                        for x in range(width):
                            target[to + x] = found[at + x % step_w * high * band + x // step_w]


@kernel()
def weight_gradient(
    first, last, sums, gy, x, offsets, phases, shape, place, reach, images_per_tile, rows_per_tile, channels, straight
):
    """Add share s of the tiles to sums (S, G, blocks of output channels, blocks of taps, R * T), zero at first.

    A tile is taken by so many `channels` of x at a time; `offsets` are those of the first of them, filled up to whole
    blocks of taps. straight: the rows of gy are taken as they lie, one by one. Otherwise they are copied to rows of
    `pitch` pixels with zeros between, so that a whole plane is one row: where rows are shorter than a vector.
    """
    n, o, out_h, out_w = gy.shape
    shares, groups, blocks, tap_blocks, size = sums.shape
    high, wide = len(shape[0]), len(shape[1])
    pitch, plane = place[2], place[3]
    c_group, o_group, pixels = x.shape[1] // groups, o // groups, out_h * out_w
    bands = (out_h + rows_per_tile - 1) // rows_per_tile
    tiles = (n + images_per_tile - 1) // images_per_tile * bands
    source, flat = gy.reshape(gy.size), sums.reshape(sums.size)
    x_image = channels * len(phases) * plane
    planes = buffer(images_per_tile * x_image + pitch + 4 * LANES)
    g_plane = rows_per_tile * pitch
    copied = buffer(0 if straight else images_per_tile * o_group * g_plane + 4 * LANES)
    chunk = len(offsets) // wide
    for share in range(first, last):
        for tile in range(tiles * share // shares, tiles * (share + 1) // shares):
            image, row = tile // bands * images_per_tile, tile % bands * rows_per_tile
            images, rows = min(images_per_tile, n - image), min(rows_per_tile, out_h - row)
            for g in range(groups):
                if not straight:
                    for i in range(images):
                        for c in range(o_group):
                            at, start = (i * o_group + c) * g_plane, ((image + i) * o + g * o_group + c) * pixels
                            fill(copied, at, source, start, out_h, out_w, row, 0, 1, 1, rows, pitch, -1)
                for channel in range(0, c_group, channels):
                    some = min(channels, c_group - channel)
                    for i in range(images):
                        start = g * c_group + channel
                        fill_channels(planes, i * x_image, x, image + i, start, some, row, rows + reach, phases, place)
                    begin = channel // channels * chunk
                    for block in range(blocks):
                        for taps in range(begin, min(begin + chunk, tap_blocks)):
                            to = (((share * groups + g) * blocks + block) * tap_blocks + taps) * size
                            k = (taps - begin) * wide
                            run_weight(
                                shape,
                                flat,
                                source if straight else copied,
                                planes,
                                offsets,
                                to,
                                (image * o + g * o_group) * pixels + row * out_w if straight else 0,
                                block * high,
                                o_group,
                                pixels if straight else g_plane,
                                0,
                                k,
                                images,
                                o * pixels if straight else o_group * g_plane,
                                x_image,
                                rows if straight else 1,
                                out_w,
                                pitch,
                                out_w if straight else (rows - 1) * pitch + out_w,
                            )
