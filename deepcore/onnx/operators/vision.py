"""Operators on images and boxes."""

from __future__ import annotations

from typing import Any

from deepcore import creation, dtypes
from deepcore import functional as F
from deepcore.onnx.operators.adapter import Adapter, ints, need, number

GRID_MODES = {"linear": "bilinear", "cubic": "bicubic", "nearest": "nearest"}
RESIZE_MODES = {
    ("nearest", "half_pixel", "round_prefer_floor"): ("nearest-exact", None),
    ("nearest", "asymmetric", "floor"): ("nearest", None),
    ("linear", "half_pixel", None): ("bilinear", False),
    ("linear", "pytorch_half_pixel", None): ("bilinear", False),
    ("linear", "align_corners", None): ("bilinear", True),
    ("cubic", "half_pixel", None): ("bicubic", False),
    ("cubic", "align_corners", None): ("bicubic", True),
}
"""ONNX's (mode, coordinate transformation, rounding) as PyTorch's (mode, align_corners)."""


def resize(
    x: Any,
    roi: Any = None,
    scales: Any = None,
    sizes: Any = None,
    *,
    axes: Any,
    coordinate_transformation_mode: str,
    keep_aspect_ratio_policy: str,
    mode: str,
    nearest_mode: str,
    **_: Any,
) -> Any:
    """Images of two axes; `sizes` that keep the aspect ratio are made from the smaller or larger of the two scales."""
    nearest = nearest_mode if mode == "nearest" else None
    method, align_corners = RESIZE_MODES[mode, coordinate_transformation_mode, nearest]
    given = (scales if sizes is None else sizes).tolist()
    given = [n for _, n in sorted(zip(axes or range(4), given, strict=True))][-2:]
    if sizes is None:
        return F.interpolate(x, scale_factor=given, mode=method, align_corners=align_corners)
    if keep_aspect_ratio_policy != "stretch":
        choose = min if keep_aspect_ratio_policy == "not_larger" else max
        scale = choose(n / m for n, m in zip(given, x.shape[2:], strict=True))
        given = [int(m * scale + 0.5) for m in x.shape[2:]]
    return F.interpolate(x, size=given, mode=method, align_corners=align_corners)


def upsample(x: Any, scales: Any, *, mode: str) -> Any:
    return F.interpolate(x, scale_factor=scales.tolist()[2:], mode={"nearest": "nearest", "linear": "bilinear"}[mode])


def grid_sample(x: Any, grid: Any, *, align_corners: int, mode: str, padding_mode: str) -> Any:
    return F.grid_sample(x, grid, GRID_MODES[mode], padding_mode, bool(align_corners))


def roi_align(
    x: Any,
    boxes: Any,
    image: Any,
    *,
    coordinate_transformation_mode: str,
    mode: str,
    output_height: int,
    output_width: int,
    sampling_ratio: int,
    spatial_scale: float,
) -> Any:
    need(mode == "avg")
    rows = F.cat([image.to(boxes.dtype).unsqueeze(1), boxes], 1)
    aligned = coordinate_transformation_mode == "half_pixel"
    return F.roi_align(x, rows, (output_height, output_width), spatial_scale, sampling_ratio, aligned)


def non_max_suppression(
    boxes: Any, scores: Any, most: Any = None, iou: Any = None, threshold: Any = None, *, center_point_box: int
) -> Any:
    """Each class of each image by itself; rows of the result are (image, class, box)."""
    kept = []
    for n in range(boxes.shape[0]):
        corners = F.box_convert(boxes[n], "cxcywh", "xyxy") if center_point_box else boxes[n]
        first, second = corners[:, :2], corners[:, 2:]
        corners = F.cat([F.minimum(first, second), F.maximum(first, second)], 1)
        for c in range(scores.shape[1]):
            good = F.nonzero(scores[n, c] > number(threshold, float("-inf")))[:, 0]
            best = F.nms(corners[good], scores[n, c][good], number(iou, 0.0))[: number(most, 0)]
            kept += [[n, c, i] for i in ints(good[best])]
    return creation.tensor(kept, dtype=dtypes.int64, device=boxes.device)


ADAPTERS = {
    "AffineGrid": Adapter(lambda theta, size, align_corners: F.affine_grid(theta, ints(size), bool(align_corners))),
    "GridSample": Adapter(grid_sample, lambda case: 16),
    "NonMaxSuppression": Adapter(non_max_suppression),
    "Resize": Adapter(resize, lambda case: 16),
    "RoiAlign": Adapter(roi_align, lambda case: 16),
    "Upsample": Adapter(upsample),
}
