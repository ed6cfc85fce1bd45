"""What classifier and regressor have in common: parameters, training, validation, early stopping."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from deepcore import nn, optim
from deepcore.backends import get_backend
from deepcore.devices import device as use_device
from deepcore.errors import ConfigError, RunError
from deepcore.sklearn.default_module import MLP
from deepcore.sklearn.loop import Learner, Samples, Streams, outputs
from deepcore.sklearn.options import WithOptions


class NeuralNet(WithOptions):
    """The base of NeuralNetClassifier and NeuralNetRegressor; docs/sklearn.md explains the parameters."""

    _default_criterion: type[nn.Module]

    def __init__(
        self,
        module: Callable[..., nn.Module] | nn.Module = MLP,
        *,
        criterion: Callable[..., Any] | None = None,
        optimizer: Callable[..., optim.Optimizer] = optim.Adam,
        lr: float = 0.003,
        max_epochs: int = 30,
        batch_size: int = 64,
        validation_fraction: float = 0.0,
        patience: int = 0,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        verbose: int = 0,
        **options: Any,
    ) -> None:
        self.module = module
        self.criterion = criterion
        self.optimizer = optimizer
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.dtype = dtype
        self.verbose = verbose
        self._set_options(options)

    # ---- what classifier and regressor write -------------------------------------------------------------------

    def _check_target(self, y: np.ndarray, first: bool, classes: Any) -> np.ndarray:
        """The targets as the criterion takes them; `first` settles the columns of the output, by `classes` or y."""
        raise NotImplementedError

    def _columns(self) -> int:
        """K of the module's output (N, K)."""
        raise NotImplementedError

    def _stratify(self, target: np.ndarray) -> np.ndarray | None:
        """What the validation split keeps in proportion."""
        return None

    def _validation_score(self, samples: Samples) -> float:
        """The score of `score()`, of targets as the criterion takes them."""
        raise NotImplementedError

    # ---- training ----------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train from new weights (with `warm_start`: from those of the last `fit`) for up to `max_epochs`.

        X: (N, D), or (N, C, H, W) and the like, numbers. sample_weight: (N,), at least 0; how much each sample counts.
        Raises ValueError for data that does not fit, ConfigError for parameters, RunError where training diverges.
        """
        return self._fit(X, y, sample_weight, first=not (self.warm_start and hasattr(self, "module_")))

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, first: bool, epochs: int | None = None, classes: Any = None
    ) -> Self:
        self._check_parameters()
        X, y = self._check_data(X, y, first)
        target = self._check_target(y, first, classes)
        samples = self._weighted(X, target, sample_weight)
        if first:
            self._begin(X.shape[1:])
        train, valid = (samples, None) if epochs is not None else self._split(samples)
        self._train(train, valid, self.max_epochs if epochs is None else epochs)
        return self

    def _begin(self, sample_shape: tuple[int, ...]) -> None:
        """New random streams, a new module and a new optimizer."""
        self._sample_shape = sample_shape
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self._streams = Streams(self._seed)
        with self._streams.used(), use_device(self.device):
            module = self._make_module(sample_shape)
        self.module_ = module.to(self.device, self.dtype)
        self.optimizer_ = self._build("optimizer", self.optimizer, list(self.module_.parameters()), lr=self.lr)
        self.history_: list[dict[str, float]] = []

    def _make_module(self, shape: tuple[int, ...]) -> nn.Module:
        if isinstance(self.module, nn.Module):
            given = [name for name in self.get_params(deep=False) if name.startswith("module__")]
            if given:
                raise ConfigError(
                    f"{type(self).__name__}: {given[0]} needs a class as module; got a module that is made already. "
                    f"Hint: module={type(self.module).__name__}."
                )
            return copy.deepcopy(self.module)
        sizes = {"in_features": math.prod(shape), "out_features": self._columns(), "num_classes": self._columns()}
        if len(shape) > 1:
            sizes["in_channels"] = shape[0]
        if len(shape) == 3 and shape[1] == shape[2]:
            sizes["image_size"] = shape[1]
        module = self._build("module", self.module, **sizes)
        if not isinstance(module, nn.Module):
            name = type(self).__name__
            raise ConfigError(f"{name}: expected module to make an nn.Module; got a {type(module).__name__}.")
        return module

    def _learner(self, weighted: bool) -> Learner:
        factory = self._default_criterion if self.criterion is None else self.criterion
        criterion = self._build("criterion", factory)
        if isinstance(criterion, nn.Module):
            criterion.to(self.device, self.dtype)
        if weighted:
            if not hasattr(criterion, "reduction"):
                raise ConfigError(
                    f"{type(self).__name__}: sample_weight needs a criterion with a reduction, as those of nn have it; "
                    f"got {criterion!r}."
                )
            criterion.reduction = "none"
        return Learner(self.module_, criterion, self.optimizer_, self._columns())

    def _split(self, samples: Samples) -> tuple[Samples, Samples | None]:
        """The samples to train on, and those that `validation_fraction` holds out."""
        if not self.validation_fraction:
            return samples, None
        arrays = [array for array in samples if array is not None]
        parts = train_test_split(
            *arrays,
            test_size=self.validation_fraction,
            random_state=self._seed,
            stratify=self._stratify(samples.target),
        )
        rest = [None] * (3 - len(arrays))
        return Samples(*parts[0::2], *rest), Samples(*parts[1::2], *rest)

    def _train(self, train: Samples, valid: Samples | None, epochs: int) -> None:
        learner = self._learner(weighted=train.weight is not None)
        best, best_state, waited = math.inf, None, 0
        with self._streams.used() as order:
            for _ in range(epochs):
                started = time.perf_counter()
                row: dict[str, float] = {"epoch": len(self.history_) + 1}
                row["train_loss"] = learner.epoch(train, self.batch_size, order)
                if valid is not None:
                    row["valid_loss"] = learner.loss(valid, self.batch_size)
                    row["valid_score"] = self._validation_score(valid)
                row["seconds"] = time.perf_counter() - started
                self._log(row)
                if self.patience and row["valid_loss"] < best:
                    best, waited = row["valid_loss"], 0
                    best_state = {name: value.detach().clone() for name, value in self.module_.state_dict().items()}
                elif self.patience and (waited := waited + 1) == self.patience:
                    break
        if best_state is not None:
            self.module_.load_state_dict(best_state)
        self.module_.eval()

    def _log(self, row: dict[str, float]) -> None:
        if not math.isfinite(row["train_loss"]):
            raise RunError(
                f"{type(self).__name__}: the loss became {row['train_loss']} in epoch {row['epoch']}. "
                f"Hint: use a smaller lr (it is {self.lr:g}), or scale X and y, as by StandardScaler."
            )
        self.history_.append(row)
        if self.verbose:
            print("  ".join(f"{name} {value:.4g}" for name, value in row.items()))

    @property
    def n_iter_(self) -> int:
        """How many epochs the weights were trained for, before they were perhaps put back to the best ones."""
        check_is_fitted(self)
        return len(self.history_)

    # ---- predictions -------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> np.ndarray:
        """The module's outputs (N, K) for X, float32 where X is float32, else float64."""
        check_is_fitted(self)
        narrow = getattr(X, "dtype", None) == np.float32
        X = validate_data(self, X, reset=False, dtype=self.dtype, allow_nd=True)
        self._check_shape(X)
        return outputs(self.module_, X, self._columns()).astype(np.float32 if narrow else np.float64)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "module_")

    # ---- checks ------------------------------------------------------------------------------------------------

    def _check_data(self, X: Any, y: Any, first: bool) -> tuple[np.ndarray, np.ndarray]:
        X, y = validate_data(self, X, y, reset=first, dtype=self.dtype, allow_nd=True, **self._target_checks())
        if not first:
            self._check_shape(X)
        return X, y

    def _target_checks(self) -> dict[str, Any]:
        """Options of scikit-learn's check of y."""
        return {}

    def _check_shape(self, X: np.ndarray) -> None:
        if X.shape[1:] != self._sample_shape:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(self).__name__} is expecting samples of shape "
                f"{self._sample_shape} as input."
            )

    def _weighted(self, X: np.ndarray, target: np.ndarray, sample_weight: Any) -> Samples:
        """Samples of weight 0 are left out, the other weights scaled to a mean of 1: only their proportions count."""
        if sample_weight is None:
            return Samples(X, target, None)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if (weight < 0).any():
            raise ValueError("Negative values in data passed to `sample_weight`")
        counts = weight > 0
        if not counts.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        weight = (weight[counts] / weight[counts].mean()).astype(self.dtype)
        return Samples(X[counts], target[counts], weight)

    def _check_parameters(self) -> None:
        """Raise ConfigError for parameters that cannot be."""
        get_backend(self.device)
        if self.dtype not in ("float32", "float64"):
            raise ConfigError(f"{type(self).__name__}: expected dtype 'float32' or 'float64'; got {self.dtype!r}.")
        for name, low in (("max_epochs", 1), ("batch_size", 1), ("patience", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
                raise ConfigError(
                    f"{type(self).__name__}: expected {name} as a whole number of at least {low}; got {value!r}."
                )
        fraction = self.validation_fraction
        if isinstance(fraction, bool) or not isinstance(fraction, int | float | np.number) or not 0 <= fraction < 1:
            raise ConfigError(
                f"{type(self).__name__}: expected validation_fraction of at least 0 and less than 1; got {fraction!r}."
            )
        if self.patience and not fraction:
            raise ConfigError(
                f"{type(self).__name__}: patience={self.patience} needs samples to validate on. "
                "Hint: validation_fraction=0.1."
            )
