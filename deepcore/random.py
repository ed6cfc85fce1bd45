"""Random numbers that are the framework's own: the same seed gives the same bits on every device.

The stream is Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a number depends only
on (seed, offset, position), so a stream can be saved, moved to another device and continued exactly.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from deepcore import dtypes
from deepcore.backends import get_backend

_WORDS_PER_BLOCK = 4


class Generator:
    """A random stream: its seed, and how many 128-bit blocks have been drawn from it.

    >>> g = Generator(0)
    >>> g.permutation(5).tolist() == Generator(0).permutation(5).tolist()
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.Lock()
        self.manual_seed(int.from_bytes(os.urandom(8), "little") if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` (any integer, taken modulo 2**64) from its beginning."""
        self._seed = int(seed) % 2**64
        self._offset = 0
        return self

    def initial_seed(self) -> int:
        """The seed that the stream was started with."""
        return self._seed

    def get_state(self) -> tuple[int, int]:
        """(seed, offset): all that there is to save."""
        return self._seed, self._offset

    def set_state(self, state: tuple[int, int]) -> None:
        """Continue where `get_state` was called."""
        seed, offset = state
        self._seed, self._offset = int(seed) % 2**64, int(offset)

    def reserve(self, words: int) -> tuple[int, int]:
        """Take `words` 32-bit words out of the stream: the (seed, offset) to draw them with."""
        with self._lock:
            offset = self._offset
            self._offset += -(-words // _WORDS_PER_BLOCK)
        return self._seed, offset

    def uniform(self, shape: tuple[int, ...], dtype: Any, backend: Any) -> Any:
        """An array of `backend`, uniform on [0, 1)."""
        drawn = _drawn.dtype or dtypes.as_dtype(dtype)
        seed, offset = self.reserve(_words(shape, drawn))
        return backend.uniform(seed, offset, shape, drawn).astype(dtype, copy=False)

    def normal(self, shape: tuple[int, ...], dtype: Any, backend: Any) -> Any:
        """An array of `backend`, standard normal."""
        drawn = _drawn.dtype or dtypes.as_dtype(dtype)
        seed, offset = self.reserve(_words(shape, drawn))
        return backend.normal(seed, offset, shape, drawn).astype(dtype, copy=False)

    def integers(self, low: int, high: int, shape: tuple[int, ...], backend: Any) -> Any:
        """An int64 array of `backend`, uniform on low .. high - 1 (64-bit words modulo the range)."""
        words = self.words(2 * int(np.prod(shape, dtype=np.int64)), backend).astype(np.uint64)
        wide = (words[0::2] << np.uint64(32)) | words[1::2]
        return ((wide % np.uint64(high - low)).astype(np.int64) + low).reshape(shape)

    def words(self, n: int, backend: Any) -> Any:
        """n raw 32-bit words, a uint32 array of `backend`."""
        seed, offset = self.reserve(n)
        return backend.philox(seed, offset, n)

    def permutation(self, n: int) -> np.ndarray:
        """A random order of 0 .. n - 1, int64, on the host: the positions sorted by a 64-bit random key each."""
        words = self.words(2 * n, get_backend("numpy")).astype(np.uint64)
        keys = (words[0::2] << np.uint64(32)) | words[1::2]
        return np.argsort(keys, kind="stable")

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed}, offset={self._offset})"


class _Drawn(threading.local):
    dtype: Any = None


_drawn = _Drawn()


@contextlib.contextmanager
def drawn_as(dtype: Any) -> Iterator[None]:
    """Inside, uniform and normal numbers of every dtype are drawn in this one and cast: a run in float64 can then see
    the numbers that a run in float32 sees. For the current thread.

    >>> import deepcore as dc
    >>> with drawn_as("float32"):
    ...     wide = dc.manual_seed(0) and dc.rand(3, dtype="float64")
    >>> narrow = dc.manual_seed(0) and dc.rand(3)
    >>> (wide.float() == narrow).all().item()
    True
    """
    previous = _drawn.dtype
    _drawn.dtype = None if dtype is None else dtypes.as_dtype(dtype)
    try:
        yield
    finally:
        _drawn.dtype = previous


def _words(shape: tuple[int, ...], dtype: Any) -> int:
    count = 1
    for n in shape:
        count *= n
    return count * (2 if dtypes.as_dtype(dtype).itemsize == 8 else 1)


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default stream of `seed`: initial weights, dropout, shuffling and augmentation follow from it."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed of the default stream."""
    return default_generator.initial_seed()


def get_rng_state() -> tuple[int, int]:
    """The default stream's (seed, offset)."""
    return default_generator.get_state()


def set_rng_state(state: tuple[int, int]) -> None:
    """Continue the default stream from a saved (seed, offset)."""
    default_generator.set_state(state)
