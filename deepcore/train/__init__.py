"""Training: settings, the loop, run folders, checkpoints, pictures, predictions."""

from __future__ import annotations

from deepcore.train.config import TrainConfig
from deepcore.train.evaluate import Evaluation, evaluate
from deepcore.train.run import RunFolder
from deepcore.train.trainer import Callback, Trainer

__all__ = ["Callback", "Evaluation", "RunFolder", "TrainConfig", "Trainer", "evaluate"]
