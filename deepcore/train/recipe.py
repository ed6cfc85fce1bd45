"""What makes a trainer of a TrainConfig: model, data, augmentation, optimiser, schedule and callbacks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from deepcore import functional as F
from deepcore import models, optim
from deepcore.data import DataLoader, Normalize, Splits
from deepcore.data.transforms import augmentation
from deepcore.devices import device as use_device
from deepcore.errors import DataError
from deepcore.nn import Module, Parameter
from deepcore.optim import lr_scheduler
from deepcore.random import Generator, manual_seed
from deepcore.tensor import Tensor
from deepcore.train import callbacks as cb
from deepcore.train.callbacks.monitor import Best
from deepcore.train.config import AUGMENTATIONS, CHANGEABLE, TrainConfig
from deepcore.train.evaluate import BATCH, Evaluation, evaluate
from deepcore.train.meter import accuracy
from deepcore.train.run import RunFolder
from deepcore.train.trainer import Batch, Trainer

# The lower half of a stream's seed is the user's seed, the upper half says what the stream is for. Streams that are
# kept apart stay the same when another one draws more: the order of the data does not hang on the dropout.
WEIGHTS, ORDER, AUGMENTATION = (stream << 32 for stream in range(3))

START_FACTOR = 1 / 25  # of the learning rate, where a warm-up begins: that of the one-cycle schedule
STEP_AT, STEP_FACTOR = (0.5, 0.75), 0.1  # of the schedule "step", as in He et al. 2016
PLATEAU_FACTOR = 0.5


class ImageTrainer(Trainer):
    """Trains the model of a config on a pair of data sets; with a run folder, keeps figures and checkpoints there.

    >>> from deepcore import data
    >>> trainer = ImageTrainer(TrainConfig.resolve({"epochs": 1}), data.load("digits"), device="cpu")
    >>> trainer.steps_per_epoch, trainer.total_steps
    (23, 23)
    """

    def __init__(
        self,
        config: TrainConfig,
        splits: Splits,
        device: str,
        run: RunFolder | None = None,
        callbacks: Sequence[cb.Callback] = (),
    ):
        self.config, self.splits = config, splits
        self.run: RunFolder | None = None
        manual_seed(WEIGHTS + config.seed)
        model = make_model(config, splits, device)
        optimizer = make_optimizer(config, list(model.parameters()))
        loader, tests = make_loaders(config, splits, device)
        self.prepare = Prepare(config, splits)
        super().__init__(
            model,
            self.cross_entropy,
            optimizer,
            loader,
            epochs=config.epochs,
            test_loader=tests,
            metrics={"accuracy": accuracy},
            accumulate=config.accumulate,
            callbacks=[
                *make_schedules(config, optimizer, config.epochs * math.ceil(len(loader) / config.accumulate)),
                *make_callbacks(config),
                *callbacks,
            ],
            transform=self.prepare,
            test_transform=self.prepare.normalized,
            unit="images",
        )
        if run is not None:
            self.keep_in(run)

    def keep_in(self, run: RunFolder) -> None:
        """From now on keeps figures and checkpoints in this folder."""
        self.run = run
        self.use(make_keepers(self.config, run))

    def state_dict(self) -> dict[str, Any]:
        """The trainer's, and the settings."""
        return super().state_dict() | {"config": asdict(self.config)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up a state. Raises DataError where it is of other settings that the weights depend on."""
        super().load_state_dict(state)
        saved = dict(state["config"])
        for name, value in asdict(self.config).items():
            if name not in CHANGEABLE and saved.get(name, value) != value:
                raise DataError(f"{name} was {saved[name]!r} and is {value!r} now; a run goes on with its own settings")

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of training and test."""
        return F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)

    def predictions(self) -> Evaluation:
        """Loss, accuracy and predicted classes on the test set, by the weights that are meant for use."""
        with self.evaluating():
            return evaluate(
                self.model, self.splits.test, self.prepare.normalize, str(self.device), self.config.label_smoothing
            )


class Prepare:
    """A training batch on its way to the model: changed at random as the config says, and normalised."""

    def __init__(self, config: TrainConfig, splits: Splits):
        mean, std = splits.train.pixel_stats()
        self.generator = Generator(AUGMENTATION + config.seed)
        settings = {name: getattr(config, name) for name in AUGMENTATIONS}
        size, classes = splits.train.images.shape[2:], len(splits.train.classes)
        self.change = augmentation(size, classes, mean, std, **settings, generator=self.generator)
        self.normalize = next(step for step in self.change.transforms if isinstance(step, Normalize))

    def __call__(self, batch: Batch) -> Batch:
        return self.change(*batch)

    def normalized(self, batch: Batch) -> Batch:
        """A test batch: nothing is drawn."""
        images, labels = batch
        return self.normalize(images), labels

    def state_dict(self) -> dict[str, Any]:
        """Where the random stream stands."""
        return {"random": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was called."""
        self.generator.set_state(state["random"])


def make_loaders(config: TrainConfig, splits: Splits, device: str) -> tuple[DataLoader, DataLoader]:
    """The batches of training, in a new order each epoch, and those of the test."""
    order = Generator(ORDER + config.seed)
    train = DataLoader(
        splits.train,
        config.batch_size,
        shuffle=True,
        generator=order,
        device=device,
        num_workers=config.workers,
        worker_type="process",
        persistent_workers=config.workers > 0,
    )
    return train, DataLoader(splits.test, min(BATCH, len(splits.test)), device=device)


def make_model(config: TrainConfig, splits: Splits, device: str) -> Module:
    """The model that the config names, for images and classes like those of the data."""
    _, channels, height, _ = splits.train.images.shape
    with use_device(device):
        return models.create(
            config.model, num_classes=len(splits.train.classes), in_channels=channels, image_size=height
        )


def make_optimizer(config: TrainConfig, parameters: Sequence[Parameter]) -> optim.Optimizer:
    """The optimiser that the config names, over these parameters."""
    if config.optimizer == "sgd":
        return optim.SGD(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=config.nesterov,
        )
    kind = optim.AdamW if config.optimizer == "adamw" else optim.Adam
    return kind(parameters, lr=config.lr, weight_decay=config.weight_decay)


def make_schedules(config: TrainConfig, optimizer: optim.Optimizer, updates: int) -> list[cb.Schedule]:
    """The schedule that the config names, over so many updates; all but one-cycle warm up in a straight line."""
    if config.schedule == "one_cycle":
        # The momentum stays what the config says.
        cycle = lr_scheduler.OneCycleLR(
            optimizer, max_lr=config.lr, total_steps=updates, pct_start=config.warmup, cycle_momentum=False
        )
        return [cb.Schedule(cycle)]
    warm = round(config.warmup * updates)
    schedules: list[Any] = []
    if warm:
        schedules.append(lr_scheduler.LinearLR(optimizer, START_FACTOR, total_iters=warm))
    if config.schedule == "cosine":
        schedules.append(lr_scheduler.CosineAnnealingLR(optimizer, max(1, updates - warm)))
        if warm:
            schedules = [lr_scheduler.SequentialLR(optimizer, schedules, [warm])]
    elif config.schedule == "step":
        schedules.append(lr_scheduler.MultiStepLR(optimizer, [int(at * updates) for at in STEP_AT], STEP_FACTOR))
    elif config.schedule == "plateau":
        mode = Best(config.monitor).mode
        patience = max(2, config.epochs // 10)
        schedules.append(lr_scheduler.ReduceLROnPlateau(optimizer, mode, PLATEAU_FACTOR, patience))
    return [cb.Schedule(schedule, monitor=config.monitor) for schedule in schedules]


def make_callbacks(config: TrainConfig) -> list[cb.Callback]:
    """What the config asks for beside the schedule."""
    found: list[cb.Callback] = []
    if config.clip_norm or config.clip_value:
        found.append(cb.ClipGradients(config.clip_norm, config.clip_value))
    if config.ema:
        found.append(cb.EMA(config.ema))
    if config.patience:
        found.append(cb.EarlyStopping(config.monitor, config.patience))
    if config.max_minutes or config.max_memory:
        found.append(cb.Limits(config.max_minutes, config.max_memory))
    return found


def make_keepers(config: TrainConfig, run: RunFolder) -> list[cb.Callback]:
    """What writes into the run folder."""
    keepers: list[cb.Callback] = [
        cb.MetricsCSV(run),
        cb.MetricsJSON(run),
        cb.NanGuard(run),
        cb.Checkpoints(run, config.save_every, config.keep, config.monitor),
    ]
    return [*keepers, cb.TensorBoard(run.tensorboard)] if config.tensorboard else keepers
