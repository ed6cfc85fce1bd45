"""NeuralNetClassifier."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets

from deepcore import functional as F
from deepcore import nn
from deepcore.creation import tensor
from deepcore.sklearn.base import NeuralNet
from deepcore.sklearn.loop import Samples, outputs


class NeuralNetClassifier(ClassifierMixin, NeuralNet):
    """A classifier of scikit-learn's kind whose model is a module: logits (N, classes), by default of an MLP.

    The parameters are explained in docs/sklearn.md. After `fit`: `classes_`, `module_`, `optimizer_`, `history_` (a
    dictionary for each epoch), `n_iter_`, `n_features_in_`.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = np.where(X[:, 0] > X[:, 1], "right", "left")
    >>> net = NeuralNetClassifier(module__hidden_layer_sizes=(8,), lr=0.03, random_state=0).fit(X, y)
    >>> net.predict([[1, -1], [-1, 1]]).tolist()
    ['right', 'left']
    """

    _default_criterion = nn.CrossEntropyLoss

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One epoch over X and y, on from the weights that there are.

        classes: all labels that will ever come, needed in the first call only; by default those of its y.
        """
        return self._fit(X, y, sample_weight, first=not hasattr(self, "module_"), epochs=1, classes=classes)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probabilities of the classes in the order of `classes_`: (N, classes), float32 if X is, else float64."""
        logits = self._outputs(X)
        return F.softmax(tensor(logits, device="numpy"), dim=1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each sample: (N,), labels as `fit` got them."""
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]

    def _check_target(self, y: np.ndarray, first: bool, classes: Any) -> np.ndarray:
        check_classification_targets(y)
        if first:
            self.classes_ = np.unique(y if classes is None else classes)
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(
                f"y has labels {unknown.tolist()} that are not among the classes {self.classes_.tolist()}. "
                "Hint: name all classes in the first partial_fit(X, y, classes=...)."
            )
        return np.searchsorted(self.classes_, y).astype(np.int64)

    def _columns(self) -> int:
        return len(self.classes_)

    def _stratify(self, target: np.ndarray) -> np.ndarray:
        return target

    def _validation_score(self, samples: Samples) -> float:
        predicted = outputs(self.module_, samples.x, self._columns()).argmax(axis=1)
        return float(accuracy_score(samples.target, predicted, sample_weight=samples.weight))
