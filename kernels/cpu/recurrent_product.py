"""Small matrix products with one weight many times over: the step of a recurrent layer.

The weight (K, C) is packed once for a sequence, into panels of WIDE vectors of columns and then, for the columns that
remain, of one vector; a panel has its K rows one after the other, the last is filled up with zeros. A tile of up to
TALL rows and one panel stays in registers over the whole of K, one multiply-add after the other, so that each number
of the result has the same bits whatever rows and columns are computed beside it.
"""

from __future__ import annotations

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.vector import BYTES, REGISTERS, vectorised

WIDE = 3
AHEAD = 32  # rows of a panel that are asked for before they are needed: 240 GF/s on two cores instead of 190
TALL = 8 if REGISTERS == 32 else 4  # TALL * WIDE sums, WIDE vectors of the weight and one of the rows fit


def tile(tall: int, wide: int, masked: bool):
    """Return the code of `tall` rows and `wide` vectors of columns, of which `masked` stores only the first `count`.

    out = x @ packed, and + start where `add` is 1; at_...: where they begin, in elements; rows of out and start have
    `columns` elements, those of x k.
    """

    @vectorised
    def code(v, out, start, x, packed, at_out, at_start, at_x, at_packed, k, columns, add, count):
        out, start, x, packed = out + at_out, start + at_start, x + at_x, packed + at_packed
        number = (count,) if masked else ()
        sums = [[v.variable(v.zero()) for _ in range(wide)] for _ in range(tall)]
        places = [(r, j, columns * r + j * v.lanes) for r in range(tall) for j in range(wide)]
        for _, _, at in places:
            v.prefetch(start + at)
            v.prefetch(out + at)
        with v.loop(k) as i:
            row = packed + i * (wide * v.lanes)
            for j in range(wide):  # the weight is larger than a core's cache: it comes from further away at every step
                v.prefetch(row + (AHEAD * wide + j) * v.lanes)
            weights = [v.load(row + j * v.lanes) for j in range(wide)]
            for r in range(tall):
                factor = v.broadcast(x + i + k * r)
                for j in range(wide):
                    sums[r][j].set(v.fma(factor, weights[j], sums[r][j].vector))
        with v.when(add):
            for r, j, at in places:
                sums[r][j].set(sums[r][j].vector + v.load(start + at, *number))
        for r, j, at in places:
            v.store(out + at, sums[r][j].vector, *number)

    return code


wide_8, wide_4, wide_2, wide_1 = (tile(tall, WIDE, False) for tall in (8, 4, 2, 1))
last_8, last_4, last_2, last_1 = (tile(tall, 1, True) for tall in (8, 4, 2, 1))


@kernel(inlined=True)
def panel(at, columns, lanes):
    """Return how many columns the panel that begins at column `at` has in memory."""
    return WIDE * lanes if at + WIDE * lanes <= columns else lanes


@vectorised
def copy_columns(v, to, source, at_to, at_source, width, columns, count):
    """Copy v.lanes columns of the `count` rows of a matrix with `columns` columns into a panel `width` wide."""
    to, source = to + at_to, source + at_source
    with v.loop(count) as i:
        v.store(to + i * width, v.load(source + i * columns))


@vectorised
def turn_rows(v, to, source, at_to, at_source, width, columns, count):
    """Write v.lanes rows of a matrix, of each `count` times v.lanes elements, as columns into a panel `width` wide."""
    to, source = to + at_to, source + at_source
    with v.loop(count) as i:
        rows = v.transpose([v.load(source + columns * r + i * v.lanes) for r in range(v.lanes)])
        for r, row in enumerate(rows):
            v.store(to + (i * v.lanes + r) * width, row)


@kernel()
def pack(first, last, packed, w, turned):
    """Write the vectors of columns first..last of w (K, C), or with `turned` (C, K), to packed."""
    lanes = BYTES // w.itemsize
    columns, k = w.shape if turned else (w.shape[1], w.shape[0])
    whole = columns // (WIDE * lanes) * WIDE
    for number in range(first, last):
        at = number * lanes
        width = WIDE * lanes if number < whole else lanes
        begin = number // WIDE * WIDE * lanes if number < whole else at
        target = packed[begin * k : (begin + width) * k].reshape(k, width)[:, at - begin : at - begin + lanes]
        count = min(lanes, columns - at)
        done = 0  # rows of the panel
        if count == lanes:
            done = k // lanes * lanes if turned else k
            if turned:
                turn_rows(packed, w, begin * k + at - begin, at * k, width, k, k // lanes)
            else:
                copy_columns(packed, w, begin * k + at - begin, at, width, columns, k)
        for i in range(done, k):
            for j in range(lanes):
                target[i, j] = 0 if j >= count else w[at + j, i] if turned else w[i, at + j]


@kernel()
def product(out, at_out, start, at_start, x, at_x, rows, packed, add, backwards):
    """Write rows of out = x @ packed, and with `add` + start: from rows at_out, at_start and at_x on.

    backwards: the panels from the last to the first. Who alternates finds the last ones still in the cache.
    """
    lanes = BYTES // out.itemsize
    columns, k = out.shape[1], x.shape[1]
    whole = columns // (WIDE * lanes)
    rest = -(-(columns - whole * WIDE * lanes) // lanes)
    extra = 1 if add else 0
    for number in range(whole + rest):
        p = whole + rest - 1 - number if backwards else number
        at = p * WIDE * lanes if p < whole else whole * WIDE * lanes + (p - whole) * lanes
        count = min(lanes, columns - at)
        r = 0
        while r < rows:
            o, s = (at_out + r) * columns + at, (at_start + r) * columns + at
            a, b = (at_x + r) * k, at * k
            left = rows - r
            if p < whole:
                if TALL >= 8 and left >= 8:
                    wide_8(out, start, x, packed, o, s, a, b, k, columns, extra, count)
                elif left >= 4:
                    wide_4(out, start, x, packed, o, s, a, b, k, columns, extra, count)
                elif left >= 2:
                    wide_2(out, start, x, packed, o, s, a, b, k, columns, extra, count)
                else:
                    wide_1(out, start, x, packed, o, s, a, b, k, columns, extra, count)
            elif TALL >= 8 and left >= 8:
                last_8(out, start, x, packed, o, s, a, b, k, columns, extra, count)
            elif left >= 4:
                last_4(out, start, x, packed, o, s, a, b, k, columns, extra, count)
            elif left >= 2:
                last_2(out, start, x, packed, o, s, a, b, k, columns, extra, count)
            else:
                last_1(out, start, x, packed, o, s, a, b, k, columns, extra, count)
            r += 8 if TALL >= 8 and left >= 8 else 4 if left >= 4 else 2 if left >= 2 else 1
