"""Neural networks as estimators of scikit-learn: for pipelines, grid search, cross-validation and its metrics."""

from __future__ import annotations

from deepcore.sklearn.classifier import NeuralNetClassifier
from deepcore.sklearn.default_module import MLP
from deepcore.sklearn.regressor import NeuralNetRegressor

__all__ = ["MLP", "NeuralNetClassifier", "NeuralNetRegressor"]
