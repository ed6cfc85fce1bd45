"""The batches of a training as a function of the step: those of `ImageTrainer`, but in any order, on the host."""

from __future__ import annotations

import numpy as np

from deepcore.autograd import no_grad
from deepcore.creation import tensor
from deepcore.data import Normalize, RandomAffine, Splits
from deepcore.random import Generator
from deepcore.train.config import TrainConfig
from deepcore.train.recipe import AUGMENTATION, ORDER

BLOCKS_PER_IMAGE = 2  # of the random stream: RandomAffine draws four float64 numbers for an image


class Batches:
    """`batches(step)` is (images (n, C, H, W) float32, labels (n,) int64): shuffled, augmented, normalised.

    Whatever device trains on them gets the same bits, since they are made on the host, by the reference. Every batch is
    full: what is left over at the end of an epoch is left out.
    """

    def __init__(self, config: TrainConfig, splits: Splits):
        self.config, self.dataset = config, splits.train
        self.batch_size = min(config.batch_size, len(self.dataset))
        self.steps_per_epoch = len(self.dataset) // self.batch_size
        self._normalize = Normalize(*self.dataset.pixel_stats())
        self._order = Generator(ORDER + config.seed)
        self._epochs: list[np.ndarray] = []

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, batch = divmod(step, self.steps_per_epoch)
        start = batch * self.batch_size
        images, labels = self.dataset[self._rows(epoch)[start : start + self.batch_size]]
        with no_grad():
            x = tensor(images, device="numpy")
            if self.config.augments:
                x = self._augment(epoch * len(self.dataset) + start)(x)
            return self._normalize(x).numpy(), labels

    def _rows(self, epoch: int) -> np.ndarray:
        """The order of the images in an epoch; each is drawn after the one before it."""
        while len(self._epochs) <= epoch:
            self._epochs.append(self._order.permutation(len(self.dataset)))
        return self._epochs[epoch]

    def _augment(self, images_before: int) -> RandomAffine:
        """The augmentation, where its random stream stands after so many images."""
        generator = Generator()
        generator.set_state((AUGMENTATION + self.config.seed, BLOCKS_PER_IMAGE * images_before))
        return RandomAffine(self.config.degrees, self.config.scale, self.config.translate, generator)
