"""Known image sets by their names, folders and zips of pictures, tables, arrays and text."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import data
from deepcore.data import CSVDataset, DataLoader, ImageFolder, TextWindows, Vocabulary, load_arrays, text
from deepcore.data.reading import places
from deepcore.errors import ConfigError, DataError, IndexRangeError
from test_data import small_mnist

RNG = np.random.default_rng(0)


# --- MNIST and its kin ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "inside"),
    [
        ("mnist", data.MNIST, "MNIST/raw"),
        ("fashion-mnist", data.FashionMNIST, "FashionMNIST/raw"),
        ("kmnist", data.KMNIST, "KMNIST/raw"),
    ],
)
def test_idx_sets_are_found(
    name: str, kind: Callable[..., Any], inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "cache_folder", lambda name: tmp_path / "cache" / name)
    files = small_mnist()
    for place in (f"named/{name}", "root", f"other/{inside}"):
        (tmp_path / place).mkdir(parents=True)
        for file, content in files.items():
            packed = gzip.compress(content) if place == "root" else content
            (tmp_path / place / (f"{file}.gz" if place == "root" else file)).write_bytes(packed)
    monkeypatch.setenv("DEEPCORE_DATA", str(tmp_path / "named"))
    train, test = data.load(name, log=lambda line: pytest.fail(line))
    assert train.images.tobytes() == files["train-images-idx3-ubyte"][16:]
    assert len(train.classes) == 10
    for root in (None, tmp_path / "root", str(tmp_path / "named"), tmp_path / "other"):
        one = kind(root, train=False)
        assert one.labels.tolist() == test.labels.tolist()
        assert one.classes == test.classes
    with pytest.raises(DataError, match="is absent, and nothing is downloaded unasked"):
        kind(tmp_path / "nowhere")


# --- pictures ---------------------------------------------------------------------------------------------------------


def picture(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def pictures() -> dict[str, bytes]:
    """Pictures of two classes by name; all pixels of one have the same colour."""
    files = {}
    for label, name in enumerate(("cat", "dog")):
        for i in range(3):
            files[f"{name}/{'deep/' if i == 2 else ''}{i}.png"] = picture(np.full((5, 4, 3), 50 * label + i, np.uint8))
    return files | {"notes.txt": b"?", "dog/readme.md": b"?"}


def write(root: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def write_zip(path: Path, files: Mapping[str, bytes], packing: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.fixture(params=["folder", "zip", "part of a zip"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where the pictures are."""
    if request.param == "folder":
        write(tmp_path / "all", pictures())
        return tmp_path / "all"
    top = "set/train/" if request.param == "part of a zip" else ""
    others = {"set/test/cow/1.png": b"?"} if top else {}
    files = {top + name: content for name, content in pictures().items()} | others
    write_zip(tmp_path / "all.zip", files, zipfile.ZIP_DEFLATED if top else zipfile.ZIP_STORED)
    return tmp_path / "all.zip" / top


def test_image_folder_reads_by_class_and_name(root: Path) -> None:
    folder = ImageFolder(root)
    assert folder.classes == ("cat", "dog")
    assert folder.class_to_idx == {"cat": 0, "dog": 1}
    assert [name for name, _ in folder.samples][:3] == ["cat/0.png", "cat/1.png", "cat/deep/2.png"]
    assert folder.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert [(x.shape, int(x.min()), int(x.max()), int(y)) for x, y in (folder[i] for i in range(6))] == [
        ((3, 5, 4), 50 * y + i, 50 * y + i, y) for y in (0, 1) for i in range(3)
    ]
    train, test = next(iter(data.k_fold(folder, 3, stratified=True)))
    assert sorted(test.labels.tolist()) == [0, 1]
    assert len(train) == 4
    gray = ImageFolder(root, lambda x: x.astype(np.float32) / 255, size=(2, 3), mode="L")
    images, labels = next(iter(DataLoader(gray, batch_size=6, num_workers=2)))
    assert images.shape == (6, 1, 2, 3)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_image_folder_is_read_by_processes(root: Path) -> None:
    loaded = list(DataLoader(ImageFolder(root), batch_size=2, num_workers=2, worker_type="process"))
    alone = list(DataLoader(ImageFolder(root), batch_size=2))
    for (images, labels), (others, more) in zip(loaded, alone, strict=True):
        np.testing.assert_array_equal(images.numpy(), others.numpy())
        np.testing.assert_array_equal(labels.numpy(), more.numpy())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_pictures_of_all_modes_are_converted(mode: str, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "a").mkdir()
    Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(
        tmp_path / "a" / f"1.{'jpg' if mode == 'CMYK' else 'png'}"
    )
    picture, _ = ImageFolder(tmp_path)[0]
    assert picture.shape == (3, 3, 4)
    assert (picture == 255).all()


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "a").mkdir()
    levels = np.array([[0, 257, 30_000], [40_000, 60_000, 65_535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "a" / "1.png")
    np.testing.assert_array_equal(ImageFolder(tmp_path, mode="L")[0][0][0], levels // 257)


def test_what_is_no_image_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder or zip file"):
        ImageFolder(tmp_path / "absent")
    with pytest.raises(DataError, match=r"expected pictures at .*/<class>/ .* got none"):
        ImageFolder(tmp_path)
    (tmp_path / "text.zip").write_bytes(b"text")
    with pytest.raises(DataError, match="the zip is truncated or damaged"):
        ImageFolder(tmp_path / "text.zip")
    with pytest.raises(ConfigError, match=r"size as \(height, width\)"):
        ImageFolder(tmp_path, size=0)
    with pytest.raises(ConfigError, match="mode as RGB or L"):
        ImageFolder(tmp_path, mode="rgb")


def huge_png(side: int) -> bytes:
    """A PNG of a few bytes that claims to be very large."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the picture is truncated or damaged"),
        (picture(np.zeros((9, 9, 3), np.uint8))[:-30], "the picture is truncated or damaged"),
        (picture(np.zeros((9, 9, 3), np.uint8), "TIFF"), "the picture is truncated or damaged"),
        (huge_png(20_000), "could be decompression bomb"),
        (huge_png(9_000), "claims 9,000 x 9,000 pixels"),
    ],
    ids=["empty", "cut off", "another format", "Pillow's limit", "our limit"],
)
def test_damaged_pictures_are_named(content: bytes, said: str, tmp_path: Path) -> None:
    write(tmp_path, {"cat/1.png": content})
    with pytest.raises(DataError, match=said) as caught:
        ImageFolder(tmp_path)[0]
    assert f"{tmp_path}/cat/1.png" in str(caught.value)


def test_zip_that_lies_about_its_sizes(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    write_zip(path, {"cat/1.png": bytes(50 << 20)}, zipfile.ZIP_DEFLATED)
    content = path.read_bytes()
    assert len(content) < 100_000
    claimed = (50 << 20).to_bytes(4, "little")
    path.write_bytes(content.replace(claimed, (1000).to_bytes(4, "little")))
    import tracemalloc

    folder = ImageFolder(path)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"cat/1.png"):
        folder[0]
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


def test_names_that_lead_out_of_a_zip_write_nothing(tmp_path: Path) -> None:
    good = picture(np.zeros((2, 2, 3), np.uint8))
    (tmp_path / "in").mkdir()
    names = ("../../out.png", "/etc/out.png", "cat/../../../out.png", "cat/1.png")
    write_zip(tmp_path / "in" / "x.zip", dict.fromkeys(names, good))
    folder = ImageFolder(tmp_path / "in" / "x.zip")
    for i in range(len(folder)):
        folder[i]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "x.zip"]


# --- tables and arrays ------------------------------------------------------------------------------------------------

IRIS = "length,width,kind\n5.1,3.5,setosa\n\n7.0,3.2,versicolor\n6.3,3.3,virginica\n4.9,3.0,setosa\n"


@pytest.mark.parametrize("encode", [lambda t: t.encode(), lambda t: b"\xef\xbb\xbf" + t.replace("\n", "\r\n").encode()])
def test_csv_with_classes(encode: Callable[[str], bytes], tmp_path: Path) -> None:
    (tmp_path / "iris.csv").write_bytes(encode(IRIS))
    for target in ("kind", 2, -1):
        table = CSVDataset(tmp_path / "iris.csv", target)
        assert table.columns == ("length", "width")
        assert table.classes == ("setosa", "versicolor", "virginica")
        assert table.labels.tolist() == [0, 1, 2, 0]
        features, labels = table[np.array([1, 0])]
        assert (features.dtype, labels.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(features, np.array([[7.0, 3.2], [5.1, 3.5]], np.float32))
    x, y = next(iter(DataLoader(table, batch_size=4)))
    assert (x.shape, y.tolist()) == ((4, 2), [0, 1, 2, 0])


def test_csv_with_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('1;2.5;"3"\n4;1e3;-6\n')
    whole = CSVDataset(tmp_path / "a.csv", header=False, delimiter=";", dtype=np.float64)
    np.testing.assert_array_equal(whole.tensors[0], [[1, 2.5, 3], [4, 1000, -6]])
    assert whole.columns == ("0", "1", "2")
    for target, dtype in ((0, np.int64), (1, np.float32), (2, np.int64)):
        table = CSVDataset(tmp_path / "a.csv", target, header=False, delimiter=";")
        assert table.labels.dtype == dtype
        assert table.classes == ()
    with pytest.raises(DataError, match="was read without a target"):
        _ = whole.labels


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n3\n", "line 3: expected 2 columns; got 1"),
        ("a,b\n1,2\n3,x\n", "line 3, column 'b': expected a number; got 'x'"),
        ("a,b\n1,\n", "line 2, column 'b': expected a number; got nothing"),
        ("a,b\n1,1_000\n", "column 'b': expected a number; got '1_000'"),
        ("a,a\n1,2\n", "the name 'a' stands over two columns"),
        ("a,b\n", "holds no rows"),
        ("", "holds no rows"),
        ('a,b\n"1,2\n', "the table is truncated or damaged"),
    ],
)
def test_csv_damage_is_named(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(DataError, match=said):
        CSVDataset(tmp_path / "a.csv")


def test_csv_targets(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("size,kind\n1,a\n2,\n")
    with pytest.raises(DataError, match=r"target as one of size, kind; got 'kinds'.*Did you mean 'kind'"):
        CSVDataset(tmp_path / "a.csv", "kinds")
    with pytest.raises(DataError, match="line 3, column 'kind': the target is missing"):
        CSVDataset(tmp_path / "a.csv", "kind")
    (tmp_path / "b.csv").write_bytes(b"a\n\xff\n")
    with pytest.raises(DataError, match="byte 2 is no text in utf-8"):
        CSVDataset(tmp_path / "b.csv")
    with pytest.raises(DataError, match="No such file"):
        CSVDataset(tmp_path / "absent.csv")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_numpy_files(save: Callable[..., None], tmp_path: Path) -> None:
    arrays = {"x": RNG.random((3, 4)), "y": np.asfortranarray(RNG.integers(0, 9, (2, 3))), "z": np.array("text"),
              "none": np.zeros((0, 5))}  # fmt: skip
    save(tmp_path / "a.npz", **arrays)
    found = load_arrays(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    np.save(tmp_path / "x.npy", arrays["x"])
    np.testing.assert_array_equal(load_arrays(tmp_path / "x.npy")["array"], arrays["x"])


class Payload:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/tmp/deepcore-was-here",)


def test_numpy_files_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([Payload()]), allow_pickle=True)
    with pytest.raises(DataError, match="holds Python objects"):
        load_arrays(path)
    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(DataError, match="truncated or damaged"):
        load_arrays(path)
    np.save(path, RNG.random(1000))
    content = path.read_bytes()
    for shape in ((1001,), (2**62,), (2**40, 2**40), (-1,)):
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": "<f8"})
            file.write(content[128:])
        with pytest.raises(DataError, match=r"the header claims .* bytes|truncated"):
            load_arrays(path)
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match="the file holds"):
        load_arrays(path)
    assert not Path("/tmp/deepcore-was-here").exists()


# --- text -------------------------------------------------------------------------------------------------------------


def test_text_is_cut_and_numbered(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("To be, or not to be\r\n— that\u2019s it".encode())
    found = text.read_text(tmp_path / "a.txt")
    assert found == "To be, or not to be\n— that\u2019s it"
    assert "".join(text.characters(found)) == found
    tokens = text.words(found, lower=True)
    assert tokens == ["to", "be", ",", "or", "not", "to", "be", "—", "that\u2019s", "it"]
    words = Vocabulary(tokens, min_freq=2, specials=["<pad>", "<unk>"], unknown="<unk>")
    assert words.tokens == ("<pad>", "<unk>", "be", "to")
    assert words.encode(["to", "err", "be"]).tolist() == [3, 1, 2]
    assert words.decode(words.encode(tokens))[:3] == ["to", "be", "<unk>"]
    assert (len(words), "be" in words, "or" in words, words["be"]) == (4, True, False, 2)
    again = Vocabulary.from_tokens(words.tokens, unknown="<unk>")
    assert again.encode(tokens).tolist() == words.encode(tokens).tolist()
    assert Vocabulary(tokens, max_size=3).tokens == ("be", "to", ",")


def test_text_that_does_not_fit(tmp_path: Path) -> None:
    letters = Vocabulary("hello")
    with pytest.raises(DataError, match=r"one of its 4 tokens; got 'x'. .*unknown='<unk>'"):
        letters.encode("hex")
    with pytest.raises(IndexRangeError, match=r"numbers from 0 to 3; got \[4\]"):
        letters.decode([1, 4])
    with pytest.raises(IndexRangeError, match="numbers from 0 to 3"):
        letters.decode([0.5])
    for options in ({"min_freq": 0}, {"max_size": -1}, {"specials": ["a", "a"]}, {"unknown": "<unk>"}):
        with pytest.raises(ConfigError, match="Vocabulary: expected"):
            Vocabulary("a", **options)
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DataError, match="byte 3 is no text in utf-8"):
        text.read_text(tmp_path / "a.txt")
    assert text.read_text(tmp_path / "a.txt", "latin-1") == "café"
    with pytest.raises(DataError, match="no encoding 'latn-1'"):
        text.read_text(tmp_path / "a.txt", "latn-1")


@pytest.mark.parametrize("stride", [None, 1, 4])
def test_windows_predict_the_next_token(stride: int | None) -> None:
    tokens = RNG.integers(0, 50, 23)
    windows = TextWindows(tokens, 6, stride)
    step = stride or 6
    expected = [(tokens[i : i + 6], tokens[i + 1 : i + 7]) for i in range(0, 23 - 6, step)]
    assert len(windows) == len(expected)
    for i, (x, y) in enumerate(expected):
        np.testing.assert_array_equal(windows[i], (x, y))
    x, y = windows[np.array([1, 0])]
    np.testing.assert_array_equal(x, [expected[1][0], expected[0][0]])
    with pytest.raises(IndexError):
        windows[len(windows)]
    batch, target = next(iter(DataLoader(windows, batch_size=2, shuffle=True, generator=dc.Generator(0))))
    assert batch.shape == target.shape == (2, 6)
    for bad in (0, 1.5):
        with pytest.raises(ConfigError, match="length as a whole number"):
            TextWindows(tokens, bad)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="more than 23 tokens; got 23"):
        TextWindows(tokens, 23)
    with pytest.raises(DataError, match=r"tokens .* as whole numbers"):
        TextWindows(tokens / 2, 3)


def test_shakespeare_by_characters(data_dir: Path) -> None:
    found = text.read_text(data_dir / "text" / "tinyshakespeare.txt")
    letters = Vocabulary(found)
    assert (len(found), len(letters)) == (1_115_394, 65)
    numbers = letters.encode(found)
    assert "".join(letters.decode(numbers[:2000])) == found[:2000]
    assert len(TextWindows(numbers, 64)) == (1_115_394 - 1) // 64


# --- parts ------------------------------------------------------------------------------------------------------------


def test_random_split_and_folds_cover_all() -> None:
    numbers = data.TensorDataset(np.arange(20), np.arange(20) % 4)
    first, second = data.random_split(numbers, [15, 5], dc.Generator(1))
    assert sorted([*first.indices, *second.indices]) == list(range(20))
    again, _ = data.random_split(numbers, [0.75, 0.25], dc.Generator(1))
    np.testing.assert_array_equal(again.indices, first.indices)
    for options in ({}, {"stratified": True, "labels": np.arange(20) % 4}):
        folds = list(data.k_fold(numbers, 5, dc.Generator(2), **options))
        assert sorted(i for _, test in folds for i in test.indices) == list(range(20))
        for train, test in folds:
            assert not set(train.indices) & set(test.indices)
            if options:
                assert np.bincount(test.indices % 4).tolist() == [1, 1, 1, 1]
    both = data.ConcatDataset([first, second])
    assert len(both) == 20
    assert both[15] == second[0]
    x, _ = both[np.array([0, 19, -1])]
    assert x.tolist() == [first.indices[0], second.indices[-1], second.indices[-1]]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda d: data.random_split(d, [3, 3]), r"add up to the 5 rows, .* got lengths=\[3, 3\]"),
        (lambda d: data.random_split(d, [0.5, 0.6]), "fractions that add up to 1"),
        (lambda d: data.random_split(d, [-1, 6]), "lengths that add up"),
        (lambda d: data.k_fold(d, 1), "k from 2 to the 5 rows"),
        (lambda d: data.k_fold(d, 6), "k from 2 to the 5 rows"),
        (lambda d: data.k_fold(d, 2, stratified=True), "labels to stratify by"),
        (lambda d: data.k_fold(d, 2, stratified=True, labels=[0, 1, 1, 1, 1]), "at least k rows of every class"),
    ],
)
def test_parts_that_cannot_be(call: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        call(data.TensorDataset(np.arange(5)))


def test_rows_that_do_not_exist() -> None:
    with pytest.raises(IndexRangeError, match="indices of a data set of 3; got index 3"):
        data.Subset(data.TensorDataset(np.arange(3)), [0, 3])
    with pytest.raises(DataError, match="arrays of one length; got lengths"):
        data.TensorDataset(np.arange(3), np.arange(4))
    with pytest.raises(DataError, match="at least one data set"):
        data.ConcatDataset([])
