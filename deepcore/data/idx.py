"""Reader of IDX files, the format of MNIST: a big-endian header with type, rank and sizes, then the raw values.

Format: bytes 0-1 zero, byte 2 the type (8 = uint8), byte 3 the rank, then `rank` sizes of 4 bytes each
(http://yann.lecun.com/exdb/mnist/, "The IDX file format").
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from deepcore.errors import DataError

UINT8 = 0x08
CHUNK = 1 << 20


def open_idx(path: Path) -> BinaryIO:
    """The file opened for reading, through gzip where its first two bytes say so (whatever its name says)."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def read_idx(path: str | Path, rank: int) -> np.ndarray:
    """The uint8 array of `rank` axes in an IDX file, plain or gzip.

    Memory grows with what the file really holds, never with what its header claims.
    Raises DataError for a missing, truncated or damaged file, another magic number, trailing bytes.
    """
    path = Path(path)
    try:
        with open_idx(path) as file:
            return _read(file, path, rank)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip file is truncated or damaged ({error}). Hint: fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _read(file: BinaryIO, path: Path, rank: int) -> np.ndarray:
    shape = _header(file, path, rank)
    want = math.prod(shape)
    data = _read_at_most(file, want + 1)
    if len(data) < want:
        raise DataError(f"{path}: truncated; the header says {want:,} bytes {shape}, the file holds {len(data):,}.")
    if len(data) > want:
        raise DataError(f"{path}: bytes follow the {want:,} that the header announces {shape}; the file is damaged.")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _header(file: BinaryIO, path: Path, rank: int) -> tuple[int, ...]:
    magic = file.read(4)
    want = bytes([0, 0, UINT8, rank])
    if len(magic) < 4:
        raise DataError(f"{path}: truncated inside the header ({len(magic)} bytes).")
    if magic != want:
        raise DataError(
            f"{path}: expected an IDX file of uint8 with {rank} dimensions (magic 0x{want.hex()}); "
            f"got magic 0x{magic.hex()}."
        )
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{path}: truncated inside the header ({4 + len(sizes)} bytes).")
    return struct.unpack(f">{rank}I", sizes)


def _read_at_most(file: BinaryIO, count: int) -> bytearray:
    data = bytearray()
    while len(data) < count:
        chunk = file.read(min(CHUNK, count - len(data)))
        if not chunk:
            break
        data += chunk
    return data
