"""Normalisation of every sample by itself: layer, RMS, group, instance and local response normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.nn import args, init
from deepcore.nn.module import Module
from deepcore.nn.norm.batch_norm import _BatchNorm
from deepcore.nn.parameter import Parameter
from deepcore.tensor import Tensor


class _Affine(Module):
    """A weight of ones and a bias of zeros, or None."""

    weight: Parameter | None
    bias: Parameter | None

    def _register(self, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        place = {"dtype": dtype, "device": device}
        self.register_parameter("weight", Parameter(creation.ones(shape, **place)) if weight else None)
        self.register_parameter("bias", Parameter(creation.zeros(shape, **place)) if bias else None)

    def reset_parameters(self) -> None:
        """The weight 1 and the bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        bias = self._parameters.get("bias")  # RMSNorm has none
        if bias is not None:
            init.zeros_(bias)


def _shape(owner: str, normalized_shape: Any) -> tuple[int, ...]:
    sizes = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    if not sizes:
        raise ConfigError(f"{owner}: expected normalized_shape to be one size or more; got {normalized_shape!r}")
    return tuple(args.integer(owner, "normalized_shape", size) for size in sizes)


class LayerNorm(_Affine):
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes: x (..., *normalized_shape).

    weight and bias have normalized_shape; elementwise_affine=False: neither; bias=False: no bias. Ba et al. (2016).

    >>> import deepcore as dc
    >>> LayerNorm(8)(dc.randn(2, 5, 8)).shape
    (2, 5, 8)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._register(self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine, bias = self.elementwise_affine, self.bias is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}, bias={bias}"


class RMSNorm(_Affine):
    """x / sqrt(mean(x ** 2) + eps) * weight over the last axes: x (..., *normalized_shape); no bias, no mean.

    eps=None: the spacing of the dtype at 1. Zhang & Sennrich (2019).
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = creation.ones(self.normalized_shape, dtype=dtype, device=device)
        self.register_parameter("weight", Parameter(weight) if elementwise_affine else None)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Affine):
    """(x - mean) / sqrt(var + eps) * weight + bias over groups of channels: x (N, C, ...), C = num_channels.

    weight and bias (C,), affine=False: neither; bias=False: no bias. Wu & He (2018).
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_groups = args.integer("GroupNorm", "num_groups", num_groups)
        self.num_channels = args.integer("GroupNorm", "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            found = f"num_channels={num_channels}, num_groups={num_groups}"
            raise ConfigError(f"GroupNorm: expected num_groups to divide num_channels; got {found}")
        self.eps = eps
        self.affine = affine
        self._register((self.num_channels,), affine, affine and bias, device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        if len(x.shape) < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(message("GroupNorm", f"x (N, C, ...) with C = {self.num_channels}", got(x=x)))
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        bias = self.bias is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={bias}"


class _InstanceNorm(_BatchNorm):
    """Each channel of each sample by its own mean and variance, also in evaluation (Ulyanov et al. 2016).

    affine: with weight and, unless bias=False, bias (C,). track_running_stats: training moves running statistics, which
    evaluation uses.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if len(x.shape) == self._ndims[0] - 1:  # one sample
            return self.forward(x.unsqueeze(0)).squeeze(0)
        self._check(x)
        return F.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            use_input_stats=self.training or not self.track_running_stats,
            momentum=0.0 if self.momentum is None else self.momentum,
            eps=self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of x (N, C, T) or (C, T)."""

    _ndims = (3,)
    _layout = "(N, C, T) or (C, T)"


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of images, x (N, C, H, W) or (C, H, W)."""

    _ndims = (4,)
    _layout = "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of volumes, x (N, C, D, H, W) or (C, D, H, W)."""

    _ndims = (5,)
    _layout = "(N, C, D, H, W) or (C, D, H, W)"


class LocalResponseNorm(Module):
    """x / (k + alpha * mean of the squares of `size` channels around) ** beta: x (N, C, ...); see F."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = args.integer("LocalResponseNorm", "size", size)
        self.alpha, self.beta, self.k = alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
