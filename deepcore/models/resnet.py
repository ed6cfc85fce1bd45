"""Residual networks for small images (He et al., Deep residual learning for image recognition, 2016, section 4.2)."""

from __future__ import annotations

from deepcore import functional as F
from deepcore import nn
from deepcore.errors import ConfigError
from deepcore.models.registry import register
from deepcore.nn import init
from deepcore.tensor import Tensor

WIDTHS = (16, 32, 64)  # filters of the three stages; each of the later two halves the sides of the maps


class Shortcut(nn.Module):
    """The paper's option A: every `stride`-th pixel, and zeros for the channels that are new; it has no weights.

    (N, C, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.new_channels, self.stride = out_channels - in_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.new_channels)) if self.new_channels else x


class BasicBlock(nn.Module):
    """relu(x + conv(relu(conv(x)))), each 3x3 convolution with batch normalisation behind it."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        # No bias: the normalisation has one.
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = Shortcut(in_channels, out_channels, stride)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A network of 6n + 2 layers with weights: (N, C, S, S) float32 -> logits (N, num_classes).

    One 3x3 convolution, three stages of n blocks (16, 32 and 64 filters on maps of S, S/2 and S/4 pixels a side),
    the average over each map, one linear layer. Made for 32x32 colour images; other sizes from 4 up fit too. Nothing
    differs from the paper. Weights are drawn as in He et al. 2015.

    >>> import deepcore as dc
    >>> ResNet(blocks=1)(dc.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(self, blocks: int, num_classes: int = 10, in_channels: int = 3, image_size: int = 32):
        super().__init__()
        if image_size < 4:
            raise ConfigError(f"resnet{6 * blocks + 2}: expected image_size of at least 4; got {image_size}.")
        self.conv1 = nn.Conv2d(in_channels, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU()
        self.stage1 = _stage(blocks, WIDTHS[0], WIDTHS[0], stride=1)
        self.stage2 = _stage(blocks, WIDTHS[0], WIDTHS[1], stride=2)
        self.stage3 = _stage(blocks, WIDTHS[1], WIDTHS[2], stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(WIDTHS[2], num_classes)
        self._draw_weights()

    def _draw_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                init.kaiming_normal_(module.weight, nonlinearity="relu")
        if self.fc.bias is not None:
            init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(self.flatten(self.pool(x)))


def _stage(blocks: int, in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels) for _ in range(blocks - 1)))


@register("resnet20")
def resnet20(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> ResNet:
    """20 layers, 269,722 weights for CIFAR-10 (the paper says 0.27 million)."""
    return ResNet(3, num_classes, in_channels, image_size)


@register("resnet32")
def resnet32(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> ResNet:
    """32 layers, 464,154 weights for CIFAR-10 (the paper says 0.46 million)."""
    return ResNet(5, num_classes, in_channels, image_size)


@register("resnet44")
def resnet44(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> ResNet:
    """44 layers, 658,586 weights for CIFAR-10 (the paper says 0.66 million)."""
    return ResNet(7, num_classes, in_channels, image_size)


@register("resnet56")
def resnet56(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> ResNet:
    """56 layers, 853,018 weights for CIFAR-10 (the paper says 0.85 million)."""
    return ResNet(9, num_classes, in_channels, image_size)
