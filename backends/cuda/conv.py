"""Convolution on CUDA: im2col kernel and GEMM, image by image in chunks that keep the columns under a cap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from deepcore.backends.base.conv import output_size
from deepcore.backends.cuda.core import KernelBackend, on_kernels

Pair = tuple[int, int]


class Window(NamedTuple):
    """A convolution's sizes: x (N, c, h, w), kernel, output (out_h, out_w), stride, padding, dilation."""

    c: int
    image: Pair
    kernel: Pair
    out: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    @property
    def pixels(self) -> int:
        """Output pixels of one image."""
        return self.out[0] * self.out[1]

    @property
    def rows(self) -> int:
        """Rows of the columns: C * KH * KW."""
        return self.c * self.kernel[0] * self.kernel[1]

    @property
    def pointwise(self) -> bool:
        """Whether the image itself is its columns."""
        plain = self.kernel == self.stride == (1, 1) and self.padding == (0, 0)
        return plain and self.image == self.out

    @property
    def arguments(self) -> tuple[int, ...]:
        """In the order of the kernels' declaration."""
        sizes = self.image + self.kernel + self.out + self.stride + self.padding + self.dilation
        return (self.c, *sizes)


class CudaConv(KernelBackend):
    """The conv family of the seam."""

    workspace_bytes = 256 << 20

    @on_kernels(float16=True)
    def im2col(self, x, kernel_size, stride, padding, dilation, constant_value=0):
        """Copy the pixels under every kernel position: x (N, C, H, W) -> (N, C, KH, KW, OH, OW)."""
        window = _window(x.shape, kernel_size, None, stride, padding, dilation)
        cols = self.xp.empty((x.shape[0], window.c, *window.kernel, *window.out), dtype=x.dtype)
        if cols.size:
            self._im2col(x, cols, window, window.rows * window.pixels, window.pixels, constant_value)
        return cols

    @on_kernels(float16=True)
    def col2im(self, cols, x_shape, kernel_size, stride, padding, dilation):
        """Add every column back to its pixels: cols (N, C, KH, KW, OH, OW) -> x_shape (N, C, H, W)."""
        window = _window(x_shape, kernel_size, cols.shape[4:], stride, padding, dilation)
        x = self.xp.empty(x_shape, dtype=cols.dtype)
        if x.size:
            self._col2im(cols, x, window, window.rows * window.pixels, window.pixels)
        return x

    @on_kernels(float16=True)
    def conv2d(self, x, w, b, stride, padding, dilation, groups):
        """Cross-correlate: x (N, C, H, W), w (O, C // G, KH, KW), b (O,) or None -> (N, O, OH, OW)."""
        n, o = x.shape[0], w.shape[0]
        window = _window(x.shape, w.shape[2:], None, stride, padding, dilation)
        y = self.xp.empty((n, o, *window.out), dtype=x.dtype)
        if not y.size:
            return y
        flat, weights = y.reshape(n, o, window.pixels), w.reshape(groups, o // groups, window.rows // groups)
        for images in self._chunks(n, window, x.dtype.itemsize):
            if groups == 1:
                self.gemm(weights[0], self._columns(x[images], window), flat[images])
            else:
                turned = self._empty(groups, o // groups, x[images], window)
                self.gemm(weights, self._columns_of_all(x[images], window, groups), turned)
                flat[images] = turned.reshape(o, -1, window.pixels).swapaxes(0, 1)
        if b is not None:
            y += b.reshape(1, o, 1, 1)
        return y

    @on_kernels(float16=True)
    def conv2d_input(self, gy, w, x_shape, stride, padding, dilation, groups):
        """Return the gradient with respect to x: gy (N, O, OH, OW), w (O, C // G, KH, KW) -> x_shape (N, C, H, W)."""
        n, o = gy.shape[:2]
        window = _window(x_shape, w.shape[2:], gy.shape[2:], stride, padding, dilation)
        gx = self.xp.empty(x_shape, dtype=gy.dtype)
        if not gx.size:
            return gx
        rows, pixels = window.rows, window.pixels
        weights = w.reshape(groups, o // groups, rows // groups).swapaxes(1, 2)
        flat = gy.reshape(n, o, pixels)
        for images in self._chunks(n, window, gy.dtype.itemsize):
            count = images.stop - images.start
            if groups == 1 and window.pointwise:
                self.gemm(weights[0], flat[images], gx[images].reshape(count, rows, pixels))
            elif groups == 1:
                cols = self.xp.empty((count, rows, pixels), dtype=gy.dtype)
                self.gemm(weights[0], flat[images], cols)
                self._col2im(cols, gx[images], window, rows * pixels, pixels)
            else:
                cols = self._empty(groups, rows // groups, gy[images], window)
                self.gemm(weights, self._turned(flat[images], groups), cols)
                self._col2im(cols, gx[images], window, pixels, count * pixels)
        return gx

    @on_kernels(float16=True)
    def conv2d_weight(self, gy, x, w_shape, stride, padding, dilation, groups):
        """Return the gradient with respect to w: gy (N, O, OH, OW), x (N, C, H, W) -> w_shape (O, C // G, KH, KW)."""
        n, o = gy.shape[:2]
        window = _window(x.shape, w_shape[2:], gy.shape[2:], stride, padding, dilation)
        gw = self.xp.empty((groups, o // groups, window.rows // groups), dtype=gy.dtype)
        if not gw.size:
            return gw.reshape(w_shape)
        flat = gy.reshape(n, o, window.pixels)
        for images in self._chunks(n, window, gy.dtype.itemsize):
            cols = self._columns_of_all(x[images], window, groups)
            self.gemm(self._turned(flat[images], groups), cols.swapaxes(1, 2), gw, accumulate=images.start > 0)
        return gw.reshape(w_shape)

    def _chunks(self, n: int, window: Window, itemsize: int) -> Iterator[slice]:
        """Slices of the batch, each with columns of at most `workspace_bytes` (one image at least)."""
        size = max(1, self.workspace_bytes // (window.rows * window.pixels * itemsize))
        for start in range(0, n, size):
            yield slice(start, min(start + size, n))

    def _columns(self, x: Any, window: Window) -> Any:
        """Columns image by image: (N, C * KH * KW, pixels)."""
        if window.pointwise:
            return x.reshape(x.shape[0], window.rows, window.pixels)
        cols = self.xp.empty((x.shape[0], window.rows, window.pixels), dtype=x.dtype)
        self._im2col(x, cols, window, window.rows * window.pixels, window.pixels)
        return cols

    def _columns_of_all(self, x: Any, window: Window, groups: int) -> Any:
        """Columns of all images side by side, so that one GEMM sums over them: (G, C // G * KH * KW, N * pixels)."""
        cols = self._empty(groups, window.rows // groups, x, window)
        self._im2col(x, cols, window, window.pixels, x.shape[0] * window.pixels)
        return cols

    def _turned(self, flat: Any, groups: int) -> Any:
        """(N, O, pixels) -> a copy (G, O // G, N * pixels)."""
        n, o, pixels = flat.shape
        return self.xp.ascontiguousarray(flat.swapaxes(0, 1)).reshape(groups, o // groups, n * pixels)

    def _empty(self, groups: int, rows: int, images: Any, window: Window) -> Any:
        return self.xp.empty((groups, rows, images.shape[0] * window.pixels), dtype=images.dtype)

    def _im2col(self, x: Any, cols: Any, window: Window, image_step: int, row_step: int, outside: float = 0) -> None:
        shape = self.launch.planes(x.shape[0] * window.c, window.pixels)
        self.launch(self.kernels.conv.im2col, shape, x, cols, outside, *window.arguments, image_step, row_step)

    def _col2im(self, cols: Any, x: Any, window: Window, image_step: int, row_step: int) -> None:
        shape = self.launch.planes(x.shape[0] * window.c, window.image[0] * window.image[1])
        self.launch(self.kernels.conv.col2im, shape, cols, x, 0, *window.arguments, image_step, row_step)


def _window(
    x_shape: tuple[int, ...], kernel: Pair, out: Pair | None, stride: Pair, padding: Pair, dilation: Pair
) -> Window:
    c, h, w = x_shape[1:]
    if out is None:
        rows, columns = zip(kernel, stride, padding, dilation, strict=True)
        out = output_size(h, *rows), output_size(w, *columns)
    return Window(c, (h, w), _pair(kernel), _pair(out), _pair(stride), _pair(padding), _pair(dilation))


def _pair(sizes: Sequence[int]) -> Pair:
    """A tuple of two, so that it compares with one; shapes and lists come in too."""
    first, second = sizes
    return first, second
