"""Entries for boxes: their overlaps, the losses made of them, suppression, codes, anchors."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import FLOATS, OpCase, bad, normal, sample
from deepcore.check.oracles import detection as oracles
from deepcore.errors import ConfigError, DTypeError, ShapeError


def _boxes(rng, *shape):
    """Boxes of different corners within about 7 pixels, none with an empty side or a corner at 0."""
    corner = rng.uniform(0.5, 3, (*shape, 2))
    return np.concatenate([corner, corner + rng.uniform(0.5, 3.5, (*shape, 2))], axis=-1)


def _wide(dtype):
    """Measures of float16 and bfloat16 boxes are float32."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def _pair_samples(rng):
    return [
        sample("plain", _boxes(rng, 3), _boxes(rng, 4)),
        sample("far from each other", _boxes(rng, 2), _boxes(rng, 2) + 7),
        sample("one inside the other", np.array([[1.0, 1, 5, 6]]), np.array([[2.0, 3, 3, 5]])),
        sample("none", _boxes(rng, 0), _boxes(rng, 2)),
    ]


def _loss_samples(rng):
    return [
        sample("plain", _boxes(rng, 4), _boxes(rng, 4)),
        sample("one box", _boxes(rng), _boxes(rng)),
        sample("batch, mean", _boxes(rng, 2, 3), _boxes(rng, 2, 3), reduction="mean"),
        sample("far from each other, sum", _boxes(rng, 2), _boxes(rng, 2) + 7, reduction="sum", eps=1e-3),
        sample("none", _boxes(rng, 0), _boxes(rng, 0)),
        sample("mean of none", _boxes(rng, 0), _boxes(rng, 0), reduction="mean"),
    ]


_b, _no = np.array([[1.0, 1, 2, 2]] * 3), np.ones((3, 5))
_wrong_dtype = _b.astype(np.float32)


def _pairs(name, one, **options):
    op = getattr(F, name)
    errors = [
        bad("not boxes", ShapeError, rf"^{name}: .*\(3, 5\)", _no, _b),
        bad("two dtypes", DTypeError, rf"^{name}: .*float64.*float32", _b, _wrong_dtype),
    ]
    oracle = oracles.pairwise(one)
    return OpCase(name, op, oracle, _pair_samples, result_dtype=_wide, length=lambda *a: 16, errors=errors, **options)


def _loss(name, oracle, **options):
    errors = [
        bad("shapes differ", ShapeError, rf"^{name}: .*\(3, 4\).*\(2, 4\)", _b, _b[:2]),
        bad("unknown reduction", ConfigError, rf"^{name}: .*average", _b, _b, reduction="average"),
        bad("two dtypes", DTypeError, rf"^{name}: .*float64.*float32", _b, _wrong_dtype),
    ]
    op = getattr(F, name)
    return OpCase(
        name, op, oracle, _loss_samples, result_dtype=_wide, length=lambda *a, **k: 16, errors=errors, **options
    )


def _nms_samples(rng):
    return [
        sample("plain", _boxes(rng, 12), normal(rng, 12), iou_threshold=0.3),
        sample("equal scores", _boxes(rng, 8), np.ones(8), iou_threshold=0.1),
        sample("nothing dropped", _boxes(rng, 5), normal(rng, 5), iou_threshold=1.0),
        sample("none", _boxes(rng, 0), normal(rng, 0), iou_threshold=0.5),
    ]


def _batched_nms_samples(rng):
    return [
        sample("plain", _boxes(rng, 12), normal(rng, 12), rng.integers(0, 3, 12), iou_threshold=0.2),
        sample("one category", _boxes(rng, 8), normal(rng, 8), np.zeros(8, np.int32), iou_threshold=0.3),
        sample("none", _boxes(rng, 0), normal(rng, 0), np.zeros(0, np.int64), iou_threshold=0.5),
    ]


def _int64(dtype):
    return "int64"


def _convert_samples(rng):
    ways = [(a, b) for a in ("xyxy", "xywh", "cxcywh") for b in ("xyxy", "xywh", "cxcywh")]
    boxes = _boxes(rng, 2, 3)
    return [
        *(sample(f"{a} to {b}", boxes, in_fmt=a, out_fmt=b) for a, b in ways),
        sample("one", _boxes(rng), in_fmt="xyxy", out_fmt="xywh"),
        sample("none", _boxes(rng, 0), in_fmt="xyxy", out_fmt="xywh"),
    ]


def _decode_samples(rng):
    return [
        sample("plain", normal(rng, 3, 4), _boxes(rng, 3)),
        sample("classes, weights", normal(rng, 2, 12), _boxes(rng, 2), weights=(2.0, 3.0, 1.5, 0.5)),
        sample("clipped", normal(rng, 2, 4), _boxes(rng, 2), bbox_xform_clip=0.25),
        sample("none", normal(rng, 0, 4), _boxes(rng, 0)),
    ]


def _anchor_samples(rng):
    one = np.ones(1)
    return [
        sample("two maps", one, [(2, 3), (1, 2)], [4, (8, 16)], (8.0, 11.0), (0.5, 1.0, 2.0)),
        sample("scales of each map", one, [(1, 1), (2, 1)], [4, 8], ((8.0,), (16.0, 20.0)), ((1.0,), (0.7, 1.3))),
        sample("an empty map", one, [(0, 3)], [4], (8.0,), (1.0,)),
    ]


CASES = [
    OpCase(
        "box_area",
        F.box_area,
        oracles.area,
        lambda rng: [sample("plain", _boxes(rng, 5)), sample("none", _boxes(rng, 0))],
        result_dtype=_wide,
        errors=[bad("not boxes", ShapeError, r"^box_area: .*\(3, 5\)", _no)],
    ),
    _pairs("box_iou", oracles.one_iou),
    _pairs("generalized_box_iou", oracles.one_generalized),
    _pairs("distance_box_iou", oracles.one_distance),
    # alpha has no gradient, so a difference of values is not the gradient: tests/test_detection.py holds it fast
    _pairs("complete_box_iou", oracles.one_complete, differentiable=False),
    _loss("generalized_box_iou_loss", oracles.loss(oracles.one_generalized)),
    _loss("distance_box_iou_loss", oracles.loss(oracles.one_distance, inner=True)),
    _loss("complete_box_iou_loss", oracles.loss(oracles.one_complete, inner=True), differentiable=False),
    OpCase(
        "box_convert",
        F.box_convert,
        oracles.convert,
        _convert_samples,
        errors=[
            bad("unknown form", ConfigError, r"^box_convert: .*in_fmt='xyx'.*xyxy", _b, in_fmt="xyx", out_fmt="xywh"),
            bad("not boxes", ShapeError, r"^box_convert: .*\(3, 5\)", _no, in_fmt="xyxy", out_fmt="xywh"),
        ],
    ),
    OpCase(
        "clip_boxes_to_image",
        F.clip_boxes_to_image,
        oracles.clip,
        lambda rng: [
            sample("plain", _boxes(rng, 2, 4) - 2, size=(2, 3)),
            sample("none", _boxes(rng, 0), size=(2, 3)),
        ],
        errors=[bad("not boxes", ShapeError, r"^clip_boxes_to_image: .*\(3, 5\)", _no, size=(2, 3))],
    ),
    OpCase(
        "remove_small_boxes",
        F.remove_small_boxes,
        oracles.remove_small,
        lambda rng: [
            sample("plain", _boxes(rng, 8), min_size=1.5),
            sample("nothing left", _boxes(rng, 3), min_size=9.0),
            sample("none", _boxes(rng, 0), min_size=1.0),
        ],
        dtypes=(*FLOATS, "int64"),
        result_dtype=_int64,
        differentiable=False,
        errors=[bad("not boxes", ShapeError, r"^remove_small_boxes: .*\(3, 5\)", _no, min_size=1.0)],
    ),
    OpCase(
        "nms",
        F.nms,
        oracles.nms,
        _nms_samples,
        result_dtype=_int64,
        differentiable=False,
        errors=[
            bad("not boxes", ShapeError, r"^nms: .*\(3, 5\)", _no, np.ones(3), iou_threshold=0.5),
            bad("scores", ShapeError, r"^nms: .*\(3, 4\).*\(2,\)", _b, np.ones(2), iou_threshold=0.5),
            bad("integers", DTypeError, r"^nms: .*int64", _b.astype(int), np.ones(3, int), iou_threshold=0.5),
        ],
        kernels=True,
    ),
    OpCase(
        "batched_nms",
        F.batched_nms,
        oracles.nms,
        _batched_nms_samples,
        result_dtype=_int64,
        differentiable=False,
        errors=[
            bad(
                "categories", ShapeError, r"^batched_nms: .*\(2,\)", _b, np.ones(3), np.zeros(2, int), iou_threshold=0.5
            ),
            bad("floats", DTypeError, r"^batched_nms: .*idxs", _b, np.ones(3), np.ones(3), iou_threshold=0.5),
        ],
        kernels=True,
    ),
    OpCase(
        "encode_boxes",
        F.encode_boxes,
        oracles.encode,
        lambda rng: [
            sample("plain", _boxes(rng, 3), _boxes(rng, 3)),
            sample("weights", _boxes(rng, 2), _boxes(rng, 2), weights=(10.0, 10.0, 5.0, 5.0)),
            sample("none", _boxes(rng, 0), _boxes(rng, 0)),
        ],
        dtypes=FLOATS,
        length=lambda *args, weights=(1.0,), **kwargs: 16 * int(max(weights)) ** 2,
        errors=[
            bad("as many", ShapeError, r"^encode_boxes: .*\(3, 4\).*\(2, 4\)", _b, _b[:2]),
            bad("weights", ConfigError, r"^encode_boxes: .*weights=\(1, 1\)", _b, _b, weights=(1, 1)),
        ],
    ),
    OpCase(
        "decode_boxes",
        F.decode_boxes,
        oracles.decode,
        _decode_samples,
        length=lambda *args, **kwargs: 16,
        errors=[bad("codes", ShapeError, r"^decode_boxes: .*\(3, 5\)", _no, _b)],
    ),
    OpCase(
        "grid_anchors",
        lambda like, *args: F.grid_anchors(*args, dtype=like.dtype, device=like.device),
        oracles.grid_anchors,
        _anchor_samples,
        differentiable=False,
        no_empty="its arguments are numbers; an empty map is among them",
        errors=[
            bad(
                "strides",
                ConfigError,
                r"^grid_anchors: .*2 feature sizes and 1",
                np.ones(1),
                [(1, 1)] * 2,
                [4],
                (8,),
                (1,),
            ),
            bad("ratio 0", ConfigError, r"^grid_anchors: .*ratios=\(0,\)", np.ones(1), [(1, 1)], [4], (8,), (0,)),
        ],
    ),
]
