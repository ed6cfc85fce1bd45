"""Suite "convs": the convolutions of LeNet, VGG-16, ResNet-50 and U-Net, forward and both gradients.

Each shape of a network stands once. Images are those of the papers, 224x224 for VGG-16 (Simonyan and Zisserman
2015, configuration D) and ResNet-50 (He et al. 2016, table 1); U-Net (Ronneberger et al. 2015) is that of the reference
workload. The first layer's input gradient is left out: nobody needs it.
"""

from __future__ import annotations

from typing import NamedTuple

from deepcore.bench.spec import Spec
from deepcore.bench.suites.op_table import CONVS, FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT
from deepcore.bench.suites.ops import op_spec


class Conv(NamedTuple):
    """One layer: C channels of side H, O filters of side K."""

    channels: int
    side: int
    filters: int
    kernel: int
    stride: int = 1
    padding: int = -1
    """-1: what keeps the side at stride 1."""
    transposed: bool = False


LENET = (Conv(1, 28, 6, 5), Conv(6, 14, 16, 5, padding=0))
VGG16 = (
    Conv(3, 224, 64, 3), Conv(64, 224, 64, 3), Conv(64, 112, 128, 3), Conv(128, 112, 128, 3), Conv(128, 56, 256, 3),
    Conv(256, 56, 256, 3), Conv(256, 28, 512, 3), Conv(512, 28, 512, 3), Conv(512, 14, 512, 3),
)  # fmt: skip
RESNET50 = (
    Conv(3, 224, 64, 7, 2),
    Conv(64, 56, 64, 1), Conv(64, 56, 64, 3), Conv(64, 56, 256, 1), Conv(256, 56, 64, 1), Conv(256, 56, 128, 1),
    Conv(128, 56, 128, 3, 2), Conv(256, 56, 512, 1, 2), Conv(128, 28, 512, 1), Conv(512, 28, 128, 1),
    Conv(128, 28, 128, 3), Conv(512, 28, 256, 1), Conv(256, 28, 256, 3, 2), Conv(512, 28, 1024, 1, 2),
    Conv(256, 14, 1024, 1), Conv(1024, 14, 256, 1), Conv(256, 14, 256, 3), Conv(1024, 14, 512, 1),
    Conv(512, 14, 512, 3, 2), Conv(1024, 14, 2048, 1, 2), Conv(512, 7, 2048, 1), Conv(2048, 7, 512, 1),
    Conv(512, 7, 512, 3),
)  # fmt: skip
UNET = (
    Conv(3, 128, 32, 3), Conv(32, 128, 32, 3), Conv(32, 64, 64, 3), Conv(64, 64, 64, 3), Conv(64, 32, 128, 3),
    Conv(128, 32, 128, 3), Conv(128, 16, 256, 3), Conv(256, 16, 256, 3), Conv(256, 8, 512, 3), Conv(512, 8, 512, 3),
    Conv(512, 8, 256, 2, 2, 0, True), Conv(512, 16, 256, 3), Conv(256, 16, 128, 2, 2, 0, True), Conv(256, 32, 128, 3),
    Conv(128, 32, 64, 2, 2, 0, True), Conv(128, 64, 64, 3), Conv(64, 64, 32, 2, 2, 0, True), Conv(64, 128, 32, 3),
    Conv(32, 128, 1, 1),
)  # fmt: skip
NETWORKS = {"lenet": (128, LENET), "vgg16": (4, VGG16), "resnet50": (8, RESNET50), "unet": (8, UNET)}
"""Batch and layers of each."""


def specs(threads: int) -> list[Spec]:
    """The cases."""
    return [
        case
        for network, (batch, layers) in NETWORKS.items()
        for i, layer in enumerate(layers)
        for case in _cases(network, batch, layer, first=i == 0)
    ]


def _cases(network: str, batch: int, layer: Conv, first: bool) -> list[Spec]:
    padding = layer.kernel // 2 if layer.padding < 0 else layer.padding
    op = CONVS[layer.transposed, layer.stride, padding]
    filters = (layer.channels, layer.filters) if layer.transposed else (layer.filters, layer.channels)
    inputs = (batch, layer.channels, layer.side, layer.side), (*filters, layer.kernel, layer.kernel)
    kind = f"{'transposed ' if layer.transposed else ''}{layer.kernel}x{layer.kernel}"
    name = f"{network} {kind}{f' stride {layer.stride}' if layer.stride > 1 else ''}"
    parts = (FORWARD, WEIGHT_GRADIENT) if first else (FORWARD, INPUT_GRADIENT, WEIGHT_GRADIENT)
    return [op_spec("convs", op, part, inputs, name=name, group=network) for part in parts]
