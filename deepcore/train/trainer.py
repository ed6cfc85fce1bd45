"""The training loop of an image classifier: small enough to read, exact enough to stop and go on bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from deepcore import functional as F
from deepcore import models, optim
from deepcore.data import DataLoader, Normalize, RandomAffine, Splits
from deepcore.devices import device as use_device
from deepcore.errors import ConfigError, DataError, RunError
from deepcore.nn import Module, Parameter
from deepcore.optim.lr_scheduler import OneCycleLR
from deepcore.random import Generator, get_rng_state, manual_seed, set_rng_state
from deepcore.tensor import Tensor
from deepcore.train import checkpoint
from deepcore.train.config import TrainConfig
from deepcore.train.evaluate import Evaluation, evaluate
from deepcore.train.meter import Meter
from deepcore.train.run import RunFolder

# The lower half of a stream's seed is the user's seed, the upper half says what the stream is for. Streams that are
# kept apart stay the same when another one draws more: the order of the data does not hang on the dropout.
WEIGHTS, ORDER, AUGMENTATION = (stream << 32 for stream in range(3))


class Callback:
    """What can listen to a training; every method may be left out."""

    def on_start(self, trainer: Trainer) -> None:
        """Before the first step."""

    def on_step(self, trainer: Trainer) -> None:
        """After each step; `trainer.read_meter()` fetches the running loss and accuracy, at the cost of a wait."""

    def on_epoch(self, trainer: Trainer) -> None:
        """After each epoch; its line of figures is `trainer.rows[-1]`."""

    def on_end(self, trainer: Trainer) -> None:
        """After the last step, also when the training was stopped or failed."""


class Trainer:
    """Trains the model of a config on a pair of data sets; with a run folder, writes a checkpoint after every epoch.

    >>> from deepcore import data
    >>> trainer = Trainer(TrainConfig.resolve({"epochs": 1}), data.load("digits"), device="cpu")
    >>> trainer.steps_per_epoch, trainer.total_steps
    (23, 23)
    """

    def __init__(
        self,
        config: TrainConfig,
        splits: Splits,
        device: str,
        run: RunFolder | None = None,
        callbacks: Sequence[Callback] = (),
    ):
        self.config, self.splits, self.device, self.run, self.callbacks = config, splits, device, run, callbacks
        manual_seed(WEIGHTS + config.seed)
        self.model = self._make_model()
        self.normalize = Normalize(*splits.train.pixel_stats())
        self.augment = RandomAffine(
            config.degrees, config.scale, config.translate, Generator(AUGMENTATION + config.seed)
        )
        order = Generator(ORDER + config.seed)
        self.loader = DataLoader(splits.train, config.batch_size, shuffle=True, generator=order, device=device)
        self.steps_per_epoch = len(self.loader)
        self.total_steps = config.epochs * self.steps_per_epoch
        self.optimizer = make_optimizer(config, list(self.model.parameters()))
        self.schedule = OneCycleLR(
            self.optimizer,
            max_lr=config.lr,
            total_steps=self.total_steps,
            pct_start=config.warmup,
            cycle_momentum=False,  # the momentum stays what the config says
        )
        self.epoch = self.step = 0
        self.saved_step: int | None = None
        self.meter = Meter()
        self.seconds = 0.0
        self.step_losses: list[float] = []
        self.rows: list[dict[str, Any]] = []
        self.evaluation: Evaluation | None = None

    def _make_model(self) -> Module:
        _, channels, height, _ = self.splits.train.images.shape
        with use_device(self.device):
            return models.create(
                self.config.model,
                num_classes=len(self.splits.train.classes),
                in_channels=channels,
                image_size=height,
            )

    def train(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Runs all epochs that are left; False where `should_stop` ended it early, after a step and a checkpoint.

        Raises RunError where the loss is no longer a number, or a checkpoint cannot be written.
        """
        self._tell("on_start")
        try:
            while self.epoch < self.config.epochs:
                if not self._run_epoch(should_stop):
                    return False
            return True
        finally:
            self._tell("on_end")

    def _run_epoch(self, should_stop: Callable[[], bool]) -> bool:
        self.model.train()
        started = time.perf_counter() - self.seconds
        for images, labels in self.loader:
            self._train_step(images, labels)
            self.seconds = time.perf_counter() - started
            self._tell("on_step")
            # An epoch whose last step is done is finished first: only then does it have its line of figures.
            if self.loader.position < self.steps_per_epoch and should_stop():
                self.save_checkpoint()
                return False
        self.read_meter()
        self.seconds = time.perf_counter() - started
        self._finish_epoch()
        return not should_stop() or self.epoch == self.config.epochs

    def _train_step(self, images: Tensor, labels: Tensor) -> None:
        if self.config.augments:
            images = self.augment(images)
        logits = self.model(self.normalize(images))
        loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        if self.step < self.total_steps:
            self.schedule.step()
        self.meter.add(loss, logits, labels)

    def _finish_epoch(self) -> None:
        lr = self.optimizer.param_groups[0]["lr"]
        self.evaluation = self.evaluate()
        self.epoch += 1
        row = {
            "epoch": self.epoch,
            "step": self.step,
            "lr": lr,
            "train_loss": self.meter.loss,
            "train_accuracy": self.meter.accuracy,
            "test_loss": self.evaluation.loss,
            "test_accuracy": self.evaluation.accuracy,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.meter.count / self.seconds, 1),
        }
        self.rows.append(row)
        self.meter.reset()
        self.seconds = 0.0
        self._tell("on_epoch")
        self.save_checkpoint()

    def evaluate(self) -> Evaluation:
        """The model as it is now, on the test set, by the same loss as in training."""
        return evaluate(self.model, self.splits.test, self.normalize, self.device, self.config.label_smoothing)

    def read_meter(self) -> Meter:
        """The running loss and accuracy of this epoch, up to date. Raises RunError where the loss is not finite."""
        first = self.step - len(self.meter) + 1
        losses = self.meter.read()
        self.step_losses += losses
        for step, loss in enumerate(losses, start=first):
            if not math.isfinite(loss):
                raise RunError(
                    f"the loss became {loss} at step {step}. Hint: use a smaller --lr (it is {self.config.lr:g})."
                )
        return self.meter

    def _tell(self, event: str) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        self.read_meter()
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": get_rng_state(),
            "augmentation": self.augment.generator.get_state(),
            "loader": self.loader.state_dict(),
            "meter": self.meter.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up the state that `state_dict` gave, from a trainer with the same config."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        set_rng_state(state["random"])
        self.augment.generator.set_state(state["augmentation"])
        self.loader.load_state_dict(state["loader"])
        self.meter.load_state_dict(state["meter"])
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]

    def save_checkpoint(self) -> None:
        """Writes figures and state into the run folder, where there is one. Raises RunError where the disk refuses."""
        if self.run is None:
            return
        state = self.state_dict()
        try:
            # Figures first: a line too many is dropped when the run goes on, a line too few would be lost.
            self.run.write_metrics(self.rows)
            checkpoint.save(self.run.checkpoint, state)
        except RunError as error:
            raise RunError(f"{error} {self._way_on()}") from error
        self.saved_step = self.step

    def _way_on(self) -> str:
        if self.saved_step is None:
            return "Hint: make room or choose another --out, then start again; there is no checkpoint yet."
        return (
            f"Hint: the checkpoint of step {self.saved_step} is still good; when the disk takes files again: "
            f"deepcore train --resume {self.run}"
        )

    def load_checkpoint(self) -> None:
        """Goes on where the checkpoint of the run folder ends. Raises RunError where it is missing or damaged."""
        assert self.run is not None
        try:
            self.load_state_dict(checkpoint.load(self.run.checkpoint))
        except (KeyError, TypeError, DataError, ConfigError) as error:
            raise RunError(f"{self.run.checkpoint} does not belong to {self.run.config} ({error}).") from error
        self.rows = [row for row in self.run.read_metrics() if row["step"] <= self.step]
        self.saved_step = self.step


def make_optimizer(config: TrainConfig, parameters: Sequence[Parameter]) -> optim.Optimizer:
    """The optimiser that the config names, over these parameters."""
    if config.optimizer == "sgd":
        return optim.SGD(parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    kind = optim.AdamW if config.optimizer == "adamw" else optim.Adam
    return kind(parameters, lr=config.lr, weight_decay=config.weight_decay)
