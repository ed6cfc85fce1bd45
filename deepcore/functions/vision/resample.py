"""Images made larger or smaller: interpolate, with the index arithmetic of PyTorch, and the pixel shuffles.

Interpolation is separable: along each axis it is a product with a constant matrix whose row i holds the weights of the
pixels that output i reads. So it is differentiable to any order and sums in one fixed order on every device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.backends.base.array import accumulator
from deepcore.errors import ConfigError, ShapeError, got, message, nearest
from deepcore.functions.linalg.products import matmul, same_dtype
from deepcore.functions.shape import broadcast_to, cast, movedim, permute, reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
]

# The number of axes that a mode interpolates; None: one to three.
_MODES = {
    "nearest": None,
    "nearest-exact": None,
    "area": None,
    "linear": 1,
    "bilinear": 2,
    "bicubic": 2,
    "trilinear": 3,
}
_CUBIC = -0.75  # Keys' parameter a, as in PyTorch


class TakeAxis(Function):
    """x[..., index, ...] along one axis for a constant index: exact, infinities and NaN stay where they are."""

    def __init__(self, index: Any, axis: int) -> None:
        self.index, self.axis = index, axis

    def forward(self, x: Any) -> Any:
        self.size = x.shape[self.axis]
        return self.backend.xp.take(x, self.index, axis=self.axis)

    def backward(self, gy: Any) -> Any:
        # A product with a matrix of zeros and ones, and so in a fixed order, where adding at an index is not on a GPU.
        xp = self.backend.xp
        rows = self.index.reshape(-1, 1) == xp.arange(self.size)
        return _along_axis(rows.T, gy, self.axis)


def _along_axis(matrix: Any, x: Any, axis: int) -> Any:
    """The product of a constant matrix (an array, (out, in)) with x along an axis, in float32 at least."""
    wide = accumulator(x.dtype)
    matrix, x = matrix.astype(wide), cast(x, wide)
    if axis == len(x.shape) - 1:
        return matmul(x, matrix.T)
    if axis == len(x.shape) - 2:
        return matmul(matrix, x)
    return movedim(matmul(movedim(x, axis, -1), matrix.T), -1, axis)


def _repeat(x: Any, axis: int, times: int) -> Any:
    """Every pixel `times` times: what nearest comes to for a power of two, with a sum for a gradient."""
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    spread = broadcast_to(reshape(x, (*before, 1, *after)), (*before, times, *after))
    return reshape(spread, (*x.shape[:axis], x.shape[axis] * times, *after))


def interpolate(
    x: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Tensor:
    """x (N, C, T), (N, C, H, W) or (N, C, D, H, W) resampled to `size`, or by `scale_factor`, along its last axes.

    mode: 'nearest', 'nearest-exact' (rounds like PIL and OpenCV), 'area' (adaptive averages), 'linear' (3-d x),
    'bilinear' and 'bicubic' (4-d), 'trilinear' (5-d). align_corners: the outermost pixel centres keep their places;
    else the outer edges do. A scale_factor stands for the distance of the outputs as it is, unless
    recompute_scale_factor asks for the ratio of the sizes, floor(size * scale_factor) being the new one.
    In all but the nearest modes an infinity or NaN spreads over its row and column: they are matrix products.
    Raises ShapeError, DTypeError, ConfigError.

    >>> import deepcore as dc
    >>> interpolate(dc.tensor([[[0.0, 4.0]]]), size=4, mode="linear")
    tensor([[[0., 1., 3., 4.]]])
    """
    op = "interpolate"
    if mode not in _MODES:
        raise ConfigError(
            message(op, f"mode as one of {', '.join(_MODES)}", f"mode={mode!r}.{nearest(str(mode), _MODES)}")
        )
    axes = len(x.shape) - 2
    if not 1 <= axes <= 3 or _MODES[mode] not in (None, axes) or 0 in x.shape[2:]:
        wanted = {None: "(N, C, T), (N, C, H, W) or (N, C, D, H, W)", 1: "(N, C, T)", 2: "(N, C, H, W)"}
        expected = f"x {wanted.get(_MODES[mode], '(N, C, D, H, W)')} with at least one pixel for mode {mode!r}"
        raise ShapeError(message(op, expected, got(x=x)))
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        expected = "align_corners only with linear, bilinear, bicubic and trilinear"
        raise ConfigError(message(op, expected, f"mode={mode!r}, align_corners={align_corners}"))
    sizes, scales = _sizes(x, size, scale_factor, recompute_scale_factor)
    exact = mode.startswith("nearest")
    if not exact:
        same_dtype(op, x=x)
    y = x
    for i in reversed(range(axes)):
        n, out, scale = x.shape[2 + i], sizes[i], scales[i]
        step = n / out if scale is None else 1 / scale
        times = out // n
        if exact and step * times == 1 and times & (times - 1) == 0:
            y = _repeat(y, 2 + i, times)
        elif exact:
            y = TakeAxis(_nearest_index(x.backend.xp, n, out, step, mode, x), 2 + i)(y)
        elif mode == "area":
            if out != n:
                y = _along_axis(_area(x.backend.xp, n, out), y, 2 + i)
        elif out != n or (mode == "bicubic" and step != 1 and not align_corners):  # as PyTorch: linear copies
            y = _along_axis(_weights(x.backend.xp, n, out, step, bool(align_corners), mode == "bicubic"), y, 2 + i)
    return cast(y, x.dtype)


def _sizes(x: Any, size: Any, scale_factor: Any, recompute: Any) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """(output sizes, scales): a scale is None where the ratio of the sizes stands for it."""
    op, axes = "interpolate", len(x.shape) - 2
    if (size is None) == (scale_factor is None):
        raise ConfigError(message(op, "size or scale_factor", "both" if size is not None else "neither"))
    if size is not None:
        if recompute:
            hint = "leave it out: with size there is nothing to compute"
            raise ConfigError(message(op, "recompute_scale_factor only with scale_factor", f"size={size!r}", hint))
        sizes = (size,) * axes if isinstance(size, int) else tuple(size)
        if len(sizes) != axes or not all(isinstance(n, int) and n >= 1 for n in sizes):
            raise ShapeError(message(op, f"size as an int or {axes} ints, at least 1", got(x=x, size=size)))
        return sizes, (None,) * axes
    scales = tuple(scale_factor) if hasattr(scale_factor, "__iter__") else (scale_factor,) * axes
    if len(scales) != axes or not all(isinstance(s, int | float) and 0 < s < math.inf for s in scales):
        expected = f"scale_factor as a positive number or {axes} of them"
        raise ConfigError(message(op, expected, got(x=x, scale_factor=scale_factor)))
    sizes = tuple(math.floor(n * s) for n, s in zip(x.shape[2:], scales, strict=True))
    if min(sizes) < 1:
        raise ShapeError(message(op, "an output of at least one pixel", got(x=x, scale_factor=scale_factor)))
    return sizes, (None,) * axes if recompute else tuple(float(s) for s in scales)


def _nearest_index(xp: Any, size: int, out: int, step: float, mode: str, x: Any) -> Any:
    """The pixel that each output reads. Ties are decided by rounding, and so by PyTorch's choice of dtype."""
    if mode == "nearest" and len(x.shape) == 4 and out in (size, 2 * size):
        return xp.arange(out) * size // out  # PyTorch's for images leaves an odd scale out of account here
    place = xp.arange(out).astype("float64" if x.dtype == "float64" else "float32")
    place = place * step if mode == "nearest" else (place + 0.5) * step
    return xp.minimum(xp.floor(place.astype("float32")).astype("int64"), size - 1)


def _area(xp: Any, size: int, out: int) -> Any:
    """Averages over floor(i * size / out) .. ceil((i + 1) * size / out), as adaptive_avg_pool2d."""
    i = xp.arange(out).reshape(out, 1)
    starts, stops = i * size // out, ((i + 1) * size + out - 1) // out
    pixels = xp.arange(size)
    return ((pixels >= starts) & (pixels < stops)) / (stops - starts)


def _weights(xp: Any, size: int, out: int, step: float, align_corners: bool, cubic: bool) -> Any:
    """The (out, size) matrix of linear or cubic interpolation; pixels outside count for the one at the edge."""
    i = xp.arange(out, dtype="float64")
    if align_corners:
        place = i * ((size - 1) / (out - 1) if out > 1 else 0.0)
    else:
        place = (i + 0.5) * step - 0.5
        if not cubic:
            place = xp.maximum(place, 0)
    first = xp.floor(place)
    t = place - first
    a = _CUBIC
    if cubic:  # Keys 1981, equation 15, at the distances 1 + t, t, 1 - t, 2 - t
        taps = [
            (-1, ((a * (1 + t) - 5 * a) * (1 + t) + 8 * a) * (1 + t) - 4 * a),
            (0, ((a + 2) * t - (a + 3)) * t * t + 1),
            (1, ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1),
            (2, ((a * (2 - t) - 5 * a) * (2 - t) + 8 * a) * (2 - t) - 4 * a),
        ]
    else:
        taps = [(0, 1 - t), (1, t)]
    pixels = xp.arange(size)
    matrix = xp.zeros((out, size))
    for offset, weight in taps:
        pixel = xp.clip(first + offset, 0, size - 1).reshape(out, 1)
        matrix = matrix + xp.where(pixel == pixels, weight.reshape(out, 1), 0)
    return matrix


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """Channels become pixels: x (..., C * r * r, H, W) -> (..., C, H * r, W * r) (Shi et al. 2016, equation 4).

    Raises ShapeError.

    >>> import deepcore as dc
    >>> pixel_shuffle(dc.arange(4.0).reshape(4, 1, 1), 2)
    tensor([[[0., 1.],
             [2., 3.]]])
    """
    r = _factor("pixel_shuffle", "upscale_factor", upscale_factor)
    if len(x.shape) < 3 or x.shape[-3] % (r * r):
        expected = f"x (..., C, H, W) with C divisible by {r * r}"
        raise ShapeError(message("pixel_shuffle", expected, got(x=x, upscale_factor=r)))
    *lead, c, h, w = x.shape
    n = math.prod(lead)
    blocks = permute(reshape(x, (n, c // (r * r), r, r, h, w)), (0, 1, 4, 2, 5, 3))
    return reshape(blocks, (*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """Pixels become channels, the inverse of pixel_shuffle: x (..., C, H * r, W * r) -> (..., C * r * r, H, W).

    Raises ShapeError.
    """
    r = _factor("pixel_unshuffle", "downscale_factor", downscale_factor)
    if len(x.shape) < 3 or x.shape[-2] % r or x.shape[-1] % r:
        expected = f"x (..., C, H, W) with H and W divisible by {r}"
        raise ShapeError(message("pixel_unshuffle", expected, got(x=x, downscale_factor=r)))
    *lead, c, h, w = x.shape
    n = math.prod(lead)
    blocks = permute(reshape(x, (n, c, h // r, r, w // r, r)), (0, 1, 3, 5, 2, 4))
    return reshape(blocks, (*lead, c * r * r, h // r, w // r))


def _factor(op: str, name: str, value: Any) -> int:
    if not isinstance(value, int) or value < 1:
        raise ShapeError(message(op, f"{name} as an int of at least 1", f"{name}={value!r}"))
    return value
