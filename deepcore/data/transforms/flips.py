"""Images mirrored at random."""

from __future__ import annotations

from typing import Any

from deepcore.data.transforms.base import RandomTransform, check_images, probability, tensor_like
from deepcore.random import Generator
from deepcore.tensor import Tensor


class _RandomFlip(RandomTransform):
    def __init__(self, p: float = 0.5, generator: Generator | None = None):
        super().__init__(generator)
        self.p = probability(type(self).__name__, p)

    def __call__(self, x: Tensor) -> Tensor:
        check_images(type(self).__name__, x)
        chosen = x.backend.from_host(self.uniform(x.shape[0]) < self.p)
        return tensor_like(x.backend.xp.where(chosen[:, None, None, None], self._mirrored(x.array), x.array), x)

    def _mirrored(self, array: Any) -> Any:
        raise NotImplementedError


class RandomHorizontalFlip(_RandomFlip):
    """Each image mirrored left to right with probability p.

    >>> import deepcore as dc
    >>> RandomHorizontalFlip(p=1.0)(dc.tensor([[[[1.0, 2.0, 3.0]]]]))
    tensor([[[[3., 2., 1.]]]])
    """

    def _mirrored(self, array: Any) -> Any:
        return array[:, :, :, ::-1]


class RandomVerticalFlip(_RandomFlip):
    """Each image mirrored top to bottom with probability p."""

    def _mirrored(self, array: Any) -> Any:
        return array[:, :, ::-1]
