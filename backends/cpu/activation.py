"""ReLU on device "cpu", alone and with its bias."""

from __future__ import annotations

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.cpu.shapes import rows
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import team


class CpuActivation(Backend):
    """The activations of CpuBackend that are made of comparisons."""

    @override()
    def relu(self, x):
        """Return max(x, 0); see Activation.relu."""
        return self.relu_grad(x, x)

    @override()
    def relu_grad(self, gy, y):
        """Return gy where y > 0; see Activation.relu_grad."""
        if gy.shape != y.shape:
            return super().relu_grad(gy, y)
        gx = np.empty_like(gy)
        team.run(kernels.activation.relu_grad, gy.size, 1, gx.reshape(-1), gy.reshape(-1), y.reshape(-1))
        return gx

    @override()
    def bias_relu(self, x, b, axis):
        """Return relu(x + b); see Activation.bias_relu."""
        y, x3 = np.empty_like(x), rows(x, axis)
        n, d, s = x3.shape
        if s == 1:
            team.run(kernels.activation.bias_relu_rows, n, d, y.reshape(n, d), x3.reshape(n, d), b)
        else:
            team.run(kernels.activation.bias_relu, n * d, s, rows(y, axis), x3, b)
        return y

    @override()
    def bias_grad(self, gy, axis):
        """Return gy summed over every axis but one; see Activation.bias_grad. The same bits as in bias_relu_grad."""
        gy3 = rows(gy, axis)
        n, d, s = gy3.shape
        gb = np.empty(d, np.float64)
        if s == 1:
            team.run(kernels.activation.bias_grad_rows, d, n, gb, gy3.reshape(n, d))
        else:
            team.run(kernels.activation.bias_grad, d, n * s, gb, gy3)
        return gb.astype(gy.dtype, copy=False)

    @override()
    def bias_relu_grad(self, gy, y, axis):
        """Return (gx, gb) of bias_relu; see Activation.bias_relu_grad."""
        gx, y3 = np.empty_like(gy), rows(y, axis)
        gb = np.empty(y3.shape[1], np.float64)
        kernel, arrays = kernels.activation.bias_relu_grad, (rows(gx, axis), gb, rows(gy, axis), y3)
        if y3.shape[2] == 1:
            kernel = kernels.activation.bias_relu_grad_rows
            arrays = tuple(a if a is gb else a.reshape(a.shape[:2]) for a in arrays)
        team.run(kernel, y3.shape[1], y3[:, 0].size, *arrays)
        return gx, gb.astype(gy.dtype, copy=False)
