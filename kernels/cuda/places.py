"""Reading and writing where the data say: sums at places, RoI pooling, non-maximum suppression. No atomics."""

from __future__ import annotations

import math

from numba import cuda, int32, uint32

from deepcore.kernels.cuda.compiler import device
from deepcore.kernels.cuda.declare import kernel
from deepcore.kernels.cuda.helpers import quotient

__all__ = ["add_segments", "nms_mask", "nms_scan", "roi_pool"]

WORD = 32  # boxes in one word of the mask
FAR = 2**20  # pixels; corners of boxes beyond are taken as there


@kernel("places: i64*, order: i64*, values: T*, out: T*, zero: T, count: i32, width: i32, size: i32")
def add_segments(places, order, values, out, zero, count, width, size):
    """out[places[i]] = the sum of the rows values[order[k]] for all k with that place; rows of `width`.

    places (count,) is sorted; the thread of the first of equal ones adds up, in order. Places outside 0..size are left.
    """
    i = cuda.grid(1)
    while i < count * width:
        k = quotient(i, width)
        d = i - k * width
        place = places[k]
        if place >= 0 and place < size and (k == 0 or places[k - 1] != place):
            total = zero
            while k < count and places[k] == place:
                total += values[order[k] * width + d]
                k += 1
            out[place * width + d] = total
        i += cuda.gridsize(1)


@device
def _rounded(x):
    """x rounded to an integer, halves away from zero as in C; FAR where it lies beyond, so that no int32 overflows."""
    real = type(x)
    size = abs(x) if abs(x) < real(FAR) else real(FAR)
    nearest = int32(math.floor(size))
    if size - real(nearest) >= real(0.5):
        nearest += 1
    return int32(-nearest if x < real(0) else nearest)


@device
def _inside(value, size):
    return min(max(value, 0), size)


@device
def _first(number, length, bins):
    """First pixel of a bin: floor(number * length / bins)."""
    return quotient(number * length, bins)


@device
def _behind(number, length, bins):
    """The pixel behind a bin: ceil((number + 1) * length / bins)."""
    return quotient((number + 1) * length + bins - 1, bins)


@kernel(
    "x: T*, boxes: T*, y: T*, places: i64*, scale: T, n: i32, c: i32, h: i32, w: i32, out_h: i32, out_w: i32",
    fma=False,
)
def roi_pool(x, boxes, y, places, scale, n, c, h, w, out_h, out_w):
    """Maximum of each bin and its place in x flattened, -1 for an empty bin; a block column is one (box, channel)."""
    real = type(scale)
    box = quotient(cuda.blockIdx.x, c)
    channel = cuda.blockIdx.x - box * c
    image = boxes[5 * box]
    known = image >= real(0) and image < real(n)
    left, top = _rounded(boxes[5 * box + 1] * scale), _rounded(boxes[5 * box + 2] * scale)
    width = max(_rounded(boxes[5 * box + 3] * scale) - left + 1, 1)
    height = max(_rounded(boxes[5 * box + 4] * scale) - top + 1, 1)
    plane = ((int32(image) if known else int32(0)) * c + channel) * h * w
    pixel = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while pixel < out_h * out_w:
        oh = quotient(pixel, out_w)
        ow = pixel - oh * out_w
        start, stop = _inside(_first(oh, height, out_h) + top, h), _inside(_behind(oh, height, out_h) + top, h)
        begin, end = _inside(_first(ow, width, out_w) + left, w), _inside(_behind(ow, width, out_w) + left, w)
        best, place = real(0), -1
        for row in range(start, stop):
            for col in range(begin, end):
                value = x[plane + row * w + col]
                if place < 0 or value > best or (value != value and best == best):
                    best, place = value, plane + row * w + col
        at = cuda.blockIdx.x * out_h * out_w + pixel
        y[at] = best if known else real(math.nan)
        places[at] = place if known else -1
        pixel += cuda.gridDim.y * cuda.blockDim.x


@kernel("boxes: T*, groups: i64*, mask: u32*, threshold: T, count: i32, words: i32, grouped: i32", fma=False)
def nms_mask(boxes, groups, mask, threshold, count, words, grouped):
    """Bit b of mask[i, word] says that box i drops box 32 * word + b, which follows it; boxes (N, 4) in order."""
    i = cuda.blockIdx.x
    word = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    x1, y1, x2, y2 = boxes[4 * i], boxes[4 * i + 1], boxes[4 * i + 2], boxes[4 * i + 3]
    real = type(x1)
    area = (x2 - x1) * (y2 - y1)
    while word < words:
        bits = uint32(0)
        for b in range(WORD):
            j = WORD * word + b
            if j > i and j < count and (not grouped or groups[i] == groups[j]):
                u1, v1, u2, v2 = boxes[4 * j], boxes[4 * j + 1], boxes[4 * j + 2], boxes[4 * j + 3]
                width, height = min(x2, u2) - max(x1, u1), min(y2, v2) - max(y1, v1)
                width, height = max(width, real(0)), max(height, real(0))
                shared = width * height
                if shared / (area + (u2 - u1) * (v2 - v1) - shared) > threshold:
                    bits |= uint32(1) << uint32(b)
        mask[i * words + word] = bits
        word += cuda.gridDim.y * cuda.blockDim.x


@kernel("mask: u32*, dropped: u32*, kept: i32*, count: i32, words: i32")
def nms_scan(mask, dropped, kept, count, words):
    """kept (N,) is 1 for boxes that no kept box before them drops; dropped (words,), zero at first. One block."""
    for i in range(count):
        word, bit = i >> 5, i & 31
        free = ((dropped[word] >> uint32(bit)) & uint32(1)) == uint32(0)
        cuda.syncthreads()
        if cuda.threadIdx.x == 0:
            kept[i] = 1 if free else 0
        if free:
            for k in range(word + cuda.threadIdx.x, words, cuda.blockDim.x):
                dropped[k] |= mask[i * words + k]
        cuda.syncthreads()
