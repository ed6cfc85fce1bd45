"""Max and average pooling; a range is over planes, the N * C images of one channel. x is (P, H, W), y (P, OH, OW).

Indices of innermost loops are unsigned: Numba then leaves out the branch for negative ones.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel

u64 = np.uint64


@kernel()
def reach(taps, stride, padding, dilation, size, out):
    """Return arrays (first, end): for each tap of the window, which of the `out` windows have it inside the image."""
    first, end = np.empty(taps, np.int64), np.empty(taps, np.int64)
    for i in range(taps):
        offset = i * dilation - padding
        first[i] = min(out, max(0, (stride - 1 - offset) // stride))
        end[i] = max(first[i], min(out, (size - 1 - offset) // stride + 1))
    return first, end


@kernel()
def inside(at, stride, padding, dilation, taps, size):
    """Return (offset of window `at`, its first tap inside the image, the tap behind its last)."""
    offset = at * stride - padding
    first = 0
    while offset + first * dilation < 0:
        first += 1
    end = taps
    while end > first and offset + (end - 1) * dilation >= size:
        end -= 1
    return offset, first, end


@kernel()
def max_pool(first, last, y, indices, x, geometry):
    """Write maxima and their places h * W + w; the first of equal ones, the last NaN; -1 where a window has no pixel.

    geometry is (KH, KW, sh, sw, ph, pw, dh, dw).
    """
    kh, kw, sh, sw, ph, pw, dh, dw = geometry
    _, h, w = x.shape
    _, out_h, out_w = y.shape
    source, maxima, places = x.reshape(x.size), y.reshape(y.size), indices.reshape(indices.size)
    across = [inside(ow, sw, pw, dw, kw, w) for ow in range(out_w)]
    out = first * out_h * out_w
    for p in range(first, last):
        for oh in range(out_h):
            top, j_first, j_end = inside(oh, sh, ph, dh, kh, h)
            for left, i_first, i_end in across:
                best, place = y.dtype.type(-np.inf), -1
                for j in range(j_first, j_end):
                    for i in range(i_first, i_end):
                        here = (top + j * dh) * w + left + i * dw
                        value = source[u64(p * h * w + here)]
                        better = (value > best) | (value != value) | (place < 0)
                        place += (here - place) * np.int64(better)  # a branch would be a coin toss
                        best = value if better else best
                maxima[u64(out)] = best
                places[u64(out)] = place
                out += 1


@kernel()
def max_pool_2x2(first, last, y, indices, x, sh, sw):
    """max_pool for windows of 2 x 2 pixels, all inside the image: three times as fast."""
    _, h, w = x.shape
    _, out_h, out_w = y.shape
    source, maxima, places = x.reshape(x.size), y.reshape(y.size), indices.reshape(indices.size)
    out = first * out_h * out_w
    for p in range(first, last):
        for oh in range(out_h):
            row = oh * sh * w
            for here in range(row, row + out_w * sw, sw):
                at = p * h * w + here
                best, place = source[u64(at)], here
                for step in (1, w, w + 1):
                    value = source[u64(at + step)]
                    if value > best or value != value:
                        best, place = value, here + step
                maxima[u64(out)] = best
                places[u64(out)] = place
                out += 1


@kernel()
def max_pool_grad(first, last, gx, gy, indices):
    """Add every gradient to its maximum's place: gx (P, H * W), zero at first; gy, indices (P, OH * OW)."""
    for p in range(first, last):
        for i in range(gy.shape[1]):
            place = indices[p, i]
            if 0 <= place < gx.shape[1]:
                gx[p, place] += gy[p, i]


@kernel()
def counts(size, kernel, stride, padding, out, count_include_pad):
    """Return how many pixels each of `out` windows along one axis counts, at least 1."""
    counted = np.empty(out, np.int64)
    for at in range(out):
        begin = at * stride - padding
        end = min(begin + kernel, size + padding)
        if not count_include_pad:
            begin, end = max(begin, 0), min(end, size)
        counted[at] = max(1, end - begin)
    return counted


@kernel()
def avg_pool(first, last, y, x, geometry, count_include_pad, divisor):
    """Write averages; geometry is (KH, KW, sh, sw, ph, pw), divisor 0 means the number of pixels counted."""
    kh, kw, sh, sw, ph, pw = geometry
    _, h, w = x.shape
    _, out_h, out_w = y.shape
    begin, end = reach(kw, sw, pw, 1, w, out_w)
    rows, cols = counts(h, kh, sh, ph, out_h, count_include_pad), counts(w, kw, sw, pw, out_w, count_include_pad)
    source, total = x.reshape(x.size), y.reshape(y.size)
    for out_row in range(first * out_h, last * out_h):
        p, oh = out_row // out_h, out_row % out_h
        at = out_row * out_w
        for q in range(out_w):
            total[u64(at + q)] = 0
        for row in range(max(0, oh * sh - ph), min(h, oh * sh - ph + kh)):
            for i in range(kw):
                start = (p * h + row) * w + i - pw
                for q in range(begin[i], end[i]):
                    total[u64(at + q)] += source[u64(start + q * sw)]
        for q in range(out_w):
            total[u64(at + q)] /= y.dtype.type(divisor if divisor else rows[oh] * cols[u64(q)])


@kernel()
def avg_pool_grad(first, last, gx, gy, geometry, count_include_pad, divisor):
    """Spread every gradient over its window: gx (P, H, W), zero at first."""
    kh, kw, sh, sw, ph, pw = geometry
    _, h, w = gx.shape
    _, out_h, out_w = gy.shape
    begin, end = reach(kw, sw, pw, 1, w, out_w)
    rows, cols = counts(h, kh, sh, ph, out_h, count_include_pad), counts(w, kw, sw, pw, out_w, count_include_pad)
    share, target = np.empty(out_w, gx.dtype), gx.reshape(gx.size)
    for out_row in range(first * out_h, last * out_h):
        p, oh = out_row // out_h, out_row % out_h
        for q in range(out_w):
            share[q] = gy[p, oh, q] / gx.dtype.type(divisor if divisor else rows[oh] * cols[q])
        for row in range(max(0, oh * sh - ph), min(h, oh * sh - ph + kh)):
            for i in range(kw):
                start = (p * h + row) * w + i - pw
                for q in range(begin[i], end[i]):
                    target[u64(start + q * sw)] += share[u64(q)]
