"""Optimisers and learning-rate schedules with PyTorch's names, defaults and definitions."""

from __future__ import annotations

from deepcore.optim import lr_scheduler
from deepcore.optim.adagrad import Adagrad
from deepcore.optim.adam import Adam, AdamW
from deepcore.optim.optimizer import Optimizer
from deepcore.optim.sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
