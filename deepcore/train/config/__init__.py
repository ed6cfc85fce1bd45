"""The settings of a training: their schema, their TOML file, and what is said about those that cannot be."""

from __future__ import annotations

from deepcore.train.config.settings import (
    AUGMENTATIONS,
    CHANGEABLE,
    LARGEST_SEED,
    OPTIMIZERS,
    SCHEDULES,
    TrainConfig,
    setting_names,
)
from deepcore.train.config.source import Settings, from_command_line, option, read_toml

__all__ = [
    "AUGMENTATIONS",
    "CHANGEABLE",
    "LARGEST_SEED",
    "OPTIMIZERS",
    "SCHEDULES",
    "Settings",
    "TrainConfig",
    "from_command_line",
    "option",
    "read_toml",
    "setting_names",
]
