"""The changes that the settings of a training ask for, as one transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepcore.data.transforms.affine import RandomAffine
from deepcore.data.transforms.compose import Compose
from deepcore.data.transforms.crops import RandomCrop
from deepcore.data.transforms.erasing import Cutout
from deepcore.data.transforms.flips import RandomHorizontalFlip
from deepcore.data.transforms.mixup import Mixup
from deepcore.data.transforms.normalize import Normalize
from deepcore.data.transforms.rand_augment import RandAugment
from deepcore.random import Generator


def augmentation(
    size: tuple[int, int],
    num_classes: int,
    mean: float | Sequence[float],
    std: float | Sequence[float],
    *,
    crop: int = 0,
    flip: bool = False,
    randaugment: int = 0,
    degrees: float = 0.0,
    scale: float = 0.0,
    translate: float = 0.0,
    cutout: int = 0,
    mixup: float = 0.0,
    generator: Generator | None = None,
) -> Compose:
    """Images of `size` (height, width) as a training sees them: changed at random, in this order, and normalised.

    crop: padded by so many pixels and cut back to `size` at a random place. flip: mirrored, one in two. randaugment:
    two changes at this magnitude out of 30. degrees, scale, translate: see `RandomAffine`. Then the pixels are
    normalised by `mean` and `std`. cutout: a square of so many pixels set to the mean. mixup: images and labels blended
    with others, share by Beta(mixup, mixup); then the transform takes and gives (images, labels), which it may
    anyway. What is 0 is left out, and draws nothing. All draw from `generator`.

    >>> import deepcore as dc
    >>> prepare = augmentation((32, 32), 10, 0.5, 0.25, crop=4, flip=True)
    >>> prepare(dc.zeros(8, 3, 32, 32, dtype="uint8")).shape
    (8, 3, 32, 32)
    """
    steps: list[Any] = []
    if crop:
        steps.append(RandomCrop(size, crop, generator=generator))
    if flip:
        steps.append(RandomHorizontalFlip(generator=generator))
    if randaugment:
        steps.append(RandAugment(2, randaugment, generator=generator))
    if degrees or scale or translate:
        steps.append(RandomAffine(degrees, scale, translate, generator))
    steps.append(Normalize(mean, std))
    if cutout:
        steps.append(Cutout(cutout, generator=generator))
    if mixup:
        steps.append(Mixup(mixup, num_classes, generator))
    return Compose(steps)
