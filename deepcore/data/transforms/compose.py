"""Several transforms after each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepcore.data.transforms.base import Transform
from deepcore.errors import ConfigError, DataError, message


class Compose(Transform):
    """The transforms one after the other: `Compose([...])(images)`, or `(images, labels)` where one changes both.

    A transform with `takes_labels` set, as `Mixup`, gets and gives (images, labels); the others see the images only.

    >>> import deepcore as dc
    >>> from deepcore.data import transforms as T
    >>> augment = T.Compose([T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), T.Normalize(0.5, 0.25)])
    >>> augment(dc.zeros(2, 3, 32, 32)).shape
    (2, 3, 32, 32)
    """

    def __init__(self, transforms: Sequence[Any]):
        self.transforms = list(transforms)
        for transform in self.transforms:
            if not callable(transform):
                raise ConfigError(message("Compose", "transforms that can be called", repr(transform)))

    @property
    def takes_labels(self) -> bool:
        """Whether one of the transforms changes the labels too."""
        return any(getattr(transform, "takes_labels", False) for transform in self.transforms)

    def __call__(self, x: Any, labels: Any = None) -> Any:
        if labels is None and self.takes_labels:
            raise ConfigError(message("Compose", "(images, labels), which one of its transforms needs", "images only"))
        given = labels is not None
        for transform in self.transforms:
            if getattr(transform, "takes_labels", False):
                x, labels = transform(x, labels)
            else:
                x = transform(x)
        return (x, labels) if given else x

    def state_dict(self) -> dict[str, Any]:
        return {"transforms": [t.state_dict() if isinstance(t, Transform) else {} for t in self.transforms]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if len(state["transforms"]) != len(self.transforms):
            found = f"the state of {len(state['transforms'])}"
            raise DataError(message("Compose", f"the state of {len(self.transforms)} transforms", found))
        for transform, part in zip(self.transforms, state["transforms"], strict=True):
            if isinstance(transform, Transform):
                transform.load_state_dict(part)
