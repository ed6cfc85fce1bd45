"""Losses of predicted boxes against true ones, from their overlaps; names and conventions are torchvision.ops'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.precision import cast_as_one
from deepcore.errors import ConfigError, ShapeError, got, message, nearest
from deepcore.functions.arithmetic import maximum, minimum, square, where
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.reduce import mean, sum
from deepcore.functions.shape import unbind
from deepcore.functions.vision.boxes import area, distance, ratio_penalty, widened

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "complete_box_iou_loss",
    "distance_box_iou_loss",
    "generalized_box_iou_loss",
]

_REDUCTIONS = ("none", "mean", "sum")


class _Matched:
    """What the losses share: boxes1[i] against boxes2[i]."""

    def __init__(self, op: str, boxes1: Any, boxes2: Any, reduction: str, eps: float) -> None:
        if reduction not in _REDUCTIONS:
            found = f"reduction={reduction!r}.{nearest(str(reduction), _REDUCTIONS)}"
            raise ConfigError(message(op, "reduction 'none', 'mean' or 'sum'", found))
        if boxes1.shape != boxes2.shape or len(boxes1.shape) < 1 or boxes1.shape[-1] != 4:
            hint = "boxes1[i] is compared with boxes2[i]; box_iou compares all pairs"
            raise ShapeError(
                message(op, "boxes1 and boxes2 (..., 4) of equal shape", got(boxes1=boxes1, boxes2=boxes2), hint)
            )
        same_dtype(op, boxes1=boxes1, boxes2=boxes2)
        self.reduction, self.eps = reduction, eps
        self.first, self.second = unbind(widened(boxes1), -1), unbind(widened(boxes2), -1)
        x1, y1, x2, y2 = self._both(maximum, minimum)
        shared = area(x1, y1, x2, y2)
        shared = where((x2 > x1) & (y2 > y1), shared, shared * 0)
        self.union = area(*self.first) + area(*self.second) - shared
        self.iou = shared / (self.union + eps)
        self.hull = self._both(minimum, maximum)

    def _both(self, lower: Any, upper: Any) -> list[Any]:
        ways = (lower, lower, upper, upper)
        return [way(a, b) for way, a, b in zip(ways, self.first, self.second, strict=True)]

    def distance_loss(self) -> Any:
        x1, y1, x2, y2 = self.hull
        diagonal = square(x2 - x1) + square(y2 - y1) + self.eps
        return 1 - self.iou + distance(self.first, self.second) / diagonal

    def reduced(self, loss: Any) -> Any:
        """The mean of no boxes is 0, as in torchvision."""
        if self.reduction == "none":
            return loss
        return mean(loss) if self.reduction == "mean" and 0 not in loss.shape else sum(loss)


@cast_as_one
def generalized_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - generalized IoU of boxes1[i] and boxes2[i] (Rezatofighi et al. 2019): (..., 4) -> (...), or () if reduced.

    It has a gradient where the boxes do not meet, too. eps is added to the divisors.
    Raises ShapeError, DTypeError, ConfigError.

    >>> import deepcore as dc
    >>> generalized_box_iou_loss(dc.tensor([[0.0, 0.0, 1.0, 1.0]]), dc.tensor([[1.0, 0.0, 2.0, 1.0]])).item()
    1.0
    """
    matched = _Matched("generalized_box_iou_loss", boxes1, boxes2, reduction, eps)
    hull = area(*matched.hull)
    return matched.reduced(1 - matched.iou + (hull - matched.union) / (hull + eps))


@cast_as_one
def distance_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - distance IoU of boxes1[i] and boxes2[i] (Zheng et al. 2020, equation 7): (..., 4) -> (...), or () if reduced.

    Raises ShapeError, DTypeError, ConfigError.
    """
    matched = _Matched("distance_box_iou_loss", boxes1, boxes2, reduction, eps)
    return matched.reduced(matched.distance_loss())


@cast_as_one
def complete_box_iou_loss(boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7) -> Tensor:
    """1 - complete IoU of boxes1[i] and boxes2[i] (Zheng et al. 2020, equation 10): (..., 4) -> (...) or ().

    The factor alpha of the aspect ratio's term counts as a constant in the gradient. Boxes of no height and no width
    have no ratio: their loss is NaN. Raises ShapeError, DTypeError, ConfigError.
    """
    matched = _Matched("complete_box_iou_loss", boxes1, boxes2, reduction, eps)
    penalty = ratio_penalty(matched.first, matched.second, matched.iou, eps)
    return matched.reduced(matched.distance_loss() + penalty)
