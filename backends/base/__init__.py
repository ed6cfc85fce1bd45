"""The reference backend: every operation in its plain formula, on any array namespace that behaves like NumPy."""

from __future__ import annotations

from typing import Any

import numpy

from deepcore.backends.base.activation import Activation
from deepcore.backends.base.array import Array
from deepcore.backends.base.attention import Attention
from deepcore.backends.base.conv import Conv
from deepcore.backends.base.ctc import Ctc
from deepcore.backends.base.detection import Detection
from deepcore.backends.base.device import Device, MemoryUse
from deepcore.backends.base.elementwise import Elementwise
from deepcore.backends.base.gamma import Gamma
from deepcore.backends.base.gates import Gates
from deepcore.backends.base.loss import Loss
from deepcore.backends.base.norm import Norm
from deepcore.backends.base.optim import Optim
from deepcore.backends.base.pool import Pool
from deepcore.backends.base.random import Random
from deepcore.backends.base.recurrent import Recurrent
from deepcore.backends.base.roi import Roi
from deepcore.backends.base.row_norm import RowNorm
from deepcore.backends.base.special import Special
from deepcore.backends.base.vision import Vision
from deepcore.backends.override import install

__all__ = ["Backend", "MemoryUse"]


class Backend(
    Array,
    Device,
    Elementwise,
    Conv,
    Pool,
    Norm,
    Activation,
    Gates,
    Loss,
    Ctc,
    Random,
    Optim,
    Vision,
    Recurrent,
    Attention,
    Detection,
    RowNorm,
    Roi,
    Special,
    Gamma,
):
    """Device "numpy", and the oracle for every other backend.

    A subclass for another array library sets `name`, `device`, `xp` and `array_type`, overrides `from_host` and
    `to_host`, and then works; it overrides a method further (see deepcore.backends.override) only where that is faster.
    """

    name = "numpy"
    device = "numpy"
    xp: Any = numpy
    array_type: type = numpy.ndarray
    # Whether Python may look at values without waiting for a device: a check of values runs only here.
    on_host = True
    # The 16-bit dtype that mixed precision takes here unless told otherwise.
    autocast_dtype = "bfloat16"

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        install(cls)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.device}>"
