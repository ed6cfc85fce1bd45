"""The im2col pair. One block column of the grid is one plane: the image of one (n, c); threads walk over its pixels.

The columns are (N, C * KH * KW, OH * OW) with steps given by the caller: `image_step` from image to image and
`row_step` from row to row, in elements. So one kernel writes both (N, rows, pixels), which a GEMM per image takes, and
(rows, N, pixels), where one GEMM takes all images.
"""

from __future__ import annotations

from numba import cuda

from deepcore.kernels.cuda.declare import kernel
from deepcore.kernels.cuda.helpers import quotient

__all__ = ["col2im", "im2col"]

GEOMETRY = (
    "c: i32, h: i32, w: i32, kh: i32, kw: i32, out_h: i32, out_w: i32, "
    "sh: i32, sw: i32, ph: i32, pw: i32, dh: i32, dw: i32, image_step: i64, row_step: i64"
)


@kernel(f"x: T*, cols: T*, outside: T, {GEOMETRY}", float16=True)
def im2col(x, cols, outside, c, h, w, kh, kw, out_h, out_w, sh, sw, ph, pw, dh, dw, image_step, row_step):
    """cols[n, (c, j, i), (oh, ow)] = x[n, c, oh*sh - ph + j*dh, ow*sw - pw + i*dw], `outside` beyond the image."""
    plane = cuda.blockIdx.x
    n = quotient(plane, c)
    image = plane * h * w
    base = n * image_step + (plane - n * c) * kh * kw * row_step
    pixel = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while pixel < out_h * out_w:
        oh = quotient(pixel, out_w)
        top = oh * sh - ph
        left = (pixel - oh * out_w) * sw - pw
        place = base + pixel
        for j in range(kh):
            row = top + j * dh
            for i in range(kw):
                col = left + i * dw
                if row >= 0 and row < h and col >= 0 and col < w:
                    cols[place] = x[image + row * w + col]
                else:
                    cols[place] = outside
                place += row_step
        pixel += cuda.gridDim.y * cuda.blockDim.x


@kernel(f"cols: T*, x: T*, zero: W, {GEOMETRY}", float16=True)
def col2im(cols, x, zero, c, h, w, kh, kw, out_h, out_w, sh, sw, ph, pw, dh, dw, image_step, row_step):
    """x[n, c, row, col] = the sum of the columns that im2col filled from that pixel: a gather, always in one order."""
    plane = cuda.blockIdx.x
    n = quotient(plane, c)
    base = n * image_step + (plane - n * c) * kh * kw * row_step
    pixel = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while pixel < h * w:
        row = quotient(pixel, w)
        col = pixel - row * w
        total = zero
        for j in range(kh):
            down = row + ph - j * dh
            if down >= 0:
                oh = down if sh == 1 else quotient(down, sh)
                if oh < out_h and oh * sh == down:
                    for i in range(kw):
                        right = col + pw - i * dw
                        if right >= 0:
                            ow = right if sw == 1 else quotient(right, sw)
                            if ow < out_w and ow * sw == right:
                                total += cols[base + (j * kw + i) * row_step + oh * out_w + ow]
        x[plane * h * w + pixel] = total
        pixel += cuda.gridDim.y * cuda.blockDim.x
