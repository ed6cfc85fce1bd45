"""Models by name: `models.create("lenet", num_classes=10, in_channels=1, image_size=32)`."""

from __future__ import annotations

from deepcore.models.lenet import LeNet
from deepcore.models.registry import create, names, register

__all__ = ["LeNet", "create", "names", "register"]
