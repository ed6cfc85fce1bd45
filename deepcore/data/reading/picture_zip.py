"""A labelled image set stored as a zip of small pictures: `train/<class>/0000.jpg`, `test/<class>/0000.jpg`, ..."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcore.data.reading.damage import read_member, reading
from deepcore.data.reading.picture import decode_picture
from deepcore.errors import DataError, nearest

Log = Callable[[str], None]
Arrays = dict[str, np.ndarray]

# A folder may stand before train/ and test/, as in the zips that code hosts make of a repository.
PICTURE = re.compile(r"(?:^|/)(train|test)/([^/]+)/([^/]+)\.(?:jpe?g|png)$", re.IGNORECASE)
LARGEST_BYTES = 1 << 20  # of one packed picture; a real one of 32x32 pixels has about a thousand
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


class PictureZip(NamedTuple):
    """What a zip must hold: its classes in the order of their labels, sides in pixels, pictures of each class."""

    title: str
    classes: Sequence[str]
    side: int
    per_class: Mapping[str, int]

    @property
    def pictures(self) -> int:
        """How many there are in all."""
        return len(self.classes) * sum(self.per_class.values())


def load_decoded(path: Path, layout: PictureZip, cache: Path, log: Log) -> Arrays:
    """`train_images` (N, 3, S, S) uint8, `train_labels` (N,) uint8 and the same of `test`, by class and then by name.

    The pictures are decoded once and kept in the file `cache`; later calls read that, as long as the zip is unchanged.
    Raises DataError that names the file, and the picture, where something is missing, damaged or of another kind.
    """
    stamp = _stamp(path)
    kept = _read_cache(cache, stamp)
    if kept is not None:
        return kept
    log(f"{layout.title}: decoding the {layout.pictures:,} pictures of {path}; done once, then kept in {cache}")
    arrays = decode(path, layout)
    try:
        _write_cache(cache, arrays | {"stamp": stamp})
    except OSError as error:
        log(
            f"note: {cache} cannot be written ({error.strerror or error}); the pictures will be decoded again next time"
        )
    return arrays


def decode(path: Path, layout: PictureZip) -> Arrays:
    """The arrays of `load_decoded`, from the zip itself."""
    with reading(path, "zip"), zipfile.ZipFile(path) as archive:
        members = _members(archive, path, layout)
        with _progress(layout.title, layout.pictures) as advance:
            return _decode_all(archive, members, path, layout, advance)


def _members(archive: zipfile.ZipFile, path: Path, layout: PictureZip) -> dict[tuple[str, str], list[zipfile.ZipInfo]]:
    """The pictures of each set and class, sorted by name; checked to be as many as there must be."""
    found: dict[tuple[str, str], list[zipfile.ZipInfo]] = {
        (part, name): [] for part in layout.per_class for name in layout.classes
    }
    for member in archive.infolist():
        match = PICTURE.search(member.filename)
        if match is None:
            continue
        part, name = match[1].lower(), match[2]
        if (part, name) not in found:
            raise DataError(
                f"{path}: {member.filename} is of an unknown class {name!r}; there are {', '.join(layout.classes)}."
                f"{nearest(name, layout.classes)}"
            )
        found[part, name].append(member)
    for (part, name), members in found.items():
        if len(members) != layout.per_class[part]:
            raise DataError(
                f"{path}: expected {layout.per_class[part]:,} pictures in {part}/{name}; got {len(members):,}. "
                "Hint: the zip is not complete; fetch it again."
            )
        members.sort(key=lambda member: member.filename)
    return found


def _decode_all(
    archive: zipfile.ZipFile,
    members: Mapping[tuple[str, str], Sequence[zipfile.ZipInfo]],
    path: Path,
    layout: PictureZip,
    advance: Callable[[int], None],
) -> Arrays:
    arrays: Arrays = {}
    for part, count in layout.per_class.items():
        images = np.empty((count * len(layout.classes), 3, layout.side, layout.side), np.uint8)
        labels = np.repeat(np.arange(len(layout.classes), dtype=np.uint8), count)
        for label, name in enumerate(layout.classes):
            for row, member in enumerate(members[part, name], start=label * count):
                images[row] = _decode_one(archive, member, path, layout.side)
            advance(count)
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = images, labels
    return arrays


def _decode_one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, side: int) -> np.ndarray:
    what = f"{path}: {member.filename}"
    with reading(what, "picture", hint=""):
        content = read_member(archive, member, LARGEST_BYTES)
    return decode_picture(content, what, size=(side, side), exact=True)


@contextlib.contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the error stream, where that is a terminal; the function that moves it on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(f"decoding {title}", total=total)
        yield lambda count: progress.advance(task, count)


def _stamp(path: Path) -> np.ndarray:
    """(2,) int64, size and time of change of the zip: by them a cache is known to be of this very file."""
    try:
        facts = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return np.array([facts.st_size, facts.st_mtime_ns], np.int64)


def _read_cache(cache: Path, stamp: np.ndarray) -> Arrays | None:
    """The arrays that were kept; None where there are none, they are of another zip, or the file is damaged."""
    try:
        with np.load(cache, allow_pickle=False) as stored:
            if not np.array_equal(stored["stamp"], stamp):
                return None
            return {name: stored[name] for name in stored.files if name != "stamp"}
    except (*DAMAGE, KeyError):
        return None


def _write_cache(cache: Path, arrays: Mapping[str, Any]) -> None:
    """Writes beside, then renames: whoever reads meanwhile, or after a crash, finds a whole file or none."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    beside = cache.with_name(f".{cache.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, cache)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
