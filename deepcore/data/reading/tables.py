"""Numbers from files: tables in CSV, and arrays in NumPy's own formats."""

from __future__ import annotations

import contextlib
import csv
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from deepcore.data.combining import TensorDataset
from deepcore.data.reading.damage import read_whole, reading
from deepcore.errors import DataError, message, nearest

LARGEST_BYTES = 4 << 30
"""Of an array, and of a table."""


class CSVDataset(TensorDataset):
    """A table of numbers: `dataset[i]` is (features (D,), target), or (features,) without a target.

    path: a CSV file whose first line has the names of the columns, unless `header` is False (then they are numbers from
    0 on). target: name or number of the column to predict. A target column of whole numbers gives int64, of other
    numbers `dtype`; one with text gives int64 labels of `classes`, its texts in sorted order. All other columns are
    features, of `dtype`.
    Raises DataError that names line and column of what is missing or no number.
    """

    def __init__(
        self,
        path: str | Path,
        target: str | int | None = None,
        *,
        header: bool = True,
        delimiter: str = ",",
        dtype: Any = np.float32,
    ):
        self.path = Path(path)
        self.classes: tuple[str, ...] = ()
        names, rows, lines = _read_rows(self.path, header, delimiter)
        place = None if target is None else self._place(target, names)
        columns = {i: self._numbers(i, names, rows, lines) for i in range(len(names)) if i != place}
        self.columns = tuple(names[i] for i in columns)
        if not columns:
            raise DataError(f"{self.path}: holds no column beside the target.")
        features = np.stack(list(columns.values()), axis=1).astype(dtype)
        if place is None:
            super().__init__(features)
            return
        super().__init__(features, self._target(place, names, rows, lines, dtype))

    @property
    def labels(self) -> np.ndarray:
        """The target column."""
        if len(self.tensors) < 2:
            raise DataError(f"{self.path}: was read without a target. Hint: CSVDataset(path, target=...).")
        return self.tensors[1]

    def _place(self, target: str | int, names: Sequence[str]) -> int:
        if isinstance(target, str) and target in names:
            return list(names).index(target)
        if type(target) is int and -len(names) <= target < len(names):
            return target % len(names)
        hint = nearest(str(target), names).strip()
        raise DataError(message(f"{self.path}", f"target as one of {', '.join(names)}", f"{target!r}", hint))

    def _numbers(self, place: int, names: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int]) -> Any:
        texts = [row[place] for row in rows]
        with contextlib.suppress(ValueError):
            values = np.array(texts, np.float64)
            if np.isfinite(values).all() and not any("_" in text for text in texts):
                return values
        wrong = next(i for i, text in enumerate(texts) if not _is_number(text))
        said = repr(texts[wrong]) if texts[wrong].strip() else "nothing"
        raise DataError(f"{self.path}: line {lines[wrong]}, column {names[place]!r}: expected a number; got {said}.")

    def _target(self, place: int, names: Any, rows: Any, lines: Any, dtype: Any) -> np.ndarray:
        texts = [row[place].strip() for row in rows]
        if "" in texts:
            raise DataError(
                f"{self.path}: line {lines[texts.index('')]}, column {names[place]!r}: the target is missing."
            )
        if all(_is_number(text) for text in texts):
            values = self._numbers(place, names, rows, lines)
            whole = all(text.lstrip("+-").isdecimal() for text in texts) and (np.abs(values) < 2**53).all()
            return values.astype(np.int64 if whole else dtype)
        self.classes = tuple(sorted(set(texts)))
        number = {name: label for label, name in enumerate(self.classes)}
        return np.array([number[text] for text in texts], np.int64)


def _is_number(text: str) -> bool:
    """Whether it is a finite number; the underscores of Python's own numbers do not count."""
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _read_rows(path: Path, header: bool, delimiter: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Names of the columns, the rows as text, and the line on which each ends."""
    text = decoded(path, read_whole(path, LARGEST_BYTES), "utf-8-sig")
    rows, lines = [], []
    with reading(path, "table", hint=""):
        reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(reader.line_num)
    if len(rows) <= header:
        raise DataError(f"{path}: holds no rows.")
    names = [str(i) for i in range(len(rows[0]))]
    if header:
        names = [cell.strip() for cell in rows.pop(0)]
        lines.pop(0)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(
            f"{path}: the name {twice!r} stands over two columns. Hint: header=False where there are no names."
        )
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise DataError(f"{path}: line {line}: expected {len(names)} columns; got {len(row)}.")
    return names, rows, lines


def decoded(path: Path, content: bytes, encoding: str) -> str:
    """The content as text. Raises DataError that names the byte where it is not of that encoding."""
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is no text in {error.encoding}. Hint: pass encoding=.") from error
    except LookupError as error:
        raise DataError(
            f"{path}: there is no encoding {encoding!r}.{nearest(encoding, ('utf-8', 'latin-1'))}"
        ) from error


def load_arrays(path: str | Path) -> Mapping[str, np.ndarray]:
    """The arrays of a `.npz` file by name, or that of a `.npy` file under the name "array". No pickle is ever read.

    Raises DataError where the file is damaged, claims more than it holds, or holds Python objects.
    """
    path = Path(path)
    with reading(path, "NumPy file"):
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return {"array": _array(file, path.stat().st_size, f"{path}")}
        with zipfile.ZipFile(path) as archive:
            found = {}
            for member in archive.infolist():
                with archive.open(member) as content:
                    what = f"{path}: {member.filename}"
                    found[member.filename.removesuffix(".npy")] = _array(content, member.file_size, what)
            return found


def _array(file: IO[bytes], size: int, what: str) -> np.ndarray:
    """The array that begins here in a file of `size` bytes: what its header claims is held against that first."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{what}: expected version 1 or 2 of NumPy's format; got {version}.")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.hasobject:
        raise DataError(f"{what}: holds Python objects, which would be unpickled; only numbers and text are read.")
    want = math.prod(shape) * dtype.itemsize
    if not 0 <= want <= min(size, LARGEST_BYTES):
        raise DataError(f"{what}: the header claims {want:,} bytes {shape}; the file holds {size:,}.")
    content = file.read(want) if want else b""
    if len(content) != want:
        raise DataError(f"{what}: truncated; the header says {want:,} bytes {shape}, the file holds {len(content):,}.")
    if not want:
        return np.empty(shape, dtype)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C").copy()
