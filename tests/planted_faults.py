"""Backends with faults in them, for the tests of `deepcore check`; also as a package that brings them, in a folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from deepcore.backends import Backend

NAMES = ("faulty", "dying", "stuck")


class Faulty(Backend):
    """The plain formulas with a wrong element, a wrong dtype, a gradient that is off by 0.1 %, and an exception."""

    name = device = "faulty"

    def conv2d(self, x, w, b, stride, padding, dilation, groups):
        y = super().conv2d(x, w, b, stride, padding, dilation, groups)
        if y.size:
            y[(-1,) * y.ndim] += 0.01
        return y

    def sigmoid(self, x):
        return super().sigmoid(x).astype(np.float64)

    def relu_grad(self, gy, y):
        return 1.001 * super().relu_grad(gy, y)

    def max_pool2d(self, x, kernel_size, stride, padding, dilation, output_size):
        raise RuntimeError("planted")


class Dying(Backend):
    """Computing relu ends the process."""

    name = device = "dying"

    def relu(self, x):
        os._exit(3)


class Stuck(Backend):
    """Computing relu takes for ever; that it has begun is seen by the file $PLANTED_MARK."""

    name = device = "stuck"

    def relu(self, x):
        if mark := os.environ.get("PLANTED_MARK"):
            Path(mark).touch()
        time.sleep(3600)


def install(folder: Path) -> Path:
    """Make `folder` look like an installed package that announces the backends; returns the folder."""
    info = folder / "planted-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
    lines = [f"{name} = planted_faults:{name.capitalize()}" for name in NAMES]
    (info / "entry_points.txt").write_text("[deepcore.backends]\n" + "\n".join(lines) + "\n")
    return folder
