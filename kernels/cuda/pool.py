"""Max and average pooling; backward passes gather, so they need no atomics and repeat bit for bit.

One block column of the grid is one plane: the image of one (n, c); threads walk over its pixels.
"""

from __future__ import annotations

from numba import cuda

from deepcore.kernels.cuda.compiler import device
from deepcore.kernels.cuda.declare import kernel
from deepcore.kernels.cuda.helpers import first_window, last_window, quotient

__all__ = ["avg_pool2d", "avg_pool2d_grad", "max_pool2d", "max_pool2d_grad"]

SIZES = "h: i32, w: i32, out_h: i32, out_w: i32, kh: i32, kw: i32, sh: i32, sw: i32, ph: i32, pw: i32"


@kernel(f"x: T*, y: T*, indices: i64*, lowest: T, {SIZES}, dh: i32, dw: i32")
def max_pool2d(x, y, indices, lowest, h, w, out_h, out_w, kh, kw, sh, sw, ph, pw, dh, dw):
    """Maximum of each window and its place h * W + w; -1 for a window without a pixel."""
    plane = cuda.blockIdx.x
    image = plane * h * w
    pixel = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while pixel < out_h * out_w:
        oh = quotient(pixel, out_w)
        top = oh * sh - ph
        left = (pixel - oh * out_w) * sw - pw
        best, place = lowest, -1
        for j in range(kh):
            row = top + j * dh
            if row >= 0 and row < h:
                for i in range(kw):
                    col = left + i * dw
                    if col >= 0 and col < w:
                        value = x[image + row * w + col]
                        if place < 0 or value > best or value != value:
                            best, place = value, row * w + col
        y[plane * out_h * out_w + pixel] = best
        indices[plane * out_h * out_w + pixel] = place
        pixel += cuda.gridDim.y * cuda.blockDim.x


@kernel(f"gy: T*, indices: i64*, gx: T*, zero: T, {SIZES}, dh: i32, dw: i32")
def max_pool2d_grad(gy, indices, gx, zero, h, w, out_h, out_w, kh, kw, sh, sw, ph, pw, dh, dw):
    """gx = the sum of gy over the windows whose maximum this pixel was."""
    plane = cuda.blockIdx.x
    out = plane * out_h * out_w
    pixel = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while pixel < h * w:
        row = quotient(pixel, w)
        col = pixel - row * w
        left = first_window(col, dw * (kw - 1) + 1, sw, pw)
        right = last_window(col, sw, pw, out_w)
        total = zero
        for oh in range(first_window(row, dh * (kh - 1) + 1, sh, ph), last_window(row, sh, ph, out_h) + 1):
            for ow in range(left, right + 1):
                place = out + oh * out_w + ow
                if indices[place] == pixel:
                    total += gy[place]
        gx[plane * h * w + pixel] = total
        pixel += cuda.gridDim.y * cuda.blockDim.x


@device
def _length(place, size, kernel_size, stride, padding, with_padding):
    """Pixels of window `place` along one axis that count in the divisor (PyTorch cuts at the padded edge first)."""
    first = place * stride - padding
    last = min(first + kernel_size, size + padding)
    if not with_padding:
        first, last = max(first, 0), min(last, size)
    return max(last - first, 1)


@kernel(f"x: T*, y: T*, zero: T, {SIZES}, with_padding: i32, divisor: T")
def avg_pool2d(x, y, zero, h, w, out_h, out_w, kh, kw, sh, sw, ph, pw, with_padding, divisor):
    """Sum of each window over `divisor`, or over its number of pixels where divisor is 0."""
    real = type(zero)
    plane = cuda.blockIdx.x
    image = plane * h * w
    pixel = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while pixel < out_h * out_w:
        oh = quotient(pixel, out_w)
        ow = pixel - oh * out_w
        top, left = oh * sh - ph, ow * sw - pw
        total = zero
        for row in range(max(top, 0), min(top + kh, h)):
            for col in range(max(left, 0), min(left + kw, w)):
                total += x[image + row * w + col]
        size = divisor
        if divisor == zero:
            size = real(_length(oh, h, kh, sh, ph, with_padding) * _length(ow, w, kw, sw, pw, with_padding))
        y[plane * out_h * out_w + pixel] = total / size
        pixel += cuda.gridDim.y * cuda.blockDim.x


@kernel(f"gy: T*, gx: T*, zero: T, {SIZES}, with_padding: i32, divisor: T")
def avg_pool2d_grad(gy, gx, zero, h, w, out_h, out_w, kh, kw, sh, sw, ph, pw, with_padding, divisor):
    """gx = the sum of gy / divisor over the windows that hold this pixel."""
    real = type(zero)
    plane = cuda.blockIdx.x
    out = plane * out_h * out_w
    pixel = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while pixel < h * w:
        row = quotient(pixel, w)
        col = pixel - row * w
        left, right = first_window(col, kw, sw, pw), last_window(col, sw, pw, out_w)
        total = zero
        for oh in range(first_window(row, kh, sh, ph), last_window(row, sh, ph, out_h) + 1):
            rows = _length(oh, h, kh, sh, ph, with_padding)
            for ow in range(left, right + 1):
                size = divisor
                if divisor == zero:
                    size = real(rows * _length(ow, w, kw, sw, pw, with_padding))
                total += gy[out + oh * out_w + ow] / size
        gx[plane * h * w + pixel] = total
        pixel += cuda.gridDim.y * cuda.blockDim.x
