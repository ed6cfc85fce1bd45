"""Training: the loop, callbacks, settings, run folders, checkpoints, pictures, predictions."""

from __future__ import annotations

from deepcore.train.callbacks import (
    EMA,
    Callback,
    Checkpoints,
    ClipGradients,
    Curves,
    EarlyStopping,
    Limits,
    MetricsCSV,
    MetricsJSON,
    NanGuard,
    Progress,
    Schedule,
    TensorBoard,
)
from deepcore.train.config import TrainConfig
from deepcore.train.evaluate import Evaluation, evaluate
from deepcore.train.meter import accuracy
from deepcore.train.recipe import ImageTrainer
from deepcore.train.run import RunFolder
from deepcore.train.trainer import Trainer

__all__ = [
    "EMA",
    "Callback",
    "Checkpoints",
    "ClipGradients",
    "Curves",
    "EarlyStopping",
    "Evaluation",
    "ImageTrainer",
    "Limits",
    "MetricsCSV",
    "MetricsJSON",
    "NanGuard",
    "Progress",
    "RunFolder",
    "Schedule",
    "TensorBoard",
    "TrainConfig",
    "Trainer",
    "accuracy",
    "evaluate",
]
