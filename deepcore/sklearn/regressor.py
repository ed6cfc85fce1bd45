"""NeuralNetRegressor."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from deepcore import nn
from deepcore.sklearn.base import NeuralNet
from deepcore.sklearn.loop import Samples, outputs


class NeuralNetRegressor(RegressorMixin, NeuralNet):
    """A regressor of scikit-learn's kind whose model is a module: outputs (N, targets), by default of an MLP.

    y may be (N,) or (N, targets). Targets far from a mean of 0 and a deviation of 1 are learned slowly: scale them, as
    by `sklearn.compose.TransformedTargetRegressor`. The parameters are explained in docs/sklearn.md. After `fit`:
    `module_`, `optimizer_`, `history_` (a dictionary for each epoch), `n_iter_`, `n_outputs_`, `n_features_in_`.

    >>> import numpy as np
    >>> X = np.random.default_rng(0).uniform(-1, 1, size=(200, 2))
    >>> y = X[:, 0] * X[:, 1]
    >>> net = NeuralNetRegressor(lr=0.01, max_epochs=60, random_state=0).fit(X, y)
    >>> net.score(X, y) > 0.9
    True
    """

    _default_criterion = nn.MSELoss

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch over X and y, on from the weights that there are."""
        return self._fit(X, y, sample_weight, first=not hasattr(self, "module_"), epochs=1)

    def predict(self, X: Any) -> np.ndarray:
        """The outputs for each sample: (N,) or (N, targets), as y was in `fit`; float32 if X is, else float64."""
        predicted = self._outputs(X)
        return predicted[:, 0] if self._flat else predicted

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _target_checks(self) -> dict[str, Any]:
        return {"multi_output": True, "y_numeric": True}

    def _check_target(self, y: np.ndarray, first: bool, classes: Any) -> np.ndarray:
        target = y.astype(self.dtype).reshape(len(y), -1)
        if first:
            self._flat, self.n_outputs_ = y.ndim == 1, target.shape[1]
        if target.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {target.shape[1]} targets, but {type(self).__name__} was fitted to {self.n_outputs_}."
            )
        return target

    def _columns(self) -> int:
        return self.n_outputs_

    def _validation_score(self, samples: Samples) -> float:
        predicted = outputs(self.module_, samples.x, self._columns())
        return float(r2_score(samples.target, predicted, sample_weight=samples.weight))
