"""Spatial transformers: affine_grid and grid_sample (Jaderberg et al. 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import wrap
from deepcore.errors import ConfigError, ShapeError, got, message, nearest
from deepcore.functions.arithmetic import where
from deepcore.functions.index.indexing import getitem
from deepcore.functions.linalg.products import matmul, same_dtype
from deepcore.functions.shape import permute, reshape, transpose, unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "affine_grid",
    "grid_sample",
]


@cast_as_one
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
        return self.backend.grid_sample_grad(gy, x, grid, *self.options)

    def formula(self, x: Any, grid: Any) -> Any:
        """The same, pixel by pixel of the four (or one) that a point reads, as a sum of products."""
        return _gathered(x, grid, *self.options)


def _gathered(x: Any, grid: Any, mode: str, padding_mode: str, align_corners: bool) -> Any:
    """grid_sample composed of gathers: the pixels and where they are read are constants, the weights are not."""
    backend = x.backend
    n, _, h, w = x.shape
    points = backend._points(grid.array, h, w, padding_mode, align_corners)
    # A pixel coordinate is piecewise linear in the grid: its value here, and from it on its slope.
    px, py = (_line(backend, points[2 * i], points[2 * i + 1], getitem(grid, (Ellipsis, i))) for i in (0, 1))
    if mode == "nearest":
        corners = [(backend.xp.rint(points[2]), backend.xp.rint(points[0]), 1 + 0 * (px + py))]
    else:
        x0, y0 = backend.xp.floor(points[0]), backend.xp.floor(points[2])
        fx, fy = px - wrap(x0, backend), py - wrap(y0, backend)
        corners = [(y0, x0, (1 - fy) * (1 - fx)), (y0, x0 + 1, (1 - fy) * fx)]
        corners += [(y0 + 1, x0, fy * (1 - fx)), (y0 + 1, x0 + 1, fy * fx)]
    total: Any = 0
    for iy, ix, weight in corners:
        *place, inside = backend._place(n, iy, ix, h, w)
        batch, row, col = (wrap(index, backend) for index in place)
        values = getitem(x, (batch, slice(None), row, col)) * unsqueeze(weight, -1)
        total = total + where(wrap(inside[..., None], backend), values, 0.0)
    return permute(total, (0, 3, 1, 2))


def _line(backend: Any, value: Any, slope: Any, u: Any) -> Any:
    """A tensor with these values (an array) and this slope by u; constant where u is no number."""
    move = where(wrap(backend.xp.isfinite(u.array), backend), u - u.detach(), 0.0)
    return wrap(value, backend) + wrap(slope, backend) * move


@cast_as_one
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
