"""The batches of a training as a function of the step: those of `ImageTrainer`, but in any order, on the host."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from deepcore.autograd import no_grad
from deepcore.creation import tensor
from deepcore.data import Splits
from deepcore.random import Generator
from deepcore.train.config import TrainConfig
from deepcore.train.recipe import ORDER, Prepare


class Batches:
    """`batches(step)` is (images (n, C, H, W) float32, labels): shuffled, changed at random, normalised.

    Labels are (n,) int64, with mixup (n, K) float32. Whatever device trains on them gets the same bits, since they are
    made on the host, by the reference. Every batch is full: what is left over at the end of an epoch is left out. A
    step far ahead makes those before it once, since each goes on where the random numbers of the last one ended.
    """

    def __init__(self, config: TrainConfig, splits: Splits):
        self.dataset = splits.train
        self.batch_size = min(config.batch_size, len(self.dataset))
        self.steps_per_epoch = len(self.dataset) // self.batch_size
        self._batches_per_epoch = math.ceil(len(self.dataset) / self.batch_size)  # with what is left over
        self._prepare = Prepare(config, splits)
        self._states: list[dict[str, Any]] = [self._prepare.state_dict()]  # before each batch, as far as they are known
        self._draws = config.augments
        self._order = Generator(ORDER + config.seed)
        self._epochs: list[np.ndarray] = []

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, batch = divmod(step, self.steps_per_epoch)
        wanted = epoch * self._batches_per_epoch + batch
        if self._draws:
            for i in range(len(self._states) - 1, wanted):
                self._batch(i)
        return self._batch(wanted)

    def _batch(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch i of all; notes where the random stream stands behind it."""
        epoch, batch = divmod(i, self._batches_per_epoch)
        start = batch * self.batch_size
        images, labels = self.dataset[self._rows(epoch)[start : start + self.batch_size]]
        self._prepare.load_state_dict(self._states[i if self._draws else 0])
        with no_grad():
            x, y = self._prepare((tensor(images, device="numpy"), tensor(labels, device="numpy")))
        if self._draws and i + 1 == len(self._states):
            self._states.append(self._prepare.state_dict())
        return x.numpy(), y.numpy()

    def _rows(self, epoch: int) -> np.ndarray:
        """The order of the images in an epoch; each is drawn after the one before it."""
        while len(self._epochs) <= epoch:
            self._epochs.append(self._order.permutation(len(self.dataset)))
        return self._epochs[epoch]
