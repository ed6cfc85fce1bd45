"""The schema: every setting of a training with its type, its default, what it may be, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from deepcore.train.config.check import Fault, check, raise_faults

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("one_cycle", "cosine", "step", "plateau", "constant")
MONITORS = ("test_accuracy", "test_loss")
LARGEST_SEED = 2**32 - 1

# What may be another when a run goes on: none of it changes a bit of the weights, on one device.
CHANGEABLE = ("device", "keep", "max_memory", "max_minutes", "save_every", "tensorboard", "workers")

# How the training images are changed at random: each is off at 0.
AUGMENTATIONS = ("degrees", "scale", "translate", "flip", "crop", "cutout", "mixup", "randaugment")

# The defaults below were chosen on folds of the digits' training set, never on the test set. What differs from
# them, by data set, by optimiser and by schedule; the later wins, and anything that the user names wins over all.
# Photographs are padded by 4 pixels, cut and mirrored as in He et al. 2016, neither turned nor resized. Not tuned.
PHOTOGRAPHS = {"batch_size": 128, "lr": 0.004, "crop": 4, "flip": True, "degrees": 0.0, "scale": 0.0, "translate": 0.0}
SIXTY_THOUSAND = {"epochs": 5, "batch_size": 128, "lr": 0.004, "label_smoothing": 0.0}
DATA_DEFAULTS: dict[str, dict[str, Any]] = {
    "cifar10": PHOTOGRAPHS,
    "cifar100": PHOTOGRAPHS,
    "digits": {},
    "fashion-mnist": SIXTY_THOUSAND | {"epochs": 10, "flip": True},
    "kmnist": SIXTY_THOUSAND | {"epochs": 10},
    "mnist": SIXTY_THOUSAND,
}
OPTIMIZER_DEFAULTS: dict[str, dict[str, Any]] = {"adam": {}, "adamw": {"weight_decay": 0.01}, "sgd": {"lr": 0.05}}
# A one-cycle schedule is made of its rise; the others begin with their highest rate unless they are told to warm up.
SCHEDULE_DEFAULTS: dict[str, dict[str, Any]] = {
    "one_cycle": {},
    "cosine": {"warmup": 0.0},
    "step": {"warmup": 0.0},
    "plateau": {"warmup": 0.0},
    "constant": {"warmup": 0.0},
}


def _models() -> tuple[str, ...]:
    from deepcore import models

    return tuple(models.names())


def _data() -> tuple[str, ...]:
    from deepcore import data

    return tuple(data.names())


def _setting(default: Any, meaning: str, choices: Any = None, **bounds: float) -> Any:
    """A field of `TrainConfig`; `choices` are texts or a function that gives them, `bounds` are pydantic's (ge, lt)."""
    return field(default=default, metadata={"meaning": meaning, "choices": choices, "bounds": bounds})


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of one run; `resolve` fills in what suits the data, the optimiser and the schedule.

    Raises ConfigError that names every setting of a wrong type, every value that cannot be, and settings that exclude
    each other. A whole number will do for a float, a bool will do for no number.

    >>> TrainConfig.resolve({"data": "mnist", "seed": 3}).epochs
    5
    """

    model: str = _setting("lenet", "the model", _models)
    data: str = _setting("digits", "the data set", _data)
    device: str = _setting("auto", "`cpu`, `numpy`, `cuda`, `cuda:1`, or `auto`: a working GPU, else the CPU")
    epochs: int = _setting(30, "rounds over the training data", ge=1)
    batch_size: int = _setting(64, "images of one step", ge=1)
    lr: float = _setting(0.005, "learning rate; with a schedule that changes it, its highest value", gt=0)
    optimizer: str = _setting("adam", "what turns gradients into steps", OPTIMIZERS)
    momentum: float = _setting(0.9, "momentum of `sgd`", ge=0, lt=1)
    nesterov: bool = _setting(False, "Nesterov's momentum, for `sgd`")
    weight_decay: float = _setting(0.0, "how strongly weights are pulled towards zero", ge=0)
    label_smoothing: float = _setting(0.1, "share of each label that is spread over all classes", ge=0, lt=1)
    schedule: str = _setting("one_cycle", "how the learning rate changes from step to step", SCHEDULES)
    warmup: float = _setting(0.3, "fraction of all steps in which the learning rate rises at first", ge=0, le=1)
    clip_norm: float = _setting(0.0, "longest that all gradients together may be as one vector; 0: any length", ge=0)
    clip_value: float = _setting(0.0, "largest that any element of a gradient may be; 0: any size", ge=0)
    accumulate: int = _setting(1, "batches whose gradients are added up for one step of the optimizer", ge=1)
    ema: float = _setting(0.0, "decay of the running mean of the weights that is tested and kept; 0: none", ge=0, lt=1)
    degrees: float = _setting(10.0, "augmentation: largest random turn of an image, in degrees", ge=0, le=180)
    scale: float = _setting(0.1, "augmentation: largest random change of size, as a fraction", ge=0, lt=1)
    translate: float = _setting(0.06, "augmentation: largest random shift, as a fraction of the side", ge=0, le=1)
    flip: bool = _setting(False, "augmentation: every other image, by chance, is mirrored left to right")
    crop: int = _setting(0, "augmentation: pixels added on each side before a random cut of the old size", ge=0)
    cutout: int = _setting(0, "augmentation: side in pixels of a square that is blanked; 0: none", ge=0)
    mixup: float = _setting(0.0, "augmentation: alpha of mixup, which blends pairs of images and labels; 0: off", ge=0)
    randaugment: int = _setting(0, "augmentation: magnitude of RandAugment; 0: off", ge=0, le=30)
    monitor: str = _setting("test_accuracy", "the figure by which an epoch is the best so far", MONITORS)
    patience: int = _setting(0, "epochs without a better `monitor` after which training stops; 0: it does not", ge=0)
    max_minutes: float = _setting(0.0, "minutes after which training stops; 0: it does not", ge=0)
    max_memory: int = _setting(0, "memory in MiB beyond which training stops; 0: no limit", ge=0)
    save_every: int = _setting(0, "steps between checkpoints within an epoch; 0: only after each epoch", ge=0)
    keep: int = _setting(2, "how many checkpoints stay in the run folder", ge=1)
    workers: int = _setting(0, "processes that read batches ahead; 0: the training does it itself", ge=0, le=256)
    tensorboard: bool = _setting(False, "also write the figures for TensorBoard")
    seed: int = _setting(0, "seed of weights, order and augmentation", ge=0, le=LARGEST_SEED)

    def __post_init__(self) -> None:
        typed, faults = check(fields(self), asdict(self))
        raise_faults(faults)
        for name, value in typed.items():
            object.__setattr__(self, name, value)
        raise_faults(_conflicts(asdict(self)))

    @property
    def augments(self) -> bool:
        """Whether the training images are changed at random."""
        return any(getattr(self, name) for name in AUGMENTATIONS)

    @classmethod
    def resolve(cls, given: Mapping[str, Any]) -> TrainConfig:
        """The config with the `given` settings; the rest suits their data set, optimiser and schedule.

        Raises ConfigError that names every unknown setting and every value that cannot be, and where it stands if
        `given` comes from `read_toml`.
        """
        places = getattr(given, "places", {})
        typed, faults = check(fields(cls), given)
        raise_faults(faults, places)
        known: dict[str, Any] = {setting.name: setting.default for setting in fields(cls)}
        defaults = DATA_DEFAULTS.get(typed.get("data", known["data"]), {})
        by_optimizer = OPTIMIZER_DEFAULTS.get(typed.get("optimizer", known["optimizer"]), {})
        by_schedule = SCHEDULE_DEFAULTS.get(typed.get("schedule", known["schedule"]), {})
        settings = known | defaults | by_optimizer | by_schedule | typed
        raise_faults(_conflicts(settings), places)
        return cls(**settings)

    def to_toml(self) -> str:
        """The settings as TOML text."""
        import tomli_w

        return "# Settings of this run; start a new one like it with: deepcore train --config FILE\n" + tomli_w.dumps(
            asdict(self)
        )


def setting_names() -> list[str]:
    """Names of all settings, in their order."""
    return [setting.name for setting in fields(TrainConfig)]


def _conflicts(settings: Mapping[str, Any]) -> list[Fault]:
    """Settings that are good alone and cannot be together."""
    faults = []
    if settings["nesterov"] and settings["optimizer"] != "sgd":
        faults.append(Fault("nesterov", f"nesterov: expected optimizer 'sgd' with it; got {settings['optimizer']!r}."))
    elif settings["nesterov"] and settings["momentum"] == 0:
        faults.append(Fault("nesterov", "nesterov: expected momentum of more than 0 with it; got 0."))
    return faults
