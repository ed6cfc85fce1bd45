"""Operators that move elements: shapes, joining, cutting, padding, blocks of pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore import creation, dtypes
from deepcore import functional as F
from deepcore.onnx.operators.adapter import LARGEST, Adapter, ints, need, number, sizes

PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def depth_to_space(x: Any, blocksize: int, mode: str) -> Any:
    """PyTorch's pixel_shuffle is CRD; DCR has the block's axes before the depth."""
    if mode == "DCR":
        n, c, h, w = x.shape
        x = x.reshape(n, blocksize**2, c // blocksize**2, h, w).transpose(1, 2).reshape(n, c, h, w)
    return F.pixel_shuffle(x, blocksize)


def space_to_depth(x: Any, blocksize: int, mode: str = "DCR") -> Any:
    y = F.pixel_unshuffle(x, blocksize)
    if mode == "DCR":
        n, c, h, w = y.shape
        y = y.reshape(n, x.shape[1], blocksize**2, h, w).transpose(1, 2).reshape(n, c, h, w)
    return y


def flatten(x: Any, axis: int) -> Any:
    """Two axes: those before `axis`, and the others."""
    axis %= x.ndim
    return F.flatten(F.flatten(x, axis), 0, axis - 1) if axis else F.flatten(x).unsqueeze(0)


def pad(x: Any, pads: Any, value: Any = None, axes: Any = None, *, mode: str) -> Any:
    """ONNX lists all beginnings, then all ends; PyTorch pairs, from the last axis on."""
    given, dims = ints(pads), range(x.ndim) if axes is None else ints(axes)
    pairs = {d % x.ndim: (given[i], given[i + len(given) // 2]) for i, d in enumerate(dims)}
    flat = [n for d in reversed(range(x.ndim)) for n in pairs.get(d, (0, 0))]
    while flat[-2:] == [0, 0]:
        del flat[-2:]
    return F.pad(x, flat, PAD_MODES[mode], number(value))


def reshape(x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    """A 0 keeps the size of that axis, unless `allowzero`."""
    sizes = ints(shape)
    return F.reshape(x, [x.shape[i] if n == 0 and not allowzero else n for i, n in enumerate(sizes)])


def cut(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    begins, stops = ints(starts), ints(ends)
    dims = range(len(begins)) if axes is None else ints(axes)
    strides = [1] * len(begins) if steps is None else ints(steps)
    index = [slice(None)] * x.ndim
    for dim, begin, stop, stride in zip(dims, begins, stops, strides, strict=True):
        index[dim] = slice(begin, stop, stride)
    return x[tuple(index)]


def split(x: Any, sizes: Any = None, *, axis: int, num_outputs: int | None = None, outputs: int) -> Any:
    each = math.ceil(x.shape[axis] / (num_outputs or outputs))
    return tuple(F.split(x, each if sizes is None else ints(sizes), axis))


def squeeze(x: Any, axes: Any = None) -> Any:
    return F.squeeze(x, None if axes is None else tuple(ints(axes)))


def unsqueeze(x: Any, axes: Any) -> Any:
    dims = ints(axes)
    for dim in sorted(d % (x.ndim + len(dims)) for d in dims):
        x = F.unsqueeze(x, dim)
    return x


def tile(x: Any, repeats: list[int]) -> Any:
    need(math.prod(repeats) * x.numel() <= LARGEST, f"more than {LARGEST} elements")
    return F.tile(x, repeats)


def triangle(x: Any, k: Any = None, *, upper: int) -> Any:
    return (F.triu if upper else F.tril)(x, number(k, 0))


def shape(x: Any, start: int = 0, end: int | None = None) -> Any:
    return creation.tensor(list(x.shape[start:end]), dtype=dtypes.int64, device=x.device)


ADAPTERS = {
    "Concat": Adapter(lambda *tensors, axis: F.cat(tensors, axis)),
    "DepthToSpace": Adapter(depth_to_space),
    "Expand": Adapter(lambda x, shape: F.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(sizes(shape))))),
    "Flatten": Adapter(flatten),
    "Pad": Adapter(pad),
    "Reshape": Adapter(reshape),
    "Shape": Adapter(shape),
    "Size": Adapter(lambda x: creation.tensor(x.numel(), device=x.device)),
    "Slice": Adapter(cut),
    "SpaceToDepth": Adapter(space_to_depth),
    "Split": Adapter(split, counts_outputs=True),
    "Squeeze": Adapter(squeeze),
    "Tile": Adapter(lambda x, repeats: tile(x, ints(repeats))),
    "Transpose": Adapter(lambda x, perm: F.permute(x, perm or range(x.ndim)[::-1])),
    "Trilu": Adapter(triangle),
    "Unsqueeze": Adapter(unsqueeze),
}
