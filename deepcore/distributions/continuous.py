"""Distributions over real numbers, by location and scale or by their ends."""

from __future__ import annotations

import math
from typing import Any

from deepcore import creation
from deepcore.distributions.base import Distribution, broadcast, parameters, require
from deepcore.dtypes import finfo
from deepcore.functions.arithmetic import clamp, where
from deepcore.functions.elementwise import abs, log, log1p, sign
from deepcore.random import Generator
from deepcore.tensor import Tensor


class Normal(Distribution):
    """The normal (Gaussian) distribution with mean loc and standard deviation scale."""

    has_rsample = True
    _parameters = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any) -> None:
        self.loc, self.scale = parameters("Normal", loc=loc, scale=scale)
        require("Normal", "scale > 0", lambda s: s > 0, scale=self.scale)
        self.batch_shape = self.loc.shape

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale

    @property
    def stddev(self) -> Tensor:
        return self.scale

    def rsample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        """loc + scale * noise, with the gradient of both."""
        shape = self._shape(sample_shape)
        noise = creation.randn(shape, generator=generator, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + noise * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        broadcast("log_prob", value, self.loc)
        z = (value - self.loc) / self.scale
        return z * z * -0.5 - log(self.scale) - 0.5 * math.log(2 * math.pi)

    def entropy(self) -> Tensor:
        return log(self.scale) + 0.5 * (1 + math.log(2 * math.pi))


class Laplace(Distribution):
    """Density exp(-|x - loc| / scale) / (2 scale)."""

    has_rsample = True
    _parameters = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any) -> None:
        self.loc, self.scale = parameters("Laplace", loc=loc, scale=scale)
        require("Laplace", "scale > 0", lambda s: s > 0, scale=self.scale)
        self.batch_shape = self.loc.shape

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale * 2

    def rsample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        """loc - scale * sign(u) * log(1 - |u|) for u uniform on (-1, 1), with the gradient of both."""
        shape, dtype = self._shape(sample_shape), self.loc.dtype
        u = creation.rand(shape, generator=generator, dtype=dtype, device=self.loc.device) * 2 - 1
        u = clamp(u, min=float(finfo(dtype).eps) - 1)
        return self.loc - self.scale * sign(u) * log1p(-abs(u))

    def log_prob(self, value: Tensor) -> Tensor:
        broadcast("log_prob", value, self.loc)
        return -log(self.scale * 2) - abs(value - self.loc) / self.scale

    def entropy(self) -> Tensor:
        return log(self.scale * 2) + 1


class Uniform(Distribution):
    """Equal density on low <= x < high; log_prob is -inf elsewhere."""

    has_rsample = True
    _parameters = ("low", "high")

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = parameters("Uniform", low=low, high=high)
        require("Uniform", "low < high", lambda w: w > 0, width=self.high - self.low)
        self.batch_shape = self.low.shape

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        width = self.high - self.low
        return width * width / 12

    def rsample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        """low + (high - low) * u, with the gradient of both."""
        shape = self._shape(sample_shape)
        drawn = creation.rand(shape, generator=generator, dtype=self.low.dtype, device=self.low.device)
        return self.low + drawn * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        broadcast("log_prob", value, self.low)
        inside = (value >= self.low) & (value < self.high)
        gate = where(inside, self.low.detach() * 0, -math.inf)
        return gate - log(self.high - self.low)

    def entropy(self) -> Tensor:
        return log(self.high - self.low)
