"""The pieces of Winograd's convolution that are written in vectors; see kernels.cpu.winograd. float32.

Channels lie in the lanes of vectors. Arrays are flat; strides and places are counted in numbers.
"""

from __future__ import annotations

from deepcore.kernels.cpu.vector import REGISTERS, lanes, vectorised
from deepcore.kernels.cpu.winograd_transform import F4, both

LANES = lanes(4)
M, N = F4.m, F4.n
GROUP = 12 if REGISTERS >= 32 else 6  # tiles of a register tile
PART = GROUP // 3  # tiles of the register tile for the rest
WIDE = 2  # vectors of outputs of a register tile
STEPS = 4  # channels between two tests of the loop; divides LANES
BLOCK = 32  # channels whose sum is formed before it is added to the others: short sums lose less to rounding


@vectorised
def pixels_out(v, y, strip, where, start, plane, channels, count):
    """Write `count` contiguous pixels of `channels` <= v.lanes channels from strip[where[pixel]] on."""
    with v.loop(count // v.lanes) as block:
        rows = [v.load(strip + v.number(where + block * v.lanes + i)) for i in range(v.lanes)]
        for i, vector in enumerate(v.transpose(rows)):
            with v.when(channels - v.least(i, channels)):
                v.store(y + start + block * v.lanes + i * plane, vector)
    done = count // v.lanes * v.lanes
    with v.when(count - done):
        rows = [v.load(strip + v.number(where + done + i)) for i in range(v.lanes)]
        for i, vector in enumerate(v.transpose(rows)):
            with v.when(channels - v.least(i, channels)):
                v.store(y + start + done + i * plane, vector, count - done)


@vectorised
def tiles_in(v, out, strip, to, first, count, at, pitch, point, group):
    """Write B^T x B of `count` tiles side by side as the tiles from `first` on; point and group are out's strides."""
    with v.loop(count) as i:
        tile = first + i
        target = out + to + tile // GROUP * group + (tile - tile // GROUP * GROUP) * v.lanes
        source = strip + at + i * (M * v.lanes)
        both(
            v,
            F4.data,
            lambda r, c: v.load(source + pitch * r + c * v.lanes),
            lambda r, c, vector: v.store(target + point * (r * N + c), vector),
        )


@vectorised
def tiles_out(v, strip, m, bias, bound, channel, first, count, at, pitch, point, group, column, wide):
    """Write max(A^T m A + bias[channel:], bound) of `count` tiles side by side to strip.

    column is the place of the vector in a panel of `wide` numbers; bound is 0 with a ReLU, minus infinity without.
    """
    add, low = v.load(bias + channel), v.broadcast(bound)
    with v.loop(count) as i:
        tile = first + i
        source = m + tile // GROUP * group + (tile - tile // GROUP * GROUP) * wide + column
        target = strip + at + i * (M * v.lanes)
        both(
            v,
            F4.output,
            lambda r, c: v.load(source + point * (r * N + c)),
            lambda r, c, vector: v.store(target + pitch * r + c * v.lanes, v.max(low, vector + add)),
        )


def product(name, high, wide):
    """Make name(v, m, tiles, u, to, from, from, channels, more): m = tiles @ u, `more`: m +=, by `high` tiles."""

    def function(v, m, tiles, u, m_at, tiles_at, u_at, channels, more):
        sums = [[v.variable(v.zero()) for _ in range(wide)] for _ in range(high)]

        def step(source, row):
            weights = [v.load(row + j * v.lanes) for j in range(wide)]
            for i in range(high):
                factor = v.broadcast(source + i * v.lanes)
                for j in range(wide):
                    sums[i][j].set(v.fma(factor, weights[j], sums[i][j].vector))

        with v.loop((channels + BLOCK - 1) // BLOCK) as block:
            start = block * BLOCK
            count = v.least(channels - start, BLOCK)
            source = tiles + tiles_at + start // LANES * (GROUP * LANES)
            row = u + u_at + start * (wide * LANES)
            for i in range(high):
                for j in range(wide):
                    sums[i][j].set(v.zero())
            with v.loop(count // STEPS) as k:
                chunk = k // (LANES // STEPS)
                at = source + chunk * ((GROUP - 1) * LANES) + k * STEPS
                for s in range(STEPS):
                    step(at + s, row + (k * STEPS + s) * (wide * LANES))
            done = count // STEPS * STEPS
            chunk = done // LANES
            with v.loop(count - done) as k:
                step(source + chunk * ((GROUP - 1) * LANES) + done + k, row + (done + k) * (wide * LANES))
            target = m + m_at
            with v.when(more + block):
                for i in range(high):
                    for j in range(wide):
                        sums[i][j].set(sums[i][j].vector + v.load(target + (i * wide + j) * LANES))
            for i in range(high):
                for j in range(wide):
                    v.store(target + (i * wide + j) * LANES, sums[i][j].vector)

    function.__name__, function.__doc__ = name, product.__doc__
    return vectorised(function)


group_1, group_2 = product("group_1", GROUP, 1), product("group_2", GROUP, 2)
part_1, part_2 = product("part_1", PART, 1), product("part_2", PART, 2)


@vectorised
def filter_rows(v, taps, w, start, stride, outputs, count):
    """Write taps[channel][tap][lane]: `count` numbers of v.lanes outputs, which lie `stride` apart."""
    with v.loop((count + v.lanes - 1) // v.lanes) as chunk:
        left = v.least(count - chunk * v.lanes, v.lanes)
        rows = [v.load(w + start + chunk * v.lanes + v.least(i, outputs - 1) * stride, left) for i in range(v.lanes)]
        for i, vector in enumerate(v.transpose(rows)):
            v.store(taps + (chunk * v.lanes + i) * v.lanes, vector)


@vectorised
def filter_columns(v, taps, w, to, start, outputs):
    """Write [tap][lane] to taps[to:], the taps turned by half a turn: v.lanes filters that lie behind each other."""
    for first in range(0, 9, v.lanes):
        some = min(v.lanes, 9 - first)
        rows = [v.load(w + start + first + v.least(i, outputs - 1) * 9, some) for i in range(v.lanes)]
        for i, vector in enumerate(v.transpose(rows)[:some]):
            v.store(taps + to + (8 - first - i) * v.lanes, vector)


@vectorised
def filters(v, u, taps, to, count, point, wide):
    """Write G g G^T of `count` channels, v.lanes outputs each; point and wide are u's strides."""
    with v.loop(count) as c:
        target, source = u + to + c * wide, taps + c * (9 * v.lanes)
        both(
            v,
            F4.filter,
            lambda i, j: v.load(source + (i * 3 + j) * v.lanes),
            lambda i, j, vector: v.store(target + point * (i * N + j), vector),
        )
