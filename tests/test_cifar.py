"""CIFAR-10 from the binary archive, from its folder and from a zip of pictures; what is wrong with them is named."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepcore import data
from deepcore.data.reading import cifar_files, picture_zip
from deepcore.data.reading.download import RemoteFile
from deepcore.data.sets import cifar
from deepcore.errors import DataError

RNG = np.random.default_rng(0)
NAMES = (*cifar.TRAIN_FILES, *cifar.TEST_FILES)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder where CIFAR-10 is looked for, made small: 4 records in a file, 2 and 1 pictures of a class."""
    folder = tmp_path / "cifar10"
    folder.mkdir()
    monkeypatch.setenv("DEEPCORE_DATA", str(tmp_path))
    monkeypatch.setattr(cifar, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(cifar, "RECORDS", 4)
    monkeypatch.setattr(cifar, "PER_CLASS", {"train": 2, "test": 1})
    return folder


def small_files() -> dict[str, bytes]:
    """The six binary files with 4 records each."""
    files = {}
    for name in NAMES:
        records = RNG.integers(0, 256, (4, cifar.RECORD), dtype=np.uint8)
        records[:, 0] = RNG.integers(0, 10, 4)
        files[name] = records.tobytes()
    return files


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """The files in a tar.gz, in a folder as in the official one."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def picture(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def small_pictures(kind: str = "PNG", top: str = "") -> dict[str, bytes]:
    """3 pictures of each class, by their names in the zip; the pixels of the n-th picture of all are n."""
    files, number = {}, 0
    for part, count in (("train", 2), ("test", 1)):
        for name in cifar.CLASSES:
            for i in range(count):
                pixels = np.full((32, 32, 3), number, np.uint8)
                files[f"{top}{part}/{name}/{i:04}.{kind.lower()}"] = picture(pixels, kind)
                number += 1
    return files


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def refuse(line: str) -> None:
    pytest.fail(line)


def failure(log: Callable[[str], None] = refuse) -> str:
    """The message of the DataError that loading raises."""
    with pytest.raises(DataError) as caught:
        data.load("cifar10", log=log)
    return str(caught.value)


# --- the binary version -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
def test_binary_files_are_read_back(folder: Path, packed: bool) -> None:
    files = small_files()
    if packed:
        (folder / "cifar-10-binary.tar.gz").write_bytes(tar_of(files | {"readme.html": b"<html>"}))
    else:
        (folder / "cifar-10-batches-bin").mkdir()
        for name, content in files.items():
            (folder / "cifar-10-batches-bin" / name).write_bytes(content)
    train, test = data.load("cifar10", log=refuse)
    assert (train.images.shape, train.images.dtype) == ((20, 3, 32, 32), np.uint8)
    assert test.images.shape == (4, 3, 32, 32)
    assert train.classes == cifar.CLASSES
    records = np.frombuffer(b"".join(files[name] for name in cifar.TRAIN_FILES), np.uint8).reshape(20, -1)
    np.testing.assert_array_equal(train.labels, records[:, 0])
    np.testing.assert_array_equal(train.images.reshape(20, -1), records[:, 1:])


def test_official_file_comes_before_the_pictures(folder: Path) -> None:
    (folder / "cifar-10-binary.tar.gz").write_bytes(tar_of(small_files()))
    (folder / "cifar10-jpg.zip").write_bytes(b"not looked at")
    data.load("cifar10", log=refuse)


def test_archive_that_is_cut_off(folder: Path) -> None:
    content = tar_of(small_files())
    for size in (0, 10, len(content) // 2, len(content) - 20):
        (folder / "cifar-10-binary.tar.gz").write_bytes(content[:size])
        assert "cifar-10-binary.tar.gz: the archive is truncated or damaged" in failure(), size


def test_archive_that_lacks_a_file(folder: Path) -> None:
    files = small_files()
    del files["data_batch_3.bin"], files["test_batch.bin"]
    (folder / "cifar-10-binary.tar.gz").write_bytes(tar_of(files))
    assert "data_batch_3.bin, test_batch.bin missing; it must hold the 6 files of the binary version" in failure()


@pytest.mark.parametrize("packed", [True, False])
def test_binary_file_of_another_size(folder: Path, packed: bool) -> None:
    files = small_files()
    files["data_batch_2.bin"] = files["data_batch_2.bin"][:-1]
    if packed:
        (folder / "cifar-10-binary.tar.gz").write_bytes(tar_of(files))
    else:
        (folder / "cifar-10-batches-bin").mkdir()
        for name, content in files.items():
            (folder / "cifar-10-batches-bin" / name).write_bytes(content)
    assert "expected data_batch_2.bin of 12,292 bytes; got 12,291" in failure()


def test_label_outside_the_classes(folder: Path) -> None:
    files = small_files()
    content = bytearray(files["test_batch.bin"])
    content[2 * cifar.RECORD] = 10
    (folder / "cifar-10-binary.tar.gz").write_bytes(tar_of(files | {"test_batch.bin": bytes(content)}))
    assert "test_batch.bin has label 10 in record 2; labels go from 0 to 9" in failure()


# --- the zip of pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", ["", "images-master/"])
def test_pictures_are_decoded_once(folder: Path, tmp_path: Path, top: str) -> None:
    write_zip(folder / "cifar10-jpg.zip", small_pictures(top=top) | {f"{top}README.md": b"text"})
    lines: list[str] = []
    train, test = data.load("cifar10", log=lines.append)
    assert len(lines) == 1
    assert "decoding the 30 pictures" in lines[0]
    assert train.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert test.labels.tolist() == list(range(10))
    assert train.images[:, :, 0, 0].tolist() == [[n] * 3 for n in range(20)]
    again, _ = data.load("cifar10", log=refuse)
    np.testing.assert_array_equal(again.images, train.images)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["cifar10-jpg.npz"]


def test_jpeg_pictures_have_their_colours(folder: Path) -> None:
    files = small_pictures("JPEG")
    red = np.zeros((32, 32, 3), np.uint8)
    red[:16, :, 0] = 200
    files["train/airplane/0000.jpeg"] = picture(red, "JPEG")
    write_zip(folder / "cifar10-jpg.zip", files)
    train, _ = data.load("cifar10", log=lambda line: None)
    assert abs(int(train.images[0, 0, 4, 16]) - 200) < 4
    assert train.images[0, 1:, 4, 16].max() < 4
    assert train.images[0, :, 28, 16].max() < 4


def test_changed_zip_and_damaged_cache_are_decoded_anew(folder: Path, tmp_path: Path) -> None:
    path, lines = folder / "cifar10-jpg.zip", []
    files = small_pictures()
    write_zip(path, files)
    data.load("cifar10", log=lines.append)
    files["train/airplane/0000.png"] = picture(np.full((32, 32, 3), 99, np.uint8))
    write_zip(path, files)
    os.utime(path, (1, 1))
    train, _ = data.load("cifar10", log=lines.append)
    assert train.images[0, 0, 0, 0] == 99
    cache = tmp_path / "cache" / "cifar10-jpg.npz"
    for content in (cache.read_bytes()[:-3000], b"", b"no zip"):
        cache.write_bytes(content)
        train, _ = data.load("cifar10", log=lines.append)
        assert train.images[0, 0, 0, 0] == 99
    assert len(lines) == 5
    data.load("cifar10", log=refuse)


def test_cache_folder_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    write_zip(folder / "cifar10-jpg.zip", small_pictures())
    (tmp_path / "cache").write_text("a file where the folder should be")
    lines: list[str] = []
    assert len(data.load("cifar10", log=lines.append).train) == 20
    assert "note: " in lines[1]
    assert "cannot be written" in lines[1]


def test_interrupted_write_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_zip(folder / "cifar10-jpg.zip", small_pictures())

    def interrupted(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(picture_zip.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.load("cifar10", log=lambda line: None)
    assert list((tmp_path / "cache").iterdir()) == []


def silent(line: str) -> None:
    """For the line that says that pictures are decoded."""


def test_zip_that_is_cut_off_or_none(folder: Path) -> None:
    path = folder / "cifar10-jpg.zip"
    write_zip(path, small_pictures())
    content = path.read_bytes()
    for bad in (content[:-100], content[:50], b""):
        path.write_bytes(bad)
        assert "cifar10-jpg.zip: the zip is truncated or damaged" in failure(silent)


def test_zip_with_a_damaged_picture(folder: Path) -> None:
    path, files = folder / "cifar10-jpg.zip", small_pictures()
    write_zip(path, files)
    content = bytearray(path.read_bytes())
    content[content.index(files["train/bird/0001.png"]) + 40] ^= 0xFF
    path.write_bytes(content)
    assert "train/bird/0001.png: the picture is truncated or damaged (BadZipFile: Bad CRC-32" in failure(silent)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train/cat/0001.png": None}, "expected 2 pictures in train/cat; got 1"),
        ({"test/dog/0001.png": b"?"}, "expected 1 pictures in test/dog; got 2"),
        ({"train/automobil/0000.png": b"?"}, "of an unknown class 'automobil'"),
        ({"train/frog/0000.png": b"plain text"}, "train/frog/0000.png: the picture is truncated or damaged"),
        (
            {"train/frog/0000.png": picture(np.zeros((16, 32, 3), np.uint8))},
            "0000.png: expected a picture of 32x32; got 32x16",
        ),
        ({"train/frog/0000.png": bytes(2 << 20)}, "claims 2,097,152 bytes"),
    ],
)
def test_zip_with_wrong_content(folder: Path, change: dict[str, bytes | None], said: str) -> None:
    files = {name: content for name, content in (small_pictures() | change).items() if content is not None}
    write_zip(folder / "cifar10-jpg.zip", files)
    assert said in failure(silent)


# --- neither ----------------------------------------------------------------------------------------------------------


def test_download_goes_to_the_cache_and_is_checked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pooch

    content = tar_of(small_files())
    served = {"http://127.0.0.1:1/": b"a page that asks for a password", "http://127.0.0.1:2/": content}

    def retrieve(url: str, known_hash: None, fname: str, path: Path, downloader: object) -> str:
        assert url.endswith("/cifar-10-binary.tar.gz")
        path.mkdir(exist_ok=True)
        (path / fname).write_bytes(served[url.removesuffix(fname)])
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setattr(cifar, "MIRRORS", ("http://127.0.0.1:1/",))
    assert "not the original file (MD5" in failure(silent)
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setattr(cifar, "MIRRORS", tuple(served))
    good = RemoteFile(cifar.ARCHIVE.name, hashlib.md5(content).hexdigest(), archive=True)
    monkeypatch.setattr(cifar, "ARCHIVE", good)
    lines: list[str] = []
    assert len(data.load("cifar10", log=lines.append).train) == 20
    assert lines == [
        f"CIFAR-10: cifar-10-binary.tar.gz is missing; downloading it (at most 163 MB) to {tmp_path / 'cache'}"
    ]
    data.load("cifar10", log=refuse)


def test_offline_names_the_file_and_its_place(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "MIRRORS", ("http://127.0.0.1:1/",))
    lines: list[str] = []
    said = failure(lines.append)
    assert "CIFAR-10: cifar-10-binary.tar.gz could not be downloaded" in said
    assert f"put this file into {tmp_path / 'cache'}" in said
    assert "$DEEPCORE_DATA" in said


# --- pickled batches and CIFAR-100 ------------------------------------------------------------------------------------


def pickled(records: np.ndarray, labels: str = "labels", protocol: int = 2, encode: bool = True) -> bytes:
    """The records as a batch of the archive for Python, as Python 3 or (names as bytes) Python 2 wrote them."""
    batch = {"data": records[:, 1:], labels: records[:, 0].tolist(), "filenames": ["a.png"] * len(records)}
    return pickle.dumps({key.encode() if encode else key: value for key, value in batch.items()}, protocol)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_pickled_batches_are_the_same_data(folder: Path, protocol: int, packed: bool) -> None:
    files = small_files()
    (folder / "cifar-10-batches-bin").mkdir()
    for name, content in files.items():
        (folder / "cifar-10-batches-bin" / name).write_bytes(content)
    expected = data.load("cifar10", log=refuse)
    for name in NAMES:
        (folder / "cifar-10-batches-bin" / name).unlink()
    (folder / "cifar-10-batches-bin").rmdir()
    records = {name: np.frombuffer(content, np.uint8).reshape(4, -1) for name, content in files.items()}
    batches = {name[:-4]: pickled(part, protocol=protocol, encode=packed) for name, part in records.items()}
    if packed:
        (folder / "cifar-10-python.tar.gz").write_bytes(tar_of(batches))
    else:
        (folder / "cifar-10-batches-py").mkdir()
        for name, content in batches.items():
            (folder / "cifar-10-batches-py" / name).write_bytes(content)
    found = data.load("cifar10", log=refuse)
    for part, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part.images, wanted.images)
        np.testing.assert_array_equal(part.labels, wanted.labels)


class Payload:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/deepcore-was-here",)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (pickle.dumps(Payload()), "it asks for posix.system; only plain values"),
        (pickle.dumps({b"data": Payload()}, 0), "it asks for posix.system"),
        (pickle.dumps({"data": np.zeros((4, 9)), "labels": [0] * 4}), "it holds an array of f8"),
        (pickle.dumps({"data": np.zeros((4, 3072), np.uint8)}), "expected data_batch_1 to hold `data`"),
        (pickle.dumps({"data": np.zeros((4, 3072), np.uint8), "labels": ["a"] * 4}), "expected 4 labels"),
        (pickle.dumps({"data": np.zeros((4, 3072), np.uint8), "labels": [10] * 4}), "label 10 in record 0"),
        (pickle.dumps({"data": np.zeros((4, 9), np.uint8), "labels": [1] * 4}), "to hold `data` (4, 3072) uint8"),
        (pickle.dumps({1, 2}), "it holds the step EMPTY_SET"),
        (pickle.dumps([1])[:-1], "the pickle is truncated or damaged"),
        (b"", "the pickle is truncated or damaged"),
        (b"\x80\x02r\xff\xff\xff\xff.", "the pickle is truncated or damaged"),  # a place in the memo that is huge
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x3f.", "the pickle is truncated or damaged"),  # 2^62 bytes
        (b"\x80\x02(" + b"2" * 200 + b".", "it holds the step DUP"),
    ],
)  # fmt: skip
def test_pickles_that_hold_something_else(folder: Path, batch: bytes, said: str) -> None:
    place = folder / "cifar-10-batches-py"
    place.mkdir()
    for name in NAMES:
        (place / name[:-4]).write_bytes(batch)
    assert said in failure()
    assert not Path("/tmp/deepcore-was-here").exists()


@pytest.mark.parametrize("kind", ["binary", "python"])
def test_cifar_100_has_fine_labels(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "RECORDS_100", {"train": 6, "test": 3})
    files, labels = {}, {}
    for part, count in (("train", 6), ("test", 3)):
        records = RNG.integers(0, 100, (count, 3074), dtype=np.uint8)
        labels[part] = records[:, 1]
        if kind == "binary":
            files[f"{part}.bin"] = records.tobytes()
        else:
            files[part] = pickled(records[:, 1:], labels="fine_labels")
    (tmp_path / f"cifar-100-{kind}.tar.gz").write_bytes(tar_of(files))
    train, test = data.CIFAR100(tmp_path), data.CIFAR100(tmp_path, train=False)
    assert train.images.shape == (6, 3, 32, 32)
    assert train.labels.tolist() == labels["train"].tolist()
    assert test.labels.tolist() == labels["test"].tolist()
    assert (len(train.classes), train.classes[0], train.classes[-1]) == (100, "apple", "worm")


def test_nothing_is_downloaded_unasked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz is absent, and nothing is downloaded unasked"):
        data.CIFAR10(tmp_path)


def test_archives_that_unpack_to_too_much(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar_files, "LARGEST_BYTES", 1 << 20)
    files = {"bomb": bytes(4 << 20)} | small_files()
    (folder / "cifar-10-binary.tar.gz").write_bytes(tar_of(files))
    assert "unpacks to more than 1,048,576 bytes" in failure()
    (folder / "cifar-10-binary.tar.gz").write_bytes(tar_of({f"{i}": b"" for i in range(200)}))
    assert "more than 100 files" in failure()


@pytest.mark.slow
def test_the_real_pictures(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (data_dir / "cifar10" / cifar.PICTURES).is_file():
        pytest.skip("needs cifar10/cifar10-jpg.zip in $DEEPCORE_DATA")
    layout = picture_zip.PictureZip("CIFAR-10", cifar.CLASSES, cifar.SIDE, cifar.PER_CLASS)
    arrays = picture_zip.decode(data_dir / "cifar10" / cifar.PICTURES, layout)
    assert arrays["train_images"].shape == (50_000, 3, 32, 32)
    assert np.bincount(arrays["test_labels"]).tolist() == [1000] * 10
    # The channels' means as they are always quoted for this data set.
    means = arrays["train_images"].mean(axis=(0, 2, 3)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=2e-3)
