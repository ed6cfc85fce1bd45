"""Max-pooling of windows 2 x 2 that stand side by side, by vectors; it keeps one byte for each maximum.

The byte is the pixel's number in its window: 0 and 1 above, 2 and 3 below. Rows of bytes are padded, so that each
vector has its own.
"""

from __future__ import annotations

from llvmlite import ir

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.vector import Vector, vectorised
from deepcore.kernels.cpu.vector_math import by_vectors

PADDED = 64  # the length of a row of bytes is a multiple of it: more than the lanes of any register


def _pixels(v, x, rest):
    """Return the even and the odd ones of 2 * v.lanes numbers; of 2 * rest, where that is given."""
    low = v.load(x, None if rest is None else rest * 2)
    high = v.load(x + v.lanes, None if rest is None else rest * 2 - v.lanes)
    return (v.shuffle(low, high, list(range(start, 2 * v.lanes, 2))) for start in (0, 1))


def _bytes(v):
    return ir.VectorType(ir.IntType(8), v.lanes)


@vectorised
def max_plane(v, y, marks, x, width, rows, columns, padded):
    """Write the maxima of one image to y and their bytes to marks."""
    b = v.builder
    numbers = ir.VectorType(ir.IntType(8 * v.itemsize), v.lanes)

    def row(j):
        def body(at, rest=None):
            here = x + j * width * 2 + at * 2
            best, *others = (*_pixels(v, here, rest), *_pixels(v, here + width, rest))
            mark = ir.Constant(numbers, None)
            for number, value in enumerate(others, 1):
                larger = b.fcmp_ordered(">", value.value, best.value)
                better = b.or_(larger, b.fcmp_unordered("uno", value.value, value.value))
                best = Vector(v, b.select(better, value.value, best.value))
                mark = b.select(better, ir.Constant(numbers, [number] * v.lanes), mark)
            v.store(y + j * columns + at, best, rest)
            place = b.bitcast((marks + j * padded + at).value, _bytes(v).as_pointer())
            b.store(b.trunc(mark, _bytes(v)), place).align = 1

        by_vectors(v, columns, body)

    with v.loop(rows) as j:
        row(j)


@vectorised
def max_plane_grad(v, gx, gy, marks, width, rows, columns, padded):
    """Write the gradient of one image: each number of gy to the pixel that its byte names, 0 to the others."""
    b = v.builder

    def row(j):
        def body(at, rest=None):
            place = b.bitcast((marks + j * padded + at).value, _bytes(v).as_pointer())
            mark = b.load(place)
            mark.align = 1
            g = v.load(gy + j * columns + at, rest)
            for line in (0, 1):
                pair = []
                for number in (2 * line, 2 * line + 1):
                    chosen = b.icmp_unsigned("==", mark, ir.Constant(_bytes(v), [number] * v.lanes))
                    pair.append(Vector(v, b.select(chosen, g.value, v.zero().value)))
                for half in (0, 1):
                    first = half * v.lanes // 2
                    places = [first + i // 2 + (i % 2) * v.lanes for i in range(v.lanes)]
                    count = None if rest is None else rest * 2 - half * v.lanes
                    here = gx + (j * 2 + line) * width + at * 2 + half * v.lanes
                    v.store(here, v.shuffle(*pair, places), count)

        by_vectors(v, columns, body)

    with v.loop(rows) as j:
        row(j)


@kernel()
def max_pool(first, last, y, marks, x):
    """Write maxima and marks (P, OH, PADDED OW) of images first..last; the first of equal ones wins, NaN beats all."""
    _, out_h, out_w = y.shape
    for p in range(first, last):
        max_plane(y[p], marks[p], x[p], x.shape[2], out_h, out_w, marks.shape[2])


@kernel()
def max_pool_grad(first, last, gx, gy, marks):
    """Write the gradient of images first..last: gx (P, H, W), 0 where no window reaches."""
    _, out_h, out_w = gy.shape
    _, h, w = gx.shape
    for p in range(first, last):
        max_plane_grad(gx[p], gy[p], marks[p], w, out_h, out_w, marks.shape[2])
        for j in range(h):
            for k in range(2 * out_w if j < 2 * out_h else 0, w):
                gx[p, j, k] = 0
