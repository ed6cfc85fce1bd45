"""A whole training job: data, run folder, training, and everything that stays in the folder at its end."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepcore import data
from deepcore.autograd import no_grad
from deepcore.creation import tensor
from deepcore.errors import ConfigError, RunError
from deepcore.nn import Conv2d
from deepcore.train import checkpoint, device, plots
from deepcore.train.callbacks import Callback, EarlyStopping, TensorBoard
from deepcore.train.config import CHANGEABLE, TrainConfig, read_toml
from deepcore.train.evaluate import Evaluation
from deepcore.train.recipe import ImageTrainer
from deepcore.train.run import RunFolder, write_atomic

Say = Callable[[str], None]


class Job(NamedTuple):
    """A trainer that is ready to start or to go on, and its folder."""

    trainer: ImageTrainer
    run: RunFolder


def start(
    config: TrainConfig, out: str | Path | None = None, say: Say = print, callbacks: Sequence[Callback] = ()
) -> Job:
    """Prepares a new run in the folder `out` (by default the next `runs/<model>-<data>-<NNN>`).

    Nothing is made on disk before the settings, the device and the data are found good.
    Raises ConfigError, DeviceError, DataError, RunError.
    """
    if out is not None:
        RunFolder.check_free(out)
    name, line = device.choose(config.device)
    say(line)
    config = replace(config, device=name)
    if config.tensorboard:
        TensorBoard.require()
    with _notes(say):
        splits = data.load(config.data, log=say)
        trainer = ImageTrainer(config, splits, name, callbacks=callbacks)
    run = RunFolder.create(out) if out is not None else RunFolder.create_next(config.model, config.data)
    write_atomic(run.config, lambda file: file.write(config.to_toml().encode()))
    trainer.keep_in(run)
    return Job(trainer, run)


def resume(
    path: str | Path, changes: Mapping[str, Any] | None = None, say: Say = print, callbacks: Sequence[Callback] = ()
) -> Job:
    """Prepares to go on with a run where its newest good checkpoint ends, on its own device or another.

    changes: settings that are others from now on, of those in `config.CHANGEABLE`. A run that was stopped before its
    first checkpoint begins anew. Raises RunError where the run is complete or all of its checkpoints are damaged,
    ConfigError for settings that cannot be.
    """
    run = RunFolder.open(path)
    changes = changes or {}
    for name in changes:
        if name not in CHANGEABLE:
            raise ConfigError(f"a run goes on with its own {name}; what may be another is {', '.join(CHANGEABLE)}.")
    config = TrainConfig.resolve(read_toml(run.config) | changes)
    if run.model.is_file() and not run.saved():
        raise RunError(f"{run} has no checkpoint to go on from. Hint: start anew: deepcore train --config {run.config}")
    name, line = device.choose(config.device)
    say(line)
    with _notes(say):
        trainer = ImageTrainer(config, data.load(config.data, log=say), name, run, callbacks)
    if trainer.resume(run, say) is None:
        say(f"{run} has no checkpoint yet; it begins anew")
    if trainer.finished and run.model.is_file():
        raise RunError(
            f"{run} is complete ({trainer.epoch} of {config.epochs} epochs); there is nothing to go on with."
        )
    return Job(trainer, run)


def finish(job: Job, say: Say = print) -> Evaluation:
    """Writes the pictures, then the model, and returns the result on the test set.

    After an early stopping the model is that of the best epoch, else that of the last. The model comes last: a run that
    has one is complete, and one that is killed before is finished when it goes on.
    """
    trainer, run = job
    _take_best(trainer, run, say)
    result = trainer.predictions()
    title = f"{trainer.config.model} on {trainer.config.data}"
    test = trainer.splits.test
    smoothing = trainer.config.label_smoothing
    loss_title = f"loss with label smoothing {smoothing:g}" if smoothing else "loss"
    plots.save_figure(plots.curves(trainer.rows, title, loss_title), run.path / "curves.png")
    figure = plots.confusion(
        confusion_matrix(test, result), test.classes, f"{title}: test accuracy {100 * result.accuracy:.2f} %"
    )
    plots.save_figure(figure, run.path / "confusion.png")
    _save_filters(trainer, run, title)
    save_model(trainer, run)
    return result


def _take_best(trainer: ImageTrainer, run: RunFolder, say: Say) -> None:
    """Goes back to the best checkpoint where the training was ended because nothing got better."""
    if not any(isinstance(callback, EarlyStopping) and callback.triggered for callback in trainer.callbacks):
        return
    rows = trainer.rows
    try:
        trainer.load_state_dict(checkpoint.load(run.best))
    except RunError as error:
        say(f"note: {error}")
        return
    say(f"nothing got better after epoch {trainer.epoch} of {len(rows)}; the model is the one of then")
    trainer.rows = rows


def save_model(trainer: ImageTrainer, run: RunFolder) -> None:
    """`model.safetensors`: the weights, and in the metadata what it takes to build the model and to feed it."""
    test = trainer.splits.test
    _, channels, height, _ = test.images.shape
    info = {
        "model": trainer.config.model,
        "options": {"num_classes": len(test.classes), "in_channels": channels, "image_size": height},
        "classes": list(test.classes),
        "mean": trainer.prepare.normalize.mean,
        "std": trainer.prepare.normalize.std,
    }
    with trainer.evaluating():
        checkpoint.save_model(run.model, trainer.model.state_dict(), info)


def confusion_matrix(dataset: data.ArrayDataset, result: Evaluation) -> np.ndarray:
    """(K, K) counts: true class by predicted class."""
    from sklearn.metrics import confusion_matrix as count

    return count(dataset.labels, result.predictions, labels=range(len(dataset.classes)))


def _save_filters(trainer: ImageTrainer, run: RunFolder, title: str) -> None:
    """Draws the first convolution; a model without one has no such picture."""
    first = next((module for module in trainer.model.modules() if isinstance(module, Conv2d)), None)
    if first is None:
        return
    images, _ = trainer.splits.test[:1]
    with no_grad():
        maps = first(trainer.prepare.normalize(tensor(images, device=trainer.device)))
    figure = plots.filters(
        checkpoint.to_numpy(first.weight), images[0], checkpoint.to_numpy(maps)[0], f"{title}: first layer"
    )
    plots.save_figure(figure, run.path / "filters.png")


@contextmanager
def _notes(say: Say) -> Iterator[None]:
    """Shows deepcore's own warnings as plain notes; a user at a terminal has no use for a source line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        say(f"note: {warning.message}")
