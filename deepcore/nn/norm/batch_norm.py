"""Batch normalisation (Ioffe and Szegedy 2015)."""

from __future__ import annotations

from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.autograd import no_grad
from deepcore.errors import ShapeError, got, message
from deepcore.nn import args, init
from deepcore.nn.module import Module
from deepcore.nn.parameter import Parameter
from deepcore.tensor import Tensor


class _BatchNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per channel (axis 1).

    Training: mean and biased variance of the batch; running statistics r = (1 - momentum) r + momentum s with the
    unbiased variance, or with momentum=None the average over all batches so far. Evaluation: running statistics.
    affine=False: neither weight nor bias; bias=False: no bias. weight, bias, running_mean, running_var (C,);
    num_batches_tracked an int64 scalar.
    """

    _ndims: tuple[int, ...] = ()
    _layout = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        self.num_features = args.integer(owner, "num_features", num_features)
        self.eps = eps
        self.momentum = None if momentum is None else args.probability(owner, "momentum", momentum)
        self.affine = affine
        self.track_running_stats = track_running_stats
        place = {"dtype": dtype, "device": device}
        shape = (self.num_features,)
        self.register_parameter("weight", Parameter(creation.ones(shape, **place)) if affine else None)
        self.register_parameter("bias", Parameter(creation.zeros(shape, **place)) if affine and bias else None)
        track = track_running_stats
        self.register_buffer("running_mean", creation.zeros(shape, **place) if track else None)
        self.register_buffer("running_var", creation.ones(shape, **place) if track else None)
        counter = creation.zeros((), dtype="int64", device=device) if track else None
        self.register_buffer("num_batches_tracked", counter)

    def reset_running_stats(self) -> None:
        """Running mean 0, variance 1, no batch seen."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Running statistics and parameters as at the start."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.normalise(F.batch_norm, x)

    def normalise(self, op: Any, x: Tensor) -> Tensor:
        """x through `op`, which takes the arguments of batch_norm, with this module's parameters and statistics."""
        self._check(x)
        use_batch = self.training or self.running_mean is None
        update = self.training and self.track_running_stats
        momentum = self._count_batch() if update else self.momentum
        return op(
            x,
            self.running_mean if not use_batch or update else None,
            self.running_var if not use_batch or update else None,
            self.weight,
            self.bias,
            training=use_batch,
            momentum=0.0 if momentum is None else momentum,
            eps=self.eps,
        )

    def _count_batch(self) -> float:
        """Count this batch; the weight with which its statistics enter the running ones."""
        with no_grad():
            self.num_batches_tracked += 1
        if self.momentum is not None:
            return self.momentum
        return 1.0 / self.num_batches_tracked.item()  # momentum=None needs the count on the host

    def _check(self, x: Tensor) -> None:
        if len(x.shape) not in self._ndims or x.shape[1] != self.num_features:
            expected = f"x {self._layout} with C = {self.num_features}"
            raise ShapeError(message(type(self).__name__, expected, got(x=x)))

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of x (N, C) or (N, C, T).

    >>> import deepcore as dc
    >>> BatchNorm1d(3)(dc.randn(4, 3)).shape
    (4, 3)
    """

    _ndims = (2, 3)
    _layout = "(N, C) or (N, C, T)"


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images, x (N, C, H, W)."""

    _ndims = (4,)
    _layout = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes, x (N, C, D, H, W)."""

    _ndims = (5,)
    _layout = "(N, C, D, H, W)"
