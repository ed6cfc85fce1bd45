"""LeNet-5 (LeCun et al., Gradient-based learning applied to document recognition, 1998), with ReLU and max-pooling."""

from __future__ import annotations

from deepcore import nn
from deepcore.errors import ConfigError
from deepcore.models.registry import register
from deepcore.tensor import Tensor

SMALLEST = 16  # below this nothing is left after two rounds of 5x5 convolution and pooling


@register("lenet")
class LeNet(nn.Module):
    """Two rounds of convolution and pooling, then three linear layers: (N, C, S, S) float32 -> logits (N, num_classes).

    Made for 32x32 images; 28x28 is padded to 32x32 by the first convolution, as in the paper. Other sizes from 16 up
    fit too.

    >>> import deepcore as dc
    >>> LeNet(num_classes=10)(dc.zeros(2, 1, 32, 32)).shape
    (2, 10)
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 32):
        super().__init__()
        if image_size < SMALLEST:
            raise ConfigError(f"lenet: expected image_size of at least {SMALLEST}; got {image_size}.")
        padding = 2 if image_size == 28 else 0
        side = ((image_size + 2 * padding - 4) // 2 - 4) // 2
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * side * side, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))
