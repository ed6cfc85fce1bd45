"""Which random stream a data set or a transform draws from, where none is named.

While a loader reads a batch, `sample_generator` is a stream that follows from the loader's place alone: the same batch
gets the same numbers with any number of workers, in any process, and after a resume.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator

from deepcore.backends import get_backend
from deepcore.random import Generator, default_generator


class _Reading(threading.local):
    generator: Generator | None = None


_reading = _Reading()


def sample_generator() -> Generator:
    """The stream of the batch that this thread reads; the default generator where no loader is reading.

    For a data set with random samples: in `__getitem__`, `sample_generator().integers(...)`.
    """
    return _reading.generator or default_generator


def batch_stream(epoch: tuple[int, ...], batch: int) -> Generator:
    """The stream of batch number `batch` in the epoch that these numbers tell from all others."""
    digest = hashlib.blake2b(" ".join(map(str, (*epoch, batch))).encode(), digest_size=8).digest()
    return Generator(int.from_bytes(digest, "little"))


@contextlib.contextmanager
def reading(generator: Generator) -> Iterator[None]:
    """Inside, `sample_generator` of this thread is `generator`."""
    before, _reading.generator = _reading.generator, generator
    try:
        yield
    finally:
        _reading.generator = before


def new_generator() -> Generator:
    """A stream of its own, so that the order of the data does not hang on how much else is drawn meanwhile."""
    high, low = default_generator.words(2, get_backend("numpy")).tolist()
    return Generator(high << 32 | low)
