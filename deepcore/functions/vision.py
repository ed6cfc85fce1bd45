"""Spatial transformers: affine_grid and grid_sample (Jaderberg et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.variable import wrap
from deepcore.errors import ConfigError, GraphError, ShapeError, got, message, nearest
from deepcore.functions.linalg import matmul, same_dtype
from deepcore.functions.shape import reshape, transpose

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "affine_grid",
    "grid_sample",
]


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Sampling points of an affine map: theta (N, 2, 3), size (N, C, H, W) -> grid (N, H, W, 2) of (x, y) in [-1, 1].

    Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> affine_grid(dc.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2))
    tensor([[[[-0.5,  0. ],
              [ 0.5,  0. ]]]])
    """
    size = tuple(size)
    if len(size) != 4 or theta.shape != (size[0], 2, 3) or min(size[2:]) < 1:
        raise ShapeError(message("affine_grid", "theta (N, 2, 3), size (N, C, H, W)", got(theta=theta, size=size)))
    same_dtype("affine_grid", theta=theta)
    n, _, h, w = size
    points = wrap(_pixel_centres(theta.backend.xp, h, w, align_corners).astype(theta.dtype), theta.backend)
    return reshape(matmul(points, transpose(theta, 1, 2)), (n, h, w, 2))


def _pixel_centres(xp: Any, h: int, w: int, align_corners: bool) -> Any:
    """(H * W, 3): the homogeneous coordinates (x, y, 1) of every pixel, made on the device, float64."""
    xs, ys = (_centres(xp, count, align_corners) for count in (w, h))
    columns = [xp.broadcast_to(xs, (h, w)), xp.broadcast_to(ys.reshape(h, 1), (h, w)), xp.ones((h, w))]
    return xp.stack(columns, axis=2).reshape(h * w, 3)


def _centres(xp: Any, count: int, align_corners: bool) -> Any:
    """Pixel centres along an axis in [-1, 1]; with align_corners the outermost are at -1 and 1."""
    if align_corners and count > 1:
        return xp.arange(count) * (2 / (count - 1)) - 1
    return (2 * xp.arange(count) + 1) / count - 1


class GridSample(Function):
    def __init__(self, mode: str, padding_mode: str, align_corners: bool) -> None:
        self.options = (mode, padding_mode, align_corners)

    def forward(self, x: Any, grid: Any) -> Any:
        self.saved = (x, grid)
        return self.backend.grid_sample(x, grid, *self.options)

    def backward(self, gy: Any) -> Any:
        x, grid = self.saved
        gx, ggrid = GridSampleGrad(self.options)(gy, x, grid)
        return gx, ggrid


class GridSampleGrad(Function):
    """The gradients of grid_sample; not differentiable again, as in PyTorch."""

    name = "grid_sample"

    def __init__(self, options: tuple[Any, ...]) -> None:
        self.options = options

    def forward(self, gy: Any, x: Any, grid: Any) -> Any:
        return self.backend.grid_sample_grad(gy, x, grid, *self.options)

    def backward(self, *grads: Any) -> Any:
        hint = "use it in the forward only, or sample with getitem"
        raise GraphError(message("grid_sample", "one derivative", "a request for the second", hint))


def grid_sample(
    x: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> Tensor:
    """x (N, C, H, W) read at the points of grid (N, OH, OW, 2), (x, y) in [-1, 1] -> (N, C, OH, OW).

    mode 'bilinear' or 'nearest'; padding_mode 'zeros', 'border' or 'reflection' for points outside; align_corners:
    whether -1 and 1 are the centres (True) or the outer edges (False) of the outermost pixels.
    Raises ShapeError, DTypeError, ConfigError.
    """
    for name, value, known in (
        ("mode", mode, ("bilinear", "nearest")),
        ("padding_mode", padding_mode, ("zeros", "border", "reflection")),
    ):
        if value not in known:
            found = f"{name}={value!r}.{nearest(str(value), known)}"
            raise ConfigError(message("grid_sample", f"{name} as one of {', '.join(known)}", found))
    if (
        len(x.shape) != 4
        or len(grid.shape) != 4
        or grid.shape[3] != 2
        or grid.shape[0] != x.shape[0]
        or 0 in x.shape[2:]
    ):
        expected = "x (N, C, H, W) with at least one pixel, grid (N, OH, OW, 2)"
        raise ShapeError(message("grid_sample", expected, got(x=x, grid=grid)))
    same_dtype("grid_sample", x=x, grid=grid)
    return GridSample(mode, padding_mode, align_corners)(x, grid)
