"""Changes to whole batches of images on their device; random ones draw from the framework's own random numbers."""

from __future__ import annotations

from deepcore.data.transforms.affine import RandomAffine, RandomRotation
from deepcore.data.transforms.augment import augmentation
from deepcore.data.transforms.base import RandomTransform, Transform, to_float
from deepcore.data.transforms.colour import ColorJitter, Grayscale
from deepcore.data.transforms.compose import Compose
from deepcore.data.transforms.crops import CenterCrop, RandomCrop
from deepcore.data.transforms.erasing import Cutout, RandomErasing
from deepcore.data.transforms.flips import RandomHorizontalFlip, RandomVerticalFlip
from deepcore.data.transforms.mixup import Mixup
from deepcore.data.transforms.normalize import Normalize
from deepcore.data.transforms.rand_augment import RandAugment
from deepcore.data.transforms.resize import Resize

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Cutout",
    "Grayscale",
    "Mixup",
    "Normalize",
    "RandAugment",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomTransform",
    "RandomVerticalFlip",
    "Resize",
    "Transform",
    "augmentation",
    "to_float",
]
