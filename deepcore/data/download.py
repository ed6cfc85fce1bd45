"""Download of the MNIST files with pooch: a progress bar, several mirrors, the unpacked content checked by its MD5."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from deepcore.data import mnist
from deepcore.errors import DataError

TIMEOUT_S = 30


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


def download(files: Sequence[mnist.IdxFile], log: Callable[[str], None]) -> dict[mnist.IdxFile, Path]:
    """Fetches the files into the cache folder; files that are complete stay, so a broken download goes on from there.

    Raises DataError that names all four files and their place when no mirror can be reached.
    """
    target = mnist.cache_folder()
    log(f"MNIST: {len(files)} of 4 files are missing; downloading them (at most 12 MB) to {target}")
    return {file: _from_any_mirror(file, target) for file in files}


def _from_any_mirror(file: mnist.IdxFile, target: Path) -> Path:
    failures = []
    for mirror in mnist.MIRRORS:
        try:
            return _fetch(file, mirror, target)
        except Exception as error:  # requests, urllib3, pooch and the disk each raise their own kinds
            failures.append(f"{mirror}: {_short(error)}")
    raise DataError(_offline_message(file, target, failures))


def _fetch(file: mnist.IdxFile, mirror: str, target: Path) -> Path:
    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    bar = Bar(file.name)
    try:
        downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT_S)
        name = file.name + ".gz"
        # No hash for the archive: what it unpacks to is checked below.
        path = Path(pooch.retrieve(mirror + name, None, fname=name, path=target, downloader=downloader))
    finally:
        bar.close()
    return _checked(file, path)


def _checked(file: mnist.IdxFile, path: Path) -> Path:
    """The path when its content is right; a wrong file is deleted, or it would be taken for good the next time."""
    try:
        found = mnist.unpacked_md5(path)
    except (OSError, EOFError, zlib.error) as error:
        path.unlink(missing_ok=True)
        raise DataError(f"what came is not a whole gzip file ({error})") from error
    if found != file.md5:
        path.unlink(missing_ok=True)
        raise DataError(f"what came is not the original file (MD5 {found}, expected {file.md5})")
    return path


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 120 else f"{type(error).__name__}: {text[:100]}..."


def _offline_message(file: mnist.IdxFile, target: Path, failures: Sequence[str]) -> str:
    names = "\n".join(f"    {f.name}.gz" for f in mnist.FILES)
    return (
        f"MNIST: {file.name}.gz could not be downloaded.\n"
        + "".join(f"  {failure}\n" for failure in failures)
        + f"Hint: put these four files (plain or .gz) into {target},\n"
        f"  or into a folder `mnist` inside $DEEPCORE_DATA:\n{names}\n"
        "  They are served by " + " and ".join(mnist.MIRRORS) + "\n"
        "  Without a network, `--data digits` needs no download."
    )
