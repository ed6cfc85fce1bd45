"""Softmax and normalisation by rows on CUDA kernels."""

from __future__ import annotations

from typing import Any

from deepcore.backends.cuda.core import KernelBackend, on_kernels

PART = 64  # rows that a thread adds to one partial sum, at most 256 parts


class CudaRows(KernelBackend):
    """The row-wise methods of CudaFamilies."""

    @on_kernels()
    def softmax(self, x, axis):
        """Return exp(x) / sum(exp(x)) along axis; see Activation.softmax."""
        if not _last(x, axis):
            return super().softmax(x, axis)
        return self._by_rows(self.kernels.rows.softmax, (x,), False)

    @on_kernels()
    def log_softmax(self, x, axis):
        """Return log(softmax(x)) along axis; see Activation.log_softmax."""
        if not _last(x, axis):
            return super().log_softmax(x, axis)
        return self._by_rows(self.kernels.rows.softmax, (x,), True)

    @on_kernels()
    def softmax_grad(self, gy, y, axis):
        """Return y (gy - sum(gy y)); see Activation.softmax_grad."""
        if not _last(y, axis) or gy.shape != y.shape:
            return super().softmax_grad(gy, y, axis)
        return self._by_rows(self.kernels.rows.softmax_grad, (gy, y))

    @on_kernels()
    def log_softmax_grad(self, gy, y, axis):
        """Return gy - exp(y) sum(gy); see Activation.log_softmax_grad."""
        if not _last(y, axis) or gy.shape != y.shape:
            return super().log_softmax_grad(gy, y, axis)
        return self._by_rows(self.kernels.rows.log_softmax_grad, (gy, y))

    @on_kernels()
    def layer_norm(self, x, w, b, eps):
        """Return (y, mean, rstd); see RowNorm.layer_norm."""
        return self._norm(x, w, b, eps, True)

    @on_kernels()
    def layer_norm_grad(self, gy, x, mean, rstd, w):
        """Return (gx, gw, gb); see RowNorm.layer_norm_grad."""
        return self._norm_grad(gy, x, mean, rstd, w, True)

    @on_kernels()
    def rms_norm(self, x, w, eps):
        """Return (y, rrms); see RowNorm.rms_norm."""
        y, _, rrms = self._norm(x, w, None, eps, False)
        return y, rrms

    @on_kernels()
    def rms_norm_grad(self, gy, x, rrms, w):
        """Return (gx, gw); see RowNorm.rms_norm_grad."""
        return self._norm_grad(gy, x, rrms, rrms, w, False)[:2]

    def _by_rows(self, kernel: Any, given: tuple, *flags: bool) -> Any:
        """The result of kernel(*given, result, width, *flags), one block for each row along the last axis."""
        y, width = self.xp.empty(given[0].shape, dtype=given[0].dtype), given[0].shape[-1]
        self.launch(kernel, self.launch.rows(y.size // width, width), *given, y, width, *flags)
        return y

    def _norm(self, x: Any, w: Any, b: Any, eps: float, centred: bool) -> tuple[Any, Any, Any]:
        rows, width = x.shape
        y = self.xp.empty(x.shape, dtype=x.dtype)
        mean, rstd = (self.xp.empty((rows, 1), dtype=x.dtype) for _ in range(2))
        given = x if w is None else w, x if b is None else b  # a pointer is needed even where it is not read
        flags = w is not None, b is not None, centred
        shape = self.launch.rows(rows, width)
        self.launch(self.kernels.rows.layer_norm, shape, x, *given, y, mean, rstd, eps, width, *flags)
        return y, mean, rstd

    def _norm_grad(self, gy: Any, x: Any, mean: Any, rstd: Any, w: Any, centred: bool) -> tuple[Any, Any, Any]:
        rows, width = x.shape
        gx, given = self.xp.empty(x.shape, dtype=x.dtype), x if w is None else w
        kernels, shape = self.kernels.rows, self.launch.rows(rows, width)
        self.launch(kernels.layer_norm_grad, shape, gy, x, mean, rstd, given, gx, 0, width, w is not None, centred)
        parts = min(256, -(-rows // PART))
        gw, gb = (self.xp.empty((parts, width), dtype=x.dtype) for _ in range(2))
        flat = self.launch.flat(parts * width, loops=False)
        self.launch(kernels.layer_norm_columns, flat, gy, x, mean, rstd, gw, gb, 0, rows, width, parts, centred)
        return gx, gw.sum(axis=0), gb.sum(axis=0)


def _last(x: Any, axis: int) -> bool:
    """Whether `axis` is the last of x."""
    return axis % x.ndim == x.ndim - 1
