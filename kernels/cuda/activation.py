"""Bias and ReLU in one pass, and ReLU's gradient."""

from __future__ import annotations

from numba import cuda

from deepcore.kernels.cuda.declare import kernel
from deepcore.kernels.cuda.helpers import quotient

__all__ = ["bias_relu", "relu_grad"]


@kernel("x: T*, b: T*, y: T*, zero: T, features: i32, inner: i32, bias_per_plane: i32")
def bias_relu(x, b, y, zero, features, inner, bias_per_plane):
    """y = max(x + b, 0), NaN stays NaN. A plane is `inner` neighbours in memory, of one feature or one of each."""
    plane = cuda.blockIdx.x
    feature = plane - quotient(plane, features) * features
    place = cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x
    while place < inner:
        value = x[plane * inner + place] + (b[feature] if bias_per_plane else b[place])
        y[plane * inner + place] = zero if value <= zero else value
        place += cuda.gridDim.y * cuda.blockDim.x


@kernel("gy: T*, y: T*, gx: T*, zero: T, n: i32")
def relu_grad(gy, y, gx, zero, n):
    """gx = gy where the output y was positive (or NaN), else 0."""
    i = cuda.grid(1)
    while i < n:
        gx[i] = zero if y[i] <= zero else gy[i]
        i += cuda.gridsize(1)
