"""Data sets, files, loader and transforms where everything is as it should be; test_bad_input.py has the rest."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import struct
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import deepcore as dc
from deepcore import data
from deepcore.data import ArrayDataset, DataLoader, Normalize, RandomAffine, to_float
from deepcore.data.reading.download import unpacked_md5
from deepcore.data.reading.idx import read_idx
from deepcore.data.sets import digits, mnist

RNG = np.random.default_rng(0)


def idx_bytes(array: np.ndarray) -> bytes:
    """The array as an IDX file."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def small_mnist() -> dict[str, bytes]:
    """The four files of a data set with 20 training and 10 test images, by name."""
    content = {}
    for prefix, count in (("train", 20), ("t10k", 10)):
        content[f"{prefix}-images-idx3-ubyte"] = idx_bytes(RNG.integers(0, 256, (count, 28, 28)))
        content[f"{prefix}-labels-idx1-ubyte"] = idx_bytes(RNG.integers(0, 10, count))
    return content


def numbered(count: int) -> ArrayDataset:
    """Images whose pixels are their row number, which is also their label."""
    rows = np.arange(count, dtype=np.uint8)
    return ArrayDataset(np.broadcast_to(rows[:, None, None, None], (count, 1, 2, 2)), rows, [str(i) for i in rows])


def rows_of(loader: DataLoader) -> list[list[int]]:
    """The row numbers in each batch of one epoch."""
    return [labels.cpu().numpy().tolist() for _, labels in loader]


# --- digits -----------------------------------------------------------------------------------------------------------


def test_digits_are_split_evenly_and_always_the_same() -> None:
    train, test = data.load("digits")
    assert (len(train), len(test)) == (1437, 360)
    assert train.images.shape[1:] == test.images.shape[1:] == (1, 32, 32)
    assert train.images.dtype == np.float32
    assert (train.images.min(), train.images.max()) == (0, 1)
    per_class = np.bincount(test.labels)
    assert per_class.max() - per_class.min() <= 3
    again = digits.load_digits()
    np.testing.assert_array_equal(again.test.images, test.images)
    assert test.labels[:12].tolist() == [7, 6, 3, 7, 7, 3, 2, 8, 9, 3, 2, 6]  # the same in every release


def test_digits_enlarging_is_exact_and_agrees_with_scipy() -> None:
    from scipy.ndimage import zoom

    small = RNG.integers(0, 17, (3, 8, 8)).astype(float)
    large = digits.enlarge(small, 32)
    expected = np.stack([zoom(image, 4, order=1, mode="nearest", grid_mode=True) for image in small])
    np.testing.assert_allclose(large, expected, atol=1e-12)
    np.testing.assert_array_equal(large * 64, np.round(large * 64))


# --- IDX and MNIST ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(5,), (3, 4, 2), (0, 28, 28)])
def test_idx_is_read_back(tmp_path: Path, shape: tuple[int, ...], packed: bool) -> None:
    array = RNG.integers(0, 256, shape).astype(np.uint8)
    content = idx_bytes(array)
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(content) if packed else content)
    np.testing.assert_array_equal(read_idx(path, rank=len(shape)), array)


def test_mnist_is_found_in_both_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, cache = tmp_path / "named" / "mnist", tmp_path / "cache"
    monkeypatch.setenv("DEEPCORE_DATA", str(named.parent))
    monkeypatch.setattr(mnist, "cache_folder", lambda: cache)
    files = small_mnist()
    for folder, names in ((named, list(files)[:2]), (cache, list(files)[2:])):
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.gz").write_bytes(gzip.compress(files[name]))
    (cache / next(iter(files))).write_bytes(b"not looked at: the named folder comes first")
    train, test = data.load("mnist", log=lambda line: pytest.fail(line))
    assert (len(train), len(test)) == (20, 10)
    assert train.images.shape == (20, 1, 28, 28)
    assert train.images.dtype == np.uint8
    assert train.images.tobytes() == files["train-images-idx3-ubyte"][16:]
    assert test.labels.tolist() == list(files["t10k-labels-idx1-ubyte"][8:])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine and the folder that it serves."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/", folder
        httpd.shutdown()


@pytest.fixture
def mirrored(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, bytes], Path, Path]:
    """A small MNIST on a mirror of this machine, behind one that lacks it: contents, served folder, cache folder."""
    address, folder = server
    files = small_mnist()
    for name, content in files.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    known = [mnist.RemoteFile(name, hashlib.md5(content).hexdigest()) for name, content in files.items()]
    for name, file in zip(("TRAIN_IMAGES", "TRAIN_LABELS", "TEST_IMAGES", "TEST_LABELS"), known, strict=True):
        monkeypatch.setattr(mnist, name, file)
    monkeypatch.setattr(mnist, "FILES", tuple(known))
    monkeypatch.setattr(mnist, "MIRRORS", (address + "absent/", address))
    monkeypatch.setattr(mnist, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("DEEPCORE_DATA", raising=False)
    return files, folder, tmp_path / "cache"


def test_mnist_is_downloaded_once(mirrored: tuple[dict[str, bytes], Path, Path]) -> None:
    files, folder, cache = mirrored
    lines: list[str] = []
    train, _ = data.load("mnist", log=lines.append)
    assert train.labels.tolist() == list(files["train-labels-idx1-ubyte"][8:])
    assert len(lines) == 1
    assert "4 of 4 files are missing" in lines[0]
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{name}.gz" for name in files)
    for path in folder.iterdir():
        path.unlink()
    data.load("mnist", log=lambda line: pytest.fail(line))


def test_mnist_download_goes_on_with_the_missing_files(mirrored: tuple[dict[str, bytes], Path, Path]) -> None:
    files, folder, cache = mirrored
    cache.mkdir()
    for name in list(files)[:3]:
        (folder / f"{name}.gz").rename(cache / f"{name}.gz")
    lines: list[str] = []
    data.load("mnist", log=lines.append)
    assert "1 of 4 files" in lines[0]


@pytest.mark.slow
def test_mnist_files_are_the_original_ones(data_dir: Path) -> None:
    for file in mnist.FILES:
        path = mnist.find(file)
        assert path is not None
        assert unpacked_md5(path) == file.md5
    train, test = data.load("mnist")
    assert (len(train), len(test)) == (60_000, 10_000)
    assert np.bincount(train.labels).tolist()[:2] == [5923, 6742]


# --- loader -----------------------------------------------------------------------------------------------------------


def test_loader_gives_rows_in_order_and_a_short_last_batch() -> None:
    loader = DataLoader(numbered(7), batch_size=3)
    assert rows_of(loader) == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(loader) == 3
    short = DataLoader(numbered(7), batch_size=3, drop_last=True)
    assert rows_of(short) == [[0, 1, 2], [3, 4, 5]]
    assert len(short) == 2


def test_loader_batches_are_tensors_on_the_device(device: str) -> None:
    images, labels = next(iter(DataLoader(numbered(5), batch_size=4, device=device)))
    assert isinstance(images, dc.Tensor)
    assert (images.device, labels.device) == (dc.tensor(0, device=device).device,) * 2
    assert (images.shape, images.dtype, labels.dtype) == ((4, 1, 2, 2), np.uint8, np.int64)


def test_shuffling_is_a_permutation_that_follows_from_the_seed() -> None:
    def epochs(seed: int) -> list[list[int]]:
        loader = DataLoader(numbered(50), batch_size=8, shuffle=True, generator=dc.Generator(seed))
        return [[row for batch in rows_of(loader) for row in batch] for _ in range(2)]

    first, second = epochs(1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != list(range(50))
    assert epochs(1) == [first, second]
    assert epochs(2)[0] != first


def test_shuffling_without_a_generator_follows_manual_seed() -> None:
    def order() -> list[list[int]]:
        dc.manual_seed(5)
        return rows_of(DataLoader(numbered(20), batch_size=4, shuffle=True))

    assert order() == order()


@pytest.mark.parametrize("done", [0, 1, 3, 7])
def test_loader_goes_on_where_it_was(done: int) -> None:
    def new() -> DataLoader:
        return DataLoader(numbered(50), batch_size=8, shuffle=True, generator=dc.Generator(3))

    loader = new()
    rows_of(loader)
    expected = rows_of(loader) + rows_of(loader)

    stopped = new()
    rows_of(stopped)
    batches = iter(stopped)
    for _ in range(done):
        next(batches)
    state = stopped.state_dict()
    resumed = DataLoader(numbered(50), batch_size=8, shuffle=True, generator=dc.Generator(99))
    resumed.load_state_dict(state)
    assert (rows_of(resumed) + rows_of(resumed))[: 14 - done] == expected[done:]


def test_loop_that_is_left_early_starts_a_new_epoch() -> None:
    loader = DataLoader(numbered(6), batch_size=2)
    next(iter(loader))
    assert rows_of(loader) == [[0, 1], [2, 3], [4, 5]]


def test_loader_stacks_items_of_any_dataset() -> None:
    class Pairs:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
            return np.full(2, i, np.float32), i

    (x, y), _ = DataLoader(Pairs(), batch_size=2)
    assert x.numpy().tolist() == [[0, 0], [1, 1]]
    assert y.numpy().tolist() == [0, 1]


def test_batch_larger_than_the_data_says_so_once() -> None:
    with pytest.warns(UserWarning, match="batch size 9 is larger than the data set; each batch holds all 4") as caught:
        loader = DataLoader(numbered(4), batch_size=9)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rows_of(loader) == rows_of(loader) == [[0, 1, 2, 3]]


# --- transforms -------------------------------------------------------------------------------------------------------


def test_normalize_scales_bytes_and_takes_floats_as_they_are(device: str) -> None:
    pixels = RNG.integers(0, 256, (3, 1, 4, 4)).astype(np.uint8)
    expected = (pixels / 255 - 0.1) / 0.3
    normalize = Normalize(0.1, 0.3)
    for x in (pixels, (pixels / 255).astype(np.float32)):
        y = normalize(dc.tensor(x, device=device))
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.cpu().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_pixel_stats_are_those_that_normalise() -> None:
    train, _ = data.load("digits")
    y = Normalize(*train.pixel_stats())(dc.tensor(train.images)).numpy()
    assert abs(y.mean(dtype=np.float64)) < 1e-4
    assert abs(y.std(dtype=np.float64) - 1) < 1e-4
    pixels = RNG.integers(0, 256, (4, 1, 3, 3)).astype(np.uint8)
    mean, std = ArrayDataset(pixels, [0] * 4, ["a"]).pixel_stats()
    np.testing.assert_allclose((mean, std), ((pixels / 255).mean(), (pixels / 255).std()))


def test_affine_without_amounts_changes_nothing(device: str) -> None:
    x = RNG.random((2, 1, 9, 9), np.float32)
    y = RandomAffine(0, 0, 0)(dc.tensor(x, device=device))
    np.testing.assert_allclose(y.cpu().numpy(), x, atol=1e-5)


def test_affine_agrees_with_scipy(device: str) -> None:
    from scipy.ndimage import affine_transform

    side = 12
    x = RNG.random((3, 1, side, side), np.float32)
    affine = RandomAffine(degrees=30, scale=0.2, translate=0.2, generator=dc.Generator(4))
    y = affine(dc.tensor(x, device=device)).cpu().numpy()
    theta = RandomAffine(degrees=30, scale=0.2, translate=0.2, generator=dc.Generator(4)).theta(3).astype(float)
    for image, matrix, result in zip(x, theta, y, strict=True):
        # From (x, y) on [-1, 1] to (row, column) in pixels.
        linear = matrix[::-1, [1, 0]]
        centre = (side - 1) / 2
        shift = matrix[::-1, 2] * side / 2 + centre - linear @ [centre, centre]
        expected = affine_transform(np.pad(image[0], 2), linear, offset=shift + 2, output_shape=(side, side), order=1)
        np.testing.assert_allclose(result[0], expected, atol=1e-4)


def test_affine_stays_within_its_amounts() -> None:
    theta = RandomAffine(degrees=10, scale=0.1, translate=0.06, generator=dc.Generator(0)).theta(4000).astype(float)
    zoom = np.hypot(theta[:, 0, 0], theta[:, 1, 0])
    angle = np.degrees(np.arctan2(theta[:, 1, 0], theta[:, 0, 0]))
    shift = theta[:, :, 2] / 2
    for amount, low, high in ((1 / zoom, 0.9, 1.1), (angle, -10, 10), (shift, -0.06, 0.06)):
        margin = 0.02 * (high - low)
        assert low - 1e-6 <= amount.min() < low + margin
        assert high - margin < amount.max() <= high + 1e-6


def test_affine_repeats_from_its_seed_and_differs_within_a_batch(device: str) -> None:
    x = dc.tensor(np.repeat(RNG.random((1, 1, 8, 8), np.float32), 2, axis=0), device=device)

    def once() -> np.ndarray:
        return RandomAffine(20, 0.1, 0.1, dc.Generator(7))(x).cpu().numpy()

    first = once()
    np.testing.assert_array_equal(first, once())
    assert not np.array_equal(first[0], first[1])


def test_to_float_leaves_floats_alone() -> None:
    x = dc.tensor(np.array([0, 51, 255], np.uint8))
    np.testing.assert_allclose(to_float(x).numpy(), [0, 0.2, 1], rtol=1e-6)
    y = dc.tensor([0.5])
    assert to_float(y) is y
