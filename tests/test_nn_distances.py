"""Activations and distance losses as modules: values by the functions, options, printing, and what no entry can say."""

from __future__ import annotations

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError

RNG = np.random.default_rng(7)
X = RNG.uniform(-4, 4, (3, 4))


def host(tensor: dc.Tensor) -> np.ndarray:
    """The numbers of a tensor of any device."""
    return tensor.backend.to_host(tensor.detach().array)


ACTIVATIONS = [
    (nn.ReLU6(), "relu6", {}),
    (nn.ELU(0.5), "elu", {"alpha": 0.5}),
    (nn.SELU(), "selu", {}),
    (nn.GELU(), "gelu", {}),
    (nn.GELU("tanh"), "gelu", {"approximate": "tanh"}),
    (nn.SiLU(), "silu", {}),
    (nn.Mish(), "mish", {}),
    (nn.Softplus(2.0, 3.0), "softplus", {"beta": 2.0, "threshold": 3.0}),
    (nn.Softsign(), "softsign", {}),
    (nn.Hardtanh(-2.0, 0.5), "hardtanh", {"min_val": -2.0, "max_val": 0.5}),
    (nn.Hardsigmoid(), "hardsigmoid", {}),
    (nn.Hardswish(), "hardswish", {}),
    (nn.Softmin(0), "softmin", {"dim": 0}),
    (nn.GLU(1), "glu", {"dim": 1}),
    (nn.LogSigmoid(), "logsigmoid", {}),
]


@pytest.mark.parametrize(("module", "name", "options"), ACTIVATIONS, ids=lambda v: repr(v).replace(" ", ""))
def test_activation(device: str, module: nn.Module, name: str, options: dict) -> None:
    x = dc.tensor(X, device=device)
    assert_close(host(module(x)), host(getattr(F, name)(x, **options)), np.float64)
    assert not list(module.parameters())


def test_prelu(device: str) -> None:
    layer = nn.PReLU(4, init=0.5).to(device, dtype="float64")
    assert list(layer.state_dict()) == ["weight"]
    x = dc.tensor(X, device=device)
    assert_close(host(layer(x)), np.where(X > 0, X, 0.5 * X), np.float64)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert_close(host(layer.weight.grad), np.minimum(X, 0).sum(axis=0), np.float64, 3)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses(device: str, reduction: str) -> None:
    a, p, n = (dc.tensor(RNG.uniform(-1, 1, (3, 4)), device=device) for _ in range(3))
    signs = dc.tensor(np.where(X > 0, 1, -1), device=device)
    rows = signs[:, 0]
    by = {"reduction": reduction}
    pairs = [
        (nn.L1Loss(**by)(a, p), F.l1_loss(a, p, **by)),
        (nn.SmoothL1Loss(**by, beta=0.3)(a, p), F.smooth_l1_loss(a, p, beta=0.3, **by)),
        (nn.HuberLoss(reduction, 0.3)(a, p), F.huber_loss(a, p, delta=0.3, **by)),
        (nn.SoftMarginLoss(**by)(a, signs), F.soft_margin_loss(a, signs, **by)),
        (nn.HingeEmbeddingLoss(0.4, **by)(a, signs), F.hinge_embedding_loss(a, signs, 0.4, **by)),
        (nn.MarginRankingLoss(0.4, **by)(a, p, signs), F.margin_ranking_loss(a, p, signs, 0.4, **by)),
        (nn.CosineEmbeddingLoss(0.1, **by)(a, p, rows), F.cosine_embedding_loss(a, p, rows, 0.1, **by)),
        (
            nn.TripletMarginLoss(0.4, 1, 0.1, True, **by)(a, p, n),
            F.triplet_margin_loss(a, p, n, 0.4, 1, 0.1, True, **by),
        ),
    ]
    for got, expected in pairs:
        assert_close(host(got), host(expected), np.float64)
    assert nn.CosineSimilarity(0)(a, p).shape == (4,)
    assert nn.PairwiseDistance(keepdim=True)(a, p).shape == (3, 1)


def test_printing() -> None:
    assert repr(nn.PReLU(3)) == "PReLU(num_parameters=3)"
    assert repr(nn.ReLU6()) == "ReLU6()"
    assert repr(nn.ELU(inplace=True)) == "ELU(alpha=1.0, inplace=True)"
    assert repr(nn.Hardtanh()) == "Hardtanh(min_val=-1.0, max_val=1.0)"
    assert repr(nn.GELU()) == "GELU(approximate='none')"
    assert repr(nn.Softplus()) == "Softplus(beta=1.0, threshold=20.0)"


def test_options_that_cannot_be() -> None:
    for make, said in [
        (lambda: nn.GELU("tan"), "GELU: expected approximate"),
        (lambda: nn.Hardtanh(1.0, 1.0), "Hardtanh: expected min_val < max_val"),
        (lambda: nn.PReLU(0), "PReLU: expected num_parameters"),
        (lambda: nn.HuberLoss("average"), "HuberLoss: expected reduction"),
    ]:
        with pytest.raises(ConfigError, match=said):
            make()


# --- at the kinks, and far out ----------------------------------------------------------------------------------------


def slopes(function: object, points: list[float], device: str) -> list[float]:
    """The derivative of an elementwise function at some points."""
    x = dc.tensor(points, device=device, requires_grad=True)
    function(x).sum().backward()  # type: ignore[operator]
    assert x.grad is not None
    return host(x.grad).tolist()


def test_slopes_at_kinks_are_pytorchs(device: str) -> None:
    assert slopes(F.step, [-1.0, 0.0, 1.0], device) == [0, 0, 0]
    assert slopes(lambda x: F.step(x, straight_through=True), [-1.0, 0.0, 1.0], device) == [1, 1, 1]
    assert slopes(F.relu6, [0.0, 1.0, 6.0], device) == [0, 1, 0]
    assert slopes(F.hardtanh, [-1.0, 0.0, 1.0], device) == [0, 1, 0]
    assert slopes(lambda x: F.hardsigmoid(x) * 6, [-3.0, 0.0, 3.0], device) == [0, 1, 0]
    assert slopes(F.hardswish, [-3.0, 0.0, 3.0], device) == [0, 0.5, 1]
    assert slopes(lambda x: F.elu(x, 0.5), [0.0], device) == [0.5]
    assert slopes(lambda x: F.prelu(x, dc.tensor(0.25, device=device)), [0.0], device) == [0.25]


@pytest.mark.parametrize("name", ["gelu", "silu", "mish", "softplus", "elu", "logsigmoid", "softsign", "erf"])
@pytest.mark.filterwarnings("error")
def test_slopes_far_out_are_finite(device: str, name: str) -> None:
    far = {"logsigmoid": [1, 0], "softsign": [0, 0], "erf": [0, 0]}.get(name, [0, 1])
    assert slopes(getattr(F, name), [-1e30, 1e30], device) == pytest.approx(far)


def test_no_distance_has_no_slope(device: str) -> None:
    """Where the vectors are equal the root has no derivative; it is taken as 0, not as NaN."""
    for p in (1, 2, 3, np.inf):
        assert slopes(lambda x, p=p: F.pairwise_distance(x, x.detach(), p, eps=0.0), [1.0, 2.0], device) == [0, 0]
    assert slopes(lambda x: F.cosine_similarity(x, x, dim=0), [0.0, 0.0], device) == [0, 0]


def test_half_precision_has_room_for_squares(device: str) -> None:
    x = dc.tensor(np.full((1, 4), 300.0, np.float16), device=device)
    assert host(F.pairwise_distance(x, -x)).tolist() == [1200]
    assert host(F.cosine_similarity(x, x)).tolist() == [1]


def test_integers_stay_integers_between_whole_limits() -> None:
    assert F.relu6(dc.tensor([-1, 3, 9])).numpy().tolist() == [0, 3, 6]
    assert F.relu6(dc.tensor([-1, 3, 9])).dtype == dc.int64
    assert F.relu6(dc.tensor([3, 200], dtype="uint8")).numpy().tolist() == [3, 6]
    assert F.hardtanh(dc.tensor([-1, 3]), -0.5, 0.5).dtype == dc.float32
    assert F.hardtanh(dc.tensor([3], dtype="uint8")).dtype == dc.float32


@pytest.mark.filterwarnings("error")
def test_values_that_are_no_numbers(device: str) -> None:
    """NaN stays NaN, and infinity gives a limit or NaN, both without a warning, as on a GPU."""
    x = dc.tensor(np.array([np.nan, np.inf, -np.inf]), device=device)
    for module, name, options in ACTIVATIONS[:-3]:
        y = host(module(x))
        assert np.isnan(y[0]), name
        expected = {"relu6": 6, "hardtanh": options.get("max_val"), "hardsigmoid": 1, "softsign": np.nan}
        np.testing.assert_allclose(y[1], expected.get(name, np.inf), rtol=1e-9)
    assert np.isnan(host(F.step(x))[0])
