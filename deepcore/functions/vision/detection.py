"""The steps of a box detector: anchors, boxes relative to them, non-maximum suppression.

Boxes are (x1, y1, x2, y2); the parametrisation is that of Faster R-CNN (Ren et al. 2015, equation 2), names and
conventions are torchvision's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore import dtypes
from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import wrap
from deepcore.devices import backend_for
from deepcore.errors import ConfigError, DeviceError, DTypeError, ShapeError, got, message
from deepcore.functions.arithmetic import clamp
from deepcore.functions.elementwise import exp, log
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.shape import reshape, stack, unbind, unsqueeze
from deepcore.functions.vision.boxes import check_boxes

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "batched_nms",
    "decode_boxes",
    "encode_boxes",
    "grid_anchors",
    "nms",
]

Weights = tuple[float, float, float, float]
# A predicted box is at most 1000 / 16 times as wide as its anchor, so that exp does not overflow.
_CLIP = math.log(1000 / 16)


@cast_as_one
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The places of the boxes that non-maximum suppression keeps: (K,), int64, best score first.

    boxes (N, 4), scores (N,). The best box is kept and those that overlap it by an IoU of more than iou_threshold are
    dropped, again and again; equal scores are taken in order. How many are kept depends on the values: the host waits
    for the device. No gradient. Raises ShapeError, DTypeError, DeviceError.

    >>> import deepcore as dc
    >>> boxes = dc.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 3.0], [5.0, 5.0, 6.0, 6.0]])
    >>> nms(boxes, dc.tensor([0.5, 0.9, 0.7]), 0.5)
    tensor([1, 2])
    """
    _check_scored("nms", boxes, scores)
    return wrap(boxes.backend.nms(boxes.array, scores.array, None, float(iou_threshold)), boxes.backend)


@cast_as_one
def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """nms within each category: idxs (N,), integer, says which box belongs to which; else as nms."""
    op = "batched_nms"
    _check_scored(op, boxes, scores, idxs=idxs)
    if idxs.dtype.kind not in "iu":
        raise DTypeError(message(op, "integer categories", got(idxs=idxs)))
    return wrap(boxes.backend.nms(boxes.array, scores.array, idxs.array, float(iou_threshold)), boxes.backend)


def _check_scored(op: str, boxes: Any, scores: Any, **more: Any) -> None:
    values = {"boxes": boxes, "scores": scores, **more}
    rows = boxes.shape[:1]
    if len(boxes.shape) != 2 or boxes.shape[1] != 4 or any(v.shape != rows for v in (scores, *more.values())):
        expected = f"boxes (N, 4), {' and '.join(['scores', *more])} (N,)"
        raise ShapeError(message(op, expected, got(**values)))
    if any(v.backend is not boxes.backend for v in values.values()):
        raise DeviceError(message(op, "all tensors on one device", got(**values), "move them with .to()"))
    same_dtype(op, boxes=boxes, scores=scores)


def _centres(boxes: Any) -> tuple[Any, Any, Any, Any]:
    """(centre x, centre y, width, height) of boxes (..., 4)."""
    x1, y1, x2, y2 = unbind(boxes, -1)
    width, height = x2 - x1, y2 - y1
    return x1 + 0.5 * width, y1 + 0.5 * height, width, height


@cast_as_one
def encode_boxes(reference_boxes: Tensor, proposals: Tensor, weights: Weights = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """What a detector is to predict: reference_boxes (N, 4) relative to proposals (N, 4) -> (N, 4).

    (wx * dx / W, wy * dy / H, ww * log(w / W), wh * log(h / H)), where dx, dy are the distances of the centres and W, H
    the sizes of the proposal. Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> encode_boxes(dc.tensor([[1.0, 0.0, 3.0, 2.0]]), dc.tensor([[0.0, 0.0, 2.0, 2.0]]))
    tensor([[0.5, 0. , 0. , 0. ]])
    """
    op = "encode_boxes"
    check_boxes(op, reference_boxes=reference_boxes, proposals=proposals)
    if reference_boxes.shape != proposals.shape:
        found = got(reference_boxes=reference_boxes, proposals=proposals)
        raise ShapeError(message(op, "as many proposals as reference_boxes", found))
    same_dtype(op, reference_boxes=reference_boxes, proposals=proposals)
    wx, wy, ww, wh = _weights(op, weights)
    x, y, w, h = _centres(reference_boxes)
    px, py, pw, ph = _centres(proposals)
    return stack([wx * (x - px) / pw, wy * (y - py) / ph, ww * log(w / pw), wh * log(h / ph)], -1)


@cast_as_one
def decode_boxes(
    rel_codes: Tensor,
    boxes: Tensor,
    weights: Weights = (1.0, 1.0, 1.0, 1.0),
    bbox_xform_clip: float = _CLIP,
) -> Tensor:
    """The boxes that codes of encode_boxes stand for: rel_codes (N, 4 * K) relative to boxes (N, 4) -> (N, 4 * K).

    K: a box for each class. bbox_xform_clip: the largest logarithm of a ratio of sizes.
    Raises ShapeError and DTypeError.
    """
    op = "decode_boxes"
    check_boxes(op, boxes=boxes)
    n = boxes.shape[0]
    if len(rel_codes.shape) != 2 or rel_codes.shape[0] != n or rel_codes.shape[1] % 4:
        raise ShapeError(message(op, f"rel_codes ({n}, 4 * K)", got(rel_codes=rel_codes, boxes=boxes)))
    same_dtype(op, rel_codes=rel_codes, boxes=boxes)
    wx, wy, ww, wh = _weights(op, weights)
    dx, dy, dw, dh = unbind(reshape(rel_codes, (n, rel_codes.shape[1] // 4, 4)), -1)
    x, y, w, h = (unsqueeze(part, 1) for part in _centres(boxes))
    cx, cy = dx / wx * w + x, dy / wy * h + y
    half_w = 0.5 * (exp(clamp(dw / ww, max=bbox_xform_clip)) * w)
    half_h = 0.5 * (exp(clamp(dh / wh, max=bbox_xform_clip)) * h)
    return reshape(stack([cx - half_w, cy - half_h, cx + half_w, cy + half_h], -1), rel_codes.shape)


def _weights(op: str, weights: Any) -> Weights:
    values = tuple(weights)
    if len(values) != 4 or not all(w > 0 for w in values):
        raise ConfigError(message(op, "weights as four positive numbers", f"weights={weights!r}"))
    return values


def grid_anchors(
    feature_sizes: Sequence[tuple[int, int]],
    strides: Sequence[int | tuple[int, int]],
    scales: Sequence[Any],
    ratios: Sequence[Any],
    dtype: Any = None,
    device: str | None = None,
) -> list[Tensor]:
    """Anchor boxes at every pixel of each feature map: a list of (H * W * A, 4), one for each of feature_sizes (H, W).

    strides: the pixels of the image between two of the map, a number or (down, right) for each map. scales: the sides
    of square anchors in image pixels; ratios: height by width, at equal area; both one list for all maps or a list of
    lists. A = len(ratios) * len(scales); the rows of the map come first, then its columns, the ratios, the scales. As
    in torchvision, the anchors' corners are rounded to whole pixels. Raises ConfigError.

    >>> grid_anchors([(1, 2)], [16], scales=[8.0], ratios=[1.0])
    [tensor([[-4., -4.,  4.,  4.],
            [12., -4., 20.,  4.]])]
    """
    op = "grid_anchors"
    levels = len(feature_sizes)
    scales, ratios = (_for_each_level(op, name, v, levels) for name, v in (("scales", scales), ("ratios", ratios)))
    if len(strides) != levels:
        found = f"{levels} feature sizes and {len(strides)} strides"
        raise ConfigError(message(op, "a stride for each feature size", found))
    backend = backend_for(device)
    wanted = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    anchors = []
    for (h, w), stride, sides, shapes in zip(feature_sizes, strides, scales, ratios, strict=True):
        down, right = (stride, stride) if isinstance(stride, int) else stride
        cells = _cells(sides, shapes)
        xp = backend.xp
        base = backend.from_host(cells).astype("float64").reshape(1, len(cells), 4)
        xs = xp.broadcast_to(xp.arange(w) * right, (h, w)).reshape(-1)
        ys = xp.broadcast_to((xp.arange(h) * down).reshape(h, 1), (h, w)).reshape(-1)
        moves = xp.stack([xs, ys, xs, ys], axis=1).reshape(h * w, 1, 4)
        anchors.append(wrap((moves + base).reshape(-1, 4).astype(wanted), backend))
    return anchors


def _for_each_level(op: str, name: str, values: Any, levels: int) -> list[Sequence[float]]:
    rows = list(values)
    if not any(hasattr(row, "__iter__") for row in rows):
        rows = [rows] * levels
    if len(rows) != levels or not all(v > 0 for row in rows for v in row):
        expected = f"{name} as positive numbers, or a list of them for each of {levels} maps"
        raise ConfigError(message(op, expected, f"{name}={values!r}"))
    return rows


def _cells(sides: Sequence[float], ratios: Sequence[float]) -> list[list[int]]:
    """The anchors around the origin: a side s and a ratio r make a box of the area s^2, s * sqrt(r) high."""
    sizes = [(side / math.sqrt(ratio), side * math.sqrt(ratio)) for ratio in ratios for side in sides]
    return [[round(-w / 2), round(-h / 2), round(w / 2), round(h / 2)] for w, h in sizes]
