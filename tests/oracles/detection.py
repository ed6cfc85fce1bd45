"""Oracles in float64 for boxes (x1, y1, x2, y2): one pair after the other, by the formulas of the papers."""

from __future__ import annotations

import math

import numpy as np


def area(boxes):
    """Width times height."""
    return np.array([(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes])


def _overlap(a, b):
    """(intersection, union) of two boxes."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    return shared, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared


def _hull(a, b):
    """(width, height) of the smallest box around both."""
    return max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])


def one_iou(a, b, eps=0.0):
    """Intersection over union."""
    shared, union = _overlap(a, b)
    return shared / (union + eps)


def one_generalized(a, b, eps=0.0):
    """Rezatofighi et al. 2019, algorithm 1: IoU - (hull - union) / hull."""
    width, height = _hull(a, b)
    return one_iou(a, b, eps) - (width * height - _overlap(a, b)[1]) / (width * height + eps)


def one_distance(a, b, eps=1e-7, inner=0.0):
    """Zheng et al. 2020, equation 7: IoU - rho^2 / c^2."""
    width, height = _hull(a, b)
    rho = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
    return one_iou(a, b, inner) - rho / (width**2 + height**2 + eps)


def ratio_term(a, b):
    """v, Zheng et al. 2020, equation 9."""
    angles = [math.atan((box[2] - box[0]) / (box[3] - box[1])) for box in (a, b)]
    return 4 / math.pi**2 * (angles[0] - angles[1]) ** 2


def one_complete(a, b, eps=1e-7, inner=0.0, alpha=None):
    """Zheng et al. 2020, equations 8 to 11: the distance IoU - alpha v; `alpha` may be held fast."""
    v = ratio_term(a, b)
    alpha = v / (1 - one_iou(a, b, inner) + v + eps) if alpha is None else alpha
    return one_distance(a, b, eps, inner) - alpha * v


def pairwise(one):
    """The oracle of all pairs: (N, 4), (M, 4) -> (N, M)."""
    return lambda boxes1, boxes2, **kwargs: np.array([[one(a, b, **kwargs) for b in boxes2] for a in boxes1]).reshape(
        len(boxes1), len(boxes2)
    )


def loss(one, **fixed):
    """The oracle of a loss, 1 - measure, of matched boxes."""

    def oracle(boxes1, boxes2, reduction="none", eps=1e-7):
        rows = zip(boxes1.reshape(-1, 4), boxes2.reshape(-1, 4), strict=True)
        inner = dict.fromkeys(fixed, eps)
        losses = np.array([1 - one(a, b, eps=eps, **inner) for a, b in rows]).reshape(boxes1.shape[:-1])
        return losses if reduction == "none" else losses.sum() / (losses.size or 1 if reduction == "mean" else 1)

    return oracle


def convert(boxes, in_fmt, out_fmt):
    """By way of (x1, y1, width, height)."""
    result = np.empty_like(boxes)
    for at in np.ndindex(*boxes.shape[:-1]):
        a, b, c, d = boxes[at]
        w, h = (c - a, d - b) if in_fmt == "xyxy" else (c, d)
        x, y = (a - c / 2, b - d / 2) if in_fmt == "cxcywh" else (a, b)
        result[at] = {"xyxy": (x, y, x + w, y + h), "xywh": (x, y, w, h), "cxcywh": (x + w / 2, y + h / 2, w, h)}[
            out_fmt
        ]
    return result


def clip(boxes, size):
    """x within [0, W], y within [0, H]."""
    limits = [size[1], size[0], size[1], size[0]]
    flat = [[min(max(v, 0), limit) for v, limit in zip(box, limits, strict=True)] for box in boxes.reshape(-1, 4)]
    return np.array(flat).reshape(boxes.shape)


def remove_small(boxes, min_size):
    """Places of boxes with both sides of at least min_size."""
    return np.array(
        [i for i, (x1, y1, x2, y2) in enumerate(boxes) if x2 - x1 >= min_size and y2 - y1 >= min_size], dtype=np.int64
    )


def nms(boxes, scores, idxs=None, iou_threshold=0.5):
    """Every box, best first, is kept unless a kept one of its category overlaps it by more than the threshold."""
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in kept if idxs is None or idxs[k] == idxs[i]]
        if not any(one_iou(boxes[k], boxes[i]) > iou_threshold for k in rivals):  # of no area: NaN, no overlap
            kept.append(i)
    return np.array(kept, dtype=np.int64)


def _centred(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]


def encode(reference_boxes, proposals, weights=(1.0, 1.0, 1.0, 1.0)):
    """Ren et al. 2015, equation 2."""
    codes = np.empty_like(reference_boxes)
    for i, (box, anchor) in enumerate(zip(reference_boxes, proposals, strict=True)):
        (x, y, w, h), (xa, ya, wa, ha) = _centred(box), _centred(anchor)
        codes[i] = (x - xa) / wa, (y - ya) / ha, math.log(w / wa), math.log(h / ha)
    return codes * np.array(weights)


def decode(rel_codes, boxes, weights=(1.0, 1.0, 1.0, 1.0), bbox_xform_clip=math.inf):
    """The inverse of encode, with the logarithms of ratios limited."""
    result = np.empty_like(rel_codes)
    for i, anchor in enumerate(boxes):
        xa, ya, wa, ha = _centred(anchor)
        for k in range(0, rel_codes.shape[1], 4):
            tx, ty, tw, th = rel_codes[i, k : k + 4] / np.array(weights)
            w, h = wa * math.exp(min(tw, bbox_xform_clip)), ha * math.exp(min(th, bbox_xform_clip))
            x, y = xa + tx * wa, ya + ty * ha
            result[i, k : k + 4] = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    return result


def grid_anchors(like, feature_sizes, strides, scales, ratios):
    """For each map all anchors, by rows, columns, ratios (height by width), scales (root of the area)."""
    found = []
    for level, ((h, w), stride) in enumerate(zip(feature_sizes, strides, strict=True)):
        sides = scales[level] if isinstance(scales[0], tuple) else scales
        shapes = ratios[level] if isinstance(ratios[0], tuple) else ratios
        down, right = stride if isinstance(stride, tuple) else (stride, stride)
        rows = []
        for i, j in np.ndindex(h, w):
            for ratio in shapes:
                for side in sides:
                    width, height = side * ratio**-0.5, side * ratio**0.5
                    corners = np.rint(np.array([-width, -height, width, height]) / 2)
                    rows.append(corners + np.array([j * right, i * down, j * right, i * down]))
        found.append(np.array(rows).reshape(-1, 4))
    return found
