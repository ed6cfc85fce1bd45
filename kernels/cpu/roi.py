"""Pooling of regions of interest; the formulas are those of backends/base/roi.py. Boxes (K, 5), maps (N, C, H, W)."""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.elementary import FMA


@kernel(inlined=True)
def rounded(x):
    """Return x rounded to an integer, halves away from zero as in C."""
    size = abs(x)
    whole = np.floor(size)
    nearest = np.int64(whole) + (1 if size - whole >= type(x)(0.5) else 0)
    return -nearest if x < 0 else nearest


@kernel(inlined=True)
def inside(value, size):
    """Return value cut at 0 and size."""
    return min(max(value, 0), size)


@kernel(inlined=True)
def bins_of(bounds, start, length, size):
    """Write the first pixel of each bin and the one behind it, cut at 0 and size, to bounds (bins, 2)."""
    bins = bounds.shape[0]
    for i in range(bins):
        bounds[i, 0] = inside(i * length // bins + start, size)
        bounds[i, 1] = inside(((i + 1) * length + bins - 1) // bins + start, size)


@kernel(inlined=True)
def largest(plane, rows, columns):
    """Return (maximum, place) of a window; the first of equal maxima, and the first NaN, as argmax."""
    begin, end = columns[0], columns[1]
    best, place = plane[rows[0], begin], rows[0] * plane.shape[1] + begin
    for row in range(rows[0], rows[1]):
        line = plane[row, begin:end]
        for i in range(line.size):
            value = line[i]
            if not value <= best and best == best:
                best, place = value, row * plane.shape[1] + begin + i
    return best, place


@kernel()
def roi_pool(first, last, y, places, x, boxes, scale):
    """Write maxima and their places in x flattened, -1 for an empty bin: boxes first..last."""
    n_, c_, h, w = x.shape
    _, _, out_h, out_w = y.shape
    rows, columns = np.empty((out_h, 2), np.int64), np.empty((out_w, 2), np.int64)
    for k in range(first, last):
        image = np.int64(boxes[k, 0])
        if not 0 <= image < n_:
            y[k] = np.nan
            places[k] = -1
            continue
        left, top = rounded(boxes[k, 1] * scale), rounded(boxes[k, 2] * scale)
        width = max(rounded(boxes[k, 3] * scale) - left + 1, 1)
        height = max(rounded(boxes[k, 4] * scale) - top + 1, 1)
        bins_of(rows, top, height, h)
        bins_of(columns, left, width, w)
        for c in range(c_):
            plane, base = x[image, c], (image * c_ + c) * h * w
            for oh in range(out_h):
                for ow in range(out_w):
                    best, place = x.dtype.type(0), -1
                    if rows[oh, 0] < rows[oh, 1] and columns[ow, 0] < columns[ow, 1]:
                        best, place = largest(plane, rows[oh], columns[ow])
                        place += base
                    y[k, c, oh, ow] = best
                    places[k, c, oh, ow] = place


@kernel()
def reach(first, last, bounds, weights):
    """Write the first and behind the last place of a row of weights (R, size) that is not 0, to bounds (R, 2)."""
    for r in range(first, last):
        low, high = 0, weights.shape[1]
        while high > 0 and weights[r, high - 1] == 0:
            high -= 1
        while low < high and weights[r, low] == 0:
            low += 1
        bounds[r, 0], bounds[r, 1] = low, high


@kernel(inlined=True)
def overall(bounds):
    """Return the smallest first and the largest last of bounds (bins, 2)."""
    low, high = bounds[0, 0], bounds[0, 1]
    for b in range(1, bounds.shape[0]):
        if bounds[b, 0] < bounds[b, 1]:
            low = bounds[b, 0] if low == high else min(low, bounds[b, 0])
            high = max(high, bounds[b, 1])
    return low, high


@kernel(fastmath=FMA)
def roi_align(first, last, y, x, images, rows, columns, row_bounds, column_bounds):
    """Write y (K, C, OH, OW) = rows x columns^T for boxes first..last.

    images (K,), -1 where there is no such image; rows (K, OH, H), columns (K, OW, W) and where they are not 0.
    """
    _, c_, h, _ = x.shape
    _, _, out_h, out_w = y.shape
    across = np.zeros((h, out_w), x.dtype)
    for k in range(first, last):
        if images[k] < 0:
            y[k] = np.nan
            continue
        top, bottom = overall(row_bounds[k])
        for c in range(c_):
            plane = x[images[k], c]
            for i in range(top, bottom):
                for ow in range(out_w):
                    total = x.dtype.type(0)
                    for j in range(column_bounds[k, ow, 0], column_bounds[k, ow, 1]):
                        total += plane[i, j] * columns[k, ow, j]
                    across[i, ow] = total
            for oh in range(out_h):
                out = y[k, c, oh]
                out[:] = 0
                for i in range(row_bounds[k, oh, 0], row_bounds[k, oh, 1]):
                    weight, line = rows[k, oh, i], across[i]
                    for ow in range(out_w):
                        out[ow] += weight * line[ow]


@kernel(fastmath=FMA)
def roi_align_grad(first, last, gx, gy, images, rows, columns, row_bounds, column_bounds):
    """Add rows^T gy columns of every box to gx (N, C, H, W), zero at first: channels first..last."""
    _, _, h, _ = gx.shape
    _, _, out_h, out_w = gy.shape
    across = np.zeros((h, out_w), gx.dtype)
    for k in range(gy.shape[0]):
        if images[k] < 0:
            continue
        top, bottom = overall(row_bounds[k])
        for c in range(first, last):
            across[top:bottom] = 0
            for oh in range(out_h):
                source = gy[k, c, oh]
                for i in range(row_bounds[k, oh, 0], row_bounds[k, oh, 1]):
                    weight, line = rows[k, oh, i], across[i]
                    for ow in range(out_w):
                        line[ow] += weight * source[ow]
            for i in range(top, bottom):
                target = gx[images[k], c, i]
                for ow in range(out_w):
                    g = across[i, ow]
                    for j in range(column_bounds[k, ow, 0], column_bounds[k, ow, 1]):
                        target[j] += g * columns[k, ow, j]
