"""Entries for the resampling of images, which the augmentation is made of."""

from __future__ import annotations

import itertools

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, sample
from deepcore.check.oracles import basic as oracles
from deepcore.errors import ConfigError, ShapeError


def _grid_samples(rng):
    return [
        sample("square", normal(rng, 2, 2, 3), size=(2, 1, 3, 3)),
        sample("not square", normal(rng, 2, 2, 3), size=(2, 3, 2, 4)),
        sample("corners", normal(rng, 2, 2, 3), size=(2, 3, 2, 4), align_corners=True),
        sample("one pixel, corners", normal(rng, 2, 2, 3), size=(2, 3, 1, 1), align_corners=True),
        sample("empty", normal(rng, 0, 2, 3), size=(0, 1, 2, 2)),
    ]


def _away_from_pixels(rng, shape, height, width, align_corners, reach):
    """A grid of positions whose pixel coordinates are not near an integer or a half: no kinks, no jumps."""

    def coordinate(size):
        whole = rng.integers(-reach, size + reach, shape)
        p = whole + rng.choice([0.25, 0.125, 0.75, 0.625], shape)  # also away from the edges at -0.5 and size - 0.5
        return 2 * p / (size - 1) - 1 if align_corners else (2 * p + 1) / size - 1

    return np.stack([coordinate(width), coordinate(height)], axis=-1)


def _sample_samples(rng):
    found = []
    ways = itertools.product(("bilinear", "nearest"), ("zeros", "border", "reflection"), (False, True))
    for mode, padding_mode, align_corners in ways:
        grid = _away_from_pixels(rng, (2, 3, 2), 4, 5, align_corners, reach=3)
        name = f"{mode}, {padding_mode}, corners {align_corners}"
        kwargs = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
        found.append(sample(name, normal(rng, 2, 2, 4, 5), grid, **kwargs))
    return [
        *found,
        sample("empty batch", normal(rng, 0, 2, 4, 5), normal(rng, 0, 2, 2, 2)),
        sample("one pixel", normal(rng, 1, 2, 1, 1), _away_from_pixels(rng, (1, 2, 2), 1, 1, False, reach=2)),
    ]


_x, _grid = np.ones((2, 1, 3, 3)), np.zeros((2, 2, 2, 2))

# Both run, and are computed in float32; but no one samples at such positions, and an oracle would see other pixels.
_COARSE = "a position is rounded by up to a tenth of a pixel in float16, and by most of one in bfloat16, in 200 pixels"

CASES = [
    OpCase(
        "affine_grid",
        F.affine_grid,
        oracles.affine_grid,
        _grid_samples,
        dtypes=("float64", "float32"),
        no_narrow=_COARSE,
        length=lambda theta, size, **kwargs: size[2] * size[3],
        errors=[
            bad("theta shape", ShapeError, r"^affine_grid: .*\(2, 3\)", np.ones((2, 3)), size=(2, 1, 3, 3)),
            bad("batch differs", ShapeError, r"^affine_grid: .*\(2, 2, 3\)", np.ones((2, 2, 3)), size=(3, 1, 3, 3)),
            bad("no rows", ShapeError, r"^affine_grid: .*\(2, 1, 0, 3\)", np.ones((2, 2, 3)), size=(2, 1, 0, 3)),
        ],
    ),
    OpCase(
        "grid_sample",
        F.grid_sample,
        oracles.grid_sample,
        _sample_samples,
        dtypes=("float64", "float32"),
        no_narrow=_COARSE,
        length=lambda x, grid, **kwargs: x.size,
        kernels=True,
        errors=[
            bad("grid shape", ShapeError, r"^grid_sample: .*\(2, 2, 2, 3\)", _x, np.zeros((2, 2, 2, 3))),
            bad("batch differs", ShapeError, r"^grid_sample: ", _x, np.zeros((3, 2, 2, 2))),
            bad("unknown mode", ConfigError, r"^grid_sample: .*cubic", _x, _grid, mode="cubic"),
            bad("unknown padding", ConfigError, r"^grid_sample: .*wrap", _x, _grid, padding_mode="wrap"),
        ],
    ),
]
