"""What libraries say about damaged files, as errors of ours; and readers that take no more than they are allowed."""

from __future__ import annotations

import contextlib
import gzip
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from deepcore.errors import DataError, DeepcoreError

CHUNK = 1 << 20


@contextlib.contextmanager
def reading(path: str | Path, kind: str, hint: str = " Hint: fetch it again.") -> Iterator[None]:
    """Inside, whatever is raised about the bytes of the file becomes a DataError that names it.

    Decoders of other people raise nearly every kind of error about bytes that nobody foresaw: IndexError, struct.error,
    MemoryError for a length of 2^62. None of them is a fault of the program that reads.
    """
    try:
        yield
    except DeepcoreError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
        raise DataError(f"{path}: the {kind} is truncated or damaged ({error}).{hint}") from error
    except Exception as error:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise DataError(f"{path}: the {kind} is truncated or damaged ({said}).{hint}") from error


def read_whole(path: Path, largest: int) -> bytes:
    """The file's content. Raises DataError where it cannot be read, or is larger than `largest` bytes."""
    with reading(path, "file"), path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise DataError(f"{path}: larger than {largest:,} bytes, which is too much for a file of this kind.")
    return content


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, largest: int) -> bytes:
    """The content of a file in a zip, which must not be larger than `largest` bytes, whatever its header claims."""
    if member.file_size > largest:
        raise DataError(
            f"{archive.filename}: {member.filename} claims {member.file_size:,} bytes; {largest:,} at most."
        )
    # Not `archive.read`: it unpacks all that is there, and looks at the size afterwards.
    with archive.open(member) as file:
        content = file.read(member.file_size + 1)
    if len(content) != member.file_size:
        found = f"{len(content):,} of {member.file_size:,} bytes"
        raise DataError(f"{archive.filename}: {member.filename} is truncated; got {found}.")
    return content


class Bounded:
    """A file to read, in order, of which at most `largest` bytes are given out; then DataError."""

    def __init__(self, file: IO[bytes] | gzip.GzipFile, path: Path, largest: int):
        self.file, self.path, self.left, self.largest = file, path, largest, largest

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, or all that is left."""
        content = self.file.read(min(size, self.left + 1) if size >= 0 else self.left + 1)
        self.left -= len(content)
        if self.left < 0:
            raise DataError(f"{self.path}: unpacks to more than {self.largest:,} bytes, too much for this data set.")
        return content
