"""A weight computed from others before every forward: weight normalisation and spectral normalisation.

As in torch.nn.utils: the parameter `weight` of a module is replaced by the parameters `weight_g` and `weight_v`, or by
`weight_orig` with the buffers `weight_u` and `weight_v`; `module.weight` is then a plain tensor, which a forward
pre-hook computes anew.
"""

from __future__ import annotations

from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.autograd import no_grad
from deepcore.errors import ConfigError, RunError
from deepcore.nn.module import Module
from deepcore.nn.parameter import Parameter
from deepcore.tensor import Tensor


class WeightNorm:
    """The pre-hook of `weight_norm`: weight = g * v / |v|."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight from the module's g and v."""
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / _lengths(v, self.dim))

    def __call__(self, module: Module, inputs: tuple[Any, ...]) -> None:
        setattr(module, self.name, self.compute_weight(module))


def _lengths(v: Tensor, dim: int | None) -> Tensor:
    """The Euclidean length of each slice along `dim`, in a shape that broadcasts; of the whole for None."""
    if dim is None:
        return F.norm(v)
    axes = tuple(i for i in range(v.ndim) if i != dim % v.ndim)
    return F.norm(v, axes, keepdim=True) if axes else v.abs()


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Split a parameter into its length `name_g` and its direction `name_v` (Salimans & Kingma 2016).

    dim: the axis with one length for each place, 0 for each output; None: one length in all. Returns the module.
    Raises ConfigError if there is no such parameter or it is normalised already.

    >>> from deepcore import nn
    >>> layer = weight_norm(nn.Linear(20, 40))
    >>> layer.weight_g.shape, layer.weight_v.shape
    ((40, 1), (40, 20))
    """
    weight = _parameter("weight_norm", module, name, WeightNorm)
    if dim is not None and not -max(weight.ndim, 1) <= dim < max(weight.ndim, 1):
        raise ConfigError(f"weight_norm: expected dim to be an axis of {name} {tuple(weight.shape)}; got dim={dim}")
    if dim == -1:  # PyTorch's old way to say None
        dim = None
    hook = WeightNorm(name, dim)
    delattr(module, name)
    with no_grad():
        lengths = _lengths(weight, dim)
    module.register_parameter(f"{name}_g", Parameter(lengths.detach()))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    hook(module, ())
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight an ordinary parameter with its present value. Raises ConfigError if it is not normalised."""
    hook = _take_hook("remove_weight_norm", module, name, WeightNorm)
    with no_grad():
        weight = hook.compute_weight(module)
    for part in (name, f"{name}_g", f"{name}_v"):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module


class SpectralNorm:
    """The pre-hook of `spectral_norm`: weight = weight_orig / sigma, its largest singular value."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as a matrix with axis `dim` as rows."""
        rows = weight.movedim(self.dim, 0) if self.dim else weight
        return rows.reshape(rows.shape[0], -1)

    def compute_weight(self, module: Module, iterate: bool) -> Tensor:
        """The weight; `iterate`: first move u and v, in place, towards the singular vectors."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = self.matrix(weight)
        if iterate:
            with no_grad():
                fixed = matrix.detach()
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(F.matmul(fixed.transpose(0, 1), u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(F.matmul(fixed, v), dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()  # the graph keeps these while later forwards write into the buffers
        return weight / F.dot(u, F.matmul(matrix, v))

    def __call__(self, module: Module, inputs: tuple[Any, ...]) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a parameter by its largest singular value, estimated by power iteration (Miyato et al. 2018).

    The parameter becomes `name_orig`; the buffers `name_u` and `name_v` are the singular vectors so far, which each
    forward in training improves by n_power_iterations steps. dim: the axis that is the matrix's rows; None: 0, and 1
    for transposed convolutions. Returns the module. Raises ConfigError.

    >>> from deepcore import nn
    >>> layer = spectral_norm(nn.Linear(20, 40))
    >>> layer.weight_u.shape
    (40,)
    """
    weight = _parameter("spectral_norm", module, name, SpectralNorm)
    if n_power_iterations < 1:
        raise ConfigError(f"spectral_norm: expected n_power_iterations >= 1; got {n_power_iterations}")
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    if not -weight.ndim <= dim < weight.ndim:
        raise ConfigError(f"spectral_norm: expected dim to be an axis of {name} {tuple(weight.shape)}; got dim={dim}")
    hook = SpectralNorm(name, n_power_iterations, dim % weight.ndim, eps)
    rows, columns = hook.matrix(weight.detach()).shape
    u, v = (
        F.normalize(creation.randn(n, dtype=weight.dtype, device=weight.device), dim=0, eps=eps)
        for n in (rows, columns)
    )
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight an ordinary parameter with its present value. Raises ConfigError if it is not normalised."""
    hook = _take_hook("remove_spectral_norm", module, name, SpectralNorm)
    with no_grad():
        weight = hook.compute_weight(module, iterate=False)
    for part in (name, f"{name}_orig", f"{name}_u", f"{name}_v"):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module


def _parameter(op: str, module: Module, name: str, kind: type[WeightNorm] | type[SpectralNorm]) -> Parameter:
    """The module's parameter of that name; raises ConfigError and RunError."""
    if any(isinstance(h, kind) and h.name == name for h in module._forward_pre_hooks.values()):
        raise RunError(f"{op}: expected a parameter {name!r} that is not normalised yet; got {type(module).__name__}")
    found = module._parameters.get(name)
    if found is None:
        known = ", ".join(module._parameters) or "none"
        raise ConfigError(f"{op}: expected a parameter {name!r} in {type(module).__name__}; got {known}")
    return found


def _take_hook(op: str, module: Module, name: str, kind: type[WeightNorm] | type[SpectralNorm]) -> Any:
    """Take the pre-hook off the module and return it; raises ConfigError if there is none."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, kind) and hook.name == name:
            del module._forward_pre_hooks[key]
            return hook
    raise ConfigError(f"{op}: expected {name!r} of {type(module).__name__} to be normalised; got a plain one")
