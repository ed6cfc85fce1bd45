"""Every reader of data against files that are damaged or made to do harm: an error of ours, and nothing else happens.

`pytest -m slow -s tests/test_data_hostile.py` reads a thousand damaged files with each reader and prints the figures.
"""

from __future__ import annotations

import gzip
import io
import pickle
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import file_damage
from deepcore.data import CSVDataset, ImageFolder, load_arrays, text
from deepcore.data.reading import cifar_files, picture_zip
from deepcore.data.reading.cifar_files import Edition
from deepcore.data.reading.idx import read_idx
from deepcore.data.reading.pickled import read_pickle
from deepcore.data.reading.picture import decode_picture
from deepcore.errors import DeepcoreError
from test_data import idx_bytes

RNG = np.random.default_rng(0)
LONGEST_S = 20.0  # for one file, on a machine that is shared
MOST_MEMORY = 1 << 30  # bytes, that all files together may add to the process


def picture(kind: str) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


EDITION = Edition(
    "CIFAR-10",
    tuple("abcdefghij"),
    ("label",),
    {"train": {"data_batch_1.bin": 3}, "test": {"test_batch.bin": 2}},
    "labels",
    ("binary.tar.gz", "bin", "python.tar.gz", "py"),
)
RECORDS = {
    name: np.concatenate([RNG.integers(0, 10, (n, 1)), RNG.integers(0, 256, (n, 3072))], axis=1).astype(np.uint8)
    for name, n in (("data_batch_1.bin", 3), ("test_batch.bin", 2))
}
BINARY = {name: records.tobytes() for name, records in RECORDS.items()}
PICKLES = {
    name[:-4]: pickle.dumps({b"data": records[:, 1:], b"labels": records[:, 0].tolist()}, 2)
    for name, records in RECORDS.items()
}
KINDS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
PICTURES = {f"{'cat' if i % 2 else 'dog'}/{i}.{kind.lower()}": picture(kind) for i, kind in enumerate(KINDS)}
LAYOUT = picture_zip.PictureZip("Test", ("cat", "dog"), 8, {"train": 1, "test": 1})
SETS = {f"{part}/{name}/1.png": picture("PNG") for part in ("train", "test") for name in ("cat", "dog")}


def numpy_file(save: Callable[..., None], *arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    save(file, *arrays)
    return file.getvalue()


def read_pictures(path: Path) -> None:
    """All pictures of a zip; where one is damaged, the others are read all the same."""
    folder, failure = ImageFolder(path), None
    for i in range(min(len(folder), 50)):
        try:
            folder[i]
        except DeepcoreError as error:
            failure = error
    if failure is not None:
        raise failure


class Reader(NamedTuple):
    name: str
    file: str
    """The name under which the content is stored."""
    read: Callable[[Path], Any]
    good: list[bytes]
    hostile: list[bytes]


def readers(trace: str) -> list[Reader]:
    """Every reader, with files that it reads, and with files made to do harm (`trace` is a folder they would make)."""
    images = idx_bytes(RNG.integers(0, 256, (5, 6, 7)))
    huge = [images[:4] + b"\xff" * 12 + images[16:], images[:4] + b"\x00\x00\xff\xff" * 3 + images[16:]]
    objects = numpy_file(lambda f, a: np.save(f, a, allow_pickle=True), np.array([file_damage.Payload(trace)]))
    payloads = file_damage.pickles(trace)
    table = b"a,b,c\n" + b"".join(b"%d,%.3f,%s\n" % (i, i / 7, b"xyz"[i % 3 :][:1]) for i in range(20))
    array = RNG.random((4, 5))
    batches = [file_damage.tarred({"data_batch_1": bad, "test_batch": bad}) for bad in payloads]
    return [
        Reader("IDX", "images", lambda p: read_idx(p, 3), [images, gzip.compress(images)],
               [*huge, gzip.compress(huge[0]), gzip.compress(huge[1] + bytes(16 << 20))]),
        Reader("CIFAR binary", "binary.tar.gz", lambda p: cifar_files.read(p, EDITION), [file_damage.tarred(BINARY)],
               file_damage.tars(BINARY)),
        Reader("CIFAR pickled", "python.tar.gz", lambda p: cifar_files.read(p, EDITION),
               [file_damage.tarred(PICKLES)], [*file_damage.tars(PICKLES), *batches]),
        Reader("pickle", "batch", lambda p: read_pickle(p.read_bytes(), p), list(PICKLES.values()), payloads),
        *(Reader(kind, f"picture.{kind.lower()}", lambda p: decode_picture(p.read_bytes(), str(p)), [picture(kind)], [])
          for kind in KINDS),
        Reader("zip of pictures", "all.zip", read_pictures,
               [file_damage.zipped(PICTURES), file_damage.zipped(PICTURES, 8)], file_damage.zips(picture("PNG"))),
        Reader("decoded zip", "sets.zip", lambda p: picture_zip.decode(p, LAYOUT), [file_damage.zipped(SETS)],
               file_damage.zips(picture("PNG"))),
        Reader("CSV", "a.csv", lambda p: CSVDataset(p, "c"), [table], [b"a,c\n" + b'"' * 200_000, b"\0" * 5000]),
        Reader("NPY", "a.npy", load_arrays, [numpy_file(np.save, array)], [objects, *payloads]),
        Reader("NPZ", "a.npz", load_arrays,
               [numpy_file(np.savez, array, array), numpy_file(np.savez_compressed, array)],
               [file_damage.zipped({"x.npy": objects}), *file_damage.zips(objects)]),
        Reader("text", "a.txt", lambda p: text.Vocabulary(text.words(text.read_text(p))), ["Größe, 12\n".encode() * 20],
               [b"\xff\xfe", bytes(1 << 20)]),
    ]  # fmt: skip


def attack(reader: Reader, count: int, folder: Path, others: list[bytes]) -> Counter[str]:
    """How many of the hostile files, and of `count` damaged ones, were refused, and how many read; raises if worse."""
    rng = np.random.default_rng([count, len(reader.name), *reader.name.encode()])
    damaged = (file_damage.damaged(rng, reader.good[i % len(reader.good)], others) for i in range(count))
    outcome: Counter[str] = Counter()
    place = folder / "inside"
    place.mkdir(exist_ok=True)
    for content in (*reader.good, *reader.hostile, *damaged):
        path = place / reader.file
        path.write_bytes(content)
        start = time.monotonic()
        said = None
        try:
            reader.read(path)
        except DeepcoreError as error:
            said = str(error)
        except BaseException:
            (folder / f"failed-{reader.file}").write_bytes(content)
            raise
        seconds = time.monotonic() - start
        assert seconds < LONGEST_S
        assert said is None or str(path) in said
        outcome["read" if said is None else "refused"] += 1
        outcome["slowest, ms"] = max(outcome["slowest, ms"], int(seconds * 1000))
        assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*")) == ["inside", f"inside/{reader.file}"]
        path.unlink()
    return outcome


def attack_all(count: int, folder: Path) -> dict[str, Counter[str]]:
    trace = folder / "trace"
    found = readers(str(trace))
    others = [content for reader in found for content in reader.good]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of pictures that it still reads
        outcomes = {}
        for reader in found:
            (folder / "work").mkdir(exist_ok=True)
            outcomes[reader.name] = attack(reader, count, folder / "work", others)
            assert not trace.exists()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    assert after - before < MOST_MEMORY
    for name, outcome in outcomes.items():
        assert outcome["read"] >= 1, name  # the good ones
        assert outcome["refused"] > count // 4 or name in ("CSV", "text", "BMP"), (name, outcome)
    return outcomes


def test_damaged_and_hostile_files_are_errors_of_ours(tmp_path: Path) -> None:
    attack_all(40, tmp_path)


@pytest.mark.slow
def test_thousands_of_damaged_files(tmp_path: Path) -> None:
    outcomes = attack_all(1000, tmp_path)
    for name, outcome in outcomes.items():
        print(
            f"{name:16} {outcome['refused']:6} refused {outcome['read']:6} read, {outcome['slowest, ms']:5} ms at most"
        )
    total = {key: sum(outcome[key] for outcome in outcomes.values()) for key in ("refused", "read")}
    print(f"{sum(total.values()):,} files: {total['refused']:,} refused, {total['read']:,} read, no crash, no trace")
