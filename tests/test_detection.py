"""What the op database does not ask of boxes: the gradient of the complete IoU, and edge cases of suppression."""

from __future__ import annotations

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore.check.opdb import host
from deepcore.check.oracles import detection as oracles
from deepcore.check.tolerance import STEP, assert_close, assert_derivative_close
from deepcore.errors import DeviceError


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(0.5, 3, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(0.5, 3.5, (count, 2))], axis=1)


def fixed_alpha(a: np.ndarray, b: np.ndarray, eps: float, inner: float) -> float:
    v = oracles.ratio_term(a, b)
    return v / (1 - oracles.one_iou(a, b, inner) + v + eps)


@pytest.mark.parametrize("loss", [False, True])
def test_complete_iou_takes_alpha_for_a_constant(device: str, loss: bool) -> None:
    """The gradient against a central difference of the oracle with alpha held fast."""
    rng = np.random.default_rng(0)
    a, b = boxes(rng, 4), boxes(rng, 4)
    eps = 1e-7
    inner = eps if loss else 0.0
    alphas = [fixed_alpha(*pair, eps, inner) for pair in zip(a, b, strict=True)]

    def value(a: np.ndarray, b: np.ndarray) -> float:
        rows = zip(a, b, alphas, strict=True)
        return sum(oracles.one_complete(x, y, eps, inner, alpha) for x, y, alpha in rows) * (-1 if loss else 1)

    tensors = [dc.tensor(v, device=device, requires_grad=True) for v in (a, b)]
    if loss:
        F.complete_box_iou_loss(*tensors, reduction="sum").backward()
    else:
        pairs = F.complete_box_iou(*tensors)
        (pairs * dc.tensor(np.eye(4), device=device)).sum().backward()
    for i, tensor in enumerate(tensors):
        direction = rng.normal(size=(4, 4))
        direction /= np.linalg.norm(direction)
        moved = [[v + sign * STEP * direction if k == i else v for k, v in enumerate((a, b))] for sign in (1, -1)]
        numerical = (value(*moved[0]) - value(*moved[1])) / (2 * STEP)
        assert_derivative_close((host(tensor.grad) * direction).sum(), numerical, 16)


def test_complete_iou_has_a_second_derivative() -> None:
    rng = np.random.default_rng(1)
    a, b = (dc.tensor(boxes(rng, 2), requires_grad=True) for _ in range(2))
    (first,) = dc.autograd.grad(F.complete_box_iou_loss(a, b).sum(), [a], create_graph=True)
    (second,) = dc.autograd.grad((first * first).sum(), [b])
    assert np.isfinite(host(second)).all()
    assert host(second).any()


def test_threshold_is_not_exceeded_by_an_equal_overlap(device: str) -> None:
    """An overlap of exactly the threshold stays, as in torchvision; categories do not touch each other."""
    pair = dc.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0]], device=device)  # IoU 1/2
    scores = dc.tensor([0.9, 0.8], device=device)
    assert F.nms(pair, scores, 0.5).tolist() == [0, 1]
    assert F.nms(pair, scores, 0.49).tolist() == [0]
    assert F.batched_nms(pair, scores, dc.tensor([3, 1], device=device), 0.1).tolist() == [0, 1]


def test_boxes_without_area_are_kept(device: str) -> None:
    points = dc.tensor([[1.0, 1.0, 1.0, 1.0]] * 2, device=device)
    assert F.nms(points, dc.tensor([0.1, 0.2], device=device), 0.5).tolist() == [1, 0]


def test_decoding_undoes_encoding(device: str) -> None:
    rng = np.random.default_rng(2)
    truth, anchors = (dc.tensor(boxes(rng, 5), device=device) for _ in range(2))
    weights = (10.0, 10.0, 5.0, 5.0)
    again = F.decode_boxes(F.encode_boxes(truth, anchors, weights), anchors, weights)
    assert_close(host(again), host(truth), np.float64, 16)


def test_devices_do_not_mix() -> None:
    one, other = dc.ones(2, 4), dc.ones(2, device="numpy")
    with pytest.raises(DeviceError, match=r"^nms: .*on cpu.*on numpy"):
        F.nms(one, other, 0.5)
