"""Download of data files with pooch: a progress bar, several mirrors, the content checked (MD5)."""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from deepcore.data.reading.damage import CHUNK
from deepcore.data.reading.idx import open_idx
from deepcore.errors import DataError

TIMEOUT_S = 30


class RemoteFile(NamedTuple):
    """A file of a data set: its name, and an MD5.

    Most are served with `.gz` behind the name, and the MD5 is that of the unpacked bytes: the same data is passed
    around in different gzip wrappings. An `archive` is served under its name as it is, and the MD5 is its own.
    """

    name: str
    md5: str
    archive: bool = False

    @property
    def served(self) -> str:
        """The name under which a mirror has it and the cache folder keeps it."""
        return self.name if self.archive else f"{self.name}.gz"


class Source(NamedTuple):
    """Where a data set comes from and goes to: all its files, the addresses that serve them, the folder for them."""

    title: str
    files: tuple[RemoteFile, ...]
    mirrors: tuple[str, ...]
    folder: Path
    megabytes: int


class Bar:
    """What pooch wants of a progress bar (`total`, `update`, `reset`, `close`), drawn by rich."""

    def __init__(self, name: str):
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns)
        self._task = self._progress.add_task(name, total=None)
        self._progress.start()

    @property
    def total(self) -> float | None:
        return self._progress.tasks[0].total

    @total.setter
    def total(self, value: float) -> None:
        self._progress.update(self._task, total=value)

    def update(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()


def download(
    source: Source, missing: Sequence[RemoteFile], log: Callable[[str], None], fetch: bool = True
) -> dict[RemoteFile, Path]:
    """Fetches files into the source's folder; files that are complete stay, so a broken download goes on from there.

    Raises DataError that names all files and their place when no mirror can be reached, or `fetch` is False.
    """
    if not fetch:
        raise DataError(_message(source, missing[0], "is absent, and nothing is downloaded unasked", []))
    what = f"{len(missing)} of {len(source.files)} files are missing; downloading them"
    if len(source.files) == 1:
        what = f"{source.files[0].served} is missing; downloading it"
    log(f"{source.title}: {what} (at most {source.megabytes} MB) to {source.folder}")
    return {file: _from_any_mirror(source, file) for file in missing}


def unpacked_md5(path: Path) -> str:
    """MD5 of the file's content, after gzip where it is packed. Raises OSError, EOFError or zlib.error when damaged."""
    with open_idx(path) as file:
        return _md5(file)


def _md5(file: BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _from_any_mirror(source: Source, file: RemoteFile) -> Path:
    failures = []
    for mirror in source.mirrors:
        try:
            return _fetch(file, mirror, source.folder)
        except Exception as error:  # requests, urllib3, pooch and the disk each raise their own kinds
            failures.append(f"{mirror}: {_short(error)}")
    raise DataError(_message(source, file, "could not be downloaded", failures))


def _fetch(file: RemoteFile, mirror: str, target: Path) -> Path:
    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    bar = Bar(file.name)
    try:
        downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT_S)
        name = file.served
        # No hash here: `_checked` looks at what a .gz file unpacks to.
        path = Path(pooch.retrieve(mirror + name, None, fname=name, path=target, downloader=downloader))
    finally:
        bar.close()
    return _checked(file, path)


def _checked(file: RemoteFile, path: Path) -> Path:
    """The path when its content is right; a wrong file is deleted, or it would be taken for good the next time."""
    try:
        found = _archive_md5(path) if file.archive else unpacked_md5(path)
    except (OSError, EOFError, zlib.error) as error:
        path.unlink(missing_ok=True)
        raise DataError(f"what came is not a whole gzip file ({error})") from error
    if found != file.md5:
        path.unlink(missing_ok=True)
        raise DataError(f"what came is not the original file (MD5 {found}, expected {file.md5})")
    return path


def _archive_md5(path: Path) -> str:
    with path.open("rb") as file:
        return _md5(file)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 120 else f"{type(error).__name__}: {text[:100]}..."


def _message(source: Source, file: RemoteFile, what: str, failures: Sequence[str]) -> str:
    names = "\n".join(f"    {f.served}" for f in source.files)
    count = {1: "this file", 4: "these four files"}.get(len(source.files), f"these {len(source.files)} files")
    packing = "" if file.archive else " (plain or .gz)"
    return (
        f"{source.title}: {file.served} {what}.\n"
        + "".join(f"  {failure}\n" for failure in failures)
        + f"Hint: put {count}{packing} into {source.folder},\n"
        f"  or into a folder `{source.folder.name}` inside $DEEPCORE_DATA:\n{names}\n"
        f"  {'It is' if len(source.files) == 1 else 'They are'} served by " + " and ".join(source.mirrors) + "\n"
        "  Without a network, `--data digits` needs no download."
    )
