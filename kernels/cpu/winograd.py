"""3 x 3 convolution by Winograd's F(4 x 4, 3 x 3): a quarter of the multiplications of a direct sum.

    y = A^T [sum over c of (G w G^T) * (B^T x B)] A

for every 4 x 4 tile of y and the 6 x 6 pixels of x under it; the sum over channels is 36 matrix products, one for each
point of the transformed tile. Channels lie in the lanes of vectors. A block of tiles is taken through all steps before
the next one, so that it stays in the core's second cache:

    x        (N, C, H, W)
    strip    [row][column][lane]: the pixels of a few rows of tiles, one vector of channels, with the padding
    v        [point][group][chunk of channels][tile of the group][lane]
    u        [panel of outputs][point][channel][output of the panel]: the weights, the same for all blocks
    m        [point][group][tile of the group][output of the panel]
    strip    [row][column][lane] of y, one vector of outputs
    y        (N, O, OH, OW)

Every element is the same sum in the same order whatever block, group or thread it falls in.
"""

from __future__ import annotations

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.winograd_code import (
    GROUP,
    LANES,
    PART,
    WIDE,
    M,
    N,
    filter_columns,
    filter_rows,
    filters,
    group_1,
    group_2,
    part_1,
    part_2,
    pixels_out,
    tiles_in,
    tiles_out,
)
from deepcore.kernels.cpu.winograd_layout import aligned, new_strip, pixels_in, places, spread

POINTS = N * N


@kernel()
def clear_rest(v, start, tiles, strides):
    """Fill the last group of tiles up with zeros, in the chunk of channels that begins at `start`.

    What stands behind the last tile is multiplied too, and then not used. Strides are those of a point and a group.
    """
    (point, group), last = strides, (tiles - 1) // GROUP
    for k in range(POINTS):
        at = start + k * point + last * group
        v[at + (tiles - last * GROUP) * LANES : at + GROUP * LANES] = 0


@kernel()
def transform_filters(u, taps, w, at, vector, first, last, shape, strides, turned):
    """Write G w G^T of one vector of outputs and the channels first..last to u[at:].

    shape is (outputs, channels), strides those of u for a point and a channel.
    """
    (outputs, channels), (point, wide) = shape, strides
    o = vector * LANES
    for c in range(first, last, LANES):
        count = min(LANES, last - c)
        if turned:
            for i in range(count):
                filter_columns(taps, w, 9 * LANES * i, ((c + i) * outputs + o) * 9, outputs - o)
        else:
            filter_rows(taps, w, (o * channels + c) * 9, channels * 9, outputs - o, count * 9)
        filters(u, taps, at + (c - first) * wide, count, point, wide)


@kernel()
def transform_tiles(v, strip, x, where, chunk, rows, to, shape, padding, grid, strides):
    """Write a range of rows of tiles of one chunk of channels to v, as the tiles from number `to` on.

    shape is (channels, h, w), grid (tiles down, tiles across) of an image, strides those of a row of strip and of a
    point and a group of v.
    """
    (start, end), (channels, h, w), (down, across), (pitch, point, group) = rows, shape, grid, strides
    c, row = chunk * LANES, start
    while row < end:
        image, top = row // down, row % down
        count = min(end - row, down - top)
        above = M * top - padding[0]
        # of the strip's rows, these lie in the image
        low, high = max(0, -above), max(0, min(M * count + 2, h - above))
        if high <= low:
            low = high = 0
        strip[: low * pitch] = 0
        strip[high * pitch : (M * count + 2) * pitch] = 0
        begin = ((image * channels + c) * h + above + low) * w
        pixels_in(strip, x, where, low * pitch + padding[1] * LANES, begin, h * w, channels - c, (high - low) * w)
        for i in range(count):
            tile = to + (row - start + i) * across
            tiles_in(v, strip, chunk * GROUP * LANES, tile, across, i * M * pitch, pitch, point, group)
        row += count


@kernel()
def multiply(m, v, u, m_strides, v_strides, u_stride, u_at, v_at, tiles, channels, wide, more):
    """Compute m = v u at all points for one panel of `wide` vectors of outputs; `more`: add it to m.

    Strides are those of a point and, of m and v, of a group.
    """
    for k in range(POINTS):
        from_u = u_at + k * u_stride
        for tile in range(0, tiles, GROUP):
            number = tile // GROUP
            from_v, to = v_at + k * v_strides[0] + number * v_strides[1], k * m_strides[0] + number * m_strides[1]
            if tile + GROUP - PART < tiles:
                if wide == 2:
                    group_2(m, v, u, to, from_v, from_u, channels, more)
                else:
                    group_1(m, v, u, to, from_v, from_u, channels, more)
            else:
                for part in range(0, tiles - tile, PART):
                    v_part, m_part = from_v + part * LANES, to + part * wide * LANES
                    if wide == 2:
                        part_2(m, v, u, m_part, v_part, from_u, channels, more)
                    else:
                        part_1(m, v, u, m_part, v_part, from_u, channels, more)


@kernel()
def finish(y, strip, m, bias, bound, where, vector, column, rows, shape, grid, strides):
    """Write a range of rows of tiles of y, one vector of outputs, which is number `column` of the panel m.

    shape is (outputs, h, w), grid (tiles down, tiles across) of an image, strides those of a row of strip and of a
    point, a group and a tile of m.
    """
    (start, end), (outputs, h, w), (down, across), (pitch, point, group, wide) = rows, shape, grid, strides
    o, row = vector * LANES, start
    while row < end:
        image, top = row // down, row % down
        count = min(end - row, down - top)
        for i in range(count):
            tile, to = (row - start + i) * across, i * M * pitch
            tiles_out(strip, m, bias, bound, o, tile, across, to, pitch, point, group, column * LANES, wide)
        begin = ((image * outputs + o) * h + M * top) * w
        pixels_out(y, strip, where, begin, h * w, outputs - o, min(M * count, h - M * top) * w)
        row += count


@kernel()
def weights(first, last, u, w, outputs, channels, turned):
    """Fill the vectors first..last of outputs of the flat u; `turned`: w is (channels, outputs, 3, 3)."""
    taps = aligned(9 * LANES * LANES)
    vectors = (outputs + LANES - 1) // LANES
    flat = w.reshape(w.size)
    for vector in range(first, last):
        panel = vector // WIDE
        wide = min(WIDE, vectors - panel * WIDE) * LANES
        # all panels before this one are WIDE vectors wide
        at = panel * POINTS * spread(channels * WIDE * LANES) + vector % WIDE * LANES
        strides = (spread(channels * wide), wide)
        transform_filters(u, taps, flat, at, vector, 0, channels, (outputs, channels), strides, turned)


@kernel()
def by_blocks(first, last, y, x, u, bias, bound, padding, rows):
    """Compute the blocks first..last of `rows` rows of tiles of y; bias is filled up to whole vectors."""
    (images, channels, h, w), (_, outputs, out_h, out_w) = x.shape, y.shape
    down, across = grid = (out_h + M - 1) // M, (out_w + M - 1) // M
    chunks, vectors = (channels + LANES - 1) // LANES, (outputs + LANES - 1) // LANES
    groups, group = (rows * across + GROUP - 1) // GROUP, chunks * GROUP * LANES
    point, m_point = spread(groups * group), spread(groups * GROUP * min(WIDE, vectors) * LANES)
    v, m = aligned(POINTS * point), aligned(POINTS * m_point)
    for chunk in range(chunks):  # a shorter block has the tiles of the one before behind its own
        clear_rest(v, chunk * GROUP * LANES, rows * across, (point, group))
    high, pitch, pitch_out = M * min(rows, down), (M * across + 2) * LANES, M * across * LANES
    strip, strip_out = new_strip(high + 2, pitch, w), new_strip(high, pitch_out, out_w)
    where, where_out = places(high + 2, w, pitch), places(high, out_w, pitch_out)
    flat_x, flat_y = x.reshape(x.size), y.reshape(y.size)
    for block in range(first, last):
        start, end = block * rows, min(block * rows + rows, images * down)
        for chunk in range(chunks):
            shape, strides = (channels, h, w), (pitch, point, group)
            transform_tiles(v, strip, flat_x, where, chunk, (start, end), 0, shape, padding, grid, strides)
        for panel in range((vectors + WIDE - 1) // WIDE):
            wide = min(WIDE, vectors - panel * WIDE)
            u_at, u_point = panel * POINTS * spread(channels * WIDE * LANES), spread(channels * wide * LANES)
            m_group, tiles = GROUP * wide * LANES, (end - start) * across
            multiply(m, v, u, (m_point, m_group), (point, group), u_point, u_at, 0, tiles, channels, wide, 0)
            for column in range(wide):
                shape, strides = (outputs, out_h, out_w), (pitch_out, m_point, m_group, wide * LANES)
                vector = panel * WIDE + column
                finish(flat_y, strip_out, m, bias, bound, where_out, vector, column, (start, end), shape, grid, strides)


@kernel()
def all_tiles(first, last, v, x, out_h, out_w, padding, rows):
    """Transform the tiles of all x: tasks first..last, each `rows` rows of tiles of one chunk of channels."""
    images, channels, h, w = x.shape
    down, across = grid = (out_h + M - 1) // M, (out_w + M - 1) // M
    chunks = (channels + LANES - 1) // LANES
    group = chunks * GROUP * LANES
    tiles = images * down * across
    point = spread((tiles + GROUP - 1) // GROUP * group)
    high, pitch = M * min(rows, down) + 2, (M * across + 2) * LANES
    strip, where = new_strip(high, pitch, w), places(high, w, pitch)
    flat = x.reshape(x.size)
    for task in range(first, last):
        start, chunk = task // chunks * rows, task % chunks
        span, shape, strides = (start, min(start + rows, images * down)), (channels, h, w), (pitch, point, group)
        if span[1] == images * down:
            clear_rest(v, chunk * GROUP * LANES, tiles, (point, group))
        transform_tiles(v, strip, flat, where, chunk, span, start * across, shape, padding, grid, strides)


@kernel()
def by_panels(first, last, y, v, w, bias, bound, channels, turned, depth):
    """Compute the panels first..last of outputs of y from all tiles v, the weights by `depth` channels."""
    images, outputs, out_h, out_w = y.shape
    down, across = grid = (out_h + M - 1) // M, (out_w + M - 1) // M
    chunks, vectors = (channels + LANES - 1) // LANES, (outputs + LANES - 1) // LANES
    tiles = images * down * across
    groups, group = (tiles + GROUP - 1) // GROUP, chunks * GROUP * LANES
    point, m_point = spread(groups * group), spread(groups * GROUP * min(WIDE, vectors) * LANES)
    u_point, pitch = spread(depth * WIDE * LANES), M * across * LANES
    m, u, taps = aligned(POINTS * m_point), aligned(POINTS * u_point), aligned(9 * LANES * LANES)
    strip, where = new_strip(M * down, pitch, out_w), places(M * down, out_w, pitch)
    flat, flat_y = w.reshape(w.size), y.reshape(y.size)
    for panel in range(first, last):
        wide = min(WIDE, vectors - panel * WIDE)
        m_group = GROUP * wide * LANES
        for c in range(0, channels, depth):
            end, shape, strides = min(c + depth, channels), (outputs, channels), (u_point, wide * LANES)
            for column in range(wide):
                vector = panel * WIDE + column
                transform_filters(u, taps, flat, column * LANES, vector, c, end, shape, strides, turned)
            # chunks of GROUP vectors lie behind each other: a channel is GROUP numbers on
            multiply(m, v, u, (m_point, m_group), (point, group), u_point, 0, c * GROUP, tiles, end - c, wide, c)
        for column in range(wide):
            vector, span, shape = panel * WIDE + column, (0, images * down), (outputs, out_h, out_w)
            strides = (pitch, m_point, m_group, wide * LANES)
            finish(flat_y, strip, m, bias, bound, where, vector, column, span, shape, grid, strides)
