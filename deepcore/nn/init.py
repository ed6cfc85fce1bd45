"""Initial values, written in place, drawn from the framework's own stream: the same bits on every backend.

Every function returns its tensor; those that draw take ``generator=`` (default: the stream of `dc.manual_seed`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore import dtypes
from deepcore import random as _random
from deepcore.backends import get_backend
from deepcore.backends.base.random import inverse_normal
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.nn import args
from deepcore.random import Generator
from deepcore.tensor import Tensor

_DRAWN = (dtypes.float16, dtypes.float32, dtypes.float64)
_FIXED_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4.0,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of a signal through a nonlinearity (``param``: the slope of leaky_relu).

    >>> calculate_gain("relu") ** 2
    2.0000000000000004
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2.0 / (1.0 + slope**2))
    if nonlinearity not in _FIXED_GAINS:
        known = ", ".join([*_FIXED_GAINS, "leaky_relu"])
        raise ConfigError(f"calculate_gain: expected nonlinearity to be one of {known}; got {nonlinearity!r}")
    return _FIXED_GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs one output reads, and how many outputs one input feeds.

    Linear (O, D): (D, O). Convolution (O, C, KH, KW): (C*KH*KW, O*KH*KW). Raises ShapeError below two dimensions.
    """
    if len(tensor.shape) < 2:
        raise ShapeError(message("init", "a tensor with at least two dimensions to count its fans", got(tensor=tensor)))
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


# ---- constants -----------------------------------------------------------------------------------------------------


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element is ``val``."""
    return _write(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element is 0."""
    return _write(tensor, 0)


def ones_(tensor: Tensor) -> Tensor:
    """Every element is 1."""
    return _write(tensor, 1)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, for a tensor of two dimensions: a Linear that starts by handing its input on."""
    if len(tensor.shape) != 2:
        raise ShapeError(message("init.eye_", "a tensor with two dimensions", got(tensor=tensor)))
    return _upload(tensor, np.eye(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution weight (O, C, ...) that hands channel i on as channel i, in each of ``groups`` groups."""
    if len(tensor.shape) not in (3, 4, 5):
        raise ShapeError(message("init.dirac_", "a tensor with three to five dimensions", got(tensor=tensor)))
    groups = args.integer("init.dirac_", "groups", groups)
    outputs, inputs, *field = tensor.shape
    if outputs % groups:
        raise ShapeError(message("init.dirac_", f"shape[0] to be a multiple of groups={groups}", got(tensor=tensor)))
    values = np.zeros(tensor.shape)
    middle = tuple(size // 2 for size in field)
    for group in range(groups):
        for i in range(min(outputs // groups, inputs)):
            values[(group * (outputs // groups) + i, i, *middle)] = 1
    return _upload(tensor, values)


# ---- plain distributions -------------------------------------------------------------------------------------------


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on [a, b).

    >>> import deepcore as dc
    >>> w = uniform_(dc.empty(1000), -1, 1, generator=dc.Generator(0))
    >>> -1 <= w.min().item() < w.max().item() < 1
    True
    """
    values = _stream(generator).uniform(tensor.shape, _drawn_dtype(tensor), tensor.backend)
    return _write(tensor, values * (b - a) + a)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with this mean and standard deviation (the book's first choice: std=0.01)."""
    if std < 0:
        raise ConfigError(f"init.normal_: expected std >= 0; got {std}")
    values = _stream(generator).normal(tensor.shape, _drawn_dtype(tensor), tensor.backend)
    return _write(tensor, values * std + mean)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, cut off outside [a, b]: the normal quantile of a uniform number between the quantiles of a and b."""
    if std <= 0 or not a < b:
        raise ConfigError(f"init.trunc_normal_: expected std > 0 and a < b; got std={std}, a={a}, b={b}")
    low, high = _normal_cdf((a - mean) / std), _normal_cdf((b - mean) / std)
    backend = tensor.backend
    u = _stream(generator).uniform(tensor.shape, dtypes.float64, backend)
    # Kept off 0 and 1, whose quantiles are infinite; the clip then puts them on a or b.
    u = (u * (high - low) + low).clip(2.0**-54, 1.0 - 2.0**-53)
    with backend.quiet():
        values = inverse_normal(backend.xp, u) * std + mean
    return _write(tensor, values.clip(a, b))


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


# ---- scaled by the fans --------------------------------------------------------------------------------------------


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in +-gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with std gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 12)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in +-gain * sqrt(3 / fan) (He et al. 2015); ``a`` is the slope of the leaky ReLU that follows."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with std gain / sqrt(fan) (He et al. 2015, eq. 14); ``a`` is the slope of the leaky ReLU that follows.

    >>> import deepcore as dc
    >>> w = kaiming_normal_(dc.empty(64, 128), nonlinearity="relu", generator=dc.Generator(0))
    >>> abs(w.std().item() - (2 / 128) ** 0.5) < 0.002
    True
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    args.choice("init.kaiming", "mode", mode, ("fan_in", "fan_out"))
    fan = fans(tensor)[0 if mode == "fan_in" else 1]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Orthonormal rows or columns (whichever are fewer) of the tensor flattened to (shape[0], rest), times gain.

    Saxe et al. 2013; the signs of R make Q uniform over all orthogonal matrices (Mezzadri 2006). The factorisation
    runs on the host in float64 for every backend, so that they all get the same values.
    """
    if len(tensor.shape) < 2:
        raise ShapeError(message("init.orthogonal_", "a tensor with at least two dimensions", got(tensor=tensor)))
    if 0 in tensor.shape:
        return tensor
    rows = tensor.shape[0]
    columns = math.prod(tensor.shape[1:])
    tall = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(_stream(generator).normal(tall, dtypes.float64, get_backend("numpy")))
    q *= np.sign(np.diag(r))
    return _upload(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


# ---- writing -------------------------------------------------------------------------------------------------------


def _stream(generator: Generator | None) -> Generator:
    return _random.default_generator if generator is None else generator


def _drawn_dtype(tensor: Tensor) -> Any:
    """The dtype to draw in; what has no generator of its own (bfloat16) is drawn in float32 and rounded."""
    return tensor.dtype if tensor.dtype in _DRAWN else dtypes.float32


def _write(tensor: Tensor, values: Any) -> Tensor:
    """Write an array of the same backend, or a number; the tape is told that the tensor changed."""
    tensor.array[...] = values
    tensor._bump_version()
    return tensor


def _upload(tensor: Tensor, values: np.ndarray) -> Tensor:
    return _write(tensor, tensor.backend.from_host(values.astype(tensor.dtype)))
