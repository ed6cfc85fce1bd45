"""Register tiles of direct convolution: the innermost loops, written as vectors; see kernels.cpu.direct.

    forward:          sums of MR output channels x NV vectors of pixels;  y[o, p] += w[o, k] * x[offsets[k] + p]
    weight gradient:  sums of R output channels x T taps, pixels in the lanes;  gw[o, k] += gy[o, p] * x[offsets[k] + p]

A tile's shape (MR, NV) or (R, T) is the type of an argument: a tuple of tuples with so many elements.
"""

from __future__ import annotations

import functools

from llvmlite import ir
from numba.extending import overload

from deepcore.kernels.cpu.vector import LANE, REGISTERS, Code, Vector, lanes, vectorised

LANES = lanes(4)
# Tiles by their output channels: how wide they are, and the time that a vector of one tap takes them. Each takes
# a second to compile, for either purpose: few are enough.
if REGISTERS >= 32:
    FORWARD_TILES = {1: (8, 1.1), 2: (8, 1.2), 6: (4, 3.0)}
    WEIGHT_TILES = {1: (9, 1.0), 2: (8, 1.2), 6: (4, 3.0)}
else:
    FORWARD_TILES = {1: (4, 1.2), 2: (4, 1.3), 6: (2, 3.0)}
    WEIGHT_TILES = {1: (5, 1.2), 2: (4, 1.3), 4: (2, 2.1)}


class Halves:
    """Vectors that are loaded and stored in `parts` parts, each with a place of its own; v is a Code of vector.py."""

    def __init__(self, v, parts):
        self.v, self.parts = v, parts
        self.part = Code(v.builder, v.real, v.itemsize)
        self.part.lanes = v.lanes // parts
        self.part.type = ir.VectorType(v.real, self.part.lanes)

    def load(self, pointers, distance):
        """One vector from all its pointers."""
        if self.parts == 1:
            return self.v.load(pointers[0] + distance)
        low, high = (self.part.load(pointer + distance).value for pointer in pointers)
        places = ir.Constant(ir.VectorType(LANE, self.v.lanes), list(range(self.v.lanes)))
        return Vector(self.v, self.v.builder.shuffle_vector(low, high, places))

    def store(self, pointer, part, vector, count):
        """Part `part` of a vector, the first `count` lanes of it."""
        if self.parts == 1:
            return self.v.store(pointer, vector, count)
        n, undefined = self.part.lanes, ir.Constant(self.v.type, ir.Undefined)
        places = ir.Constant(ir.VectorType(LANE, n), list(range(part * n, part * n + n)))
        value = self.v.builder.shuffle_vector(vector.value, undefined, places)
        return self.part.store(pointer, Vector(self.part, value), count)


@functools.cache
def forward_tile(rows, vectors, parts):
    """Return tile(y, x, w, bias, bound, offsets, table, at, taps, w_at, b_at, y_at, outputs, step)."""

    def tile(v, y, x, w, bias, bound, offsets, table, at, taps, w_at, b_at, y_at, outputs, step):
        places, size = table + at, vectors * parts
        halves = Halves(v, parts)
        pixels = [[x + v.number(places + (j * parts + i)) for i in range(parts)] for j in range(vectors)]
        sums = [[v.variable(start) for _ in pixels] for start in [v.broadcast(bias + b_at + r) for r in range(rows)]]
        weights = w + w_at
        with v.loop(taps) as k:
            distance = v.number(offsets + k)
            values = [halves.load(pixel, distance) for pixel in pixels]
            for r in range(rows):
                factor = v.broadcast(weights + k * rows + r)
                for total, value in zip(sums[r], values, strict=True):
                    total.set(v.fma(factor, value, total.vector))
        least, target = v.broadcast(bound), y + y_at
        to = [target + v.number(places + (size + j)) for j in range(size)]
        count = [v.number(places + (2 * size + j)) for j in range(size)]
        # Rows behind the last output channel fall on that channel's place, which is written after them.
        for r in reversed(range(rows)):
            row = step * v.least(r, outputs - 1)
            found = [v.max(least, total.vector) for total in sums[r]]
            for j in range(size):
                halves.store(to[j] + row, j % parts, found[j // parts], count[j])

    tile.__name__ = f"forward_{rows}x{vectors}x{parts}"
    return vectorised(tile)


def sums_of(v, vectors):
    """One vector whose lane i is the sum of vectors[i], for up to v.lanes of them."""
    some, half = dict(enumerate(vectors)), 1
    while half < v.lanes:
        low = [j if not j & half else v.lanes + j - half for j in range(v.lanes)]
        high = [j + half if not j & half else v.lanes + j for j in range(v.lanes)]
        pairs = [i for i in range(0, v.lanes, 2 * half) if i in some]
        for i in pairs:
            other = some.get(i + half) or v.zero()
            some[i] = v.shuffle(some[i], other, low) + v.shuffle(some[i], other, high)
        half *= 2
    return some[0]


@functools.cache
def weight_tile(rows, taps):
    """Return tile(sums, gy, x, offsets, to, at, o, outputs, g_step, x_at, k, images, g_image, x_image, ...)."""

    def tile(
        v,
        sums,
        gy,
        x,
        offsets,
        to,
        g_at,
        o,
        outputs,
        g_step,
        x_at,
        k,
        images,
        g_image,
        x_image,
        lines,
        g_line,
        x_line,
        n,
    ):
        total = [[v.variable(v.zero()) for _ in range(taps)] for _ in range(rows)]
        # rows behind the last output channel repeat it
        left = [gy + g_at + v.least(o + r, outputs - 1) * g_step for r in range(rows)]
        right = [x + x_at + v.number(offsets + k + s) for s in range(taps)]
        with v.loop(images) as image, v.loop(lines) as line, v.loop((n + (v.lanes - 1)) // v.lanes) as i:
            here = i * v.lanes
            g, at = image * g_image + line * g_line + here, image * x_image + line * x_line + here
            values = [v.load(tap + at) for tap in right]
            for r in range(rows):
                factor = v.load(left[r] + g, n - here)
                for s in range(taps):
                    total[r][s].set(v.fma(factor, values[s], total[r][s].vector))
        flat = [total[r][s].vector for r in range(rows) for s in range(taps)]
        for i in range(0, len(flat), v.lanes):
            some = flat[i : i + v.lanes]
            target, count = sums + to + i, None if len(some) == v.lanes else len(some)
            v.store(target, v.load(target, count) + sums_of(v, some), count)

    tile.__name__ = f"weight_{rows}x{taps}"
    return vectorised(tile)


def run_forward(shape, y, x, w, bias, bound, offsets, table, at, taps, w_at, b_at, y_at, outputs, step):
    """The forward tile of this shape."""


@overload(run_forward)
def _run_forward(shape, y, x, w, bias, bound, offsets, table, at, taps, w_at, b_at, y_at, outputs, step):
    tile = forward_tile(shape[0].count, shape[1].count, shape[2].count)

    def run(shape, y, x, w, bias, bound, offsets, table, at, taps, w_at, b_at, y_at, outputs, step):
        tile(y, x, w, bias, bound, offsets, table, at, taps, w_at, b_at, y_at, outputs, step)

    return run


def run_weight(
    shape,
    sums,
    gy,
    x,
    offsets,
    to,
    g_at,
    o,
    outputs,
    g_step,
    x_at,
    k,
    images,
    g_image,
    x_image,
    lines,
    g_line,
    x_line,
    n,
):
    """The weight gradient's tile of this shape."""


@overload(run_weight)
def _run_weight(
    shape,
    sums,
    gy,
    x,
    offsets,
    to,
    g_at,
    o,
    outputs,
    g_step,
    x_at,
    k,
    images,
    g_image,
    x_image,
    lines,
    g_line,
    x_line,
    n,
):
    tile = weight_tile(shape[0].count, shape[1].count)

    def run(
        shape,
        sums,
        gy,
        x,
        offsets,
        to,
        g_at,
        o,
        outputs,
        g_step,
        x_at,
        k,
        images,
        g_image,
        x_image,
        lines,
        g_line,
        x_line,
        n,
    ):
        tile(
            sums,
            gy,
            x,
            offsets,
            to,
            g_at,
            o,
            outputs,
            g_step,
            x_at,
            k,
            images,
            g_image,
            x_image,
            lines,
            g_line,
            x_line,
            n,
        )

    return run
