"""Models by name: `models.create("lenet", num_classes=10, in_channels=1, image_size=32)`."""

from __future__ import annotations

from deepcore.models.lenet import LeNet
from deepcore.models.mlp import MLP
from deepcore.models.registry import create, find, names, register
from deepcore.models.resnet import ResNet, resnet20, resnet32, resnet44, resnet56

__all__ = [
    "MLP",
    "LeNet",
    "ResNet",
    "create",
    "find",
    "names",
    "register",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
]
