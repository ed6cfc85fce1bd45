"""Convolution of sequences and volumes, written as the convolution of images.

A sequence is an image of height 1. For a volume, im2col along the depth alone (an image of D rows and H * W columns)
puts the KD planes under the kernel beside each other as channels:

    x (N, C, D, H, W) -> (N * OD, C * KD, H, W)        weight (O, C // G, KD, KH, KW) -> (O, C // G * KD, KH, KW)

so that one conv2d does the rest in one sum, at the price of KD copies of x. The transposed convolution runs the same
two steps backwards. All parts are differentiable to any order, and so are these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.observer import composite
from deepcore.autograd.precision import cast_as_one
from deepcore.errors import ShapeError, got, message
from deepcore.functions.conv.columns import Col2im, Im2col
from deepcore.functions.conv.conv2d import conv2d, conv_transpose2d, output_length
from deepcore.functions.index.indexing import getitem
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.pad import pad
from deepcore.functions.shape import permute, reshape, squeeze, unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "conv1d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose3d",
]

Sizes = tuple[int, ...]
_X = {1: "x (N, C, T)", 3: "x (N, C, D, H, W)"}
_KERNEL = {1: "KT", 3: "KD, KH, KW"}


def _numbers(op: str, name: str, value: Any, least: int, count: int) -> Sizes:
    """A number, or `count` numbers, each at least `least`, as a tuple."""
    values = (value,) * count if isinstance(value, int) else tuple(value) if hasattr(value, "__iter__") else ()
    if len(values) == 1:
        values *= count
    if len(values) != count or not all(isinstance(v, int) and v >= least for v in values):
        several = "" if count == 1 else f" or {count} ints"
        raise ShapeError(message(op, f"{name} as an int{several}, at least {least}", f"{name}={value!r}"))
    return values


class _Geometry:
    """The checked arguments of a convolution over `count` axes."""

    def __init__(self, op: str, count: int, stride: Any, padding: Any, dilation: Any, groups: Any) -> None:
        self.op, self.count = op, count
        self.stride = _numbers(op, "stride", stride, 1, count)
        self.dilation = _numbers(op, "dilation", dilation, 1, count)
        self.padding: Any = padding if isinstance(padding, str) else _numbers(op, "padding", padding, 0, count)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ShapeError(message(op, "padding as numbers, 'same' or 'valid'", f"padding={padding!r}"))
        if padding == "same" and self.stride != (1,) * count:
            raise ShapeError(message(op, "stride 1 with padding='same'", f"stride={self.stride}"))
        if not isinstance(groups, int) or groups < 1:
            raise ShapeError(message(op, "groups as an int of at least 1", f"groups={groups!r}"))
        self.groups = groups

    def check(self, x: Any, weight: Any, bias: Any, transposed: bool) -> None:
        """Raise ShapeError or DTypeError unless the operands fit each other."""
        op, groups = self.op, self.groups
        channels = "C, O // groups" if transposed else "O, C // groups"
        expected = f"{_X[self.count]} and weight ({channels}, {_KERNEL[self.count]})"
        given = got(x=x, weight=weight, bias=bias, groups=groups)
        if len(x.shape) != self.count + 2 or len(weight.shape) != self.count + 2:
            raise ShapeError(message(op, expected, given))
        if transposed and (x.shape[1] != weight.shape[0] or weight.shape[0] % groups):
            raise ShapeError(message(op, "x.shape[1] == weight.shape[0], divisible by groups", given))
        if not transposed and (x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups):
            hint = "the weight's second axis is the number of in-channels of one group"
            expected = "x.shape[1] == weight.shape[1] * groups, weight.shape[0] divisible by groups"
            raise ShapeError(message(op, expected, given, hint))
        out = weight.shape[1] * groups if transposed else weight.shape[0]
        if bias is not None and bias.shape != (out,):
            raise ShapeError(message(op, f"bias ({out},)", given))
        same_dtype(op, x=x, weight=weight, bias=bias)

    def pads(self, kernel: Sizes) -> list[tuple[int, int]]:
        """(before, after) of each axis; an odd pixel of 'same' goes behind."""
        if self.padding == "valid":
            return [(0, 0)] * self.count
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, kernel, strict=True)]
            return [(total // 2, total - total // 2) for total in totals]
        return [(p, p) for p in self.padding]

    def check_places(self, x: Any, weight: Any) -> None:
        """Raise ShapeError unless the kernel fits into the padded input."""
        kernel = weight.shape[2:]
        for i, (before, after) in enumerate(self.pads(kernel)):
            size = x.shape[2 + i] + before + after
            if kernel[i] == 0 or output_length(size, kernel[i], self.stride[i], 0, self.dilation[i]) < 1:
                found = f"{got(x=x, weight=weight)}, padding={self.padding}, dilation={self.dilation}"
                hint = "use a larger input, more padding or a smaller kernel"
                raise ShapeError(message(self.op, "a kernel that fits into the padded input", found, hint))

    def transposed_size(self, x: Any, weight: Any, output_padding: Any) -> tuple[Sizes, Sizes]:
        """(output_padding, size of the output) of a transposed convolution."""
        extra = _numbers(self.op, "output_padding", output_padding, 0, self.count)
        if any(e >= max(s, d) for e, s, d in zip(extra, self.stride, self.dilation, strict=True)):
            found = f"output_padding={extra}, stride={self.stride}, dilation={self.dilation}"
            raise ShapeError(message(self.op, "output_padding smaller than stride or dilation", found))
        axes = zip(x.shape[2:], weight.shape[2:], self.stride, self.padding, self.dilation, extra, strict=True)
        size = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, p, d, e in axes)
        if min(size) < 1 or 0 in weight.shape[2:]:
            found = f"{got(x=x, weight=weight)}, output size {size}"
            raise ShapeError(message(self.op, "an output of at least one pixel", found))
        return extra, size


@cast_as_one
@composite
def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes | str = 0,
    dilation: int | Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation along time: x (N, C, T), weight (O, C // groups, KT), bias (O,) or None -> (N, O, OT).

    OT = (T + 2 * padding - dilation * (KT - 1) - 1) // stride + 1. padding may be 'valid' or 'same' (OT == T).
    Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> conv1d(dc.tensor([[[1.0, 2.0, 4.0]]]), dc.tensor([[[-1.0, 1.0]]]))
    tensor([[[1., 2.]]])
    """
    geometry = _Geometry("conv1d", 1, stride, padding, dilation, groups)
    geometry.check(x, weight, bias, transposed=False)
    geometry.check_places(x, weight)
    if not isinstance(geometry.padding, str):
        padding = (0, geometry.padding[0])
    places = ((1, geometry.stride[0]), padding, (1, geometry.dilation[0]))
    y = conv2d(unsqueeze(x, 2), unsqueeze(weight, 2), bias, *places, groups)  # type: ignore[arg-type]
    return squeeze(y, 2)


@cast_as_one
@composite
def conv_transpose1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes = 0,
    output_padding: int | Sizes = 0,
    groups: int = 1,
    dilation: int | Sizes = 1,
) -> Tensor:
    """Transposed convolution along time: x (N, C, T), weight (C, O // groups, KT), bias (O,) or None -> (N, O, OT).

    OT = (T - 1) * stride - 2 * padding + dilation * (KT - 1) + output_padding + 1. Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> conv_transpose1d(dc.tensor([[[1.0, 2.0]]]), dc.tensor([[[1.0, 3.0]]]))
    tensor([[[1., 5., 6.]]])
    """
    geometry = _Geometry("conv_transpose1d", 1, stride, _only_numbers(padding), dilation, groups)
    geometry.check(x, weight, bias, transposed=True)
    (extra,), _ = geometry.transposed_size(x, weight, output_padding)
    (s,), (p,), (d,) = geometry.stride, geometry.padding, geometry.dilation
    y = conv_transpose2d(unsqueeze(x, 2), unsqueeze(weight, 2), bias, (1, s), (0, p), (0, extra), groups, (1, d))
    return squeeze(y, 2)


def _only_numbers(padding: Any) -> Any:
    """The padding of a transposed convolution has no names: a string is refused as a wrong number."""
    return (padding, None, None, None) if isinstance(padding, str) else padding


@cast_as_one
@composite
def conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes | str = 0,
    dilation: int | Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of volumes: x (N, C, D, H, W), weight (O, C // groups, KD, KH, KW), bias (O,) or None.

    Returns (N, O, OD, OH, OW), each axis as in conv2d; D is the depth. padding may be 'valid' or 'same'.
    Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> conv3d(dc.ones(1, 1, 4, 5, 6), dc.ones(2, 1, 3, 3, 3), padding=(1, 0, 0)).shape
    (1, 2, 4, 3, 4)
    """
    geometry = _Geometry("conv3d", 3, stride, padding, dilation, groups)
    geometry.check(x, weight, bias, transposed=False)
    geometry.check_places(x, weight)
    pads = geometry.pads(weight.shape[2:])
    if any(before != after for before, after in pads):
        x = pad(x, tuple(width for before, after in reversed(pads) for width in (0, after - before)))
    n, c, _, h, w = x.shape
    o, per_group, kd, kh, kw = weight.shape
    (sd, *s), (pd, *p), (dd, *d) = geometry.stride, [before for before, _ in pads], geometry.dilation
    planes = Im2col(((kd, 1), (sd, 1), (pd, 0), (dd, 1)), 0)(reshape(x, (n, c, x.shape[2], h * w)))
    od = planes.shape[4]
    folded = reshape(permute(planes, (0, 4, 1, 2, 3, 5)), (n * od, c * kd, h, w))
    y = conv2d(folded, reshape(weight, (o, per_group * kd, kh, kw)), bias, tuple(s), tuple(p), tuple(d), groups)  # type: ignore[arg-type]
    return permute(reshape(y, (n, od, *y.shape[1:])), (0, 2, 1, 3, 4))


@cast_as_one
@composite
def conv_transpose3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sizes = 1,
    padding: int | Sizes = 0,
    output_padding: int | Sizes = 0,
    groups: int = 1,
    dilation: int | Sizes = 1,
) -> Tensor:
    """Transposed convolution of volumes, the input gradient of conv3d.

    x (N, C, D, H, W), weight (C, O // groups, KD, KH, KW), bias (O,) or None -> (N, O, OD, OH, OW), where
    OD = (D - 1) * stride - 2 * padding + dilation * (KD - 1) + output_padding + 1, and the other axes likewise.
    Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> conv_transpose3d(dc.ones(1, 2, 3, 3, 3), dc.ones(2, 4, 2, 2, 2), stride=2).shape
    (1, 4, 6, 6, 6)
    """
    geometry = _Geometry("conv_transpose3d", 3, stride, _only_numbers(padding), dilation, groups)
    geometry.check(x, weight, bias, transposed=True)
    extra, (od, oh, ow) = geometry.transposed_size(x, weight, output_padding)
    n, c, depth, h, w = x.shape
    _, per_group, kd, kh, kw = weight.shape
    (sd, *s), (pd, *p), (dd, *d) = geometry.stride, geometry.padding, geometry.dilation
    o = per_group * groups
    folded = reshape(permute(x, (0, 2, 1, 3, 4)), (n * depth, c, h, w))
    kernels = reshape(weight, (c, per_group * kd, kh, kw))
    planes = conv_transpose2d(folded, kernels, None, tuple(s), tuple(p), extra[1:], groups, tuple(d))  # type: ignore[arg-type]
    columns = permute(reshape(planes, (n, depth, o, kd, 1, oh * ow)), (0, 2, 3, 4, 1, 5))
    whole = (depth - 1) * sd + dd * (kd - 1) + 1  # the depth without padding, which is cut off below
    y = Col2im(((kd, 1), (sd, 1), (0, 0), (dd, 1)), (n, o, whole, oh * ow))(columns)
    if extra[0]:
        y = pad(y, (0, 0, 0, extra[0]))
    if pd or extra[0]:
        y = getitem(y, (slice(None), slice(None), slice(pd, pd + od)))
    y = reshape(y, (n, o, od, oh, ow))
    return y if bias is None else y + reshape(bias, (1, o, 1, 1, 1))
