"""Modules of normalisation and pooling: constructors, states, running statistics, reparametrised weights."""

from __future__ import annotations

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError, DeviceError, RunError, ShapeError

RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def host(tensor: dc.Tensor) -> np.ndarray:
    """The numbers of a tensor of any device."""
    return tensor.backend.to_host(tensor.array)


def _thirds(x: dc.Tensor) -> dc.Tensor:
    return F.avg_pool3d(x, (2, 1, 2), divisor_override=3)


@pytest.mark.parametrize(
    ("module", "x", "function"),
    [
        (nn.LayerNorm((3, 4)), normal(2, 3, 4), lambda x: F.layer_norm(x, (3, 4))),
        (nn.LayerNorm(4, bias=False), normal(2, 4), lambda x: F.layer_norm(x, 4)),
        (nn.RMSNorm(4, eps=0.1), normal(2, 4), lambda x: F.rms_norm(x, 4, eps=0.1)),
        (nn.GroupNorm(2, 4, eps=0.1), normal(2, 4, 3), lambda x: F.group_norm(x, 2, eps=0.1)),
        (nn.InstanceNorm1d(3), normal(2, 3, 4), F.instance_norm),
        (nn.InstanceNorm2d(3, affine=True), normal(2, 3, 4, 2), F.instance_norm),
        (nn.InstanceNorm2d(3), normal(3, 4, 2), lambda x: F.instance_norm(x.unsqueeze(0)).squeeze(0)),
        (nn.LocalResponseNorm(3, 0.5), normal(2, 4, 3), lambda x: F.local_response_norm(x, 3, 0.5)),
        (nn.BatchNorm3d(2), normal(2, 2, 3, 2, 2), lambda x: F.batch_norm(x, None, None, training=True)),
        (nn.MaxPool1d(2, 3, 1), normal(2, 3, 7), lambda x: F.max_pool1d(x, 2, 3, 1)),
        (nn.AvgPool1d((2,), ceil_mode=True), normal(2, 3, 7), lambda x: F.avg_pool1d(x, 2, ceil_mode=True)),
        (nn.MaxPool3d(2, (1, 2, 3), 1), normal(1, 2, 4, 5, 4), lambda x: F.max_pool3d(x, 2, (1, 2, 3), 1)),
        (nn.AvgPool3d((2, 1, 2), divisor_override=3), normal(1, 2, 4, 3, 4), _thirds),
        (nn.AdaptiveMaxPool2d((2, None)), normal(2, 3, 5, 4), lambda x: F.adaptive_max_pool2d(x, (2, 4))),
        (nn.InstanceNorm3d(2), normal(2, 2, 3, 4, 2), F.instance_norm),
        (nn.AdaptiveAvgPool1d(3), normal(2, 3, 7), lambda x: F.adaptive_avg_pool1d(x, 3)),
        (nn.AdaptiveMaxPool1d(3), normal(2, 3, 7), lambda x: F.adaptive_max_pool1d(x, 3)),
        (nn.AdaptiveAvgPool3d((2, None, 1)), normal(1, 2, 4, 3, 4), lambda x: F.adaptive_avg_pool3d(x, (2, 3, 1))),
        (nn.AdaptiveMaxPool3d(2), normal(1, 2, 4, 3, 4), lambda x: F.adaptive_max_pool3d(x, 2)),
        (nn.LPPool1d(2, 3), normal(2, 3, 7), lambda x: F.lp_pool1d(x, 2, 3)),
        (nn.LPPool3d(2, 2), normal(1, 2, 4, 3, 4), lambda x: F.lp_pool3d(x, 2, 2)),
        (nn.LPPool2d(2, 2, 1), normal(2, 3, 5, 4), lambda x: F.lp_pool2d(x, 2, 2, 1)),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "",
)
def test_module_is_its_function(module: nn.Module, x: np.ndarray, function: object, device: str) -> None:
    tensor = dc.tensor(x, device=device)
    result = module.to(device, dtype="float64")(tensor)
    np.testing.assert_array_equal(host(result), host(function(tensor)))


@pytest.mark.parametrize(
    ("pool", "unpool", "shape"),
    [(nn.MaxPool1d, nn.MaxUnpool1d, (2, 3, 7)), (nn.MaxPool3d, nn.MaxUnpool3d, (1, 2, 4, 5, 3))],
)
def test_unpooling_puts_maxima_back(pool: type, unpool: type, shape: tuple[int, ...], device: str) -> None:
    x = dc.tensor(normal(*shape), device=device)
    y, indices = pool(2, return_indices=True)(x)
    back = unpool(2)(y, indices, output_size=shape)
    assert back.shape == shape
    kept = host(back) != 0
    assert kept.sum() == y.array.size
    np.testing.assert_array_equal(host(back)[kept], host(x)[kept])
    assert repr(unpool(2)) == f"{unpool.__name__}(kernel_size=2, stride=2, padding=0)"


def test_names_of_parameters() -> None:
    def names(module: nn.Module) -> list[str]:
        return list(module.state_dict())

    assert names(nn.LayerNorm(3)) == ["weight", "bias"]
    assert names(nn.LayerNorm(3, bias=False)) == ["weight"]
    assert names(nn.LayerNorm(3, elementwise_affine=False)) == []
    assert names(nn.RMSNorm(3)) == ["weight"]
    assert names(nn.GroupNorm(1, 3)) == ["weight", "bias"]
    assert names(nn.GroupNorm(1, 3, affine=False)) == []
    assert names(nn.GroupNorm(1, 3, bias=False)) == ["weight"]
    assert names(nn.InstanceNorm1d(3)) == []
    tracked = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert names(nn.InstanceNorm2d(3, affine=True, track_running_stats=True)) == tracked


def test_reset_parameters() -> None:
    for module in (nn.LayerNorm(3), nn.GroupNorm(1, 3), nn.RMSNorm(3)):
        for parameter in module.parameters():
            nn.init.constant_(parameter, 5.0)
        module.reset_parameters()
        assert host(module.weight).tolist() == [1.0] * 3
        if not isinstance(module, nn.RMSNorm):
            assert host(module.bias).tolist() == [0.0] * 3


def test_running_statistics_of_instances(device: str) -> None:
    """They move towards the batch's average of the means and unbiased variances; evaluation uses them."""
    module = nn.InstanceNorm1d(3, momentum=0.25, track_running_stats=True).to(device, dtype="float64")
    x = normal(2, 3, 5)
    module(dc.tensor(x, device=device))
    mean, var = 0.25 * x.mean(axis=2).mean(axis=0), 0.75 + 0.25 * x.var(axis=2, ddof=1).mean(axis=0)
    assert_close(host(module.running_mean), mean, np.float64, 10)
    assert_close(host(module.running_var), var, np.float64, 10)
    y = module.eval()(dc.tensor(x, device=device))
    assert_close(host(y), (x - mean[:, None]) / np.sqrt(var[:, None] + 1e-5), np.float64, 10)
    assert_close(host(module.running_mean), mean, np.float64, 10)


def test_constructors_refuse() -> None:
    for make, match in (
        (lambda: nn.GroupNorm(2, 3), "GroupNorm: .*num_groups"),
        (lambda: nn.LayerNorm(()), "LayerNorm: .*normalized_shape"),
        (lambda: nn.LayerNorm(0), "LayerNorm: .*normalized_shape"),
        (lambda: nn.LocalResponseNorm(0), "LocalResponseNorm: .*size"),
        (lambda: nn.MaxPool1d((2, 2)), "MaxPool1d: .*kernel_size"),
        (lambda: nn.MaxPool1d(2, padding=2), "MaxPool1d: .*padding"),
        (lambda: nn.MaxPool3d((2, 2)), "MaxPool3d: .*kernel_size"),
        (lambda: nn.AvgPool3d(2, padding=2), "AvgPool3d: .*padding"),
        (lambda: nn.AdaptiveMaxPool2d((1, 2, 3)), "AdaptiveMaxPool2d: .*output_size"),
        (lambda: nn.LPPool2d(2, 0), "LPPool2d: .*kernel_size"),
    ):
        with pytest.raises(ConfigError, match=match):
            make()
    with pytest.raises(ShapeError, match=r"GroupNorm: .*C = 4"):
        nn.GroupNorm(2, 4)(dc.ones(2, 3, 2))


# --- pooling ----------------------------------------------------------------------------------------------------------


def test_unpooling_undoes_pooling(device: str) -> None:
    x = dc.tensor(np.abs(normal(2, 3, 5, 6)) + 1, device=device)
    y, indices = nn.MaxPool2d(2, return_indices=True)(x)
    back = nn.MaxUnpool2d(2)(y, indices, output_size=x.shape)
    assert back.shape == x.shape
    np.testing.assert_array_equal(host(nn.MaxPool2d(2)(back)), host(y))
    assert int((host(back) != 0).sum()) == 2 * 3 * 2 * 3
    assert repr(nn.MaxUnpool2d(2)) == "MaxUnpool2d(kernel_size=2, stride=2, padding=0)"


def test_gradient_of_a_p_norm_over_zeros_is_zero() -> None:
    x = dc.zeros(1, 1, 2, 2, requires_grad=True)
    F.lp_pool2d(x, 2, 2).sum().backward()
    assert host(x.grad).tolist() == [[[[0.0, 0.0], [0.0, 0.0]]]]


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0])
def test_gradient_of_normalize_at_zero(p: float) -> None:
    x = dc.zeros(1, 3, requires_grad=True)
    F.normalize(x, p, eps=1.0).sum().backward()
    assert host(x.grad).tolist() == [[1.0, 1.0, 1.0]]


def test_boxes_as_a_list(device: str) -> None:
    """A tensor of boxes for each image is the same as rows with the image first."""
    x = dc.tensor(normal(2, 3, 6, 5), device=device)
    rows = np.array([[0, 0.5, 1.0, 3.0, 4.0], [1, 1.0, 0.0, 4.5, 2.0], [1, 0.0, 0.0, 2.0, 5.5]])
    boxes = dc.tensor(rows, device=device)
    lists = [dc.tensor(rows[:1, 1:], device=device), dc.tensor(rows[1:, 1:], device=device)]
    for op in (F.roi_pool, F.roi_align):
        np.testing.assert_array_equal(host(op(x, boxes, 2)), host(op(x, lists, 2)))
        with pytest.raises(ShapeError, match="a tensor for each image"):
            op(x, lists[:1], 2)
    if device != "numpy":
        with pytest.raises(DeviceError, match=op.__name__):
            op(x, boxes.to("numpy"), 2)


@pytest.mark.parametrize("op", [F.roi_pool, F.roi_align])
def test_boxes_by_chunks(op: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few boxes at a time give what all at once give."""
    from deepcore.backends.base import roi

    x = dc.tensor(normal(2, 3, 6, 5), requires_grad=True)
    boxes = dc.tensor(np.concatenate([RNG.integers(0, 2, (7, 1)), RNG.uniform(0, 6, (7, 4))], axis=1))
    values = []
    for size in (roi.CHUNK, 200):
        monkeypatch.setattr(roi, "CHUNK", size)
        y = op(x, boxes, 3)
        values.append((host(y), host(dc.autograd.grad(y, [x], [dc.ones_like(y)])[0])))
    for once, by_chunks in zip(*values, strict=True):
        assert_close(by_chunks, once, np.float64, 7)


def test_a_box_larger_than_the_image(device: str) -> None:
    """The number of samples follows the box, and most of them lie outside: on a device they cannot be counted."""
    x = dc.ones(1, 1, 4, 4, dtype="float64", device=device)
    box = dc.tensor(np.array([[0, -100.0, -200.0, 100.0, 200.0]]), device=device)
    y = F.roi_align(x, box, 1)
    # 200 x 400 samples a pixel apart in the middle of pixels; those in -1 .. 4 are on the image
    assert_close(host(y), np.array([[[[25 / (200 * 400)]]]]), np.float64, 25)


# --- reparametrised weights -------------------------------------------------------------------------------------------


def test_weight_norm(device: str) -> None:
    layer = nn.Conv2d(3, 4, 2).to(device, dtype="float64")
    weight, x = host(layer.weight).copy(), dc.tensor(normal(2, 3, 5, 5), device=device)
    expected = host(layer(x))
    assert nn.utils.weight_norm(layer) is layer
    assert list(layer.state_dict()) == ["bias", "weight_g", "weight_v"]
    assert layer.weight_g.shape == (4, 1, 1, 1)
    assert_close(host(layer(x)), expected, np.float64, 12)
    layer(x).sum().backward()
    assert layer.weight_g.grad is not None
    # the length does not depend on v's length, so the gradient has no part along v
    along = (host(layer.weight_v.grad) * host(layer.weight_v)).sum(axis=(1, 2, 3))
    assert_close(along, np.zeros(4), np.float64, 200)
    nn.utils.remove_weight_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert_close(host(layer.weight), weight, np.float64, 12)
    assert not layer._forward_pre_hooks


@pytest.mark.parametrize(("dim", "shape"), [(0, (4, 1)), (1, (1, 3)), (None, ())])
def test_weight_norm_of_an_axis(dim: int | None, shape: tuple[int, ...]) -> None:
    layer = nn.utils.weight_norm(nn.Linear(3, 4), dim=dim)
    assert layer.weight_g.shape == shape
    nn.init.constant_(layer.weight_g, 2.0)
    layer(dc.ones(1, 3))
    lengths = (host(layer.weight) ** 2).sum(axis={0: 1, 1: 0, None: None}[dim]) ** 0.5
    assert_close(lengths, np.full(lengths.shape, 2.0), np.float32, 12)


def test_spectral_norm(device: str) -> None:
    """After enough steps the weight's largest singular value is 1, and stays so in evaluation."""
    layer = nn.Linear(5, 4).to(device, dtype="float64")
    largest = np.linalg.svd(host(layer.weight))[1][0]
    nn.utils.spectral_norm(layer, n_power_iterations=100)
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    x = dc.tensor(normal(2, 5), device=device)
    layer(x)
    assert host(layer.weight_orig / layer.weight)[0, 0] == pytest.approx(largest, rel=1e-4)
    u = host(layer.weight_u).copy()
    layer.eval()(x)
    np.testing.assert_array_equal(host(layer.weight_u), u)
    layer.train()
    (layer(x).sum() + layer(x).sum()).backward()  # two forwards before one backward
    assert layer.weight_orig.grad is not None
    weight = host(layer.weight).copy()
    nn.utils.remove_spectral_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert_close(host(layer.weight), weight, np.float64, 20)


def test_spectral_norm_of_transposed_convolutions() -> None:
    layer = nn.utils.spectral_norm(nn.ConvTranspose2d(3, 4, 2))
    assert layer.weight_u.shape == (4,)
    assert layer.weight_v.shape == (12,)
    assert layer(dc.ones(1, 3, 2, 2)).shape == (1, 4, 3, 3)


def test_reparametrising_refuses() -> None:
    layer = nn.utils.weight_norm(nn.Linear(2, 2))
    with pytest.raises(RunError, match=r"weight_norm: .*not normalised yet"):
        nn.utils.weight_norm(layer)
    with pytest.raises(ConfigError, match=r"spectral_norm: .*'wight'.*weight, bias"):
        nn.utils.spectral_norm(nn.Linear(2, 2), "wight")
    with pytest.raises(ConfigError, match=r"weight_norm: .*dim=2"):
        nn.utils.weight_norm(nn.Linear(2, 2), dim=2)
    with pytest.raises(ConfigError, match=r"spectral_norm: .*dim=2"):
        nn.utils.spectral_norm(nn.Linear(2, 2), dim=2)
    with pytest.raises(ConfigError, match="n_power_iterations"):
        nn.utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)
    for remove in (nn.utils.remove_weight_norm, nn.utils.remove_spectral_norm):
        with pytest.raises(ConfigError, match="a plain one"):
            remove(nn.Linear(2, 2))
