"""Padding: constant, reflect, replicate, circular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.errors import ConfigError, ShapeError, got, message, nearest
from deepcore.functions.index.indexing import getitem
from deepcore.functions.shape import cat, clone, flip

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "pad",
]

MODES = ("constant", "reflect", "replicate", "circular")


class Pad(Function):
    """Constant padding; widths is ((before, after), ...) for every axis, none negative."""

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float) -> None:
        self.widths, self.value = widths, value

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        return self.backend.xp.pad(x, self.widths, constant_values=self.value)

    def backward(self, gy: Any) -> Any:
        inside = zip(self.widths, self.x_shape, strict=True)
        return getitem(gy, tuple(slice(before, before + n) for (before, _), n in inside))


def pad(x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """x with pixels added around it, or cut off where a width is negative (constant mode).

    pad: (left, right, top, bottom, ...): the widths of the last axis, then of the one before it, and so on.
    mode: 'constant' (of `value`, None for 0), 'reflect' (without the edge), 'replicate' (the edge) or 'circular'.
    Raises ShapeError and ConfigError.

    >>> import deepcore as dc
    >>> pad(dc.tensor([1.0, 2.0, 3.0]), (1, 2), mode="circular")
    tensor([3., 1., 2., 3., 1., 2.])
    """
    widths = list(pad)
    if len(widths) % 2 or len(widths) > 2 * len(x.shape) or not all(isinstance(n, int) for n in widths):
        raise ShapeError(message("pad", "two ints for each padded axis", got(x=x, pad=tuple(widths))))
    if mode not in MODES:
        expected = f"mode as one of {', '.join(MODES)}"
        raise ConfigError(message("pad", expected, f"mode={mode!r}.{nearest(mode, MODES)}"))
    if value is not None and mode != "constant":
        raise ConfigError(message("pad", "value in mode 'constant' only", f"mode={mode!r}, value={value!r}"))
    axes = [(len(x.shape) - 1 - i, widths[2 * i], widths[2 * i + 1]) for i in range(len(widths) // 2)]
    for axis, before, after in axes:
        if x.shape[axis] + min(before, 0) + min(after, 0) < 0 or x.shape[axis] + before + after < 0:
            raise ShapeError(message("pad", "no more cut off than there is", got(x=x, pad=tuple(widths))))
    if mode != "constant":
        for axis, before, after in axes:
            x = _pad_axis(x, axis, before, after, mode)
        return x
    if not x.shape:
        return clone(x)
    cut = [slice(None)] * len(x.shape)
    grow = [(0, 0)] * len(x.shape)
    for axis, before, after in axes:
        cut[axis] = slice(max(-before, 0), x.shape[axis] - max(-after, 0))
        grow[axis] = (max(before, 0), max(after, 0))
    if min(widths, default=0) < 0:
        x = getitem(x, tuple(cut))
    return Pad(tuple(grow), 0.0 if value is None else value)(x)


def _pad_axis(x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    """One axis padded from its own pixels, as a concatenation of slices."""
    size = x.shape[axis]
    most = {"reflect": size - 1, "circular": size, "replicate": max(before, after) if size else 0}[mode]
    if not 0 <= before <= most or not 0 <= after <= most:
        expected = f"0 <= width <= {most} on axis {axis} in mode {mode!r}"
        raise ShapeError(message("pad", expected, got(x=x, before=before, after=after)))

    def part(start: int, stop: int) -> Any:
        return getitem(x, (slice(None),) * axis + (slice(start, stop),))

    if mode == "circular":
        pieces = [part(size - before, size), x, part(0, after)]
    elif mode == "reflect":
        pieces = [flip(part(1, 1 + before), axis), x, flip(part(size - 1 - after, size - 1), axis)]
    else:
        pieces = [part(0, 1)] * before + [x] + [part(size - 1, size)] * after
    pieces = [p for p in pieces if p.shape[axis]]
    return cat(pieces, axis) if len(pieces) > 1 else x
