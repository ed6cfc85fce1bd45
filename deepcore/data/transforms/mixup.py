"""Mixup (Zhang et al. 2018): images and labels blended with those of other images of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore import functional as F
from deepcore.autograd import no_grad
from deepcore.creation import tensor
from deepcore.data.transforms.base import RandomTransform, check_images, to_float
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.random import Generator
from deepcore.tensor import Tensor


class Mixup(RandomTransform):
    """(images, labels) -> images and soft labels, blended with the image before, the first with the last.

    The share of the image itself is Beta(alpha, alpha), drawn once for a batch; the batch should be shuffled. Labels
    are (N,) integers below `num_classes`, or (N, num_classes) probabilities; the new ones are (N, num_classes), and
    `F.cross_entropy` takes them. Images are floating afterwards, uint8 scaled to [0, 1].

    >>> import deepcore as dc
    >>> images, labels = Mixup(alpha=0.2, num_classes=10)(dc.zeros(4, 1, 8, 8), dc.tensor([1, 2, 3, 4]))
    >>> labels.shape, labels.sum(dim=1)
    ((4, 10), tensor([1., 1., 1., 1.]))
    """

    takes_labels = True

    def __init__(self, alpha: float = 1.0, num_classes: int | None = None, generator: Generator | None = None):
        super().__init__(generator)
        if not isinstance(alpha, int | float) or not 0 < alpha < np.inf:
            raise ConfigError(message("Mixup", "alpha above 0", f"alpha={alpha!r}"))
        if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
            raise ConfigError(message("Mixup", "num_classes of at least 1", f"num_classes={num_classes!r}"))
        self.alpha, self.num_classes = float(alpha), num_classes

    def share(self) -> float:
        """How much an image keeps of itself, drawn anew."""
        from deepcore.distributions import Beta

        alpha = tensor(self.alpha, dtype="float64", device="numpy")
        with no_grad():
            return float(Beta(alpha, alpha).rsample(generator=self.generator).item())

    def __call__(self, x: Tensor, labels: Any = None) -> Any:
        check_images("Mixup", x)
        soft = self._soft(x, labels)
        share = self.share()
        return _blended(to_float(x), share), _blended(soft, share)

    def _soft(self, x: Tensor, labels: Any) -> Tensor:
        if not isinstance(labels, Tensor) or labels.ndim not in (1, 2) or labels.shape[0] != x.shape[0]:
            raise ShapeError(message("Mixup", "labels (N,) or (N, classes) beside the images", got(x=x, labels=labels)))
        if labels.ndim == 2:
            return to_float(labels)
        if self.num_classes is None:
            raise ConfigError(message("Mixup", "num_classes, where labels are class numbers", "num_classes=None"))
        return F.one_hot(labels, self.num_classes).to("float32")


def _blended(x: Tensor, share: float) -> Tensor:
    return x * share + F.roll(x, 1, 0) * (1 - share)
