"""RandAugment (Cubuk et al. 2020): a few changes for each image, drawn out of fourteen, all of one strength."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.data.transforms import colour, levels
from deepcore.data.transforms.affine import turn, warp
from deepcore.data.transforms.base import RandomTransform, check_images, per_image, tensor_like, to_float
from deepcore.errors import ConfigError, message
from deepcore.random import Generator
from deepcore.tensor import Tensor

# What each change does at full strength (torchvision's table); True where its direction is drawn too.
CHANGES: dict[str, tuple[float, bool]] = {
    "Identity": (0.0, False),
    "ShearX": (0.3, True),
    "ShearY": (0.3, True),
    "TranslateX": (150 / 331, True),  # of the width
    "TranslateY": (150 / 331, True),
    "Rotate": (30.0, True),
    "Brightness": (0.9, True),
    "Color": (0.9, True),
    "Contrast": (0.9, True),
    "Sharpness": (0.9, True),
    "Posterize": (4.0, False),  # bits fewer than 8
    "Solarize": (1.0, False),  # threshold, from 1 down
    "AutoContrast": (0.0, False),
    "Equalize": (0.0, False),
}
NAMES = tuple(CHANGES)
MOVES = NAMES[1:6]


class RandAugment(RandomTransform):
    """`num_ops` changes for each image, drawn out of fourteen, at strength `magnitude` of `num_magnitude_bins` - 1.

    Geometry takes the nearest pixel and brings in `fill`. Images have 1 or 3 channels, floats lie in [0, 1]; the result
    is floating.

    >>> import deepcore as dc
    >>> RandAugment(num_ops=2, magnitude=9)(dc.zeros(4, 3, 32, 32)).shape
    (4, 3, 32, 32)
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        fill: float = 0.0,
        generator: Generator | None = None,
    ):
        super().__init__(generator)
        for name, value, least in (
            ("num_ops", num_ops, 0),
            ("magnitude", magnitude, 0),
            ("bins", num_magnitude_bins, 2),
        ):
            if type(value) is not int or value < least:
                raise ConfigError(message("RandAugment", f"{name} of at least {least}", f"{name}={value!r}"))
        if magnitude >= num_magnitude_bins:
            found = f"magnitude={magnitude}, num_magnitude_bins={num_magnitude_bins}"
            raise ConfigError(message("RandAugment", "magnitude < num_magnitude_bins", found))
        self.num_ops, self.strength, self.fill = num_ops, magnitude / (num_magnitude_bins - 1), float(fill)

    def draw(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Which change comes to each image (num_ops, n), and its direction, -1 or 1."""
        chosen = self.integers(len(NAMES), self.num_ops, n)
        return chosen, 2 * self.integers(2, self.num_ops, n) - 1

    def __call__(self, x: Tensor) -> Tensor:
        check_images("RandAugment", x, (1, 3))
        x = to_float(x)
        for chosen, sign in zip(*self.draw(x.shape[0]), strict=True):
            x = self._round(x, chosen, sign)
        return x

    def _round(self, x: Tensor, chosen: np.ndarray, sign: np.ndarray) -> Tensor:
        y = x.array.copy()
        moved = np.isin(chosen, [NAMES.index(name) for name in MOVES])
        groups: list[tuple[str | None, Any]] = [(None, np.flatnonzero(moved))]
        groups += [
            (name, np.flatnonzero(chosen == i)) for i, name in enumerate(NAMES) if name not in ("Identity", *MOVES)
        ]
        for name, rows in groups:
            if len(rows):
                place = x.backend.from_host(rows)
                part = tensor_like(x.array[place], x)
                if name is None:
                    part = warp(part, self._maps(chosen[rows], sign[rows], x.shape), "nearest", self.fill)
                    y[place] = part.array
                else:
                    y[place] = self._recoloured(name, part, sign[rows])
        return tensor_like(y, x)

    def _maps(self, chosen: np.ndarray, sign: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """(n, 2, 3) for `warp`: a shear, a shift or a turn for each image."""
        h, w = shape[2:]
        amount = sign * self.strength * np.array([CHANGES[NAMES[i]][0] for i in chosen])
        maps = np.zeros((len(chosen), 2, 3))
        maps[:, 0, 0] = maps[:, 1, 1] = 1
        for name, (row, col), scale in (("ShearX", (0, 1), 1), ("ShearY", (1, 0), 1)):
            rows = chosen == NAMES.index(name)
            maps[rows, row, col] = amount[rows] * scale
            # The shear leaves the upper left corner where it is, and `warp` counts from the middle.
            maps[rows, row, 2] = amount[rows] * (h if row == 0 else w) / 2
        for name, row, side in (("TranslateX", 0, w), ("TranslateY", 1, h)):
            rows = chosen == NAMES.index(name)
            maps[rows, row, 2] = -np.trunc(amount[rows] * side)
        rows = chosen == NAMES.index("Rotate")
        maps[rows] = turn(amount[rows])
        return maps

    def _recoloured(self, name: str, x: Tensor, sign: np.ndarray) -> Any:
        xp, array = x.backend.xp, x.array
        amount = CHANGES[name][0] * self.strength
        if name == "Posterize":
            return levels.posterize(xp, array, 8 - round(amount))
        if name == "Solarize":
            return xp.where(array >= 1 - amount, 1 - array, array)
        if name == "AutoContrast":
            return levels.autocontrast(xp, array)
        if name == "Equalize":
            return levels.equalize(xp, array)
        change = {
            "Brightness": colour.brightness,
            "Color": colour.saturation,
            "Contrast": colour.contrast,
            "Sharpness": levels.sharpness,
        }[name]
        return change(xp, array, per_image(1 + amount * sign, x))
