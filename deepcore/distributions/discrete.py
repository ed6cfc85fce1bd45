"""Distributions over 0 and 1, over classes, and over counts of classes."""

from __future__ import annotations

import math
from typing import Any

from deepcore import creation
from deepcore.distributions.base import Distribution, broadcast, clamped, one_of, require
from deepcore.dtypes import finfo
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.activation.basic import log_softmax, sigmoid, softmax
from deepcore.functions.arithmetic import clamp, where
from deepcore.functions.axes import flat_ints
from deepcore.functions.elementwise import exp, log, log1p
from deepcore.functions.loss.classification import binary_cross_entropy_with_logits
from deepcore.functions.reduce import cumsum, sum
from deepcore.functions.shape import cast, unsqueeze
from deepcore.random import Generator
from deepcore.tensor import Tensor


class Bernoulli(Distribution):
    """1 with probability p, else 0: probs p, or logits log(p / (1 - p)); one of the two is given.

    log_prob takes probs as at least eps away from 0 and 1, as PyTorch does.
    """

    _parameters = ("probs", "logits")

    def __init__(self, probs: Any = None, logits: Any = None) -> None:
        given = one_of("Bernoulli", probs, logits)
        self.batch_shape = given.shape
        if probs is not None:
            require("Bernoulli", "0 <= probs <= 1", lambda p: (p >= 0) & (p <= 1), probs=given)
            inside = clamped(given)
            self.probs, self.logits = given, log(inside) - log1p(-inside)
        else:
            self.probs, self.logits = sigmoid(given), given

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        drawn = creation.rand(self._shape(sample_shape), generator=generator, device=self.probs.device)
        return cast(drawn < self.probs.detach(), self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        require("log_prob of Bernoulli", "values 0 and 1", lambda v: (v == 0) | (v == 1), value=value)
        value, logits = broadcast("log_prob", cast(value, self.logits.dtype), self.logits)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


class Categorical(Distribution):
    """0, 1, ..., K - 1 with given probabilities (multinoulli), K being the last axis of the parameters.

    probs: not negative, made to sum to 1; or logits, any numbers, their softmax. mean and variance are NaN, since the
    numbers only name classes. log_prob takes probs as at least eps, as PyTorch does.
    """

    _parameters = ("probs", "logits")

    def __init__(self, probs: Any = None, logits: Any = None) -> None:
        given = one_of("Categorical", probs, logits)
        if given.ndim == 0 or given.shape[-1] == 0:
            raise ShapeError(message("Categorical", "probs or logits (..., K), K at least 1", got(given=given)))
        self.batch_shape = given.shape[:-1]
        if probs is not None:
            require("Categorical", "probs >= 0", lambda p: p >= 0, probs=given)
            total = sum(given, -1, keepdim=True)
            require("Categorical", "a positive sum of probs", lambda t: t > 0, total=total)
            self.probs = given / total
            self.logits = log(clamped(self.probs))
        else:
            self.probs, self.logits = softmax(given, -1), log_softmax(given, -1)

    @property
    def mean(self) -> Tensor:
        return self.probs.detach()[..., 0] * math.nan

    variance = mean

    def sample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        """Independent draws, int64: the first class whose running sum of probabilities exceeds a uniform number."""
        shape = self._shape(sample_shape)
        wide = self.probs.detach() if self.probs.dtype.itemsize > 2 else self.probs.detach().float()
        limits = cumsum(wide, -1)
        drawn = creation.rand(shape, generator=generator, dtype=wide.dtype, device=wide.device)
        passed = unsqueeze(drawn, -1) * limits[..., -1:] >= limits
        return clamp(sum(passed, -1), max=self.probs.shape[-1] - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        classes = creation.arange(self.logits.shape[-1], device=self.logits.device)
        hit = unsqueeze(value, -1) == classes
        require("log_prob of Categorical", f"classes 0..{classes.shape[0] - 1}", lambda h: h.any(-1), of=hit)
        hit, logits = broadcast("log_prob", hit, self.logits)
        return sum(where(hit, logits, 0.0), -1)

    def entropy(self) -> Tensor:
        lowest = float(finfo(self.logits.dtype).min)  # 0 * -inf would be NaN
        return -sum(self.probs * clamp(self.logits, min=lowest), -1)


class Multinomial(Distribution):
    """How often each of K classes comes in total_count independent draws: counts (..., K) in the dtype of probs.

    probs or logits as for `Categorical`.
    """

    _parameters = ("probs", "logits")

    def __init__(self, total_count: int = 1, probs: Any = None, logits: Any = None) -> None:
        if not isinstance(total_count, int) or total_count < 0:
            raise ConfigError(message("Multinomial", "an integer total_count >= 0", got(total_count=total_count)))
        self.total_count, self._one = total_count, Categorical(probs, logits)
        self.probs, self.logits, self.batch_shape = self._one.probs, self._one.logits, self._one.batch_shape
        self.event_shape = self.probs.shape[-1:]

    def expand(self, batch_shape: Any) -> Distribution:
        new = super().expand(batch_shape)
        new._one = self._one.expand(batch_shape)  # type: ignore[attr-defined]
        return new

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs) * self.total_count

    def sample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        shape = (self.total_count, *flat_ints("sample", (sample_shape,)))
        classes = creation.arange(self.probs.shape[-1], device=self.probs.device)
        return cast(sum(unsqueeze(self._one.sample(shape, generator), -1) == classes, 0), self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        count = self.total_count
        value, logits = broadcast("log_prob", cast(value, self.logits.dtype), self.logits)
        expected = f"counts that sum to {count}"
        require("log_prob of Multinomial", expected, lambda v: (v >= 0) & (v.sum(-1)[..., None] == count), value=value)
        ways = math.lgamma(count + 1) - sum(self._log_factorials()[value.detach().long()], -1)
        return sum(where(value == 0, 0.0, value * logits), -1) + ways

    def entropy(self) -> Tensor:
        """The entropy of all draws in order, less what the counts do not tell of it."""
        k = unsqueeze(creation.arange(self.total_count + 1, dtype=self.probs.dtype, device=self.probs.device), -1)
        for _ in self.batch_shape:
            k = unsqueeze(k, -1)
        p, table = clamped(self.probs), self._log_factorials()
        table = table.reshape(k.shape)
        ways = math.lgamma(self.total_count + 1) - table - table.flip(0)
        binomial = exp(ways + k * log(p) + (self.total_count - k) * log1p(-p))
        return (
            self.total_count * self._one.entropy() - math.lgamma(self.total_count + 1) + sum(binomial * table, (0, -1))
        )

    def _log_factorials(self) -> Tensor:
        """log(0!), log(1!), ..., log(total_count!)."""
        table = [math.lgamma(n + 1) for n in range(self.total_count + 1)]
        return creation.tensor(table, self.probs.dtype, self.probs.device)
