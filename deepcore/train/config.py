"""All settings of a training run: their defaults, their checks, and their TOML file."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from deepcore.errors import ConfigError, nearest

OPTIMIZERS = ("adam", "adamw", "sgd")
LARGEST_SEED = 2**32 - 1

# The defaults below were chosen on folds of the digits' training set, never on the test set. What differs from
# them, by data set and by optimiser; anything that the user names wins over both.
DATA_DEFAULTS: dict[str, dict[str, Any]] = {
    # Shifted by up to 4 of 32 pixels, as in He et al. 2016, neither turned nor resized. Not tuned.
    "cifar10": {"batch_size": 128, "lr": 0.004, "degrees": 0.0, "scale": 0.0, "translate": 0.125},
    "digits": {},
    "mnist": {"epochs": 5, "batch_size": 128, "lr": 0.004, "label_smoothing": 0.0},
}
OPTIMIZER_DEFAULTS: dict[str, dict[str, Any]] = {"adam": {}, "adamw": {"weight_decay": 0.01}, "sgd": {"lr": 0.05}}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The settings of one run; `resolve` fills what is not named with the values that suit the data and the optimiser.

    >>> TrainConfig.resolve({"data": "mnist", "seed": 3}).epochs
    5
    """

    model: str = "lenet"
    data: str = "digits"
    device: str = "auto"
    epochs: int = 30
    batch_size: int = 64
    lr: float = 0.005  # the peak of the one-cycle schedule
    optimizer: str = "adam"
    momentum: float = 0.9  # sgd only
    weight_decay: float = 0.0
    label_smoothing: float = 0.1  # share of each label that is spread over all classes
    warmup: float = 0.3  # fraction of all steps in which the learning rate rises
    degrees: float = 10.0  # random turn of the training images
    scale: float = 0.1  # random change of size, fraction
    translate: float = 0.06  # random shift, fraction of the side
    schedule: str = "one_cycle"
    clip_norm: float = 0.0
    clip_value: float = 0.0
    accumulate: int = 1
    ema: float = 0.0
    save_every: int = 0
    keep: int = 2
    monitor: str = "test_accuracy"
    patience: int = 0
    max_minutes: float = 0.0
    max_memory: int = 0
    tensorboard: bool = False
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _typed(field.name, getattr(self, field.name), str(field.type)))
        self._check_names()
        self._check_ranges()

    def _check_names(self) -> None:
        from deepcore import data, models

        _check_choice("model", self.model, models.names())
        _check_choice("data", self.data, data.names())
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)

    def _check_ranges(self) -> None:
        _check_range("epochs", self.epochs, 1, math.inf)
        _check_range("batch_size", self.batch_size, 1, math.inf)
        _check_range("lr", self.lr, 0, math.inf, open_low=True)
        _check_range("momentum", self.momentum, 0, 1, open_high=True)
        _check_range("weight_decay", self.weight_decay, 0, math.inf)
        _check_range("label_smoothing", self.label_smoothing, 0, 1, open_high=True)
        _check_range("warmup", self.warmup, 0, 1)
        _check_range("degrees", self.degrees, 0, 180)
        _check_range("scale", self.scale, 0, 1, open_high=True)
        _check_range("translate", self.translate, 0, 1)
        _check_range("seed", self.seed, 0, LARGEST_SEED)

    @property
    def augments(self) -> bool:
        """Whether the training images are changed at random."""
        return bool(self.degrees or self.scale or self.translate)

    @classmethod
    def resolve(cls, given: Mapping[str, Any]) -> TrainConfig:
        """The config with the `given` settings; the rest suits their data set and optimiser.

        Raises ConfigError for an unknown name, a wrong type, or a value outside its range.
        """
        _check_keys(given)
        known = asdict(cls())
        defaults = DATA_DEFAULTS.get(str(given.get("data", known["data"])), {})
        by_optimizer = OPTIMIZER_DEFAULTS.get(str(given.get("optimizer", known["optimizer"])), {})
        return cls(**(known | defaults | by_optimizer | dict(given)))

    def to_toml(self) -> str:
        """The settings as TOML text."""
        import tomli_w

        return "# Settings of this run; start a new one like it with: deepcore train --config FILE\n" + tomli_w.dumps(
            asdict(self)
        )


def read_toml(path: str | Path) -> dict[str, Any]:
    """The settings named in a TOML file. Raises ConfigError for a missing or malformed file or an unknown setting."""
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file ({error}).") from error
    try:
        _check_keys(given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return given


def setting_names() -> list[str]:
    """Names of all settings, in their order."""
    return [field.name for field in fields(TrainConfig)]


def _check_keys(given: Mapping[str, Any]) -> None:
    for key in given:
        if key not in setting_names():
            raise ConfigError(f"unknown setting {key!r}.{nearest(key, setting_names())}")


def _typed(name: str, value: Any, kind: str) -> Any:
    """The value in its declared type; a whole number will do for a float, a bool will do for nothing."""
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "bool":
        return value
    expected = {"float": "a number", "int": "a whole number", "str": "a text"}[kind]
    raise ConfigError(f"{name}: expected {expected}; got {value!r}.")


def _check_choice(name: str, value: str, choices: list[str] | tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigError(f"unknown {name} {value!r}; there are {', '.join(choices)}.{nearest(value, choices)}")


def _check_range(
    name: str, value: float, low: float, high: float, open_low: bool = False, open_high: bool = False
) -> None:
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (above and below and math.isfinite(value)):
        raise ConfigError(f"{name}: expected {_range(low, high, open_low, open_high)}; got {value!r}.")


def _range(low: float, high: float, open_low: bool, open_high: bool) -> str:
    bottom = f"more than {low:g}" if open_low else f"at least {low:g}"
    if high == math.inf:
        return bottom
    return f"{bottom} and {'less than' if open_high else 'at most'} {high:g}"
