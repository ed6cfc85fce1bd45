"""Training: the loop, its figures, stopping and going on, agreement of devices, pictures, predictions."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

import deepcore as dc
from deepcore import data, models
from deepcore.data import Splits
from deepcore.errors import DataError, RunError
from deepcore.train import Callback, ImageTrainer, RunFolder, TrainConfig, checkpoint, job, plots
from deepcore.train.config import read_toml
from deepcore.train.interrupt import stop_on_signals
from deepcore.train.predict import Classifier, read_colour_image, read_image

PNG = b"\x89PNG\r\n\x1a\n"


def digits(train: int = 300, test: int = 100) -> Splits:
    """The first digits only, to be quick."""
    whole = data.load("digits")
    return Splits(whole.train.subset(slice(0, train)), whole.test.subset(slice(0, test)))


def new_trainer(run: RunFolder | None = None, device: str = "cpu", **given: object) -> ImageTrainer:
    """A trainer of three short epochs with everything that draws random numbers."""
    config = TrainConfig.resolve({"epochs": 3, "batch_size": 50, **given})
    return ImageTrainer(config, digits(), device, run)


def weights_of(trainer: ImageTrainer) -> dict[str, np.ndarray]:
    return {name: checkpoint.to_numpy(value).copy() for name, value in trainer.model.state_dict().items()}


def assert_same_bits(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert list(a) == list(b)
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], err_msg=name)


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "flat"), [(28, 400), (32, 400), (16, 16), (45, 1024)])
def test_lenet_takes_its_image_sizes(size: int, flat: int) -> None:
    model = models.create("lenet", num_classes=7, in_channels=3, image_size=size)
    assert model(dc.zeros(2, 3, size, size)).shape == (2, 7)
    assert model.state_dict()["classifier.1.weight"].shape == (120, flat)


def test_lenet_has_the_weights_of_the_paper() -> None:
    # C1 156, C3 with full connections 2416, then 48120, 10164 and 850.
    assert sum(p.numel() for p in models.create("lenet").parameters()) == 61_706


# --- settings ---------------------------------------------------------------------------------------------------------


def test_settings_suit_the_data_and_the_user_wins() -> None:
    assert TrainConfig.resolve({"data": "mnist"}).epochs == 5
    assert TrainConfig.resolve({"data": "mnist", "epochs": 2}).epochs == 2
    assert TrainConfig.resolve({}) == TrainConfig()
    assert TrainConfig.resolve({"optimizer": "sgd"}).lr != TrainConfig().lr
    assert TrainConfig.resolve({"lr": 1}).lr == 1.0


def test_settings_are_read_back(tmp_path: Path) -> None:
    config = TrainConfig.resolve({"data": "mnist", "optimizer": "sgd", "lr": 0.1 + 0.2, "seed": 2**32 - 1})
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml())
    assert TrainConfig.resolve(read_toml(path)) == config


# --- the loop ---------------------------------------------------------------------------------------------------------


def test_training_learns_and_its_figures_add_up() -> None:
    trainer = new_trainer(epochs=4)
    assert trainer.train()
    assert (trainer.step, trainer.epoch) == (24, 4)
    first, last = trainer.rows[0], trainer.rows[-1]
    assert [row["step"] for row in trainer.rows] == [6, 12, 18, 24]
    assert last["train_loss"] < 0.8 * first["train_loss"]
    assert last["test_accuracy"] > 0.5
    assert len(trainer.step_losses) == 24
    np.testing.assert_allclose(np.mean(trainer.step_losses[:6]), first["train_loss"], rtol=1e-6)
    right = trainer.predictions().predictions == trainer.splits.test.labels
    assert last["test_accuracy"] == right.mean()


def test_same_seed_same_bits_other_seed_other_bits() -> None:
    def losses(seed: int) -> list[float]:
        trainer = new_trainer(epochs=1, seed=seed)
        trainer.train()
        return trainer.step_losses

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_learning_rate_follows_one_cycle(optimizer: str) -> None:
    class Watch(Callback):
        def __init__(self) -> None:
            self.rates: list[float] = []

        def on_step(self, trainer: ImageTrainer) -> None:
            self.rates.append(trainer.optimizer.param_groups[0]["lr"])

    watch = Watch()
    config = TrainConfig.resolve({"epochs": 2, "batch_size": 10, "optimizer": optimizer, "lr": 0.01})
    ImageTrainer(config, digits(100, 10), "numpy", callbacks=[watch]).train()
    assert max(watch.rates) == pytest.approx(0.01, rel=0.02)
    assert 4 <= np.argmax(watch.rates) <= 6
    assert watch.rates[-1] < 1e-4


@pytest.mark.parametrize("steps", [4, 6, 9])
def test_stopped_training_goes_on_bit_for_bit(tmp_path: Path, steps: int) -> None:
    whole = new_trainer(RunFolder.create(tmp_path / "whole"))
    assert whole.train()

    run = RunFolder.create(tmp_path / "parts")
    part = new_trainer(run)
    assert not part.train(should_stop=lambda: part.step >= steps)
    assert part.step == part.saved_step == steps

    dc.manual_seed(12345)  # a new process would not have the state of this one
    rest = new_trainer(run, seed=0)
    assert rest.resume(run) == steps
    assert rest.step == steps
    assert rest.train()
    assert_same_bits(weights_of(rest), weights_of(whole))
    assert part.step_losses + rest.step_losses == whole.step_losses

    def figures(trainer: ImageTrainer) -> list[dict[str, float]]:
        return [{k: v for k, v in row.items() if "second" not in k} for row in trainer.rows]

    assert figures(rest) == figures(whole)
    assert [row["epoch"] for row in run.read_metrics()] == [1, 2, 3]


def test_run_goes_on_on_another_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = digits()
    monkeypatch.setitem(data.LOADERS, "digits", lambda log: few)
    config = TrainConfig.resolve({"epochs": 2, "batch_size": 50, "device": "numpy"})
    lines: list[str] = []
    started = job.start(config, tmp_path / "run", say=lines.append)
    assert not started.trainer.train(should_stop=lambda: started.trainer.step == 3)
    resumed = job.resume(tmp_path / "run", {"device": "cpu"}, say=lines.append)
    assert resumed.trainer.train()
    assert job.finish(resumed).accuracy == resumed.trainer.rows[-1]["test_accuracy"]
    assert lines == ["device: numpy (as asked)", "device: cpu (as asked)"]


def test_finished_run_without_its_model_is_finished_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = digits()
    monkeypatch.setitem(data.LOADERS, "digits", lambda log: few)
    started = job.start(TrainConfig.resolve({"epochs": 1, "device": "numpy"}), tmp_path / "run", say=lambda line: None)
    started.trainer.train()  # and the disk was full when the model should have been written
    resumed = job.resume(tmp_path / "run", say=lambda line: None)
    assert resumed.trainer.train()
    assert job.finish(resumed).accuracy == started.trainer.rows[-1]["test_accuracy"]
    assert resumed.run.model.is_file()


def test_stop_at_the_very_end_is_a_finished_training() -> None:
    trainer = new_trainer()
    assert trainer.train(should_stop=lambda: trainer.step == trainer.total_steps)


def test_first_signal_asks_and_the_second_stops() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as request:
        assert not request()
        os.kill(os.getpid(), signal.SIGINT)
        assert request()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


# --- devices agree ----------------------------------------------------------------------------------------------------


def test_first_100_steps_agree_on_numpy_and_cpu() -> None:
    trainers = {}
    for device in ("numpy", "cpu"):
        # Where a ReLU's input or a tie of two maxima is rounded to different sides, the devices part ways for good, far
        # beyond rounding, and neither is wrong (docs/comparing.md). With this seed it does not happen.
        config = TrainConfig.resolve({"epochs": 10, "batch_size": 16, "seed": 2})
        trainer = trainers[device] = ImageTrainer(config, digits(160, 10), device)
        trainer.initial = weights_of(trainer)
        trainer.train()
    numpy, cpu = trainers["numpy"], trainers["cpu"]
    assert_same_bits(numpy.initial, cpu.initial)
    assert len(numpy.step_losses) == 100
    np.testing.assert_allclose(cpu.step_losses, numpy.step_losses, rtol=1e-4)


def test_training_runs_on_every_device(device: str) -> None:
    trainer = new_trainer(device=device, epochs=1)
    trainer.train()
    assert np.isfinite(trainer.step_losses).all()


# --- files of a run ---------------------------------------------------------------------------------------------------


def test_checkpoint_keeps_every_kind_of_value(tmp_path: Path) -> None:
    tree = {
        "numbers": [1, 2.5, 0.1 + 0.2, None, True, "text"],
        "pair": (1, (2, 3)),
        "by number": {0: {"step": 3, "average": np.arange(6.0).reshape(2, 3)}},
        "tensor": dc.tensor([1.0, 2.0]),
        "scalar": dc.tensor(7),
        "turned": np.arange(6.0).reshape(2, 3).T,
        "large": 2**64 - 1,
    }
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, tree)
    back = checkpoint.load(path)
    for name in ("numbers", "pair", "large"):
        assert back[name] == tree[name]
    np.testing.assert_array_equal(back["by number"][0]["average"], tree["by number"][0]["average"])
    assert back["tensor"].tolist() == [1, 2]
    assert (back["scalar"].shape, back["scalar"].tolist()) == ((), 7)
    assert back["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> job.Job:
    """A finished run on a part of the digits."""
    run = RunFolder.create(tmp_path_factory.mktemp("finished") / "run")
    config = TrainConfig.resolve({"epochs": 4, "batch_size": 25, "device": "cpu"})
    trainer = ImageTrainer(config, digits(400, 150), "cpu", run)
    run.config.write_text(config.to_toml())
    trainer.train()
    done = job.Job(trainer, run)
    job.finish(done)
    return done


def test_run_folder_is_complete(finished: job.Job) -> None:
    names = {path.name for path in finished.run.path.iterdir()}
    assert names == {
        "model.safetensors",
        "checkpoints",
        "config.toml",
        "metrics.csv",
        "metrics.jsonl",
        "curves.png",
        "confusion.png",
        "filters.png",
    }
    for picture in ("curves.png", "confusion.png", "filters.png"):
        assert (finished.run.path / picture).read_bytes().startswith(PNG)
    kept = {path.name for path in finished.run.checkpoints.iterdir()}
    assert kept == {"best.safetensors", "step-00000048.safetensors", "step-00000064.safetensors"}
    rows = finished.run.read_metrics()
    assert rows == finished.trainer.rows


def test_model_file_is_plain_safetensors(finished: job.Job) -> None:
    from safetensors.numpy import load_file

    weights = load_file(finished.run.model)
    assert_same_bits(dict(sorted(weights.items())), dict(sorted(weights_of(finished.trainer).items())))


def test_colour_model_with_batch_normalisation_is_stopped_resumed_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    images = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)
    few = data.ArrayDataset(images, np.arange(12) % 2, ["cat", "dog"], "few")
    monkeypatch.setitem(data.LOADERS, "cifar10", lambda log: Splits(few, few))
    given = {"model": "resnet20", "data": "cifar10", "epochs": 2, "batch_size": 6, "device": "cpu"}

    def quiet(line: str) -> None:
        """Nothing is shown."""

    started = job.start(TrainConfig.resolve(given), tmp_path / "run", say=quiet)
    assert not started.trainer.train(lambda: started.trainer.step == 2)
    resumed = job.resume(tmp_path / "run", say=quiet)
    assert resumed.trainer.train()
    job.finish(resumed)
    Image.fromarray(images[3].transpose(1, 2, 0)).save(tmp_path / "one.png")
    (prediction,) = Classifier(tmp_path / "run").predict([tmp_path / "one.png"])
    assert prediction.probabilities[0][0] == few.classes[resumed.trainer.predictions().predictions[3]]


def test_complete_run_is_not_resumed(finished: job.Job) -> None:
    with pytest.raises(RunError, match="is complete"):
        job.resume(finished.run.path, say=lambda line: None)


def test_confusion_counts_every_test_image(finished: job.Job) -> None:
    matrix = job.confusion_matrix(finished.trainer.splits.test, finished.trainer.predictions())
    assert matrix.sum() == 150
    assert np.trace(matrix) / 150 == finished.trainer.rows[-1]["test_accuracy"]


def test_pictures_of_odd_runs() -> None:
    row = {"epoch": 1, "train_loss": 1.0, "test_loss": 2.0, "train_accuracy": 0.0, "test_accuracy": 0.0}
    plots.curves([row], "one epoch")
    plots.curves([], "no figures")
    plots.confusion(np.zeros((2, 2), int), ["a", "b"], "nothing")
    plots.confusion(np.eye(40, dtype=int), [str(i) for i in range(40)], "many classes")
    plots.filters(np.zeros((1, 3, 2, 2)), np.zeros((3, 4, 4)), np.zeros((1, 3, 3)), "one filter")


# --- predictions ------------------------------------------------------------------------------------------------------


def test_predictions_are_those_of_the_evaluation(finished: job.Job, tmp_path: Path) -> None:
    from PIL import Image

    test = finished.trainer.splits.test
    paths = []
    for i in range(40):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(np.round(test.images[i, 0] * 255).astype(np.uint8)).save(paths[-1])
    predictions = Classifier(finished.run.path).predict(paths)
    best = [int(p.probabilities[0][0]) for p in predictions]
    assert np.mean(best == finished.trainer.predictions().predictions[:40]) >= 0.95  # 8-bit pixels differ a little
    for p in predictions:
        values = [value for _, value in p.probabilities]
        assert sum(values) == pytest.approx(1, abs=1e-5)
        assert values == sorted(values, reverse=True)


def ink(size: tuple[int, int] = (40, 40)) -> np.ndarray:
    """A light bar on a dark ground, (H, W) uint8."""
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[size[1] // 4 : -size[1] // 4, size[0] // 2 - 3 : size[0] // 2 + 3] = 255
    return pixels


def test_picture_on_light_ground_is_inverted(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(ink()).save(tmp_path / "dark.png")
    Image.fromarray(255 - ink()).save(tmp_path / "light.png")
    np.testing.assert_array_equal(read_image(tmp_path / "dark.png", 32), read_image(tmp_path / "light.png", 32))


def test_pictures_of_every_mode_give_the_same(tmp_path: Path) -> None:
    from PIL import Image

    grey = Image.fromarray(ink())
    expected = read_image_of(grey, tmp_path)
    transparent = Image.fromarray(np.dstack([np.zeros((40, 40, 3), np.uint8), ink()]))  # black ink on nothing
    deep = Image.fromarray(ink().astype(np.uint16) * 257)
    for image in (grey.convert("RGB"), grey.convert("P"), grey.convert("1"), grey.convert("LA"), transparent, deep):
        assert np.abs(read_image_of(image, tmp_path).astype(int) - expected).max() <= 1, image.mode


def read_image_of(image: object, folder: Path) -> np.ndarray:
    image.save(folder / "image.png")  # type: ignore[attr-defined]
    return read_image(folder / "image.png", 32)


def test_wide_picture_keeps_its_shape(tmp_path: Path) -> None:
    from PIL import Image

    result = read_image_of(Image.fromarray(255 - ink((80, 40))), tmp_path)
    assert result[:7].max() == result[-7:].max() == 0  # padded above and below with its own ground
    columns = np.flatnonzero(result.max(axis=0))
    assert 2 <= len(columns) <= 5


def test_colour_picture_stays_as_it_is(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.full((20, 40, 3), (250, 240, 10), np.uint8)
    pixels[8:12, 18:22] = (10, 20, 30)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    image = read_colour_image(tmp_path / "photo.png", 40)
    assert image.shape == (3, 40, 40)
    assert image[:, 2, 2].tolist() == [250, 240, 10]  # padded with the colour of its border
    assert image[:, 20, 20].tolist() == [10, 20, 30]


@pytest.mark.parametrize("content", [b"", b"plain text, no picture", PNG + b"cut off"])
def test_file_that_is_no_picture(finished: job.Job, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "seven.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"seven\.png: (not a picture|the picture cannot be read)"):
        Classifier(finished.run.path).predict([path])


def test_picture_that_is_cut_off_or_missing(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(DataError, match=r"cut\.png: the picture cannot be read"):
        read_image(path, 32)
    with pytest.raises(DataError, match="No such file"):
        read_image(tmp_path / "absent.png", 32)
    with pytest.raises(DataError, match="Is a directory"):
        read_image(tmp_path, 32)


def test_classifier_needs_a_finished_run(finished: job.Job, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    with pytest.raises(RunError, match="its training has not ended"):
        Classifier(tmp_path)
    checkpoint.save_model(tmp_path / "model.safetensors", {}, json.loads("{}"))
    with pytest.raises(RunError, match="lacks what it takes"):
        Classifier(tmp_path)


# --- what the product promises; minutes, so only when asked -----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_digits_reach_99_percent(seed: int, tmp_path: Path) -> None:
    started = job.start(TrainConfig.resolve({"seed": seed, "device": "cpu"}), tmp_path / "run")
    started.trainer.train()
    assert job.finish(started).accuracy >= 0.99


@pytest.mark.slow
def test_mnist_reaches_99_percent(data_dir: Path, tmp_path: Path) -> None:
    started = job.start(TrainConfig.resolve({"data": "mnist", "device": "cpu"}), tmp_path / "run")
    started.trainer.train()
    assert job.finish(started).accuracy >= 0.99
