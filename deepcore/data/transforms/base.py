"""What all transforms share: images as tensors (N, C, H, W), a random stream, a state that can be stored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepcore.autograd.variable import wrap
from deepcore.backends import get_backend
from deepcore.data.loading.streams import sample_generator
from deepcore.dtypes import is_floating
from deepcore.errors import ConfigError, DTypeError, ShapeError, got, message
from deepcore.random import Generator
from deepcore.tensor import Tensor


def to_float(x: Tensor) -> Tensor:
    """Images (N, C, H, W) as float32: uint8 is scaled from 0..255 to [0, 1], floating images pass unchanged."""
    return x.to("float32") * np.float32(1 / 255) if x.dtype == np.uint8 else x


class Transform:
    """A change to a batch of images (N, C, H, W), uint8 or floating on the scale 0 to 1, on the device where they are.

    What only moves pixels (flips, crops, cut-outs) keeps the dtype; what computes new values returns floats, uint8
    scaled to [0, 1]. Nothing is recorded for gradients.
    """

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """All that changes while the transform is used."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was called."""


class RandomTransform(Transform):
    """A transform that draws from `generator`, on the host, so that every device gets the same numbers.

    Without one it draws from the default generator (in a worker of a loader: from the stream of the batch), whose state
    is the program's and not in `state_dict`.
    """

    def __init__(self, generator: Generator | None = None):
        self._own = generator

    @property
    def generator(self) -> Generator:
        """The stream that is drawn from now."""
        return self._own or sample_generator()

    def uniform(self, *shape: int) -> np.ndarray:
        """Numbers in [0, 1), float64, on the host."""
        return self.generator.uniform(shape, np.float64, get_backend("numpy"))

    def between(self, low: float, high: float, *shape: int) -> np.ndarray:
        """Numbers in [low, high), float64, on the host."""
        return low + (high - low) * self.uniform(*shape)

    def integers(self, count: int, *shape: int) -> np.ndarray:
        """Whole numbers from 0 to count - 1, int64, on the host."""
        return self.generator.integers(0, count, shape, get_backend("numpy"))

    def state_dict(self) -> dict[str, Any]:
        return {"random": None if self._own is None else self._own.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._own is not None and state["random"] is not None:
            self._own.set_state(tuple(state["random"]))


# --- arguments --------------------------------------------------------------------------------------------------------


def check_images(op: str, x: Any, channels: tuple[int, ...] = ()) -> None:
    """Raises ShapeError, DTypeError or ConfigError unless x is a batch of images, of so many channels where named."""
    if not isinstance(x, Tensor):
        raise ConfigError(message(op, "a tensor of images (N, C, H, W)", type(x).__name__, "make one with dc.tensor"))
    if x.ndim != 4 or 0 in x.shape[1:]:
        hint = "x[None] makes a batch of one image"
        raise ShapeError(message(op, "images (N, C, H, W)", got(x=x), hint))
    if x.dtype != np.uint8 and not is_floating(x.dtype):
        raise DTypeError(message(op, "images of uint8 or floating", got(x=x)))
    if channels and x.shape[1] not in channels:
        raise ShapeError(message(op, f"images of {' or '.join(map(str, channels))} channels", got(x=x)))


def pair(op: str, name: str, value: Any) -> tuple[int, int]:
    """A whole number as two equal ones, or the pair itself. Raises ConfigError for anything else, and below 1."""
    both = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, list | tuple) else ()
    if len(both) != 2 or not all(type(v) is int and v >= 1 for v in both):
        raise ConfigError(message(op, f"{name} as a whole number of at least 1, or two of them", f"{name}={value!r}"))
    return both


def probability(op: str, p: Any) -> float:
    """The number, checked to lie in [0, 1]."""
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise ConfigError(message(op, "a probability p in [0, 1]", f"p={p!r}"))
    return float(p)


def span(op: str, name: str, value: Any) -> tuple[float, float]:
    """Two finite numbers in rising order; one number v stands for (-v, v). Raises ConfigError for anything else."""
    both = (-value, value) if isinstance(value, int | float) else tuple(value) if isinstance(value, Sequence) else ()
    if len(both) != 2 or not all(isinstance(v, int | float) and math.isfinite(v) for v in both) or both[0] > both[1]:
        raise ConfigError(message(op, f"{name} as a number of at least 0, or (low, high)", f"{name}={value!r}"))
    return float(both[0]), float(both[1])


# --- arrays -----------------------------------------------------------------------------------------------------------


def per_image(values: np.ndarray, like: Tensor) -> Any:
    """(N,) host numbers as an array (N, 1, 1, 1) on the device of the images, in their dtype."""
    array = values.astype(like.dtype if is_floating(like.dtype) else values.dtype)
    return like.backend.from_host(array.reshape(-1, 1, 1, 1))


def take_pixels(x: Tensor, rows: np.ndarray, cols: np.ndarray) -> Any:
    """Pixels at rows (N, OH) and columns (N, OW) of each image -> an array (N, C, OH, OW); indices from the host."""
    backend, (n, c, h, w) = x.backend, x.shape
    down = backend.from_host(rows * w)[:, None, :, None]
    along = backend.from_host(cols)[:, None, None, :]
    plane = backend.xp.arange(n * c).reshape(n, c, 1, 1) * (h * w)
    return x.array.reshape(-1)[plane + down + along]


def tensor_like(array: Any, x: Tensor) -> Tensor:
    """The array as a tensor with the dtype of x, on its device."""
    return wrap(array.astype(x.dtype, copy=False), x.backend)
