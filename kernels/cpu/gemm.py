"""Matrix products C = A B + start for one thread: packed panels, a tile of C in registers (Goto & van de Geijn 2008).

A panel of A is ROWS rows, one of B VECTORS vectors of columns, both DEPTH long at most; their elements lie in the order
in which they are multiplied. A panel of A stays in the L1 cache while the panels of B come from L2. A matrix with one
unit stride is packed as it lies: A, B and C may be parts or transposes of larger arrays.

An element is the sum of `start` and of one chain of fused multiplications for each `depth_of` k, in their order: the
same bits in whichever tile or share it falls, and an error that grows with the root of DEPTH and not of k.

A matrix is (address, stride of rows, stride of columns), in bytes and elements; C's columns have stride 1.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.vector import BYTES, REGISTERS, vectorised

# The sums of a tile, a row of B and one broadcast number fill the registers.
ROWS, VECTORS = (12, 2) if REGISTERS == 32 else (6, 2)
DEPTH = 288
COLUMNS_BYTES = VECTORS * BYTES  # what a row of a tile takes: as much is read of a `start` whose columns are all alike
EDGE_ROW = DEPTH + 16  # no power of two: rows of an edge would share the sets of the cache
L2_BYTES = 512 << 10  # for the panels of B
UNROLLED = 4


def _tile(vectors):
    """Return the code for a tile of ROWS rows and `vectors` vectors."""

    @vectorised
    def tile(v, low, c, c_row, start, start_row, a, b, depth):
        """Write max(start + A B, low) to c, for panels a and b."""
        c, start, a, b = (v.pointer(address) for address in (c, start, a, b))
        places = [(r, j) for r in range(ROWS) for j in range(vectors)]
        sums = {place: v.variable(v.zero()) for place in places}

        for r in range(ROWS):
            for j in range(vectors):
                v.prefetch(c + c_row * r + j * v.lanes)

        def add(k):
            row = [v.load(b + k * (VECTORS * v.lanes) + j * v.lanes) for j in range(vectors)]
            for r in range(ROWS):
                x = v.broadcast(a + k * ROWS + r)
                for j in range(vectors):
                    sums[r, j].set(v.fma(x, row[j], sums[r, j].vector))

        with v.loop(depth // UNROLLED) as i:
            for u in range(UNROLLED):
                add(i * UNROLLED + u)
        done = depth // UNROLLED * UNROLLED
        with v.loop(depth - done) as i:
            add(done + i)
        floor = v.broadcast(low)
        for r, j in places:
            found = v.load(start + start_row * r + j * v.lanes) + sums[r, j].vector
            v.store(c + c_row * r + j * v.lanes, v.max(floor, found))

    return tile


wide_tile, narrow_tile = _tile(VECTORS), _tile(1)


@vectorised
def copy_row(v, like, to, source, count):
    """Copy `count` elements."""
    to, source = v.pointer(to), v.pointer(source)
    with v.loop(count // v.lanes) as i:
        v.store(to + i * v.lanes, v.load(source + i * v.lanes))
    done = count // v.lanes * v.lanes
    v.store(to + done, v.load(source + done, count - done), count - done)


@vectorised
def pack_vectors(v, like, to, width, source, stride, depth):
    """Copy v.lanes elements of each of `depth` rows into a panel of this width."""
    to, source = v.pointer(to), v.pointer(source)
    with v.loop(depth) as k:
        v.store(to + width * k, v.load(source + stride * k))


@vectorised
def pack_parts(v, like, to, width, source, stride, depth, count):
    """Copy `count` < v.lanes elements of each of `depth` rows; what is written behind them is overwritten or unused."""
    to, source = v.pointer(to), v.pointer(source)
    with v.loop(depth) as k:
        v.store(to + width * k, v.load(source + stride * k, count))


@vectorised
def pack_transposed(v, like, to, width, source, stride, blocks):
    """Write `blocks` times v.lanes elements of v.lanes rows as columns of a panel."""
    to, source = v.pointer(to), v.pointer(source)
    with v.loop(blocks) as i:
        rows = v.transpose([v.load(source + stride * r + i * v.lanes) for r in range(v.lanes)])
        for r, row in enumerate(rows):
            v.store(to + width * (i * v.lanes + r), row)


@kernel()
def copy_rows(like, to, to_row, source, source_row, rows, count):
    """Copy `rows` rows of `count` elements."""
    for r in range(rows):
        copy_row(like, to + r * to_row * like.itemsize, source + r * source_row * like.itemsize, count)


@kernel()
def pack(like, to, width, source, across, along, count, depth, edge):
    """Pack `count` <= width rows of A, or columns of B, each `depth` long, into a panel.

    across, along: strides from one row to the next and within it; edge: room for v.lanes rows of EDGE_ROW elements.
    """
    size = like.itemsize
    lanes = BYTES // size
    for g in range((count - 1) // lanes * lanes, -1, -lanes):  # backwards: what spills over is written after it
        here, there, some = source + g * across * size, to + g * size, min(lanes, count - g)
        if along != 1:
            if some == lanes:
                pack_vectors(like, there, width, here, along, depth)
            else:
                pack_parts(like, there, width, here, along, depth, some)
            continue
        # whole blocks from where they lie, the rest from a copy
        blocks = depth // lanes if some == lanes else 0
        pack_transposed(like, there, width, here, across, blocks)
        done = blocks * lanes
        if done < depth:
            copy_rows(like, edge, EDGE_ROW, here + done * size, across, some, depth - done)
            pack_transposed(like, there + done * width * size, width, edge, EDGE_ROW, -(-(depth - done) // lanes))


@kernel()
def room(like, n):
    """Return (memory, addresses of a panel of A, of the panels of B, of an edge) for products of up to n columns."""
    lanes = BYTES // like.itemsize
    columns = VECTORS * lanes
    panels = min(L2_BYTES // (DEPTH * like.itemsize * columns), -(-n // columns))
    a, b, edge = (ROWS + 1) * (DEPTH + lanes), (panels + 1) * DEPTH * columns, lanes * EDGE_ROW
    memory = np.empty(a + b + edge + 3 * lanes, like.dtype)
    at = -(-np.int64(memory.ctypes.data) // BYTES) * BYTES
    a_end, b_end = -(-a // lanes) * lanes, -(-a // lanes) * lanes + b
    # Rows that are missing at an edge are multiplied too: zeros are no slow denormal numbers.
    for i in range(a_end + lanes):
        memory[i] = 0
    for i in range(b_end, memory.size):
        memory[i] = 0
    return memory, at, at + a_end * like.itemsize, at + b_end * like.itemsize


@kernel()
def depth_of(like, k):
    """Return in parts of how many elements a product sums k of them: equal ones of whole vectors, DEPTH at most."""
    lanes = BYTES // like.itemsize
    return -(-k // (-(-k // DEPTH) * lanes)) * lanes


@kernel()
def multiply(low, memory, c, start, a, b, m, n, k):
    """Write max(start + A B, low) for A (m, k) and B (k, n); memory: what `room` gave.

    c is (address, stride of rows), start (address, stride of rows, of columns). start may be c, or one row with stride
    0, or of COLUMNS_BYTES equal columns with stride 0.
    """
    size = low.itemsize
    lanes = BYTES // size
    columns = VECTORS * lanes
    _, a_panel, b_panels, edge = memory
    depth = depth_of(low, k)
    panels = -(-n // columns)
    parts = -(-panels // (L2_BYTES // (DEPTH * size * columns)))
    width = -(-panels // parts) * columns
    nothing = np.empty(1, low.dtype)
    nothing[0] = -np.inf
    for j0 in range(0, n, width):
        across = min(width, n - j0)
        for k0 in range(0, k, depth):
            long = min(depth, k - k0)
            for j in range(0, across, columns):
                source = b[0] + (k0 * b[1] + (j0 + j) * b[2]) * size
                pack(
                    low, b_panels + j * DEPTH * size, columns, source, b[2], b[1], min(columns, across - j), long, edge
                )
            first, first_row, first_column = (c[0], c[1], 1) if k0 else start
            floor = low if k0 + depth >= k else nothing
            for i in range(0, m, ROWS):
                rows = min(ROWS, m - i)
                pack(low, a_panel, ROWS, a[0] + (i * a[1] + k0 * a[2]) * size, a[1], a[2], rows, long, edge)
                for j in range(0, across, columns):
                    count = min(columns, across - j)
                    at, row = c[0] + (i * c[1] + j0 + j) * size, c[1]
                    source, source_row = first + (i * first_row + (j0 + j) * first_column) * size, first_row
                    inside = rows == ROWS and count in (columns, lanes)
                    if not inside:
                        copy_rows(low, edge, columns, source, source_row, rows, count)
                        at, row, source, source_row = edge, columns, edge, columns
                    panel = b_panels + j * DEPTH * size
                    if count > lanes:
                        wide_tile(floor, at, row, source, source_row, a_panel, panel, long)
                    else:
                        narrow_tile(floor, at, row, source, source_row, a_panel, panel, long)
                    if not inside:
                        copy_rows(low, c[0] + (i * c[1] + j0 + j) * size, c[1], edge, columns, rows, count)


@kernel()
def gemm(first, last, low, bias, plan):
    """Write shares first..last of C, which is cut into down x across blocks.

    plan: c, its row stride, a and its strides, b and its strides, m, n, k, down, across, and what to start from: 0 the
    bias (n,), 1 what is in C.
    """
    c, c_row, a, a_row, a_column, b, b_row, b_column, m, n, k, down, across, add = plan
    size = low.itemsize
    columns = VECTORS * (BYTES // size)
    memory = room(low, -(-n // across) + columns)
    tall, wide = -(-m // ROWS), -(-n // columns)
    for share in range(first, last):
        i, j = share // across, share % across
        i0, i1 = tall * i // down * ROWS, min(tall * (i + 1) // down * ROWS, m)
        j0, j1 = wide * j // across * columns, min(wide * (j + 1) // across * columns, n)
        if i0 < i1 and j0 < j1:
            to = c + (i0 * c_row + j0) * size
            start = (to, c_row, 1) if add else (np.int64(bias.ctypes.data) + j0 * size, 0, 1)
            left, right = (a + i0 * a_row * size, a_row, a_column), (b + j0 * b_column * size, b_row, b_column)
            multiply(low, memory, (to, c_row), start, left, right, i1 - i0, j1 - j0, k)
