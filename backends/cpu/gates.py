"""Smooth activations on device "cpu": one pass over memory each."""

from __future__ import annotations

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import team

COST = 8  # operations of one exponential and what goes with it


def one_pass(kernel, x, *more):
    """Return the array that kernel(first, last, y, x, *more) writes; numbers in `more` become ones of x's dtype."""
    y = np.empty_like(x)
    arguments = (m.reshape(-1) if isinstance(m, np.ndarray) else x.dtype.type(m) for m in more)
    team.run(kernel, x.size, COST, y.reshape(-1), x.reshape(-1), *arguments)
    return y


class CpuGates(Backend):
    """The smooth activations of CpuBackend."""

    @override()
    def sigmoid(self, x):
        """Return 1 / (1 + exp(-x)); see Activation.sigmoid."""
        return one_pass(kernels.gates.sigmoid, x)

    @override()
    def erf(self, x):
        """Return the error function; see Gates.erf."""
        return one_pass(kernels.gates.erf, x)

    @override()
    def gelu(self, x, approximate):
        """Return x Phi(x); see Gates.gelu."""
        return one_pass(kernels.gates.gelu if approximate == "none" else kernels.gates.gelu_tanh, x)

    @override()
    def gelu_grad(self, gy, x, approximate):
        """Return gy (Phi(x) + x Phi'(x)); see Gates.gelu_grad."""
        return one_pass(kernels.gates.gelu_grad if approximate == "none" else kernels.gates.gelu_tanh_grad, gy, x)

    @override()
    def silu(self, x):
        """Return x sigmoid(x); see Gates.silu."""
        return one_pass(kernels.gates.silu, x)

    @override()
    def silu_grad(self, gy, x):
        """Return the gradient of silu; see Gates.silu_grad."""
        return one_pass(kernels.gates.silu_grad, gy, x)

    @override()
    def mish(self, x):
        """Return x tanh(log(1 + exp(x))); see Gates.mish."""
        return one_pass(kernels.gates.mish, x)

    @override()
    def mish_grad(self, gy, x):
        """Return the gradient of mish; see Gates.mish_grad."""
        return one_pass(kernels.gates.mish_grad, gy, x)

    @override()
    def softplus(self, x, beta, threshold):
        """Return log(1 + exp(beta x)) / beta; see Gates.softplus."""
        return one_pass(kernels.gates.softplus, x, beta, threshold)

    @override()
    def softplus_grad(self, gy, x, beta, threshold):
        """Return the gradient of softplus; see Gates.softplus_grad."""
        return one_pass(kernels.gates.softplus_grad, gy, x, beta, threshold)

    @override()
    def elu(self, x, alpha, scale):
        """Return scale times (x where x > 0, else alpha (exp(x) - 1)); see Gates.elu."""
        return one_pass(kernels.gates.elu, x, alpha * scale, scale)

    @override()
    def elu_grad(self, gy, x, alpha, scale):
        """Return the gradient of elu; see Gates.elu_grad."""
        return one_pass(kernels.gates.elu_grad, gy, x, alpha * scale, scale)
