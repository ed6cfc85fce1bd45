"""The models of the registry: shapes, numbers of weights against the papers, whether they learn."""

from __future__ import annotations

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import models, nn, optim
from deepcore.errors import ConfigError
from deepcore.models.resnet import Shortcut


@pytest.mark.parametrize("name", models.names())
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (1, 16)])
def test_every_model_takes_the_sizes_of_the_data_sets(name: str, channels: int, size: int) -> None:
    model = models.create(name, num_classes=7, in_channels=channels, image_size=size)
    assert model(dc.zeros(2, channels, size, size)).shape == (2, 7)


# He et al. 2016, table 6, in millions.
@pytest.mark.parametrize(
    ("name", "weights", "millions"),
    [
        ("resnet20", 269_722, 0.27),
        ("resnet32", 464_154, 0.46),
        ("resnet44", 658_586, 0.66),
        ("resnet56", 853_018, 0.85),
    ],
)
def test_resnets_have_the_weights_of_the_paper(name: str, weights: int, millions: float) -> None:
    model = models.create(name)
    assert sum(p.numel() for p in model.parameters()) == weights
    assert round(weights / 1e6, 2) == millions
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(name.removeprefix("resnet"))  # the number counts the layers with weights


def test_resnet_maps_shrink_as_in_the_paper() -> None:
    model = models.create("resnet20")
    x = model.bn1(model.conv1(dc.zeros(1, 3, 32, 32)))
    shapes = []
    for stage in (model.stage1, model.stage2, model.stage3):
        x = stage(x)
        shapes.append(x.shape)
    assert shapes == [(1, 16, 32, 32), (1, 32, 16, 16), (1, 64, 8, 8)]


def test_shortcut_picks_pixels_and_adds_empty_channels(device: str) -> None:
    x = np.random.default_rng(0).random((2, 3, 5, 4), np.float32)
    y = Shortcut(3, 5, stride=2)(dc.tensor(x, device=device)).cpu().numpy()
    np.testing.assert_array_equal(y[:, :3], x[:, :, ::2, ::2])
    np.testing.assert_array_equal(y[:, 3:], np.zeros((2, 2, 3, 2), np.float32))
    assert list(Shortcut(3, 5, 2).parameters()) == []


@pytest.mark.parametrize("name", ["mlp", "resnet20"])
def test_loss_falls_on_a_few_images(name: str) -> None:
    rng = np.random.default_rng(0)
    images, labels = dc.tensor(rng.standard_normal((8, 3, 8, 8), np.float32)), dc.tensor(np.arange(8) % 4)
    model = models.create(name, num_classes=4, in_channels=3, image_size=8)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(15):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_mlp_has_the_widths_that_are_asked_for() -> None:
    model = models.create("mlp", num_classes=10, in_channels=1, image_size=28, hidden=(50, 20))
    shapes = [tuple(m.weight.shape) for m in model.modules() if isinstance(m, nn.Linear)]
    assert shapes == [(50, 784), (20, 50), (10, 20)]


def test_resnet_for_too_small_an_image() -> None:
    with pytest.raises(ConfigError, match="resnet20: expected image_size of at least 4; got 3"):
        models.create("resnet20", image_size=3)
