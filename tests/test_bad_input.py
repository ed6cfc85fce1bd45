"""Bad files, data, settings and run folders: each ends in one clear message, and nothing good is lost."""

from __future__ import annotations

import errno
import gzip
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deepcore import data, models
from deepcore.data import ArrayDataset, DataLoader, Normalize, RandomAffine
from deepcore.data.reading.idx import read_idx
from deepcore.data.sets import mnist
from deepcore.errors import ConfigError, DataError, DeepcoreError, DeviceError, RunError
from deepcore.train import ImageTrainer, RunFolder, TrainConfig, checkpoint, device, job
from deepcore.train.config import read_toml
from deepcore.train.run import write_atomic

IMAGES = struct.pack(">4B3I", 0, 0, 8, 3, 2, 28, 28) + bytes(2 * 28 * 28)
LABELS = struct.pack(">4BI", 0, 0, 8, 1, 2) + bytes([3, 7])
HUGE = struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(100)


def message_of(error: type[DeepcoreError], call: object, *args: object, **options: object) -> str:
    """The message of the error that the call raises."""
    with pytest.raises(error) as caught:
        call(*args, **options)  # type: ignore[operator]
    return str(caught.value)


# --- IDX files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (IMAGES[:-1], r"truncated; the header says 1,568 bytes \(2, 28, 28\), the file holds 1,567"),
        (IMAGES + b"\0", r"bytes follow the 1,568 that the header announces"),
        (IMAGES[:10], r"truncated inside the header \(10 bytes\)"),
        (b"\0\0", r"truncated inside the header \(2 bytes\)"),
        (b"", r"truncated inside the header \(0 bytes\)"),
        (LABELS, r"expected an IDX file of uint8 with 3 dimensions \(magic 0x00000803\); got magic 0x00000801"),
        (b"\x89PNG" + IMAGES, r"got magic 0x89504e47"),
        (HUGE, r"the file holds 100\."),
    ],
)
def test_idx_damage_is_named(tmp_path: Path, content: bytes, said: str, packed: bool) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=said) as caught:
        read_idx(path, rank=3)
    assert str(path) in str(caught.value)


def test_idx_huge_header_allocates_nothing(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "huge"
    path.write_bytes(HUGE)
    tracemalloc.start()
    message_of(DataError, read_idx, path, rank=3)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:200] + b"\xff" * 60 + raw[260:]])
def test_idx_damaged_archive(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "file.gz"
    noise = np.random.default_rng(0).integers(0, 256, 1568, dtype=np.uint8).tobytes()
    path.write_bytes(damage(gzip.compress(IMAGES[:16] + noise)))  # type: ignore[operator]
    assert "gzip file is truncated or damaged" in message_of(DataError, read_idx, path, rank=3)


def test_idx_missing_file(tmp_path: Path) -> None:
    assert "No such file" in message_of(DataError, read_idx, tmp_path / "absent", rank=1)


# --- MNIST ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def mnist_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four good files of two images each, which is where MNIST is looked for."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for prefix in ("train", "t10k"):
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(IMAGES)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(LABELS)
    monkeypatch.setenv("DEEPCORE_DATA", str(tmp_path))
    monkeypatch.setattr(mnist, "cache_folder", lambda: tmp_path / "cache")
    return folder


def test_mnist_counts_that_differ(mnist_folder: Path) -> None:
    (mnist_folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 3) + bytes(3))
    said = message_of(DataError, data.load, "mnist")
    assert "holds 2 images but" in said
    assert "holds 3 labels" in said


def test_mnist_labels_outside_the_classes(mnist_folder: Path) -> None:
    (mnist_folder / "t10k-labels-idx1-ubyte").write_bytes(LABELS[:-1] + b"\x0a")
    said = message_of(DataError, data.load, "mnist")
    assert said.startswith("mnist test set: expected labels from 0 to 9 (10 classes); got 10 at row 1")


def test_mnist_other_image_size(mnist_folder: Path) -> None:
    (mnist_folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 2) + bytes(8))
    assert "expected images of 28x28" in message_of(DataError, data.load, "mnist")


def test_mnist_without_images(mnist_folder: Path) -> None:
    (mnist_folder / "train-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 0, 28, 28))
    (mnist_folder / "train-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 0))
    assert "holds no images" in message_of(DataError, data.load, "mnist")


def test_mnist_offline_names_the_four_files(mnist_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", ("http://127.0.0.1:1/", "http://127.0.0.1:2/"))
    (mnist_folder / "train-images-idx3-ubyte").unlink()
    lines: list[str] = []
    said = message_of(DataError, data.load, "mnist", log=lines.append)
    assert [line.startswith("MNIST: 1 of 4 files are missing; downloading") for line in lines] == [True]
    for file in mnist.FILES:
        assert file.name + ".gz" in said
    assert str(mnist_folder.parent / "cache") in said
    assert "$DEEPCORE_DATA" in said
    assert "http://127.0.0.1:1/" in said


def test_mnist_wrong_download_is_not_kept(mnist_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    def retrieve(url: str, known_hash: None, fname: str, path: Path, downloader: object) -> str:
        path.mkdir(exist_ok=True)
        (path / fname).write_bytes(gzip.compress(b"a page that asks for a password"))
        return str(path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    (mnist_folder / "t10k-images-idx3-ubyte").unlink()
    assert "not the original file (MD5" in message_of(DataError, data.load, "mnist", log=lambda line: None)
    assert list((mnist_folder.parent / "cache").iterdir()) == []


# --- data sets, loaders, transforms, models ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (np.zeros((2, 8, 8), np.uint8), [0, 1], r"expected images \(N, C, H, W\) of uint8 or float32; got \(2, 8, 8\)"),
        (np.zeros((2, 1, 8, 8)), [0, 1], "got .* float64"),
        (np.zeros((2, 1, 8, 8), np.uint8), [0], "2 images but 1 labels"),
        (np.zeros((2, 1, 8, 8), np.uint8), [0.0, 1.0], "expected labels .* of integers; got .* float64"),
        (np.zeros((2, 1, 8, 8), np.uint8), [0, 2], r"from 0 to 1 \(2 classes\); got 2 at row 1 \(1 labels are outside"),
        (np.zeros((2, 1, 8, 8), np.uint8), [-1, 0], "got -1 at row 0"),
        (np.array([0, np.nan], np.float32).reshape(2, 1, 1, 1), [0, 1], "image 1 holds NaN"),
    ],
)
def test_dataset_that_does_not_fit(images: np.ndarray, labels: list[int], said: str) -> None:
    with pytest.raises(DataError, match=said):
        ArrayDataset(images, labels, ["a", "b"])


@pytest.mark.parametrize("size", [0, -3, 2.5, True, "8"])
def test_batch_size_that_is_none(size: object) -> None:
    dataset = ArrayDataset(np.zeros((2, 1, 2, 2), np.uint8), [0, 0], ["a"])
    assert "whole number of at least 1" in message_of(ConfigError, DataLoader, dataset, batch_size=size)


def test_loader_without_a_batch() -> None:
    dataset = ArrayDataset(np.zeros((2, 1, 2, 2), np.uint8), [0, 0], ["a"])
    assert "no batch is left" in message_of(DataError, DataLoader, dataset, batch_size=3, drop_last=True)
    assert "empty" in message_of(DataError, DataLoader, dataset.subset(slice(0, 0)))


def test_loader_position_of_other_data() -> None:
    loader = DataLoader(ArrayDataset(np.zeros((2, 1, 2, 2), np.uint8), [0, 0], ["a"]))
    said = message_of(DataError, loader.load_state_dict, {"random": None, "position": 5})
    assert "position 5 is outside the 2 batches" in said


def test_transforms_that_cannot_be() -> None:
    assert "std > 0" in message_of(ConfigError, Normalize, 0.5, 0.0)
    assert "degrees in [0, 180]" in message_of(ConfigError, RandomAffine, -1, 0, 0)
    assert "scale in [0, 1)" in message_of(ConfigError, RandomAffine, 0, 1, 0)


def test_unknown_names_bring_the_nearest() -> None:
    assert "Did you mean 'lenet'?" in message_of(ConfigError, models.create, "lennet")
    assert "Did you mean 'digits'?" in message_of(ConfigError, data.load, "digit")


def test_model_for_images_that_are_too_small() -> None:
    assert "image_size of at least 16; got 8" in message_of(ConfigError, models.create, "lenet", image_size=8)


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epoch": 3}, r"unknown setting 'epoch'. Did you mean 'epochs'\?"),
        ({"model": "lenett"}, r"unknown model 'lenett'; there are .*lenet.* Did you mean 'lenet'\?"),
        ({"data": "mnits"}, r"unknown data 'mnits'; there are cifar10, .*, kmnist, mnist. Did you mean 'mnist'\?"),
        ({"optimizer": "adma"}, r"unknown optimizer 'adma'; there are adam, adamw, sgd. Did you mean 'adam'\?"),
        ({"batch_size": 0}, "batch_size: expected at least 1; got 0"),
        ({"epochs": 0}, "epochs: expected at least 1; got 0"),
        ({"epochs": 1.5}, "epochs: expected a whole number; got 1.5"),
        ({"epochs": True}, "epochs: expected a whole number; got True"),
        ({"lr": "0.1"}, "lr: expected a number; got '0.1'"),
        ({"lr": 0}, "lr: expected more than 0; got 0"),
        ({"lr": float("nan")}, "lr: expected more than 0; got nan"),
        ({"lr": float("inf")}, "lr: expected more than 0; got inf"),
        ({"momentum": 1}, "momentum: expected at least 0 and less than 1; got 1"),
        ({"seed": -1}, "seed: expected at least 0 and at most"),
        ({"data": 3}, "data: expected a text; got 3"),
    ],
)
def test_setting_that_cannot_be(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TrainConfig.resolve(given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"epochs = ", "not a TOML file"),
        (b"\xff\xfe", "not a TOML file"),
        (b"batchsize = 3", r"unknown setting 'batchsize'. Did you mean 'batch_size'\?"),
    ],
)
def test_settings_file_that_is_wrong(tmp_path: Path, text: bytes, said: str) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_toml(path)
    assert str(path) in str(caught.value)


def test_settings_file_that_is_missing(tmp_path: Path) -> None:
    assert "cannot be read" in message_of(ConfigError, read_toml, tmp_path / "config.toml")


# --- devices ----------------------------------------------------------------------------------------------------------


def test_unknown_device() -> None:
    assert "cuda" in message_of(DeviceError, device.choose, "gpu")


def test_cuda_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepcore.kernels.cuda.diagnose import Facts

    def line_for(**facts: object) -> str:
        monkeypatch.setattr(device, "diagnose", lambda: Facts(**facts))  # type: ignore[arg-type]
        name, line = device.choose("auto")
        assert name == "cpu"
        assert "\n" not in line
        return line

    nothing = line_for(problem="CuPy is not installed", fix="pip install ...")
    assert nothing == "device: cpu (no usable GPU: no NVIDIA driver was found)"
    assert "(no usable GPU: CuPy is not installed; `deepcore info` says" in line_for(
        driver=12040, problem="CuPy is not installed"
    )
    assert "the NVIDIA driver is too old" in line_for(driver=11000, problem="the NVIDIA driver is too old: it brings")


def test_gpu_that_does_not_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepcore.kernels.cuda.diagnose import Facts, Gpu

    def broken(name: str) -> object:
        raise RuntimeError("cudaErrorUnknown:\nunknown error")

    gpu = Gpu(0, "a card", 1, (9, 0), 1)
    monkeypatch.setattr(device, "diagnose", lambda: Facts(driver=12040, devices=(gpu,)))
    monkeypatch.setattr(device, "get_backend", broken)
    line = "device: cpu (the GPU does not compute: cudaErrorUnknown: unknown error)"
    assert device.choose("auto") == ("cpu", line)


# --- run folders ------------------------------------------------------------------------------------------------------


def test_run_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    assert RunFolder.create(out).path == out
    (out / "notes.txt").write_text("mine")
    said = message_of(RunError, RunFolder.create, out)
    assert "exists and is not empty; nothing in it was changed" in said
    assert f"deepcore train --resume {out}" in said
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_run_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x")
    assert "is a file, not a folder" in message_of(RunError, RunFolder.create, tmp_path / "run")
    assert "could not be made" in message_of(RunError, RunFolder.create, tmp_path / "run" / "inner")


def test_run_folders_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "lenet-digits-007").mkdir()
    (tmp_path / "lenet-mnist-040").mkdir()
    names = [RunFolder.create_next("lenet", "digits", tmp_path).path.name for _ in range(2)]
    assert names == ["lenet-digits-008", "lenet-digits-009"]


def test_run_folder_that_is_none(tmp_path: Path) -> None:
    assert "there is no run folder" in message_of(RunError, RunFolder.open, tmp_path / "absent")
    assert "is not a run folder" in message_of(RunError, RunFolder.open, tmp_path)
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "config.toml").touch()
    assert f"{tmp_path} holds good" in message_of(RunError, RunFolder.open, tmp_path / "absent")


def test_resume_of_a_run_whose_checkpoints_were_deleted(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(TrainConfig().to_toml())
    (tmp_path / "model.safetensors").touch()
    assert "has no checkpoint to go on from" in message_of(RunError, job.resume, tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a tensor file", b"\xff" * 64])
def test_damaged_checkpoint(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)
    assert "is damaged or was not written by deepcore" in message_of(RunError, checkpoint.load, path)
    assert "is damaged" in message_of(RunError, checkpoint.load_model, path)


def test_truncated_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"weight": np.arange(100.0)})
    path.write_bytes(path.read_bytes()[:-8])
    assert "is damaged" in message_of(RunError, checkpoint.load, path)


def test_checkpoint_of_another_run(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.checkpoints.mkdir()
    checkpoint.save(run.checkpoint(1), {"model": {"weight": np.zeros(3)}})
    assert "does not belong to" in message_of(RunError, tiny_trainer(run).resume, run)


def test_damaged_figures(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_text("epoch,step\n1,nonsense\n")
    assert "metrics.csv cannot be read" in message_of(RunError, run.read_metrics)


# --- disks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_failed_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_atomic(path, lambda file: file.write(b"old"))

    def fail(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, fail)
    said = message_of(RunError, write_atomic, path, lambda file: file.write(b"new"))
    assert os.strerror(number).lower() in said
    assert str(path) in said
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def tiny_trainer(run: RunFolder) -> ImageTrainer:
    """A trainer whose epochs take two steps."""
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 16, 16), dtype=np.uint8)
    dataset = ArrayDataset(images, np.arange(16) % 2, ["a", "b"])
    config = TrainConfig.resolve({"epochs": 3, "batch_size": 8, "degrees": 0, "scale": 0, "translate": 0})
    return ImageTrainer(config, data.Splits(dataset, dataset), "numpy", run)


def test_full_disk_in_the_middle_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.create(tmp_path / "run")
    trainer = tiny_trainer(run)
    run.config.touch()
    real, full = os.fsync, []

    def fsync(handle: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    trainer.train(should_stop=lambda: trainer.step == 2)
    good = run.checkpoint(2).read_bytes()
    full.append(True)
    said = message_of(RunError, trainer.train)
    assert "no space left on device" in said
    assert (
        f"the checkpoint of step 2 is still good; when the disk takes files again: deepcore train --resume {run}"
        in said
    )
    assert run.checkpoint(2).read_bytes() == good
    full.clear()
    again = tiny_trainer(run)
    assert again.resume(run) == 2
    assert again.train()
    assert [row["step"] for row in run.read_metrics()] == [2, 4, 6]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_disk_that_is_really_full(small_disk: Path) -> None:
    run = RunFolder.create(small_disk / "run")
    path = run.path / "state.safetensors"
    checkpoint.save(path, {"weight": np.zeros(1000)})
    good = path.read_bytes()
    said = message_of(RunError, checkpoint.save, path, {"weight": np.zeros(100_000)})
    assert "no space left on device" in said
    assert path.read_bytes() == good
    assert [entry.name for entry in run.path.iterdir()] == [path.name]


def test_disk_that_is_read_only(small_disk: Path) -> None:
    run = RunFolder.create(small_disk / "run")
    path = run.path / "state.safetensors"
    checkpoint.save(path, {"step": 1})
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "read-only file system" in message_of(RunError, checkpoint.save, path, {"step": 2})
    assert checkpoint.load(path) == {"step": 1}
    assert "could not be made: read-only" in message_of(RunError, RunFolder.create, small_disk / "other")


def test_loss_that_is_no_number(tmp_path: Path) -> None:
    trainer = tiny_trainer(RunFolder.create(tmp_path / "run"))
    trainer.prepare.normalize.mean = float("nan")
    said = message_of(RunError, trainer.train)
    assert "the loss became nan at step 1: the first one was made by sub in the change of the batch before the" in said
    assert "Hint: use a smaller learning rate" in said
    assert trainer.run.saved() == []
