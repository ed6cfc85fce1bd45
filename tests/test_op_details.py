"""What the op database cannot express: kinks, ties, NaN, state that an op moves, and statistics of random ops."""

from __future__ import annotations

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore.check.opdb import host
from deepcore.check.tolerance import assert_close
from deepcore.errors import DTypeError

NAN = float("nan")


@pytest.fixture(autouse=True)
def _not_in_the_simulator(device: str) -> None:
    if device == "simulator":
        pytest.skip("the simulator is for single ops of the database")


def gradient(op, *values: float, device: str) -> list:
    """The gradient of op(x).sum() at the values."""
    x = dc.tensor(np.array(values), device=device, requires_grad=True)
    op(x).sum().backward()
    return host(x.grad).tolist()


# --- kinks, ties, edges of the domain ---------------------------------------------------------------------------------


def test_derivatives_at_kinks_are_pytorchs(device: str) -> None:
    assert gradient(F.relu, -1.0, 0.0, 1.0, device=device) == [0.0, 0.0, 1.0]
    assert gradient(lambda x: F.leaky_relu(x, 0.5), -1.0, 0.0, 1.0, device=device) == [0.5, 0.5, 1.0]
    assert gradient(dc.abs, -1.0, 0.0, 1.0, device=device) == [-1.0, 0.0, 1.0]
    assert gradient(lambda x: x.clip(-1.0, 1.0), -2.0, -1.0, 1.0, 2.0, device=device) == [0.0, 1.0, 1.0, 0.0]


def test_ties_share_or_choose_as_in_pytorch(device: str) -> None:
    """max() and maximum share the gradient among equals; max(dim) gives it to the first."""
    assert gradient(dc.max, 2.0, 1.0, 2.0, device=device) == [0.5, 0.0, 0.5]
    assert gradient(lambda x: dc.maximum(x, x.detach()), 1.0, device=device) == [0.5]
    assert gradient(lambda x: x.max(dim=0)[0], 2.0, 1.0, 2.0, device=device) == [1.0, 0.0, 0.0]


def test_powers_at_zero(device: str) -> None:
    assert gradient(lambda x: x**2, 0.0, device=device) == [0.0]
    assert gradient(lambda x: x**1, 0.0, device=device) == [1.0]
    assert gradient(lambda x: x**0, 0.0, device=device) == [0.0]
    assert gradient(lambda x: x**3, -2.0, device=device) == [12.0]
    assert gradient(lambda x: 2.0**x, 0.0, device=device) == [np.log(2.0)]


def test_product_with_zeros(device: str) -> None:
    assert gradient(dc.prod, 2.0, 0.0, 3.0, device=device) == [0.0, 6.0, 0.0]
    assert gradient(dc.prod, 0.0, 0.0, 3.0, device=device) == [0.0, 0.0, 0.0]


def test_infinities_are_quiet(device: str) -> None:
    """log(0) and 1/0 are infinite and no warning is printed: a training loop must not fill the terminal."""
    zero = dc.zeros(1, device=device)
    with np.errstate(all="warn"):
        assert host(zero.log()).tolist() == [-np.inf]
        assert host(1.0 / zero).tolist() == [np.inf]
        assert np.isnan(host((-dc.ones(1, device=device)).sqrt())).all()


def test_nan_wins_in_extrema(device: str) -> None:
    """A NaN in the input must not disappear in a pooling."""
    x = dc.tensor([[[[1.0, NAN], [3.0, 4.0]]]], device=device)
    assert np.isnan(host(F.max_pool2d(x, 2))).all()
    assert np.isnan(host(dc.maximum(x, x * 0.0 + 9.0))).sum() == 1
    assert np.isnan(host(F.relu(x))).sum() == 1
    assert np.isnan(host(x.clip(0.0, 1.0))).sum() == 1
    _, place = x.reshape(4).max(dim=0)
    assert place.item() == 1


def test_half_precision_sums_do_not_stop_growing(device: str) -> None:
    """A running float16 sum of ones stops at 2048; statistics and sums have to reach their true value."""
    x = dc.ones(1, 1, 64, 96, dtype="float16", device=device)
    assert x.sum().item() == 6144
    assert x.mean().item() == 1.0
    y = F.batch_norm(x * 2.0, None, None, training=True)
    assert host(y).tolist() == np.zeros((1, 1, 64, 96)).tolist()


def test_variance_of_numbers_far_from_zero(device: str) -> None:
    """The mean is subtracted before squaring: no digits are lost to cancellation."""
    x = np.random.default_rng(0).normal(size=(64, 2, 3, 3)) + 1e4
    y = host(F.batch_norm(dc.tensor(x.astype(np.float32), device=device), None, None, training=True))
    exact = x.astype(np.float32).astype(np.float64)
    centred = exact - exact.mean(axis=(0, 2, 3), keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(axis=(0, 2, 3), keepdims=True) + 1e-5)
    assert_close(y / 1e4, expected / 1e4, "float32")  # the inputs' own rounding is relative to 1e4
    variance = dc.tensor(x.astype(np.float32), device=device).var()
    assert_close(host(variance), exact.var(ddof=1), "float32", x.size)


# --- state ------------------------------------------------------------------------------------------------------------


def test_batch_norm_moves_its_running_statistics(device: str) -> None:
    """By `momentum`, towards the mean and the unbiased variance of the batch; only in training."""
    x = np.random.default_rng(0).normal(size=(5, 2, 3, 3))
    mean, var = (dc.tensor(np.array(v), device=device) for v in ([1.0, -1.0], [2.0, 0.5]))
    given = dc.tensor(x, device=device, requires_grad=True)
    y = F.batch_norm(given, mean, var, training=True, momentum=0.3)
    channels = np.moveaxis(x, 1, 0).reshape(2, -1)
    expected_mean = 0.7 * np.array([1.0, -1.0]) + 0.3 * channels.mean(axis=1)
    expected_var = 0.7 * np.array([2.0, 0.5]) + 0.3 * channels.var(axis=1, ddof=1)
    assert_close(host(mean), expected_mean, "float64", x.size)
    assert_close(host(var), expected_var, "float64", x.size)
    assert not mean.requires_grad
    y.sum().backward()  # moving the statistics is no write into what backward needs
    F.batch_norm(given, mean, var, training=False)
    assert_close(host(mean), expected_mean, "float64", x.size)


def test_dropout_keeps_its_share_and_its_mean(device: str) -> None:
    x = dc.ones(200, 200, device=device)
    y = host(F.dropout(x, 0.3))
    assert set(np.unique(y)) == {np.float32(0.0), np.float32(1.0 / 0.7)}
    assert abs((y != 0).mean() - 0.7) < 0.02  # nine standard deviations
    assert abs(y.mean() - 1.0) < 0.03


def test_dropout_edges(device: str) -> None:
    x = dc.ones(4, 4, device=device)
    assert F.dropout(x, 0.5, training=False) is x
    assert host(F.dropout(x, 1.0)).tolist() == np.zeros((4, 4)).tolist()
    assert not np.array_equal(host(F.dropout(x, 0.5)), host(F.dropout(x, 0.5)))


def test_dropout_backward_uses_the_mask_of_its_forward(device: str) -> None:
    x = dc.ones(5, 5, device=device, requires_grad=True)
    y = F.dropout(x, 0.5)
    dc.rand(3, device=device)  # other draws in between change nothing
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), host(y))


# --- losses without anything to average -------------------------------------------------------------------------------


def test_cross_entropy_of_nothing_is_nan(device: str) -> None:
    """The mean over no labels is 0/0, as in PyTorch; a 0 would look like a perfect model."""
    logits = dc.ones(2, 3, device=device)
    ignored = dc.full((2,), -100, device=device)
    assert np.isnan(F.cross_entropy(logits, ignored).item())
    assert F.cross_entropy(logits, ignored, reduction="sum").item() == 0.0
    assert np.isnan(F.cross_entropy(logits[:0], ignored[:0]).item())


def test_ignored_labels_get_no_gradient(device: str) -> None:
    logits = dc.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], device=device, requires_grad=True)
    F.cross_entropy(logits, dc.tensor([-100, 1], device=device), label_smoothing=0.1).backward()
    g = host(logits.grad)
    assert g[0].tolist() == [0.0, 0.0, 0.0]
    assert_close(g[1].sum(), np.zeros(()), "float32")


def test_labels_of_a_wrong_dtype_are_named(device: str) -> None:
    with pytest.raises(DTypeError, match=r"cross_entropy: .*bool"):
        F.cross_entropy(dc.ones(2, 3, device=device), dc.ones(2, dtype="bool", device=device))


# --- identities -------------------------------------------------------------------------------------------------------


def test_identity_grid_gives_the_image_back(device: str) -> None:
    x = dc.tensor(np.random.default_rng(0).normal(size=(2, 3, 5, 4)), device=device)
    theta = dc.tensor(np.tile([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], (2, 1, 1)), device=device)
    for align_corners in (False, True):
        grid = F.affine_grid(theta, x.shape, align_corners)
        for mode in ("bilinear", "nearest"):
            y = F.grid_sample(x, grid, mode=mode, align_corners=align_corners)
            assert_close(host(y), host(x), "float64", 20)


def test_col2im_undoes_im2col(device: str) -> None:
    """Without accumulation every pixel comes back; with it, as often as patches cover it."""
    x = dc.tensor(np.random.default_rng(0).normal(size=(2, 3, 5, 4)), device=device)
    cols = F.im2col(x, (3, 2))
    assert host(F.col2im(cols, x.shape, (3, 2), accumulate=False)).tolist() == host(x).tolist()
    counts = F.col2im(F.im2col(dc.ones(x.shape, dtype="float64", device=device), (3, 2)), x.shape, (3, 2))
    assert_close(host(F.col2im(cols, x.shape, (3, 2))), host(x * counts), "float64", 6)


def test_convolution_is_the_product_of_the_books_columns(device: str) -> None:
    rng = np.random.default_rng(0)
    x, w = (dc.tensor(rng.normal(size=size), device=device) for size in ((2, 3, 6, 5), (4, 3, 3, 2)))
    cols = F.im2col(x, (3, 2), stride=(1, 2), padding=1)
    y = (cols @ w.reshape(4, -1).T).reshape(2, 6, 3, 4).permute(0, 3, 1, 2)
    assert_close(host(F.conv2d(x, w, stride=(1, 2), padding=1)), host(y), "float64", 18)


def test_transposed_convolution_is_the_adjoint(device: str) -> None:
    """<conv(x), y> = <x, conv_transpose(y)> for the same weight."""
    rng = np.random.default_rng(0)
    x, w = (dc.tensor(rng.normal(size=size), device=device) for size in ((2, 4, 7, 6), (6, 2, 3, 2)))
    options = {"stride": 2, "padding": 1, "groups": 2}
    y = F.conv2d(x, w, **options)
    v = dc.tensor(rng.normal(size=y.shape), device=device)
    back = F.conv_transpose2d(v, w, **options)
    rest = tuple(n - m for n, m in zip(x.shape[2:], back.shape[2:], strict=True))
    back = F.conv_transpose2d(v, w, output_padding=rest, **options)
    assert_close(host((y * v).sum()), host((x * back).sum()), "float64", x.numel())
