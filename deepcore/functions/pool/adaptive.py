"""Adaptive maximum pooling, and the spatial pyramid made of it (He et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.conv.conv2d import pair
from deepcore.functions.index.places import AddAtPlaces
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.pool.pool2d import adaptive_avg_pool2d
from deepcore.functions.shape import cat, flatten

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "adaptive_max_pool2d",
    "spatial_pyramid_pool",
]


class AdaptiveMaxPool2d(Function):
    intermediates = ("indices",)

    def __init__(self, output_size: tuple[int, int]) -> None:
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        y, self.indices = self.backend.adaptive_max_pool2d(x, self.output_size)
        return y, self.indices

    def backward(self, gy: Any, _: Any = None) -> Any:
        return AddAtPlaces(in_flat_image(self.backend, self.indices, self.x_shape), self.x_shape)(gy)


def in_flat_image(backend: Any, indices: Any, x_shape: tuple[int, ...]) -> Any:
    """Places h * W + w in an image as places in the flattened x (N, C, H, W)."""
    n, c, h, w = x_shape
    return indices + (backend.xp.arange(n * c) * (h * w)).reshape(n, c, 1, 1)


def adaptive_max_pool2d(
    x: Tensor, output_size: int | tuple[int | None, int | None], return_indices: bool = False
) -> Any:
    """Maxima over output_size windows that cover the image: x (N, C, H, W) -> (N, C, OH, OW); None keeps an axis.

    Window i spans floor(i * H / OH) .. ceil((i + 1) * H / OH); output_size=1 is global max pooling. The first of equal
    maxima wins, NaN beats all. With return_indices also the places, int64, as h * W + w.
    Raises ShapeError and DTypeError.
    """
    op = "adaptive_max_pool2d"
    if len(x.shape) != 4 or 0 in x.shape[2:]:
        raise ShapeError(message(op, "x (N, C, H, W) with at least one pixel", got(x=x)))
    same_dtype(op, x=x)
    wanted = (output_size, output_size) if isinstance(output_size, int) or output_size is None else tuple(output_size)
    if len(wanted) != 2:
        raise ShapeError(message(op, "output_size as an int or two", f"output_size={output_size!r}"))
    size = pair(op, "output_size", tuple(h if n is None else n for n, h in zip(wanted, x.shape[2:], strict=True)), 1)
    y, indices = AdaptiveMaxPool2d(size)(x)
    return (y, indices) if return_indices else y


def spatial_pyramid_pool(x: Tensor, levels: Sequence[int] = (1, 2, 4), mode: str = "max") -> Tensor:
    """Images of any size as vectors of one length: x (N, C, H, W) -> (N, C * sum of level ** 2).

    Level n pools the image into n x n windows ('max' or 'avg'), flattened as (C, n, n); the levels stand side by side.
    He et al. (2014), section 2.2. Raises ShapeError, DTypeError and ConfigError.

    >>> import deepcore as dc
    >>> spatial_pyramid_pool(dc.ones(2, 3, 13, 10)).shape
    (2, 63)
    """
    op = "spatial_pyramid_pool"
    if mode not in ("max", "avg"):
        raise ConfigError(message(op, "mode 'max' or 'avg'", f"mode={mode!r}"))
    if not levels or not all(isinstance(n, int) and n >= 1 for n in levels):
        raise ConfigError(message(op, "levels as one or more ints, at least 1", f"levels={levels!r}"))
    if len(x.shape) != 4 or 0 in x.shape[2:]:
        raise ShapeError(message(op, "x (N, C, H, W) with at least one pixel", got(x=x)))
    pool = adaptive_max_pool2d if mode == "max" else adaptive_avg_pool2d
    return cat([flatten(pool(x, n), 1) for n in levels], 1)
