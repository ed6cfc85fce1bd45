"""Entries for interpolate and the pixel shuffles."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import FLOATS, OpCase, bad, normal, sample
from deepcore.check.oracles import resample as oracles
from deepcore.errors import ConfigError, DTypeError, ShapeError


def _samples(rng):
    line, image, volume = normal(rng, 2, 2, 5), normal(rng, 2, 2, 3, 4), normal(rng, 1, 2, 2, 3, 2)
    return [
        sample("nearest", image, size=(5, 3)),
        sample("nearest, twice", image, scale_factor=2),
        sample("nearest, odd scale of the same size", image, scale_factor=(1.2, 2.1)),
        sample("nearest, scale", volume, scale_factor=(1.6, 2.0, 1.4)),
        sample("nearest-exact", line, size=7, mode="nearest-exact"),
        sample("area", image, size=(2, 6), mode="area"),
        sample("linear", line, scale_factor=1.7, mode="linear"),
        sample("linear, recomputed", line, scale_factor=1.7, mode="linear", recompute_scale_factor=True),
        sample("linear, odd scale of the same size", line, scale_factor=1.1, mode="linear"),
        sample("bilinear", image, size=(5, 3), mode="bilinear"),
        sample("bilinear, corners", image, size=(1, 6), mode="bilinear", align_corners=True),
        sample("bicubic", image, scale_factor=(1.3, 0.8), mode="bicubic", align_corners=False),
        sample("bicubic, corners", image, size=(5, 3), mode="bicubic", align_corners=True),
        sample("trilinear", volume, size=(3, 2, 4), mode="trilinear"),
        sample("one pixel", normal(rng, 1, 2, 1, 1), size=3, mode="bilinear"),
        sample("empty batch", image[:0], size=2, mode="bilinear"),
    ]


def _sum_length(x, **kwargs):
    return x.size


_x = np.ones((1, 2, 3, 3))

CASES = [
    OpCase(
        "interpolate",
        F.interpolate,
        oracles.interpolate,
        _samples,
        length=_sum_length,
        errors=[
            bad("unknown mode", ConfigError, r"^interpolate: .*cubic'.*bicubic", _x, size=2, mode="cubic"),
            bad(
                "axes of the mode",
                ShapeError,
                r"^interpolate: .*\(N, C, T\).*\(1, 2, 3, 3\)",
                _x,
                size=2,
                mode="linear",
            ),
            bad("no image", ShapeError, r"^interpolate: .*\(3, 3\)", np.ones((3, 3)), size=2),
            bad("no pixels", ShapeError, r"^interpolate: .*one pixel", np.ones((1, 2, 0, 3)), size=2),
            bad(
                "corners of nearest", ConfigError, r"^interpolate: .*align_corners=True", _x, size=2, align_corners=True
            ),
            bad("size and scale", ConfigError, r"^interpolate: .*both", _x, size=2, scale_factor=2),
            bad("neither", ConfigError, r"^interpolate: .*neither", _x),
            bad("numbers of sizes", ShapeError, r"^interpolate: .*size=\(2, 2, 2\)", _x, size=(2, 2, 2)),
            bad("negative scale", ConfigError, r"^interpolate: .*scale_factor=-1", _x, scale_factor=-1.0),
            bad("nothing left", ShapeError, r"^interpolate: .*one pixel", _x, scale_factor=0.1),
            bad(
                "recompute a size",
                ConfigError,
                r"^interpolate: .*recompute_scale_factor",
                _x,
                size=2,
                recompute_scale_factor=True,
            ),
            bad("integers", DTypeError, r"^interpolate: .*int64", _x.astype(np.int64), size=2, mode="area"),
        ],
    ),
    OpCase(
        "pixel_shuffle",
        F.pixel_shuffle,
        oracles.pixel_shuffle,
        lambda rng: [
            sample("plain", normal(rng, 2, 8, 2, 3), 2),
            sample("no batch", normal(rng, 9, 1, 2), 3),
            sample("two batch axes", normal(rng, 2, 1, 4, 2, 1), 2),
            sample("empty", normal(rng, 0, 4, 2, 3), 2),
        ],
        dtypes=(*FLOATS, "int64"),
        errors=[
            bad("channels", ShapeError, r"^pixel_shuffle: .*\(1, 2, 3, 3\)", _x, 2),
            bad("factor", ShapeError, r"^pixel_shuffle: .*upscale_factor=0", _x, 0),
        ],
    ),
    OpCase(
        "pixel_unshuffle",
        F.pixel_unshuffle,
        oracles.pixel_unshuffle,
        lambda rng: [
            sample("plain", normal(rng, 2, 2, 4, 6), 2),
            sample("no batch", normal(rng, 1, 3, 6), 3),
            sample("empty", normal(rng, 0, 1, 4, 6), 2),
        ],
        dtypes=(*FLOATS, "int64"),
        errors=[
            bad("sizes", ShapeError, r"^pixel_unshuffle: .*\(1, 2, 3, 3\)", _x, 2),
            bad("factor", ShapeError, r"^pixel_unshuffle: .*downscale_factor=0", _x, 0),
        ],
    ),
]
