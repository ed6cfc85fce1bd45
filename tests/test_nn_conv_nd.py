"""Modules for sequences and volumes, image patches and resampling: against their functions' oracles, and as printed."""

from __future__ import annotations

import numpy as np
import pytest

import deepcore as dc
from deepcore import nn
from deepcore.check.opdb import host, normal
from deepcore.check.oracles import conv_nd as oracles_conv_nd
from deepcore.check.oracles import resample as oracles_resample
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError

SHAPES = {1: (2, 4, 7), 3: (2, 4, 4, 3, 5)}


def run(layer: nn.Module, x: np.ndarray, device: str) -> np.ndarray:
    return host(layer.to(device).to(dc.float64)(dc.tensor(x, device=device)))


def values(layer: nn.Module) -> tuple[np.ndarray, np.ndarray | None]:
    bias = None if layer.bias is None else host(layer.bias).astype(np.float64)
    return host(layer.weight).astype(np.float64), bias


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "stride": 2, "padding": 1, "groups": 2},
        {"kernel_size": 2, "padding": "same", "dilation": 3, "bias": False},
        {"kernel_size": 2, "padding": "valid"},
    ],
)
def test_convolution(device: str, axes: int, options: dict) -> None:
    layer = {1: nn.Conv1d, 3: nn.Conv3d}[axes](4, 6, **options)
    x = normal(np.random.default_rng(0), *SHAPES[axes])
    assert layer.weight.shape == (6, 4 // layer.groups, *[options["kernel_size"]] * axes)
    expected = oracles_conv_nd.conv(
        x, *values(layer), layer.stride, options.get("padding", 0), layer.dilation, layer.groups
    )
    assert_close(run(layer, x, device), expected, np.float64, 108)


@pytest.mark.parametrize(("mode", "numpy_mode"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
@pytest.mark.parametrize("axes", [1, 3])
def test_padding_modes(device: str, axes: int, mode: str, numpy_mode: str) -> None:
    pads = (2,) if axes == 1 else (1, 0, 2)
    layer = {1: nn.Conv1d, 3: nn.Conv3d}[axes](4, 3, 2, padding=pads, padding_mode=mode)
    x = normal(np.random.default_rng(1), *SHAPES[axes])
    padded = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in pads)], mode=numpy_mode)
    assert_close(run(layer, x, device), oracles_conv_nd.conv(padded, *values(layer)), np.float64, 108)
    assert f"padding_mode={mode}" in repr(layer)


@pytest.mark.parametrize("axes", [1, 3])
def test_transposed(device: str, axes: int) -> None:
    make = {1: nn.ConvTranspose1d, 3: nn.ConvTranspose3d}[axes]
    layer = make(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, dilation=2)
    x = normal(np.random.default_rng(2), *SHAPES[axes])
    expected = oracles_conv_nd.conv_transpose(x, *values(layer), 2, 1, 1, 2, 2)
    assert_close(run(layer, x, device), expected, np.float64, 108)


def test_transposed_output_size() -> None:
    layer = nn.ConvTranspose3d(1, 1, 3, stride=2, padding=1)
    assert layer(dc.zeros(1, 1, 2, 3, 4), output_size=(4, 5, 8)).shape == (1, 1, 4, 5, 8)
    with pytest.raises(ConfigError, match=r"ConvTranspose3d: expected output_size between \(3, 5, 7\) and \(4, 6, 8\)"):
        layer(dc.zeros(1, 1, 2, 3, 4), output_size=(9, 9, 9))
    with pytest.raises(ConfigError, match="output_size of 3 numbers"):
        layer(dc.zeros(1, 1, 2, 3, 4), output_size=(4, 5))


def test_columns(device: str) -> None:
    x = normal(np.random.default_rng(3), 2, 3, 4, 5)
    columns = run(nn.Unfold((2, 3), padding=1, stride=2), x, device)
    np.testing.assert_array_equal(columns, oracles_conv_nd.unfold(x, (2, 3), 1, 1, 2))
    image = run(nn.Fold((4, 5), (2, 3), padding=1, stride=2), columns, device)
    assert_close(image, oracles_conv_nd.fold(columns, (4, 5), (2, 3), 1, 1, 2), np.float64, 6)


def test_resampling(device: str) -> None:
    x = normal(np.random.default_rng(4), 1, 4, 3, 4)
    larger = run(nn.Upsample(scale_factor=1.5, mode="bicubic", align_corners=False), x, device)
    expected = oracles_resample.interpolate(x, scale_factor=1.5, mode="bicubic", align_corners=False)
    assert_close(larger, expected, np.float64, 16)
    shuffled = run(nn.PixelShuffle(2), x, device)
    np.testing.assert_array_equal(shuffled, oracles_resample.pixel_shuffle(x, 2))
    np.testing.assert_array_equal(run(nn.PixelUnshuffle(2), shuffled, device), x)


def test_upsample_keeps_infinities_in_their_place(device: str) -> None:
    x = dc.tensor([[[1.0, np.inf, np.nan]]], device=device)
    expected = [[[1, 1, np.inf, np.inf, np.nan, np.nan]]]
    np.testing.assert_array_equal(host(nn.Upsample(scale_factor=2)(x)), expected)


def test_printed_like_pytorch() -> None:
    lines = {
        nn.Conv1d(4, 8, 3, bias=False): "Conv1d(4, 8, kernel_size=(3,), stride=(1,), bias=False)",
        nn.Conv3d(2, 4, 3, padding=(1, 0, 0)): (
            "Conv3d(2, 4, kernel_size=(3, 3, 3), stride=(1, 1, 1), padding=(1, 0, 0))"
        ),
        nn.ConvTranspose1d(4, 8, 3, stride=2, output_padding=1): (
            "ConvTranspose1d(4, 8, kernel_size=(3,), stride=(2,), output_padding=(1,))"
        ),
        nn.Upsample(scale_factor=2, mode="bilinear"): "Upsample(scale_factor=2.0, mode='bilinear')",
        nn.PixelShuffle(3): "PixelShuffle(upscale_factor=3)",
    }
    for layer, line in lines.items():
        assert repr(layer) == line


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Conv1d(3, 4, (3, 3)), r"Conv1d: .*kernel_size.*\(3, 3\)"),
        (lambda: nn.Conv3d(3, 4, (3, 3)), r"Conv3d: .*one integer or 3"),
        (lambda: nn.Conv3d(3, 4, 3, groups=2), "Conv3d: .*multiples of groups"),
        (lambda: nn.Conv1d(3, 4, 3, stride=2, padding="same"), "Conv1d: .*stride 1"),
        (lambda: nn.ConvTranspose1d(3, 4, 3, output_padding=1), "ConvTranspose1d: .*output_padding"),
        (lambda: nn.ConvTranspose3d(3, 4, 3, padding_mode="reflect"), "ConvTranspose3d: .*padding_mode"),
        (lambda: nn.Upsample(), "Upsample: .*size or scale_factor"),
        (lambda: nn.Upsample(2, mode="cubic"), "Upsample: .*bicubic"),
        (lambda: nn.PixelShuffle(0), "PixelShuffle: .*upscale_factor"),
        (lambda: nn.Fold(0, 2), "Fold: .*output_size"),
    ],
)
def test_impossible_settings(make, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
