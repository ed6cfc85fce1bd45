"""Pieces of NCHW images with their channels in the lanes of vectors, for Winograd's transforms; float32.

A strip is a flat array [row][column][lane]: the pixels of some rows of an image, with its padding, for one vector of
channels.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.vector import lanes, vectorised

LANES = lanes(4)
LINE = 16  # float32 numbers in a cache line


@vectorised
def pixels_in(v, strip, x, where, at, start, plane, channels, count):
    """Write `count` contiguous pixels of v.lanes channels to strip[at + where[pixel]], channels in lanes.

    Lanes behind the last of the channels repeat it. Up to v.lanes - 1 places of `where` behind count are set to 0.
    """
    with v.loop(count // v.lanes) as block:
        rows = [v.load(x + start + block * v.lanes + v.least(i, channels - 1) * plane) for i in range(v.lanes)]
        for i, vector in enumerate(v.transpose(rows)):
            v.store(strip + at + v.number(where + block * v.lanes + i), vector)
    done = count // v.lanes * v.lanes
    with v.when(count - done):
        rows = [v.load(x + start + done + v.least(i, channels - 1) * plane, count - done) for i in range(v.lanes)]
        for i, vector in enumerate(v.transpose(rows)):
            v.store(strip + at + v.number(where + done + i), vector)


@kernel(inlined=True)
def up(a, b):
    """Return a rounded up to a multiple of b."""
    return (a + b - 1) // b * b


@kernel(inlined=True)
def spread(size):
    """Return a stride of at least `size`, an odd number of cache lines: 36 of them fall into different cache sets."""
    return up(size, 2 * LINE) + LINE


@kernel()
def aligned(size):
    """Return an array that begins with a cache line, not filled."""
    buffer = np.empty(size + LINE, np.float32)
    skip = (-buffer.ctypes.data // 4) % LINE
    return buffer[skip : skip + size]


@kernel()
def new_strip(rows, pitch, width):
    """Return an empty strip for `rows` rows of images of this width; fill sets places behind them to zero too."""
    strip = aligned((rows + LANES // width + 2) * pitch + LANES * LANES)
    strip[:] = 0
    return strip


@kernel()
def places(rows, width, pitch):
    """Return where the pixels of some rows of an image go in a strip with `pitch` numbers in a row."""
    where = np.empty(rows * width + LANES, np.int64)
    for i in range(where.size):
        where[i] = i // width * pitch + i % width * LANES
    return where


@kernel()
def clear(strip, pitch, shape, top, left, rows, columns):
    """Set the pixels from (top, left) on that are outside of images of this shape (N, C, H, W) to zero."""
    _, _, h, w = shape
    first, end = max(0, min(columns, -left)) * LANES, max(0, min(columns, w - left)) * LANES
    for row in range(rows):
        at = row * pitch
        if 0 <= top + row < h:
            for i in range(at, at + first):
                strip[i] = 0
            for i in range(at + end, at + columns * LANES):
                strip[i] = 0
        else:
            for i in range(at, at + columns * LANES):
                strip[i] = 0


@kernel()
def fill(strip, where, pitch, source, shape, image, channel, top, left, rows, columns):
    """Copy rows x columns pixels from (top, left) of an image on, all channels of one vector from `channel` on.

    Pixels outside of the image are left alone or set to zero. source is flat and has this shape (N, C, H, W): a view
    made in here would count its references, for which threads fight.
    """
    _, c, h, w = shape
    low, high = max(0, -top), min(rows, h - top)
    first, end = max(0, -left), min(columns, w - left)
    if high <= low or end <= first:
        return
    begin = ((image * c + channel) * h + top + low) * w + left + first
    at = low * pitch + first * LANES
    if end - first == w:
        pixels_in(strip, source, where, at, begin, h * w, c - channel, (high - low) * w)
    else:
        for row in range(high - low):
            pixels_in(strip, source, where, at + row * pitch, begin + row * w, h * w, c - channel, end - first)
