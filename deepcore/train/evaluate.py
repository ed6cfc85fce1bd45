"""Loss, accuracy and predictions of a model over a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from deepcore import functional as F
from deepcore.autograd import no_grad
from deepcore.data import ArrayDataset, DataLoader
from deepcore.nn import Module
from deepcore.tensor import Tensor
from deepcore.train.meter import Meter, accuracy

BATCH = 500


class Evaluation(NamedTuple):
    """Mean loss, fraction of right answers, and the predicted class of every image (N,) int64."""

    loss: float
    accuracy: float
    predictions: np.ndarray


def evaluate(
    model: Module,
    dataset: ArrayDataset,
    prepare: Callable[[Tensor], Tensor],
    device: str,
    label_smoothing: float = 0.0,
    batch_size: int = BATCH,
) -> Evaluation:
    """The model on every image of the data set, in evaluation mode; the mode of before is put back."""
    loader = DataLoader(dataset, batch_size=min(batch_size, len(dataset)), device=device)
    meter, predictions = Meter({"accuracy": accuracy}), []
    training = model.training
    model.eval()
    with no_grad():
        for images, labels in loader:
            logits = model(prepare(images))
            loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
            meter.add(loss, logits, labels, len(labels))
            predictions.append(logits.argmax(dim=1))
    model.train(training)
    meter.read()
    return Evaluation(meter.loss, meter.values["accuracy"], np.concatenate([p.cpu().numpy() for p in predictions]))
