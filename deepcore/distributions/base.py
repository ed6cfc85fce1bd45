"""What every distribution answers, and the checks of its parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore import creation
from deepcore.dtypes import finfo, is_floating
from deepcore.errors import ConfigError, DTypeError, ShapeError, got, message
from deepcore.functions.arithmetic import clamp
from deepcore.functions.axes import flat_ints
from deepcore.functions.elementwise import sqrt
from deepcore.functions.shape import broadcast_to
from deepcore.random import Generator
from deepcore.tensor import Tensor


class Distribution:
    """Base class: `batch_shape`, the shape of one draw `event_shape`, and what every distribution answers."""

    has_rsample = False
    batch_shape: tuple[int, ...]
    event_shape: tuple[int, ...] = ()
    # Names of the attributes that `expand` broadcasts; their shape is batch_shape + event_shape, or more at the end.
    _parameters: tuple[str, ...] = ()

    @property
    def mean(self) -> Tensor:
        """The expected value, in batch_shape."""
        raise NotImplementedError

    @property
    def variance(self) -> Tensor:
        """The expected squared distance from the mean, in batch_shape."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The root of the variance."""
        return sqrt(self.variance)

    def sample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        """Independent draws, sample_shape + batch_shape, without a gradient."""
        return self.rsample(sample_shape, generator).detach()

    def rsample(self, sample_shape: Any = (), generator: Generator | None = None) -> Tensor:
        """As `sample`, with the gradient of the parameters."""
        hint = "use sample() and the gradient of log_prob instead"
        raise ConfigError(message("rsample", "a distribution that can be reparameterised", repr(self), hint))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability, or of the density, at `value`; shapes broadcast."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The expected value of -log_prob, in nats, in batch_shape."""
        raise NotImplementedError

    def expand(self, batch_shape: Any) -> Distribution:
        """The same distribution with its parameters broadcast to `batch_shape`; their gradients come back.

        Raises ShapeError.

        >>> from deepcore.distributions import Normal
        >>> Normal(0.0, 1.0).expand((2, 3)).sample().shape
        (2, 3)
        """
        wanted = tuple(flat_ints("expand", (batch_shape,)))
        new = copy.copy(self)
        for name in self._parameters:
            value = getattr(self, name)
            setattr(new, name, _expanded(self, value, wanted))
        new.batch_shape = wanted
        return new

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_shape={self.batch_shape})"

    def _shape(self, sample_shape: Any) -> tuple[int, ...]:
        return tuple(flat_ints("sample", (sample_shape,))) + self.batch_shape


def _expanded(distribution: Distribution, value: Tensor, wanted: tuple[int, ...]) -> Tensor:
    """A parameter in `wanted` and what it has behind the batch shape."""
    batch = distribution.batch_shape
    try:
        fits = np.broadcast_shapes(batch, wanted) == wanted
    except ValueError:
        fits = False
    if not fits:
        hint = "axes of length 1 can grow, and new ones stand in front"
        raise ShapeError(message("expand", f"a shape that {batch} broadcasts to", f"batch_shape={wanted}", hint))
    return broadcast_to(value, wanted + value.shape[len(batch) :])


def parameters(op: str, **values: Any) -> tuple[Tensor, ...]:
    """Parameters as floating tensors of one shape, numbers in the dtype and on the device of the first tensor."""
    like = next((v for v in values.values() if isinstance(v, Tensor)), None)
    device, dtype = (None, None) if like is None else (like.device, like.dtype)
    tensors = [v if isinstance(v, Tensor) else creation.tensor(float(v), dtype, device) for v in values.values()]
    if not all(is_floating(t.dtype) for t in tensors):
        raise DTypeError(message(op, "floating parameters", got(**values), "convert with .float()"))
    return broadcast(op, *tensors)


def one_of(op: str, probs: Any, logits: Any) -> Tensor:
    """The one of the two that is given, as a floating tensor."""
    if (probs is None) == (logits is None):
        raise ConfigError(message(op, "either probs or logits", "both" if probs is not None else "neither"))
    return parameters(op, **({"logits": logits} if probs is None else {"probs": probs}))[0]


def broadcast(op: str, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the shape of their broadcast; raises ShapeError."""
    try:
        shape = np.broadcast_shapes(*[t.shape for t in tensors])
    except ValueError:
        given = got(**{f"argument {i}": t for i, t in enumerate(tensors)})
        raise ShapeError(message(op, "shapes that broadcast", given, "trailing axes must be equal or 1")) from None
    return tuple(t if t.shape == shape else broadcast_to(t, shape) for t in tensors)


def require(op: str, expected: str, holds: Callable[[Any], Any], **values: Tensor) -> None:
    """Raise ConfigError unless `holds` of the array everywhere; devices that the host would wait for are trusted."""
    ((name, value),) = values.items()
    if value.backend.on_host and not bool(holds(value.array).all()):
        raise ConfigError(message(op, expected, f"other values in {got(**{name: value})}"))


def clamped(probs: Any) -> Any:
    """Probabilities at least eps away from 0 and 1, so that their logarithms are finite."""
    eps = float(finfo(probs.dtype).eps)
    return clamp(probs, eps, 1 - eps)
