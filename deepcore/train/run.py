"""The run folder: what a training leaves on disk, and how it is written so that a full disk loses nothing."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from deepcore.errors import RunError

RUNS = Path("runs")
CHECKPOINT = re.compile(r"step-(\d+)\.safetensors$")
LEFTOVER = re.compile(r"\..+\.\d+\.tmp$")  # what write_atomic leaves behind where its process is killed


def write_atomic(path: Path, write: Callable[[io.BufferedWriter], Any]) -> None:
    """Replaces `path` by what `write` puts into the file it is given; on any failure the old file stays as it was.

    Written beside, synced, renamed, folder synced. Raises RunError when the disk is full, read-only or gone.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise RunError(f"{path} could not be written: {_reason(error)}.") from error
    finally:
        # After the rename nothing is left here; after a failure or Ctrl-C the half-written file is.
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(handle)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


class RunFolder:
    """What a training keeps, and where:

    config.toml                     the settings (of `deepcore train`)
    model.safetensors               the trained weights, at the end
    metrics.csv, metrics.jsonl      the figures of each epoch; the second also those of steps
    checkpoints/step-NNNNNNNN.safetensors   all it takes to go on after that step; the newest few stay
    checkpoints/best.safetensors    the one whose figures were the best
    checkpoints/before-nan.safetensors      the state before a step that went wrong
    tensorboard/                    event files, where they were asked for
    *.png                           pictures
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.model = self.path / "model.safetensors"
        self.config = self.path / "config.toml"
        self.metrics = self.path / "metrics.csv"
        self.log = self.path / "metrics.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.checkpoints / "best.safetensors"
        self.before_nan = self.checkpoints / "before-nan.safetensors"

    def __str__(self) -> str:
        return str(self.path)

    @classmethod
    def check_free(cls, out: str | Path) -> None:
        """Raises RunError where `out` cannot become a run folder without overwriting something."""
        path = Path(out)
        if path.is_dir() and any(not LEFTOVER.match(entry.name) for entry in path.iterdir()):
            raise RunError(
                f"the run folder {path} exists and is not empty; nothing in it was changed. "
                f"Hint: choose another --out, delete the folder, or go on with it: deepcore train --resume {path}"
            )
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file, not a folder. Hint: choose another --out.")

    @classmethod
    def create(cls, out: str | Path) -> RunFolder:
        """An empty run folder at `out`. Raises RunError where it exists with content or cannot be made."""
        cls.check_free(out)
        with _creating(out):
            Path(out).mkdir(parents=True, exist_ok=True)
        return cls(out)

    @classmethod
    def create_next(cls, model: str, data: str, runs: Path = RUNS) -> RunFolder:
        """`runs/<model>-<data>-<NNN>` with the first number above those in use; safe for runs started at once."""
        stem = f"{model}-{data}"
        with _creating(runs):
            runs.mkdir(parents=True, exist_ok=True)
            number = _largest_number(runs, stem) + 1
            while True:
                try:
                    (runs / f"{stem}-{number:03d}").mkdir()
                    return cls(runs / f"{stem}-{number:03d}")
                except FileExistsError:
                    number += 1

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing run folder. Raises RunError where there is none."""
        run = cls(path)
        if not run.path.is_dir():
            raise RunError(f"there is no run folder {run}.{_known_runs(run.path)}")
        if not run.config.is_file():
            raise RunError(f"{run} is not a run folder: it has no {run.config.name}.")
        return run

    def checkpoint(self, step: int) -> Path:
        """The file of the checkpoint after a step."""
        return self.checkpoints / f"step-{step:08d}.safetensors"

    def saved(self) -> list[tuple[int, Path]]:
        """The checkpoints that are there, with their steps, the newest first."""
        if not self.checkpoints.is_dir():
            return []
        found = [(int(m[1]), path) for path in self.checkpoints.iterdir() if (m := CHECKPOINT.match(path.name))]
        return sorted(found, reverse=True)

    def prune(self, keep: int) -> None:
        """Deletes all checkpoints but the newest `keep`; one that cannot be deleted stays."""
        for _, path in self.saved()[keep:]:
            with contextlib.suppress(OSError):
                path.unlink()

    def clear_leftovers(self) -> None:
        """Deletes half-written files of processes that were killed."""
        for folder in (self.path, self.checkpoints):
            for path in folder.iterdir() if folder.is_dir() else ():
                if LEFTOVER.match(path.name):
                    with contextlib.suppress(OSError):
                        path.unlink()

    def write_metrics(self, rows: Sequence[dict[str, Any]]) -> None:
        """Writes all rows anew: one line per epoch."""
        text = io.StringIO()
        columns = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomic(self.metrics, lambda file: file.write(text.getvalue().encode()))

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows of `metrics.csv` as numbers; none where the file is absent. Raises RunError for a damaged file."""
        if not self.metrics.is_file():
            return []
        try:
            with self.metrics.open(newline="", encoding="utf-8") as file:
                return [{name: _number(name, text) for name, text in row.items()} for row in csv.DictReader(file)]
        except (OSError, csv.Error, TypeError, ValueError) as error:
            raise RunError(
                f"{self.metrics} cannot be read ({error}). Hint: delete it; training goes on without it."
            ) from error


def _number(name: str, text: str) -> int | float:
    return int(text) if name in ("epoch", "step") else float(text)


@contextlib.contextmanager
def _creating(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"the run folder {path} could not be made: {_reason(error)}. Hint: choose another --out."
        ) from error


def _largest_number(runs: Path, stem: str) -> int:
    pattern = re.compile(re.escape(stem) + r"-(\d+)$")
    found = [int(match[1]) for entry in runs.iterdir() if (match := pattern.match(entry.name))]
    return max(found, default=0)


def _known_runs(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return ""
    runs = sorted(entry.name for entry in parent.iterdir() if (entry / "config.toml").is_file())
    return f" Hint: {parent} holds {', '.join(runs[-5:])}." if runs else ""
