"""Reader of IDX files, the format of MNIST: a big-endian header with type, rank and sizes, then the raw values.

Format: bytes 0-1 zero, byte 2 the type (8 = uint8), byte 3 the rank, then `rank` sizes of 4 bytes each
(http://yann.lecun.com/exdb/mnist/, "The IDX file format").
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from deepcore.data.reading.damage import CHUNK, reading
from deepcore.errors import DataError

UINT8 = 0x08
LARGEST_BYTES = 1 << 30  # of the values; the largest set in this format that is passed around has 0.6 GB


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
    with reading(path, "gzip file"), open_idx(path) as file:
        return _read(file, path, rank)


def _read(file: BinaryIO, path: Path, rank: int) -> np.ndarray:
    shape = _header(file, path, rank)
    want = math.prod(shape)
    data, count = _read_at_most(file, min(want, LARGEST_BYTES) + 1)
    if count > LARGEST_BYTES:
        raise DataError(f"{path}: holds more than {LARGEST_BYTES:,} bytes, too much for a file of this kind.")
    if count < want:
        raise DataError(f"{path}: truncated; the header says {want:,} bytes {shape}, the file holds {count:,}.")
    if count > want:
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


def _read_at_most(file: BinaryIO, most: int) -> tuple[bytearray, int]:
    """The bytes that are left, and how many; where there could be more than a file may have, they are only counted."""
    data, count = bytearray(), 0
    while count < most:
        chunk = file.read(min(CHUNK, most - count))
        if not chunk:
            break
        count += len(chunk)
        if most <= LARGEST_BYTES:
            data += chunk
    return data, count
