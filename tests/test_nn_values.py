"""Every layer's and loss's values, against NumPy written for the test; clipping; and PyTorch."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import deepcore as dc
from deepcore import nn
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError, DeviceError, RunError, ShapeError

RNG = np.random.default_rng(7)


def host(tensor: dc.Tensor) -> np.ndarray:
    """The numbers of a tensor of any device."""
    return tensor.backend.to_host(tensor.array)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def run(module: nn.Module, x: np.ndarray, device: str) -> np.ndarray:
    """The module's output in float64 on a device."""
    return host(module.to(device, dtype="float64")(dc.tensor(x, device=device)))


# --- linear and convolution -------------------------------------------------------------------------------------------


def test_linear(device: str) -> None:
    layer = nn.Linear(5, 3)
    x = normal(2, 4, 5)
    w, b = host(layer.weight).astype(np.float64), host(layer.bias).astype(np.float64)
    assert_close(run(layer, x, device), np.einsum("nti,oi->nto", x, w) + b, np.float64, 5)
    assert [name for name, _ in nn.Linear(2, 2, bias=False).named_parameters()] == ["weight"]


def correlate(x: np.ndarray, w: np.ndarray, stride: tuple, dilation: tuple, groups: int) -> np.ndarray:
    """Cross-correlation of an image that is padded already, pixel by pixel."""
    (n, _, h, wd), (o, c, kh, kw) = x.shape, w.shape
    oh, ow = (h - dilation[0] * (kh - 1) - 1) // stride[0] + 1, (wd - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, o, oh, ow))
    for i, j in itertools.product(range(oh), range(ow)):
        rows = i * stride[0] + np.arange(kh) * dilation[0]
        columns = j * stride[1] + np.arange(kw) * dilation[1]
        patch = x[:, :, rows][..., columns]
        for k in range(o):
            group = k // (o // groups)
            y[:, k, i, j] = (patch[:, group * c : (group + 1) * c] * w[k]).sum(axis=(1, 2, 3))
    return y


@pytest.mark.parametrize(
    ("options", "pads"),
    [
        ({"kernel_size": 3}, ((0, 0), (0, 0))),
        ({"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 2)}, ((1, 1), (2, 2))),
        ({"kernel_size": 3, "dilation": 2, "groups": 2, "bias": False}, ((0, 0), (0, 0))),
        ({"kernel_size": 3, "padding": "valid"}, ((0, 0), (0, 0))),
        ({"kernel_size": (3, 5), "padding": "same"}, ((1, 1), (2, 2))),
        ({"kernel_size": (4, 2), "padding": "same", "dilation": (1, 3)}, ((1, 2), (1, 2))),
    ],
)
def test_conv2d(device: str, options: dict, pads: tuple) -> None:
    layer = nn.Conv2d(4, 6, **options)
    x = normal(2, 4, 9, 8)
    w = host(layer.weight).astype(np.float64)
    expected = correlate(np.pad(x, ((0, 0), (0, 0), *pads)), w, layer.stride, layer.dilation, layer.groups)
    if layer.bias is not None:
        expected += host(layer.bias).astype(np.float64).reshape(1, -1, 1, 1)
    assert_close(run(layer, x, device), expected, np.float64, 60)


@pytest.mark.parametrize(("mode", "numpy_mode"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_conv2d_padding_modes(device: str, mode: str, numpy_mode: str) -> None:
    layer = nn.Conv2d(2, 3, (3, 5), padding=(1, 2), padding_mode=mode, bias=False)
    x = normal(2, 2, 5, 6)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (2, 2)), mode=numpy_mode)
    expected = correlate(padded, host(layer.weight).astype(np.float64), (1, 1), (1, 1), 1)
    assert_close(run(layer, x, device), expected, np.float64, 30)
    assert f"padding_mode={mode}" in repr(layer)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 2, "stride": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
        {"kernel_size": (3, 2), "stride": (1, 3), "dilation": (2, 1), "groups": 2, "bias": False},
    ],
)
def test_conv_transpose2d(device: str, options: dict) -> None:
    """Every input pixel adds its value times the kernel to the output."""
    layer = nn.ConvTranspose2d(4, 6, **options)
    x = normal(2, 4, 4, 3)
    w = host(layer.weight).astype(np.float64)
    (sh, sw), (ph, pw), (dh, dw) = layer.stride, layer.padding, layer.dilation
    (kh, kw), (eh, ew) = layer.kernel_size, layer.output_padding
    oh, ow = 3 * sh + dh * (kh - 1) + 1 + eh, 2 * sw + dw * (kw - 1) + 1 + ew
    full = np.zeros((2, 6, oh, ow))
    per_in, per_out = 4 // layer.groups, 6 // layer.groups
    for i, j, u, v, c in itertools.product(range(4), range(3), range(kh), range(kw), range(4)):
        outs = slice(c // per_in * per_out, (c // per_in + 1) * per_out)
        full[:, outs, i * sh + u * dh, j * sw + v * dw] += x[:, c, i, j, None] * w[c, :, u, v]
    expected = full[:, :, ph : oh - ph, pw : ow - pw]
    if layer.bias is not None:
        expected = expected + host(layer.bias).astype(np.float64).reshape(1, -1, 1, 1)
    assert_close(run(layer, x, device), expected, np.float64, 30)


def test_conv_transpose2d_output_size() -> None:
    layer = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)
    assert layer(dc.zeros(1, 1, 4, 4), output_size=(8, 7)).shape == (1, 1, 8, 7)
    with pytest.raises(ConfigError, match=r"between \(7, 7\) and \(8, 8\)"):
        layer(dc.zeros(1, 1, 4, 4), output_size=(9, 9))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Linear(0, 3), "in_features"),
        (lambda: nn.Linear(3, 2.5), "out_features"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "multiples of groups"),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size"),
        (lambda: nn.Conv2d(3, 4, (1, 2, 3)), "kernel_size"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), "padding"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "padding"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), "stride 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=1), "output_padding"),
        (lambda: nn.MaxPool2d(2, padding=2), "padding"),
        (lambda: nn.MaxPool2d(0), "kernel_size"),
        (lambda: nn.AvgPool2d(2, stride=0), "stride"),
        (lambda: nn.AvgPool2d(2, divisor_override=0), "divisor_override"),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "output_size"),
        (lambda: nn.BatchNorm2d(0), "num_features"),
        (lambda: nn.BatchNorm2d(2, momentum=2.0), "momentum"),
        (lambda: nn.Dropout(1.5), "Dropout"),
        (lambda: nn.MSELoss(reduction="average"), "reduction"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2.0), "label_smoothing"),
    ],
)
def test_bad_arguments(make: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()  # type: ignore[operator]


# --- pooling, shapes --------------------------------------------------------------------------------------------------


def test_pooling(device: str) -> None:
    x = normal(2, 3, 6, 4)
    windows = x.reshape(2, 3, 3, 2, 2, 2)
    np.testing.assert_array_equal(run(nn.MaxPool2d(2), x, device), windows.max(axis=(3, 5)))
    assert_close(run(nn.AvgPool2d(2), x, device), windows.mean(axis=(3, 5)), np.float64, 4)
    assert_close(run(nn.AdaptiveAvgPool2d((3, 2)), x, device), windows.mean(axis=(3, 5)), np.float64, 4)
    y, indices = nn.MaxPool2d(2, return_indices=True)(dc.tensor(x, device=device))
    flat = x.reshape(2, 3, 24)
    np.testing.assert_array_equal(np.take_along_axis(flat, host(indices).reshape(2, 3, 6), 2).ravel(), host(y).ravel())
    assert run(nn.MaxPool2d(3, stride=2, ceil_mode=True), x, device).shape == (2, 3, 3, 2)
    assert run(nn.AdaptiveAvgPool2d((None, 1)), x, device).shape == (2, 3, 6, 1)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))[:, :, :2, :2].sum(axis=(2, 3))
    counted = run(nn.AvgPool2d(2, padding=1), x, device)[:, :, 0, 0]
    assert_close(counted, padded / 4, np.float64, 4)
    not_counted = run(nn.AvgPool2d(2, padding=1, count_include_pad=False), x, device)[:, :, 0, 0]
    assert_close(not_counted, padded, np.float64, 4)
    divided = run(nn.AvgPool2d(2, padding=1, divisor_override=3), x, device)[:, :, 0, 0]
    assert_close(divided, padded / 3, np.float64, 4)


def test_shapes() -> None:
    x = dc.zeros(2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0, 1)(x).shape == (6, 4, 5)
    assert nn.Unflatten(1, (1, -1))(x).shape == (2, 1, 3, 4, 5)
    assert nn.Identity(54, unused=True)(x) is x
    with pytest.raises(ShapeError):
        nn.Unflatten(1, (2, 2))(x)


# --- batch normalisation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 2, 5)])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norm(device: str, shape: tuple, momentum: float | None) -> None:
    layer = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(3, momentum=momentum, dtype="float64")
    nn.init.normal_(layer.weight, 1.0, 0.1)
    nn.init.normal_(layer.bias)
    axes = (0, *range(2, len(shape)))
    along = (1, 3) + (1,) * (len(shape) - 2)
    w, b = host(layer.weight).reshape(along), host(layer.bias).reshape(along)
    mean, var = np.zeros(3), np.ones(3)
    for step in range(1, 4):
        x = normal(*shape) * step + step
        count = x.size // 3
        m, v = x.mean(axis=axes), x.var(axis=axes)
        expected = (x - m.reshape(along)) / np.sqrt(v.reshape(along) + layer.eps) * w + b
        assert_close(run(layer, x, device), expected, np.float64, count)
        share = 1 / step if momentum is None else momentum
        mean, var = (1 - share) * mean + share * m, (1 - share) * var + share * x.var(axis=axes, ddof=1)
        assert_close(host(layer.running_mean), mean, np.float64, count)
        assert_close(host(layer.running_var), var, np.float64, count)
        assert host(layer.num_batches_tracked) == step
    layer.eval()
    x = normal(*shape)
    expected = (x - mean.reshape(along)) / np.sqrt(var.reshape(along) + layer.eps) * w + b
    assert_close(run(layer, x, device), expected, np.float64, 24)
    assert host(layer.num_batches_tracked) == 3
    layer.reset_parameters()
    assert host(layer.running_var).tolist() == host(layer.weight).tolist() == [1.0] * 3


def test_batch_norm_without_parameters_or_statistics() -> None:
    plain = nn.BatchNorm1d(3, affine=False, track_running_stats=False)
    assert not list(plain.parameters())
    assert not list(plain.buffers())
    assert not plain.state_dict()
    x = dc.tensor(normal(5, 3))
    trained = host(plain(x))
    np.testing.assert_array_equal(host(plain.eval()(x)), trained)
    assert abs(trained.mean()) < 1e-12
    assert [name for name, _ in nn.BatchNorm1d(3, bias=False).named_parameters()] == ["weight"]
    frozen = nn.BatchNorm1d(3)
    frozen.track_running_stats = False
    frozen(dc.ones(4, 3))
    assert host(frozen.num_batches_tracked) == 0
    assert not host(frozen.running_mean).any()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.BatchNorm1d(3), (2, 4)),
        (nn.BatchNorm1d(3), (2, 3, 4, 4)),
        (nn.BatchNorm2d(3), (2, 3)),
        (nn.BatchNorm1d(3), (1, 3)),
    ],
)
def test_batch_norm_wrong_shape(layer: nn.Module, shape: tuple) -> None:
    with pytest.raises(ShapeError):
        layer(dc.zeros(*shape))


# --- dropout, activations, losses -------------------------------------------------------------------------------------


def test_dropout(device: str) -> None:
    layer = nn.Dropout(0.25)
    dc.manual_seed(3)
    y = host(layer(dc.ones(100, 100, device=device)))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / y.size)
    dc.manual_seed(3)
    np.testing.assert_array_equal(y, host(layer(dc.ones(100, 100, device="numpy"))))
    x = dc.ones(3, device=device)
    assert layer.eval()(x) is x


def test_activations(device: str) -> None:
    x = normal(3, 5) * 3
    e = np.exp(x - x.max(axis=1, keepdims=True))
    softmax = e / e.sum(axis=1, keepdims=True)
    cases = [
        (nn.ReLU(), np.maximum(x, 0)),
        (nn.LeakyReLU(0.2), np.where(x > 0, x, 0.2 * x)),
        (nn.Sigmoid(), 1 / (1 + np.exp(-x))),
        (nn.Tanh(), np.tanh(x)),
        (nn.Softmax(dim=1), softmax),
        (nn.LogSoftmax(dim=1), np.log(softmax)),
    ]
    for module, expected in cases:
        assert_close(run(module, x, device), expected, np.float64, 5, what=repr(module))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses(device: str, reduction: str) -> None:
    def reduce(losses: np.ndarray, count: float) -> np.ndarray:
        return losses if reduction == "none" else np.asarray(losses.sum() / (count if reduction == "mean" else 1))

    x, target, weight = normal(6, 4), np.array([0, 3, 1, 2, 1, 0]), RNG.uniform(0.5, 2, 4)
    log_p = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    nll, w = -log_p[np.arange(6), target], weight[target]
    t, p = RNG.uniform(0, 1, (6, 4)), 1 / (1 + np.exp(-x))
    bce = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    positive = -(weight * t * np.log(p) + (1 - t) * np.log(1 - p))

    def on(array: np.ndarray) -> dc.Tensor:
        return dc.tensor(array, device=device)

    scales = on(weight)
    cases = [
        (nn.CrossEntropyLoss(reduction=reduction), on(x), on(target), reduce(nll, 6)),
        (nn.CrossEntropyLoss(weight=scales, reduction=reduction), on(x), on(target), reduce(nll * w, w.sum())),
        (nn.NLLLoss(weight=scales, reduction=reduction), on(log_p), on(target), reduce(nll * w, w.sum())),
        (nn.MSELoss(reduction=reduction), on(x), on(t), reduce((x - t) ** 2, 24)),
        (nn.BCELoss(reduction=reduction), on(p), on(t), reduce(bce, 24)),
        (nn.BCEWithLogitsLoss(reduction=reduction), on(x), on(t), reduce(bce, 24)),
        (nn.BCEWithLogitsLoss(pos_weight=scales, reduction=reduction), on(x), on(t), reduce(positive, 24)),
        (nn.BCELoss(weight=scales, reduction=reduction), on(p), on(t), reduce(bce * weight, 24)),
    ]
    for module, left, right, expected in cases:
        assert_close(host(module(left, right)), expected, np.float64, 24, what=repr(module))
    skipping = nn.CrossEntropyLoss(ignore_index=1, reduction=reduction)
    kept = target != 1
    assert_close(host(skipping(on(x), on(target))), reduce(nll * kept, kept.sum()), np.float64, 24)
    smooth = nn.CrossEntropyLoss(label_smoothing=0.1, reduction=reduction)
    assert_close(host(smooth(on(x), on(target))), reduce(0.9 * nll - 0.1 * log_p.mean(axis=1), 6), np.float64, 24)


def test_loss_weights_move_with_the_module() -> None:
    loss = nn.CrossEntropyLoss(weight=dc.ones(3)).to("numpy")
    assert loss.weight.device == "numpy"
    assert list(loss.state_dict()) == ["weight"]


# --- clipping gradients -----------------------------------------------------------------------------------------------


def params_with_grads(device: str, *grads: np.ndarray) -> list[dc.Tensor]:
    params = [dc.zeros(*grad.shape, dtype="float64", device=device, requires_grad=True) for grad in grads]
    for param, grad in zip(params, grads, strict=True):
        param.grad = dc.tensor(grad.copy(), device=device)
    return params


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, math.inf])
def test_clip_grad_norm(device: str, norm_type: float) -> None:
    grads = [normal(3, 2), normal(4)]
    flat = np.abs(np.concatenate([grad.ravel() for grad in grads]))
    norm = flat.max() if math.isinf(norm_type) else (flat**norm_type).sum() ** (1 / norm_type)
    params = params_with_grads(device, *grads)
    found = nn.utils.clip_grad_norm_(iter([*params, dc.zeros(1, device=device)]), norm / 2, norm_type)
    assert_close(host(found), norm, np.float64, 10)
    for param, grad in zip(params, grads, strict=True):
        assert_close(host(param.grad), grad * (norm / 2 / (norm + 1e-6)), np.float64, 10)
    params = params_with_grads(device, *grads)
    nn.utils.clip_grad_norm_(params, norm * 2, norm_type)
    np.testing.assert_array_equal(host(params[0].grad), grads[0])


def test_clip_grad_norm_edges() -> None:
    assert nn.utils.clip_grad_norm_([dc.zeros(1, requires_grad=True)], 1.0).item() == 0
    infinite = params_with_grads("cpu", np.array([np.inf]))
    with pytest.raises(RunError, match="finite"):
        nn.utils.clip_grad_norm_(infinite, 1.0, error_if_nonfinite=True)
    mixed = params_with_grads("cpu", np.ones(1)) + params_with_grads("numpy", np.ones(1))
    with pytest.raises(DeviceError, match="one device"):
        nn.utils.clip_grad_norm_(mixed, 1.0)


def test_clip_grad_value(device: str) -> None:
    grad = normal(5) * 3
    (param,) = params_with_grads(device, grad)
    nn.utils.clip_grad_value_(param, 1.5)
    np.testing.assert_array_equal(host(param.grad), np.clip(grad, -1.5, 1.5))


# --- the same as PyTorch ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_network_is_pytorchs() -> None:
    """Same names, shapes, printed text and, with PyTorch's weights, the same outputs and gradients."""
    torch = pytest.importorskip("torch")

    def build(lib: object) -> object:
        return lib.Sequential(
            lib.Conv2d(1, 6, 5, padding=2),
            lib.BatchNorm2d(6),
            lib.Tanh(),
            lib.AvgPool2d(2),
            lib.Conv2d(6, 16, 3, stride=2, groups=2, padding_mode="reflect", padding=1),
            lib.ReLU(),
            lib.MaxPool2d(2, ceil_mode=True),
            lib.ConvTranspose2d(16, 8, 3, stride=2, output_padding=1, groups=4),
            lib.LeakyReLU(0.1),
            lib.AdaptiveAvgPool2d((3, 2)),
            lib.Flatten(),
            lib.Linear(48, 10),
            lib.LogSoftmax(dim=1),
        )

    theirs, ours = build(torch.nn), build(nn)
    assert repr(ours) == repr(theirs)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    ours.double().load_state_dict({name: tensor.numpy() for name, tensor in state.items()})
    theirs.double()
    x, t = normal(5, 1, 20, 20), np.array([1, 9, 0, 3, 3])
    loss = torch.nn.NLLLoss()(theirs(torch.tensor(x)), torch.tensor(t))
    loss.backward()
    our_loss = nn.NLLLoss()(ours(dc.tensor(x)), dc.tensor(t))
    our_loss.backward()
    assert_close(host(our_loss), loss.detach().numpy(), np.float64, 1000)
    for (name, param), their in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close(host(param.grad), their.grad.numpy(), np.float64, 1000, what=name)
    for (name, buffer), their in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        assert_close(host(buffer), their.numpy(), np.float64, 1000, what=name)
    theirs.eval(), ours.eval()
    assert_close(host(ours(dc.tensor(x))), theirs(torch.tensor(x)).detach().numpy(), np.float64, 1000)
