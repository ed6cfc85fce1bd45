"""Convolution by im2col in tiles that stay in a core's cache, each multiplied by kernels.cpu.gemm.

Shapes: x (N, C, H, W); a column matrix (K, T), K = C // G * KH * KW, has one column for each pixel of a tile; a tile is
some output rows of the batch, which is read as N * OH rows. `geometry` is (KH, KW, sh, sw, ph, pw, dh, dw). What lies
in memory as a column matrix or as rows of one image already is multiplied where it lies. Indices are unsigned where a
loop must be vectorised: Numba then leaves out the branch for negative ones.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.gemm import COLUMNS_BYTES, DEPTH, depth_of, multiply, room
from deepcore.kernels.cpu.planes import clear_row, fill
from deepcore.kernels.cpu.vector import BYTES, vectorised

u64 = np.uint64


@kernel()
def inside(left, step, out, size):
    """Return the range of those of `out` positions left, left + step, ... that lie in 0..size."""
    first = (max(0, -left) + step - 1) // step
    return min(first, out), max(min(out, (size - left + step - 1) // step), min(first, out))


@kernel()
def gather(cols, x, k0, some, row, rows, out_h, out_w, geometry):
    """Write `some` rows k0, k0 + 1, ... of the columns of output rows row, row + 1, ... of the batch to flat cols.

    Up to one vector behind them is overwritten.
    """
    kh, kw, sh, sw, ph, pw, dh, dw = geometry
    _, channels, h, w = x.shape
    source = x.reshape(x.size)
    at = 0
    for k in range(k0, k0 + some):
        c, j, i = k // (kh * kw), k // kw % kh, k % kw
        r = row
        while r < row + rows:
            image, y = r // out_h, r % out_h
            count = min(out_h - y, row + rows - r)
            start = (image * channels + c) * h * w
            fill(cols, at, source, start, h, w, y * sh + j * dh - ph, i * dw - pw, sh, sw, count, out_w, -1)
            at += count * out_w
            r += count


@vectorised
def add_row(v, target, source, to, at, count):
    """Add `count` elements of source, from `at` on, to those of target from `to` on."""
    n = v.lanes
    with v.loop((count + (n - 1)) // n) as i:
        there, left = target + to + i * n, count - i * n
        v.store(there, v.load(there, left) + v.load(source + at + i * n, left), left)


@vectorised
def spread_row(v, target, source, to, at, count):
    """Add `count` elements of source, from `at` on, to every other one of target from `to` on."""
    n = v.lanes
    with v.loop((count + (n - 1)) // n) as i:
        left = count - i * n
        new = v.load(source + at + i * n, left)
        for half in (0, 1):
            there, some = target + to + i * (2 * n) + half * n, left * 2 - half * n - 1
            places = [half * n // 2 + p // 2 if p % 2 == 0 else n for p in range(n)]
            v.store(there, v.load(there, some) + v.shuffle(new, v.zero(), places), some)


@kernel()
def scatter(x, cols, channel, image, images, out_h, out_w, geometry):
    """Add cols (K, images * OH * OW) to the pixels that they stand for, in images image, image + 1, ... of x."""
    kh, kw, sh, sw, ph, pw, dh, dw = geometry
    _, channels, h, w = x.shape
    source, target = cols.reshape(cols.size), x.reshape(x.size)
    at = 0
    for k in range(cols.shape[0]):
        c, j, i = channel + k // (kh * kw), k // kw % kh, k % kw
        left = i * dw - pw
        first, last = inside(left, sw, out_w, w)
        for n in range(image, image + images):
            for y in range(out_h):
                there = y * sh + j * dh - ph
                if 0 <= there < h:
                    to = ((n * channels + c) * h + there) * w + left + first * sw
                    if sw == 1:
                        add_row(target, source, to, at + first, last - first)
                    elif sw == 2:
                        spread_row(target, source, to, at + first, last - first)
                    else:
                        for q in range(last - first):
                            target[to + q * sw] += source[at + first + q]
                at += out_w


@kernel()
def rows_to_tile(tile, image, channel, row, rows):
    """Fill tile (channels, rows * W) with rows row, row + 1, ... of image (N, C, H, W), from `channel` on."""
    _, channels, h, w = image.shape
    source, target = image.reshape(image.size), tile.reshape(tile.size)
    at = 0
    for c in range(tile.shape[0]):
        r = row
        while r < row + rows:
            count = min(h - r % h, row + rows - r)
            start = ((r // h * channels + channel + c) * h + r % h) * w
            for q in range(count * w):
                target[u64(at + q)] = source[u64(start + q)]
            at += count * w
            r += count


@kernel()
def tile_to_rows(image, tile, channel, row, rows):
    """Write tile (channels, rows * W) to rows row, row + 1, ... of image (N, C, H, W), from `channel` on."""
    _, channels, h, w = image.shape
    source, target = tile.reshape(tile.size), image.reshape(image.size)
    at = 0
    for c in range(tile.shape[0]):
        r = row
        while r < row + rows:
            count = min(h - r % h, row + rows - r)
            start = ((r // h * channels + channel + c) * h + r % h) * w
            for q in range(count * w):
                target[u64(start + q)] = source[u64(at + q)]
            at += count * w
            r += count


@kernel()
def pointwise(geometry):
    """Whether a column is one pixel, and columns lie side by side as the pixels do."""
    kh, kw, sh, sw, ph, pw, _, _ = geometry
    return kh * kw == 1 and sh == 1 and sw == 1 and ph == 0 and pw == 0


@kernel()
def address(array, element):
    """Return where an element of a C-contiguous array lies."""
    return np.int64(array.ctypes.data) + element * array.itemsize


@kernel()
def forward(first, last, y, x, w, bias, low, geometry, plan):
    """Write shares first..last of y (N, O, OH, OW): max(x convolved with w + bias, low).

    A share is a tile of one group's output rows and a block of its channels. w: flat; bias: (O, some equal columns);
    low (2,): the bound, and -inf. plan: the strides of w's groups, of its rows (O // G) and columns (K), rows of a
    tile, blocks.
    """
    n, o, out_h, out_w = y.shape
    _, c, h, width = x.shape
    w_group, w_row, w_column, groups, rows_per_tile, blocks = plan
    c_group, o_group, pixels, total = c // groups, o // groups, out_h * out_w, n * out_h
    k, plain = c_group * geometry[0] * geometry[1], pointwise(geometry)
    depth = depth_of(low, k)
    bound, nothing = low[:1], low[1:]
    most = rows_per_tile * out_w
    memory = room(low, most)
    high, bands = (o_group + blocks - 1) // blocks, (out_h + rows_per_tile - 1) // rows_per_tile
    cols = np.empty(min(k, DEPTH) * most + BYTES, x.dtype)
    found = np.empty(high * most, x.dtype)
    for share in range(first, last):
        block, g, tile = share % blocks, share // blocks % groups, share // blocks // groups
        row = tile // bands * out_h + tile % bands * rows_per_tile if bands > 1 else tile * rows_per_tile
        rows = min(rows_per_tile, (out_h - row % out_h) if bands > 1 else (total - row))
        channel = g * o_group + block * high
        count, across = min(high, o_group - block * high), rows * out_w
        if count < 1:
            continue
        image, top = row // out_h, row % out_h
        whole = top + rows <= out_h  # the tile lies in one image
        if whole:
            to = (address(y, ((image * o + channel) * out_h + top) * out_w), pixels)
        else:
            to = (address(found, 0), across)
        start = (address(bias, channel * bias.shape[1]), bias.shape[1], 0)
        step = k if plain and whole else depth  # the same sums either way
        for k0 in range(0, k, step):
            some = min(step, k - k0)
            if plain and whole:
                source = (address(x, ((image * c + g * c_group) * h + top) * width), h * width, 1)
            elif plain:
                rows_to_tile(cols[: some * across].reshape(some, across), x, g * c_group + k0, row, rows)
                source = (address(cols, 0), across, 1)
            else:
                gather(cols, x, g * k + k0, some, row, rows, out_h, out_w, geometry)
                source = (address(cols, 0), across, 1)
            floor = bound if k0 + some == k else nothing
            weights = (address(w, g * w_group + block * high * w_row + k0 * w_column), w_row, w_column)
            multiply(floor, memory, to, start, weights, source, count, across, some)
            start = (to[0], to[1], 1)
        if not whole:
            tile_to_rows(y, found[: count * across].reshape(count, across), channel, row, rows)


@kernel()
def input_gradient(first, last, gx, gy, w, low, geometry, groups, images_per_tile, channels_per_tile):
    """Write tiles first..last of the gradient gx (N, C, H, W).

    A tile is a block of images and channels, so that no two tiles write to the same pixel. w: flat; low: [-inf].
    """
    n, c, h, width = gx.shape
    _, o, out_h, out_w = gy.shape
    taps = geometry[0] * geometry[1]
    c_group, o_group, pixels = c // groups, o // groups, out_h * out_w
    k = c_group * taps
    blocks = (c_group + channels_per_tile - 1) // channels_per_tile
    most = images_per_tile * pixels
    memory = room(low, most)
    cols = np.empty(channels_per_tile * taps * most, gy.dtype)
    copied = np.empty(o_group * most if images_per_tile > 1 else 1, gy.dtype)
    zeros = np.zeros(COLUMNS_BYTES // low.itemsize, gy.dtype)
    target = gx.reshape(gx.size)
    held = -1  # the images of which `copied` has the pixels
    for tile in range(first, last):
        block, g, image = tile % blocks, tile // blocks % groups, tile // blocks // groups * images_per_tile
        images = min(images_per_tile, n - image)
        channel = block * channels_per_tile
        channels = min(channels_per_tile, c_group - channel)
        across = images * pixels
        source = (address(gy, (image * o + g * o_group) * pixels), pixels, 1)
        if images > 1:
            if held != tile // blocks:
                held = tile // blocks
                part = copied[: o_group * across].reshape(o_group, across)
                rows_to_tile(part, gy, g * o_group, image * out_h, images * out_h)
            source = (address(copied, 0), across, 1)
        weights = (address(w, g * o_group * k + channel * taps), 1, k)
        to = (address(cols, 0), across)
        multiply(low, memory, to, (address(zeros, 0), 0, 0), weights, source, channels * taps, across, o_group)
        for i in range(image, image + images):
            clear_row(target, ((i * c + g * c_group + channel) * h) * width, channels * h * width)
        part = cols[: channels * taps * across].reshape(channels * taps, across)
        scatter(gx, part, g * c_group + channel, image, images, out_h, out_w, geometry)


@kernel()
def weight_gradient(first, last, partial, gy, x, low, geometry, rows_per_tile, blocks):
    """Fill blocks first..last of partial (S, G, O // G, K): element s is the gradient from share s of the output rows.

    blocks: how many blocks of O and of K each of them is cut into; low: [-inf].
    """
    shares, groups, o_group, k = partial.shape
    n, o, out_h, out_w = gy.shape
    _, c, h, width = x.shape
    pixels, total, plain = out_h * out_w, n * out_h, pointwise(geometry)
    down, across = blocks
    high, wide = (o_group + down - 1) // down, (k + across - 1) // across
    most = rows_per_tile * out_w
    memory = room(low, wide)
    cols = np.empty(wide * most + BYTES, x.dtype)
    copied = np.empty(high * most, x.dtype)
    zeros = np.zeros(COLUMNS_BYTES // low.itemsize, gy.dtype)
    for index in range(first, last):
        i, j, g = index % down, index // down % across, index // (down * across) % groups
        share = index // (down * across * groups)
        o0, k0 = i * high, j * wide
        rows_o, rows_k = min(high, o_group - o0), min(wide, k - k0)
        if rows_o < 1 or rows_k < 1:
            continue
        to = (address(partial, ((share * groups + g) * o_group + o0) * k + k0), k)
        start = (address(zeros, 0), 0, 0)
        end = total * (share + 1) // shares
        row = total * share // shares
        while row < end:
            rows = min(rows_per_tile, end - row)
            if out_h > rows_per_tile:  # a tile stays in one image
                rows = min(rows, out_h - row % out_h)
            depth = rows * out_w
            image, top = row // out_h, row % out_h
            whole = top + rows <= out_h
            if whole:
                left = (address(gy, ((image * o + g * o_group + o0) * out_h + top) * out_w), pixels, 1)
            else:
                part = copied[: rows_o * depth].reshape(rows_o, depth)
                rows_to_tile(part, gy, g * o_group + o0, row, rows)
                left = (address(copied, 0), depth, 1)
            if plain and whole:
                right = (address(x, ((image * c + g * k + k0) * h + top) * width), 1, h * width)
            else:
                if plain:
                    rows_to_tile(cols[: rows_k * depth].reshape(rows_k, depth), x, g * k + k0, row, rows)
                else:
                    gather(cols, x, g * k + k0, rows_k, row, rows, out_h, out_w, geometry)
                right = (address(cols, 0), 1, depth)
            multiply(low, memory, to, start, left, right, rows_o, rows_k, depth)
            start = (to[0], to[1], 1)
            row += rows


@kernel()
def im2col(first, last, cols, x, geometry):
    """Fill images first..last of cols (N, K, OH, OW) from x (N, C, H, W)."""
    _, k, out_h, out_w = cols.shape
    size = k * out_h * out_w
    flat, beside = cols.reshape(cols.size), np.empty(size + BYTES, x.dtype)
    for n in range(first, last - 1):
        gather(flat[n * size :], x, 0, k, n * out_h, out_h, out_h, out_w, geometry)
    # not the last one: what lies behind it is another thread's, or no memory of ours
    gather(beside, x, 0, k, (last - 1) * out_h, out_h, out_h, out_w, geometry)
    for i in range(size):
        flat[(last - 1) * size + i] = beside[i]


@kernel()
def col2im(first, last, x, cols, geometry):
    """Add images first..last of cols (N, K, OH, OW) to x (N, C, H, W)."""
    _, k, out_h, out_w = cols.shape
    for n in range(first, last):
        scatter(x, cols[n].reshape(k, out_h * out_w), 0, n, 1, out_h, out_w, geometry)
