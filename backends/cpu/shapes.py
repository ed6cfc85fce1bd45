"""Views that the kernels of device "cpu" share."""

from __future__ import annotations

import math


def rows(x, axis):
    """Return x as (L, D, S): what lies before, along and behind `axis`."""
    axis %= x.ndim
    return x.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
