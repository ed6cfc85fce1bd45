"""Boxes (x1, y1, x2, y2) in pixels, x1 <= x2, y1 <= y2: areas, overlaps of all pairs, other forms, clean-up.

Names and conventions are torchvision.ops': float16 boxes are computed, and their measures returned, in float32.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import wrap
from deepcore.dtypes import is_floating
from deepcore.errors import ConfigError, DTypeError, ShapeError, got, message, nearest
from deepcore.functions.arithmetic import clamp, maximum, minimum, square
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.shape import cast, stack, unbind, unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "distance_box_iou",
    "generalized_box_iou",
    "remove_small_boxes",
]

_FORMS = ("xyxy", "xywh", "cxcywh")
_RATIO_WEIGHT = 4 / math.pi**2


class Arctan(Function):
    def forward(self, x: Any) -> Any:
        self.saved = (x,)
        return self.backend.xp.arctan(x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.saved
        return gy / (1 + x * x)


def arctan(x: Any) -> Any:
    """The angle in (-pi/2, pi/2) whose tangent is x; vertical boxes of no width have the ratio inf."""
    return Arctan()(x)


def check_boxes(op: str, **boxes: Any) -> None:
    """Raise ShapeError unless every tensor is (N, 4), DTypeError unless it holds numbers."""
    for value in boxes.values():
        if value.dtype.kind == "b":
            raise DTypeError(message(op, "boxes of numbers", got(**boxes)))
        if len(value.shape) != 2 or value.shape[1] != 4:
            raise ShapeError(message(op, "boxes (N, 4)", got(**boxes)))


def widened(x: Any) -> Any:
    """float16 as float32, in which products of pixels do not overflow."""
    return cast(x, "float32") if is_floating(x.dtype) and x.dtype.itemsize < 4 else x


def area(x1: Any, y1: Any, x2: Any, y2: Any) -> Any:
    """Width times height."""
    return (x2 - x1) * (y2 - y1)


class Pairs:
    """What the overlaps of all pairs of (N, 4) and (M, 4) boxes share; every value is (N, M)."""

    def __init__(self, op: str, boxes1: Any, boxes2: Any) -> None:
        check_boxes(op, boxes1=boxes1, boxes2=boxes2)
        if boxes1.dtype != boxes2.dtype:
            same_dtype(op, boxes1=boxes1, boxes2=boxes2)
        self.first = [unsqueeze(side, 1) for side in unbind(widened(boxes1), -1)]
        self.second = [unsqueeze(side, 0) for side in unbind(widened(boxes2), -1)]
        x1, y1, x2, y2 = self._both(maximum, minimum)
        shared = clamp(x2 - x1, min=0) * clamp(y2 - y1, min=0)
        self.union = area(*self.first) + area(*self.second) - shared
        self.iou = shared / self.union

    def _both(self, lower: Any, upper: Any) -> list[Any]:
        ways = (lower, lower, upper, upper)
        return [way(a, b) for way, a, b in zip(ways, self.first, self.second, strict=True)]

    def hull(self) -> tuple[Any, Any]:
        """(width, height) of the smallest box around both."""
        x1, y1, x2, y2 = self._both(minimum, maximum)
        return clamp(x2 - x1, min=0), clamp(y2 - y1, min=0)

    def distance_iou(self, eps: float) -> Any:
        """IoU less the squared distance of the centres in units of the hull's diagonal."""
        width, height = self.hull()
        return self.iou - distance(self.first, self.second) / (square(width) + square(height) + eps)


def distance(first: Any, second: Any) -> Any:
    """The squared distance of the centres of two boxes, each given as four tensors."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = first, second
    return square((ax1 + ax2) / 2 - (bx1 + bx2) / 2) + square((ay1 + ay2) / 2 - (by1 + by2) / 2)


def ratio_penalty(first: Any, second: Any, iou: Any, eps: float) -> Any:
    """alpha * v of the complete IoU, where v measures the difference of the aspect ratios; alpha has no gradient."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = first, second
    v = _RATIO_WEIGHT * square(arctan((ax2 - ax1) / (ay2 - ay1)) - arctan((bx2 - bx1) / (by2 - by1)))
    fixed = v.detach()
    return fixed / (1 - iou.detach() + fixed + eps) * v


def box_area(boxes: Tensor) -> Tensor:
    """Areas: boxes (N, 4) -> (N,). Raises ShapeError.

    >>> import deepcore as dc
    >>> box_area(dc.tensor([[1.0, 1.0, 4.0, 3.0]]))
    tensor([6.])
    """
    check_boxes("box_area", boxes=boxes)
    return area(*unbind(widened(boxes), -1))


@cast_as_one
def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union of all pairs: boxes1 (N, 4), boxes2 (M, 4) -> (N, M); NaN for two boxes of no area.

    Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> box_iou(dc.tensor([[0.0, 0.0, 2.0, 2.0]]), dc.tensor([[1.0, 0.0, 3.0, 2.0], [0.0, 0.0, 1.0, 4.0]]))
    tensor([[0.3333, 0.3333]])
    """
    return Pairs("box_iou", boxes1, boxes2).iou


@cast_as_one
def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU less the unused share of the smallest box around both (Rezatofighi et al. 2019): (N, 4), (M, 4) -> (N, M).

    In (-1, 1]. Raises ShapeError and DTypeError.
    """
    pairs = Pairs("generalized_box_iou", boxes1, boxes2)
    width, height = pairs.hull()
    hull = width * height
    return pairs.iou - (hull - pairs.union) / hull


@cast_as_one
def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """IoU less the squared distance of the centres by the squared diagonal of the box around both: -> (N, M).

    Zheng et al. 2020, equation 7; eps is added to the diagonal. Raises ShapeError and DTypeError.
    """
    return Pairs("distance_box_iou", boxes1, boxes2).distance_iou(eps)


@cast_as_one
def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """The distance IoU less alpha * v for different aspect ratios: boxes1 (N, 4), boxes2 (M, 4) -> (N, M).

    v = 4 / pi^2 * (arctan(w / h) - arctan(w' / h'))^2 and alpha = v / (1 - IoU + v + eps), which counts as a constant
    in the gradient (Zheng et al. 2020, equations 8 to 12). Raises ShapeError and DTypeError.
    """
    pairs = Pairs("complete_box_iou", boxes1, boxes2)
    return pairs.distance_iou(eps) - ratio_penalty(pairs.first, pairs.second, pairs.iou, eps)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes (..., 4) in another form: 'xyxy' corners, 'xywh' corner and size, 'cxcywh' centre and size.

    Raises ShapeError and ConfigError.

    >>> import deepcore as dc
    >>> box_convert(dc.tensor([1.0, 1.0, 4.0, 3.0]), "xyxy", "cxcywh")
    tensor([2.5, 2. , 3. , 2. ])
    """
    for name, form in (("in_fmt", in_fmt), ("out_fmt", out_fmt)):
        if form not in _FORMS:
            found = f"{name}={form!r}.{nearest(str(form), _FORMS)}"
            raise ConfigError(message("box_convert", f"{name} as one of {', '.join(_FORMS)}", found))
    if len(boxes.shape) < 1 or boxes.shape[-1] != 4:
        raise ShapeError(message("box_convert", "boxes (..., 4)", got(boxes=boxes)))
    if in_fmt == out_fmt:
        return boxes
    a, b, c, d = unbind(boxes, -1)
    if in_fmt == "xywh":
        a, b, c, d = a, b, a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if out_fmt == "xywh":
        a, b, c, d = a, b, c - a, d - b
    elif out_fmt == "cxcywh":
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    return stack([a, b, c, d], -1)


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut off at the edges of an image of size (H, W). Raises ShapeError."""
    if len(boxes.shape) < 1 or boxes.shape[-1] != 4 or len(size) != 2:
        raise ShapeError(message("clip_boxes_to_image", "boxes (..., 4), size (H, W)", got(boxes=boxes, size=size)))
    h, w = size
    x1, y1, x2, y2 = unbind(boxes, -1)
    return stack([clamp(x1, 0, w), clamp(y1, 0, h), clamp(x2, 0, w), clamp(y2, 0, h)], -1)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """The places of the boxes (N, 4) with both sides of at least min_size: (K,), int64, in order.

    How many there are depends on the values: the host waits for the device. Raises ShapeError.
    """
    check_boxes("remove_small_boxes", boxes=boxes)
    backend, array = boxes.backend, boxes.array
    width, height = array[:, 2] - array[:, 0], array[:, 3] - array[:, 1]
    return wrap(backend.xp.nonzero((width >= min_size) & (height >= min_size))[0], backend)
