"""What can happen beside the steps of a training: each callback is one file's idea."""

from __future__ import annotations

from deepcore.train.callbacks.base import Callback
from deepcore.train.callbacks.checkpoints import Checkpoints
from deepcore.train.callbacks.clip import ClipGradients
from deepcore.train.callbacks.early_stopping import EarlyStopping
from deepcore.train.callbacks.ema import EMA
from deepcore.train.callbacks.figures import Curves, MetricsCSV, MetricsJSON
from deepcore.train.callbacks.limits import Limits
from deepcore.train.callbacks.nan_guard import NanGuard
from deepcore.train.callbacks.progress import Progress
from deepcore.train.callbacks.schedule import Schedule
from deepcore.train.callbacks.tensorboard import TensorBoard

__all__ = [
    "EMA",
    "Callback",
    "Checkpoints",
    "ClipGradients",
    "Curves",
    "EarlyStopping",
    "Limits",
    "MetricsCSV",
    "MetricsJSON",
    "NanGuard",
    "Progress",
    "Schedule",
    "TensorBoard",
]
