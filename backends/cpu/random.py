"""Random numbers on device "cpu"."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import pieces, team

CHUNK = 1024  # values that a random kernel makes at a time


class CpuRandom(Backend):
    """The random numbers of CpuBackend."""

    @override()
    def philox(self, seed, offset, n):
        """Return n random words; see Random.philox."""
        words = np.empty(n, np.uint32)
        team.run(kernels.random.philox, pieces(n, 4), 10, words, *_counter(seed, offset))
        return words

    @override()
    def uniform(self, seed, offset, shape, dtype):
        """Return values in [0, 1); see Random.uniform."""
        out = np.empty(shape, dtype)
        team.run(
            kernels.random.uniform, pieces(out.size, CHUNK), 5 * CHUNK, out.reshape(out.size), *_counter(seed, offset)
        )
        return out

    @override()
    def normal(self, seed, offset, shape, dtype):
        """Return standard normal values; see Random.normal."""
        out = np.empty(shape, dtype)
        team.run(
            kernels.random.normal, pieces(out.size, CHUNK), 50 * CHUNK, out.reshape(out.size), *_counter(seed, offset)
        )
        return out

    @override()
    def dropout(self, x, seed, offset, p):
        """Zero each element with probability p; see Random.dropout."""
        limit = round(p * 2**32)
        if limit >= 2**32:
            return np.zeros_like(x)
        y = np.empty_like(x)
        scale = x.dtype.type(1 / (1 - p))
        args = y.reshape(-1), x.reshape(-1), *_counter(seed, offset), np.uint64(limit), scale
        team.run(kernels.random.dropout, pieces(x.size, CHUNK), 5 * CHUNK, *args)
        return y


def _counter(seed: int, offset: int) -> tuple[Any, Any]:
    return np.uint64(seed & (2**64 - 1)), np.uint64(offset & (2**64 - 1))
