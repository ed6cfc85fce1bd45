"""The estimators are scikit-learn's in every way that its own checks know, and what those do not look at."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from threading import Thread
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, ShuffleSplit, StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import check_sample_weight_equivalence_on_dense_data, parametrize_with_checks

import deepcore as dc
from deepcore import models, nn, optim
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError, DeviceError, RunError, ShapeError
from deepcore.sklearn import NeuralNetClassifier, NeuralNetRegressor

BOTH = pytest.mark.parametrize("make", [NeuralNetClassifier, NeuralNetRegressor])
Make = Callable[..., Any]

PLAIN: dict[str, Any] = {"lr": 0.01, "max_epochs": 20}
SMALL: dict[str, Any] = {**PLAIN, "module__hidden_layer_sizes": (16,)}


def rounding(estimator: BaseEstimator) -> dict[str, str]:
    """The one check that float32 does not pass: it allows 1e-7 between sums of the same numbers in another order."""
    if estimator.dtype == "float64":
        return {}
    reason = "float32 rounds to 1.2e-7; the same check passes in float64"
    return {"check_sample_weight_equivalence_on_dense_data": reason}


@parametrize_with_checks(
    [NeuralNetClassifier(**PLAIN), NeuralNetRegressor(**PLAIN)], expected_failed_checks=rounding, xfail_strict=False
)
def test_checks_of_scikit_learn(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)


@BOTH
def test_weights_are_repetitions(make: Make) -> None:
    check_sample_weight_equivalence_on_dense_data(make.__name__, make(**SMALL, dtype="float64"))


@pytest.mark.slow
@parametrize_with_checks(
    [make(dtype=dtype) for make in (NeuralNetClassifier, NeuralNetRegressor) for dtype in ("float32", "float64")],
    expected_failed_checks=rounding,
    xfail_strict=False,
)
def test_checks_of_scikit_learn_with_the_defaults(estimator: BaseEstimator, check: Callable[[Any], None]) -> None:
    check(estimator)


class Convolutional(nn.Module):
    """A convolution, batch normalisation and dropout for images of 8 x 8."""

    def __init__(self, in_channels: int, num_classes: int, channels: int = 8, dropout: float = 0.2):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels * 9, num_classes),
        )

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        return self.layers(x)


class Constant(nn.Module):
    """Whatever comes in, an output of the given shape."""

    def __init__(self, shape: tuple[int, ...]):
        super().__init__()
        self.weight = nn.Parameter(dc.ones(*shape))

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        return self.weight * 1


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    """Digits as (N, 1, 8, 8) float32 in 0 to 1, with labels of text."""
    digits = load_digits()
    return digits.images[:600, None].astype(np.float32) / 16, np.array([f"d{k}" for k in digits.target[:600]])


@pytest.fixture
def table(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(60, 3) float64 and labels 0 to 2, which a regressor takes as numbers."""
    X = rng.normal(size=(60, 3))
    return X, X.argmax(axis=1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def same_weights(one: Any, other: Any) -> bool:
    pairs = zip(one.module_.state_dict().values(), other.module_.state_dict().values(), strict=True)
    return all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs)


# ---- training ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_follows_the_gradient(dtype: str, rng: np.random.Generator) -> None:
    # The oracle is least squares by gradient descent in NumPy, with weights, on the whole of the data.
    X, y, weight = rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), rng.uniform(0, 2, size=40)
    layer = nn.Linear(3, 2)
    given = layer.weight.detach().numpy().copy()
    W, b = layer.weight.detach().double().numpy().copy(), layer.bias.detach().double().numpy().copy()
    net = NeuralNetRegressor(layer, optimizer=optim.SGD, lr=0.1, max_epochs=5, batch_size=40, dtype=dtype)
    predicted = net.fit(X, y, sample_weight=weight).predict(X)
    for _ in range(5):
        slope = (
            2 * (X @ W.T + b - y) * weight[:, None] / weight.sum() / 2
        )  # the loss is a mean over the two columns too
        W, b = W - 0.1 * slope.T @ X, b - 0.1 * slope.sum(axis=0)
    assert_close(predicted, X @ W.T + b, dtype, 40 * 5, "predictions")
    assert np.array_equal(layer.weight.detach().numpy(), given)  # the module that was given is copied


@BOTH
def test_random_state_decides_and_leaves_the_program_alone(make: Make, table: Any) -> None:
    net = make(**SMALL, module__dropout=0.3, validation_fraction=0.2, random_state=3)
    dc.manual_seed(11)
    before, numpy_before = dc.get_rng_state(), np.random.get_state()[1].copy()
    first = clone(net).fit(*table)
    assert dc.get_rng_state() == before
    assert np.array_equal(np.random.get_state()[1], numpy_before)
    dc.rand(5)
    assert same_weights(first, clone(net).fit(*table))
    assert not same_weights(first, clone(net).set_params(random_state=4).fit(*table))
    np.random.seed(5)
    one = clone(net).set_params(random_state=None).fit(*table)
    np.random.seed(5)
    assert same_weights(one, clone(net).set_params(random_state=None).fit(*table))


def test_threads_do_not_disturb_each_other(table: Any) -> None:
    nets = [NeuralNetClassifier(**SMALL, module__dropout=0.3, random_state=k) for k in range(3)]
    alone = [clone(net).fit(*table) for net in nets]
    threads = [Thread(target=net.fit, args=table) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same_weights(*pair) for pair in zip(alone, nets, strict=True))


@BOTH
def test_warm_start_and_partial_fit_go_on(make: Make, table: Any) -> None:
    X, y = table
    whole = make(**{**SMALL, "max_epochs": 4}, random_state=0).fit(X, y)
    halves = make(**{**SMALL, "max_epochs": 2}, random_state=0, warm_start=True)
    assert same_weights(whole, halves.fit(X, y).fit(X, y))
    parts = make(**SMALL, random_state=0)
    for _ in range(4):
        parts.partial_fit(X, y)
    assert same_weights(whole, parts)
    assert [row["epoch"] for row in parts.history_] == [1, 2, 3, 4]
    again = pickle.loads(pickle.dumps(halves))  # its optimizer and random streams go on too
    assert same_weights(again.fit(X, y), halves.fit(X, y))


def test_partial_fit_knows_classes_that_come_later(table: Any) -> None:
    X, y = table
    net = NeuralNetClassifier(**SMALL).partial_fit(X[y < 2], y[y < 2], classes=[2, 1, 0])
    assert net.classes_.tolist() == [0, 1, 2]
    assert net.partial_fit(X, y).predict_proba(X).shape == (60, 3)
    with pytest.raises(ValueError, match=r"y has labels \[2\] that are not among the classes \[0, 1\]"):
        NeuralNetClassifier(**SMALL).partial_fit(X[y < 2], y[y < 2]).partial_fit(X, y)


def test_early_stopping_keeps_the_best_weights(rng: np.random.Generator) -> None:
    X, y = rng.normal(size=(80, 10)), rng.integers(0, 2, size=80)  # nothing to learn: it can only overfit
    net = NeuralNetClassifier(lr=0.01, max_epochs=200, validation_fraction=0.25, patience=5, random_state=0).fit(X, y)
    losses = [row["valid_loss"] for row in net.history_]
    assert net.n_iter_ == len(losses) == int(np.argmin(losses)) + 6
    _, held_x, _, held_y = train_test_split(X, y, test_size=0.25, random_state=net._seed, stratify=y)
    assert_close(np.array(net_loss(net, held_x, held_y)), np.array(min(losses)), "float32", 20, "loss of the held-out")
    assert net.history_[int(np.argmin(losses))]["valid_score"] == net.score(held_x, held_y)


def net_loss(net: NeuralNetClassifier, X: np.ndarray, y: np.ndarray) -> float:
    return -float(np.log(net.predict_proba(X)[np.arange(len(y)), y]).mean())


def test_verbose_prints_each_epoch(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    NeuralNetRegressor(max_epochs=2, verbose=1, validation_fraction=0.2).fit(*table)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1"], ["epoch", "2"]]
    assert all(name in lines[0] for name in ("train_loss", "valid_loss", "valid_score", "seconds"))


def test_batch_normalisation_never_meets_a_single_sample(images: Any) -> None:
    X, y = images
    NeuralNetClassifier(Convolutional, batch_size=32, max_epochs=1).fit(X[:129], y[:129])  # 129 = 4 * 32 + 1


def test_it_trains_inside_no_grad_and_under_another_default_dtype(table: Any) -> None:
    net = NeuralNetClassifier(**SMALL, random_state=0).fit(*table)
    with dc.no_grad():
        assert same_weights(clone(net).fit(*table), net)
    dc.set_default_dtype("float64")
    try:
        assert {p.dtype for p in clone(net).fit(*table).module_.parameters()} == {dc.float32}
    finally:
        dc.set_default_dtype("float32")


# ---- with scikit-learn's tools -------------------------------------------------------------------------------------


def test_images_in_a_pipeline_and_a_grid(images: Any) -> None:
    X, y = images
    net = NeuralNetClassifier(Convolutional, lr=0.01, max_epochs=4, random_state=0)
    pipeline = make_pipeline(FunctionTransformer(lambda x: 2 * x - 1), net)
    grid = {"neuralnetclassifier__module__channels": [4, 8], "neuralnetclassifier__criterion__label_smoothing": [0.1]}
    search = GridSearchCV(pipeline, grid, cv=ShuffleSplit(1, test_size=0.25, random_state=0)).fit(X, y)
    assert search.best_score_ > 0.9
    best = search.best_estimator_[-1]
    assert best.module_.layers[0].weight.shape[0] == best.get_params()["module__channels"]
    assert search.predict(X[:2]).tolist() == y[:2].tolist()
    with pytest.raises(ValueError, match=r"samples of shape \(1, 4, 16\), but .* samples of shape \(1, 8, 8\)"):
        best.predict(X.reshape(-1, 1, 4, 16))


def test_models_of_deepcore_get_their_sizes(images: Any) -> None:
    net = NeuralNetClassifier(models.MLP, module__hidden=(12,), max_epochs=1).fit(*images)
    assert [tuple(p.shape) for p in net.module_.parameters()] == [(12, 64), (12,), (10, 12), (10,)]


def test_hold_out_k_fold_and_metrics() -> None:
    X, y = load_digits(n_class=3, return_X_y=True)
    net = make_pipeline(MinMaxScaler(), NeuralNetClassifier(**SMALL, random_state=0))
    for metric in ("accuracy", "neg_log_loss", "roc_auc_ovr", "f1_macro"):
        assert cross_val_score(net, X, y, cv=3, scoring=metric, error_score="raise").min() > -0.2
    train_x, test_x, train_y, test_y = train_test_split(X, y, random_state=0, stratify=y)
    assert get_scorer("balanced_accuracy")(net.fit(train_x, train_y), test_x, test_y) > 0.95


@pytest.mark.slow
def test_processes_give_what_one_process_gives(table: Any) -> None:
    net = NeuralNetClassifier(**SMALL, random_state=0)
    assert np.array_equal(cross_val_score(net, *table, cv=2), cross_val_score(net, *table, cv=2, n_jobs=2))


def test_regression_of_real_data() -> None:
    net = NeuralNetRegressor(max_epochs=60, random_state=0)
    scaled = TransformedTargetRegressor(make_pipeline(StandardScaler(), net), transformer=StandardScaler())
    assert cross_val_score(scaled, *load_diabetes(return_X_y=True), cv=3).mean() > 0.35  # a linear model has 0.49


@BOTH
def test_pickle_joblib_and_clone(make: Make, table: Any, tmp_path: Any) -> None:
    X, y = table
    net = make(**SMALL, optimizer=optim.SGD, optimizer__momentum=0.9).fit(X, y)
    joblib.dump(net, tmp_path / "net.joblib")
    for copied in (pickle.loads(pickle.dumps(net)), joblib.load(tmp_path / "net.joblib")):
        assert np.array_equal(copied.predict(X), net.predict(X))
        assert copied.get_params() == net.get_params()
    fresh = clone(net)
    assert fresh.get_params() == net.get_params()
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    assert "optimizer__momentum=0.9" in repr(net)
    assert net._repr_html_()


def test_dtypes_and_shapes_that_come_out(table: Any) -> None:
    X, y = table
    net = NeuralNetRegressor(**SMALL).fit(X, y)
    assert net.predict(X).dtype == np.float64
    assert net.predict(X.astype(np.float32)).dtype == np.float32
    assert {p.dtype for p in net.module_.parameters()} == {dc.float32}
    assert NeuralNetRegressor(**SMALL).fit(X, np.stack([y, y], axis=1)).predict(X).shape == (60, 2)
    labels = NeuralNetClassifier(**SMALL).fit(X, y.astype(np.int32))
    assert labels.predict(X).dtype == np.int32
    assert np.allclose(labels.predict_proba(X).sum(axis=1), 1, rtol=0, atol=1e-12)


# ---- what cannot be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        ({"max_epochs": 0}, ConfigError, "expected max_epochs as a whole number of at least 1; got 0"),
        ({"batch_size": 2.5}, ConfigError, "expected batch_size as a whole number of at least 1; got 2.5"),
        ({"validation_fraction": 1.0}, ConfigError, "expected validation_fraction of at least 0 and less than 1"),
        ({"patience": 3}, ConfigError, "patience=3 needs samples to validate on"),
        ({"dtype": "float16"}, ConfigError, "expected dtype 'float32' or 'float64'; got 'float16'"),
        ({"device": "gpu"}, DeviceError, "gpu"),
        ({"lr": -1.0}, ConfigError, "expected lr >= 0; got -1.0"),
        ({"optimizer": "adam"}, ConfigError, "expected a class or function as optimizer; got 'adam'"),
        ({"module__hiden": 3}, ConfigError, "module MLP has no option 'hiden'"),
        ({"module__hidden_layer_sizes": 3}, ConfigError, r"a single layer is \(3,\)"),
        ({"optimizer__momentun": 3}, ConfigError, "optimizer Adam has no option 'momentun'"),
        ({"module": dict}, ConfigError, "expected module to make an nn.Module; got a dict"),
        ({"module": nn.Identity(), "module__a": 1}, ConfigError, "module__a needs a class as module"),
        ({"module": Constant, "module__shape": (60, 2)}, ShapeError, r"shape \(60, 3\).*got \(60, 2\)"),
    ],
)
def test_parameters_that_cannot_be(wrong: dict[str, Any], error: type[Exception], text: str, table: Any) -> None:
    with pytest.raises(error, match=text):
        NeuralNetClassifier(**wrong).fit(*table)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(TypeError, match=r"unknown parameter 'max_epoch'. Did you mean 'max_epochs'"):
        NeuralNetClassifier(max_epoch=3)
    with pytest.raises(ValueError, match="Invalid parameter 'epochs'"):
        NeuralNetClassifier().set_params(epochs=3)


def test_weights_that_cannot_be(table: Any) -> None:
    X, y = table
    net = NeuralNetRegressor(**SMALL)
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        net.fit(X, y, sample_weight=np.linspace(-1, 1, 60))
    with pytest.raises(ValueError, match="at least one non-zero"):
        net.fit(X, y, sample_weight=np.zeros(60))
    with pytest.raises(ConfigError, match="sample_weight needs a criterion with a reduction"):
        net.set_params(criterion=lambda: dc.functional.mse_loss).fit(X, y, sample_weight=np.ones(60))


def test_a_training_that_diverges_is_an_error(table: Any) -> None:
    X, y = table
    with (
        pytest.warns(RuntimeWarning, match="overflow"),
        pytest.raises(RunError, match=r"the loss became .* in epoch .* use a smaller lr"),
    ):
        NeuralNetRegressor(optimizer=optim.SGD, lr=1e6, random_state=0).fit(X, y)


@pytest.mark.slow
def test_grid_search_over_the_digits() -> None:
    X, y = load_digits(return_X_y=True)
    net = NeuralNetClassifier(random_state=0, module__dropout=0.3)
    pipeline = make_pipeline(MinMaxScaler(), net)
    grid = {
        "neuralnetclassifier__module__hidden_layer_sizes": [(100,), (256, 128)],
        "neuralnetclassifier__lr": [0.001, 0.003, 0.01],
        "neuralnetclassifier__criterion__label_smoothing": [0.0, 0.1],
    }
    search = GridSearchCV(pipeline, grid, cv=StratifiedKFold(5, shuffle=True, random_state=0)).fit(X, y)
    print(f"{search.best_score_:.4f} by {search.best_params_}")
    assert search.best_score_ >= 0.97
