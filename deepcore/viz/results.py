"""What a training came to: learning curves and confusion matrix, as a run folder has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.errors import ConfigError
from deepcore.train import plots
from deepcore.train.run import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(rows: Sequence[dict[str, Any]] | str, title: str = "") -> Figure:
    """Loss and accuracy per epoch; rows: a run folder, or what `metrics.csv` holds, with `epoch`, `train_loss`, ...

    Raises ConfigError without rows, RunError where the folder cannot be read.
    """
    if isinstance(rows, Sequence) and not isinstance(rows, str):
        found = list(rows)
    else:
        found = RunFolder.open(rows).read_metrics()
    if not found:
        raise ConfigError("curves: there are no rows to draw. Hint: a run has them after its first epoch.")
    return plots.curves(found, title)


def confusion_matrix(labels: Any, predictions: Any, classes: Sequence[str], title: str = "") -> Figure:
    """How often each true class (row) was taken for each class (column); labels and predictions (N,) integers.

    Raises ConfigError where they differ in length or name a class that there is not.
    """
    from sklearn.metrics import confusion_matrix as count

    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.ndim != 1 or labels.shape != predictions.shape or not labels.size:
        raise ConfigError(
            f"confusion_matrix: expected labels and predictions of one length; got {labels.shape}, {predictions.shape}."
        )
    both = np.concatenate([labels, predictions])
    if both.dtype.kind not in "iu" or both.min() < 0 or both.max() >= len(classes):
        raise ConfigError(
            f"confusion_matrix: expected integers from 0 to {len(classes) - 1}; got {both.min()} to {both.max()}."
        )
    return plots.confusion(count(labels, predictions, labels=range(len(classes))), classes, title)
