"""Values taken from, and added at, places of a flattened array: the gradients of poolings that choose a pixel."""

from __future__ import annotations

import math
from typing import Any

from deepcore.autograd.function import Function


class TakeAtPlaces(Function):
    """x flattened at `places` (integers, any shape); 0 where a place is negative. Linear."""

    name = "take"
    intermediates = ("places",)

    def __init__(self, places: Any) -> None:
        self.places = places

    def forward(self, x: Any) -> Any:
        self.x_shape = x.shape
        xp = self.backend.xp
        if math.prod(x.shape) == 0:
            return xp.zeros(self.places.shape, dtype=x.dtype)
        found = x.reshape(-1)[xp.maximum(self.places, 0)]
        return xp.where(self.places < 0, 0, found).astype(x.dtype, copy=False)

    def backward(self, gy: Any) -> Any:
        return AddAtPlaces(self.places, self.x_shape)(gy)


class AddAtPlaces(Function):
    """Zeros of a shape with each value added at its place; the transpose of TakeAtPlaces."""

    name = "add_at"
    intermediates = ("places",)

    def __init__(self, places: Any, shape: tuple[int, ...]) -> None:
        self.places, self.shape = places, shape

    def forward(self, g: Any) -> Any:
        if math.prod(self.shape) == 0:
            return self.backend.xp.zeros(self.shape, dtype=g.dtype)
        return self.backend.add_at_places(g, self.places, self.shape)

    def backward(self, gy: Any) -> Any:
        return TakeAtPlaces(self.places)(gy)
