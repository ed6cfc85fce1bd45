"""Smooth activations on CUDA kernels: one launch each, where array expressions would be five to fifty."""

from __future__ import annotations

from typing import Any

from deepcore.backends.cuda.core import KernelBackend, on_kernels


class CudaGates(KernelBackend):
    """The smooth activations of CudaFamilies."""

    @on_kernels()
    def sigmoid(self, x):
        """Return 1 / (1 + exp(-x)); see Activation.sigmoid."""
        return self._one_pass(self.kernels.gates.sigmoid, (x,))

    @on_kernels()
    def erf(self, x):
        """Return the error function; see Gates.erf."""
        return self._one_pass(self.kernels.gates.erf, (x,))

    @on_kernels()
    def gelu(self, x, approximate):
        """Return x Phi(x); see Gates.gelu."""
        return self._one_pass(self.kernels.gates.gelu, (x,), approximate != "none")

    @on_kernels()
    def gelu_grad(self, gy, x, approximate):
        """Return gy (Phi(x) + x Phi'(x)); see Gates.gelu_grad."""
        return self._one_pass(self.kernels.gates.gelu_grad, (gy, x), approximate != "none")

    @on_kernels()
    def silu(self, x):
        """Return x sigmoid(x); see Gates.silu."""
        return self._one_pass(self.kernels.gates.silu, (x,))

    @on_kernels()
    def silu_grad(self, gy, x):
        """Return the gradient of silu; see Gates.silu_grad."""
        return self._one_pass(self.kernels.gates.silu_grad, (gy, x))

    @on_kernels()
    def mish(self, x):
        """Return x tanh(log(1 + exp(x))); see Gates.mish."""
        return self._one_pass(self.kernels.gates.mish, (x,))

    @on_kernels()
    def mish_grad(self, gy, x):
        """Return the gradient of mish; see Gates.mish_grad."""
        return self._one_pass(self.kernels.gates.mish_grad, (gy, x))

    @on_kernels()
    def softplus(self, x, beta, threshold):
        """Return log(1 + exp(beta x)) / beta; see Gates.softplus."""
        return self._one_pass(self.kernels.gates.softplus, (x,), beta, threshold)

    @on_kernels()
    def softplus_grad(self, gy, x, beta, threshold):
        """Return the gradient of softplus; see Gates.softplus_grad."""
        return self._one_pass(self.kernels.gates.softplus_grad, (gy, x), beta, threshold)

    @on_kernels()
    def elu(self, x, alpha, scale):
        """Return scale times (x where x > 0, else alpha (exp(x) - 1)); see Gates.elu."""
        return self._one_pass(self.kernels.gates.elu, (x,), alpha * scale, scale)

    @on_kernels()
    def elu_grad(self, gy, x, alpha, scale):
        """Return the gradient of elu; see Gates.elu_grad."""
        return self._one_pass(self.kernels.gates.elu_grad, (gy, x), alpha * scale, scale)

    def _one_pass(self, kernel: Any, given: tuple, *numbers: Any) -> Any:
        """The result of kernel(*given, result, *numbers, n)."""
        y = self.xp.empty(given[0].shape, dtype=given[0].dtype)
        self.launch(kernel, self.launch.flat(y.size), *given, y, *numbers, y.size)
        return y
