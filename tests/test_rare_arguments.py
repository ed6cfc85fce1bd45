"""Arguments that are seldom given, on every device: numbers without axes, nothing at all, and what does not fit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore.backends import get_backend
from deepcore.backends.base.gamma import ROUNDS
from deepcore.check.opdb import host
from deepcore.check.tolerance import assert_close
from deepcore.errors import DeepcoreError


@pytest.fixture(autouse=True)
def _not_in_the_simulator(device: str) -> None:
    if device == "simulator":
        pytest.skip("the simulator is for single ops of the database")


def test_whole_numbers_to_whole_powers(device: str) -> None:
    """Of a negative power the fraction is dropped, as in PyTorch."""
    x = dc.tensor([1, -1, -1, 2, 3, -2], device=device)
    powers = dc.tensor([-3, -3, -2, -1, 3, 3], device=device)
    assert host(x**powers).tolist() == [1, -1, 1, 0, 27, -8]
    assert host((-1) ** powers).tolist() == [-1, -1, 1, -1, -1, -1]
    assert host(2**powers).tolist() == [0, 0, 0, 0, 8, 8]


def test_powers_of_zero_and_their_exponents(device: str) -> None:
    """0 ** p has the derivative 0 with respect to p >= 0, as in PyTorch, not 0 * log(0)."""
    x, p = dc.tensor([0.0, 1.0, 2.0], device=device), dc.tensor([2.0, 3.0, 3.0], device=device, requires_grad=True)
    (x**p).sum().backward()
    assert_close(host(p.grad), [0.0, 0.0, 8 * np.log(2)], "float32")


def test_numbers_have_one_element_along_their_axis(device: str) -> None:
    x = dc.tensor(2.5, device=device, requires_grad=True)
    largest, place = x.max(dim=0)
    assert (largest.item(), place.item()) == (2.5, 0)
    largest.backward()
    assert x.grad.item() == 1.0
    assert dc.index_select(x, 0, dc.tensor([0], device=device)).item() == 2.5
    added = dc.index_add(x, 0, dc.tensor([0], device=device), dc.tensor([1.0], device=device).reshape(()), alpha=3)
    assert added.item() == 5.5


def test_maximum_of_two(device: str) -> None:
    x, other = dc.tensor([1.0, 5.0], device=device), dc.tensor([3.0, 2.0], device=device)
    assert host(x.max(other)).tolist() == [3.0, 5.0]
    assert host(x.min(other)).tolist() == [1.0, 2.0]


def test_both_choices_of_where_are_broadcast(device: str) -> None:
    first = dc.tensor([1.0, 2.0, 3.0], device=device, requires_grad=True)
    second = dc.tensor([[5.0], [6.0]], device=device, requires_grad=True)
    condition = dc.tensor([[True, False, True], [True, True, True]], device=device)
    dc.where(condition, first, second).sum().backward()
    assert host(first.grad).tolist() == [2.0, 1.0, 2.0]
    assert host(second.grad).tolist() == [[1.0], [0.0]]


def test_softplus_at_its_threshold(device: str) -> None:
    """It is linear above the threshold only."""
    x = dc.tensor([1.0, 2.0], device=device, requires_grad=True)
    y, sigmoid = F.softplus(x, threshold=1), 1 / (1 + np.exp(-1))
    assert_close(host(y), [np.log1p(np.e), 2.0], "float32")
    for twice in (False, True):
        (slope,) = dc.autograd.grad(y.sum(), x, create_graph=twice, retain_graph=True)
        assert_close(host(slope), [sigmoid, 1.0], "float32")
    (curvature,) = dc.autograd.grad(slope.sum(), x)
    assert_close(host(curvature), [sigmoid * (1 - sigmoid), 0.0], "float32")


def test_nothing_is_scattered(device: str) -> None:
    x = dc.tensor(np.arange(6.0).reshape(2, 3), device=device)
    nowhere = dc.tensor(np.zeros(0, "int64"), device=device)
    assert host(dc.scatter_add(x, 0, nowhere, x)).tolist() == host(x).tolist()


def test_no_boxes_of_no_images(device: str) -> None:
    x = dc.tensor(np.zeros((0, 2, 4, 4)), device=device)
    assert F.roi_align(x, [], 2).shape == (0, 2, 2, 2)


def test_attention_to_nothing(device: str) -> None:
    q, k = dc.tensor(np.ones((1, 2, 3)), device=device), dc.tensor(np.ones((1, 0, 3)), device=device)
    mask = dc.tensor(np.ones((2, 0), bool), device=device)
    assert host(F.scaled_dot_product_attention(q, k, k, attn_mask=mask)).tolist() == np.zeros((1, 2, 3)).tolist()


def test_operands_of_einsum_in_a_list(device: str) -> None:
    a = dc.tensor(np.arange(6.0).reshape(2, 3), device=device)
    assert host(dc.einsum("ij,ij->i", [a, a])).tolist() == [5.0, 50.0]


def test_only_the_sign_of_a_determinant(device: str) -> None:
    a = dc.tensor([[2.0, 1.0], [1.0, 3.0]], device=device, requires_grad=True)
    (gradient,) = dc.autograd.grad(dc.linalg.slogdet(a)[0], a, allow_unused=True)
    assert gradient is None or not host(gradient).any()


def test_a_move_to_another_device_is_differentiated_twice(device: str) -> None:
    x = dc.tensor(3.0, device=device, requires_grad=True)
    (slope,) = dc.autograd.grad(x.to("numpy") ** 3, x, create_graph=True)
    (curvature,) = dc.autograd.grad(slope, x)
    assert (slope.device, slope.item(), curvature.item()) == (device, 27.0, 18.0)


def zeros(*shape: int) -> Callable[[str], dc.Tensor]:
    return lambda device: dc.tensor(np.zeros(shape), device=device)


WRONG = {
    "diag_embed": (lambda d: dc.diag_embed(zeros(2, 3)(d), 0, 1, 1), "two different axes"),
    "col2im": (lambda d: F.col2im(zeros(4, 4)(d), (1, 4, 4), 2), "input_shape"),
    "conv2d": (lambda d: F.conv2d(zeros(1, 2, 4, 4)(d), zeros(2, 2, 3, 3)(d), groups=0), "groups"),
    "conv_transpose2d": (lambda d: F.conv_transpose2d(zeros(1, 2, 4, 4)(d), zeros(2, 3, 3, 3)(d), zeros(4)(d)), "bias"),
    "index_select": (lambda d: dc.index_select(zeros()(d), 0, dc.tensor([0, 0], device=d)), "one index for a 0-d"),
    "masked_fill": (lambda d: dc.masked_fill(zeros(2)(d), dc.tensor([True, False], device=d), zeros(2)(d)), "0-d"),
    "einsum": (lambda d: dc.einsum("ii->i", zeros(2, 3)(d)), "one size"),
    "cross_entropy": (lambda d: F.cross_entropy(zeros(2, 0)(d), dc.tensor([0, 0], device=d)), "at least one class"),
    "nll_loss": (lambda d: F.nll_loss(zeros()(d), dc.tensor(0, device=d)), "input"),
    "adaptive_avg_pool2d": (lambda d: F.adaptive_avg_pool2d(zeros(1, 1, 4, 4)(d), (1, 2, 3)), "output_size"),
    "flatten": (lambda d: dc.flatten(zeros(2, 3)(d), 1, 0), "start_dim <= end_dim"),
    "chunk": (lambda d: dc.chunk(zeros()(d), 2), "at least one axis"),
    "max": (lambda d: zeros(2, 0)(d).max(dim=1), "at least one element"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit(name: str, device: str) -> None:
    call, match = WRONG[name]
    with pytest.raises(DeepcoreError, match=match):
        call(device)


def test_a_backend_names_its_device(device: str) -> None:
    assert repr(get_backend(device)).endswith(f" on {device}>")


def test_words_for_gamma_numbers(device: str) -> None:
    """Two float64 numbers for each round and one more, each from a whole number of blocks of four words."""
    for size in (0, 1, 2, 3, 5, 1000):
        blocks = math.ceil(2 * size / 4)
        assert get_backend(device).gamma_words(size) == (2 * ROUNDS + 1) * 4 * blocks


def test_weight_decay_of_one(device: str) -> None:
    backend = get_backend(device)
    param, grad = backend.from_host([2.0, -4.0]), backend.from_host([1.0, 1.0])
    backend.sgd_update([param], [grad], None, 0.5, 0, 0, 1.0, False, False, True)
    assert backend.to_host(param).tolist() == [0.5, -2.5]
    param, mean, square = (backend.from_host(values) for values in ([2.0, -4.0], [0.0, 0.0], [0.0, 0.0]))
    backend.adam_update([param], [grad], [mean], [square], None, 1, 0.5, 0.75, 0.5, 0.0, 1.0, False, False)
    assert backend.to_host(mean).tolist() == [0.75, -0.75]
    assert backend.to_host(param).tolist() == [1.5, -3.5]


def test_optimisers_of_nothing(device: str) -> None:
    backend = get_backend(device)
    backend.sgd_update([], [], None, 0.1, 0, 0, 0, False, False, True)
    backend.adam_update([], [], [], [], None, 1, 0.1, 0.9, 0.99, 1e-8, 0, False, False)
