"""The book's layers on plain arrays, and its numerical gradient."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import gradient, layers
from deepcore.backends import get_backend
from deepcore.check.tolerance import DIFFERENCE_C, assert_close
from deepcore.errors import ConfigError, DeviceError, DTypeError, GraphError, IndexRangeError, ShapeError
from deepcore.gradient import numerical_gradient

RNG = np.random.default_rng(11)


class Place:
    """Arrays of a device that is the default one inside ``with``."""

    def __init__(self, device: str) -> None:
        self.device, self.backend = device, get_backend(device)

    def put(self, array: np.ndarray) -> Any:
        return self.backend.from_host(array.copy())

    def get(self, array: Any) -> np.ndarray:
        assert self.backend.is_array(array), f"{type(array)} is no array of {self.device}"
        return self.backend.to_host(array)


@pytest.fixture
def place(device: str) -> Any:
    with dc.device(device):
        yield Place(device)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def differences(f: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """Central differences of f at x, without the code under test."""
    h, out = 1e-5, np.zeros(x.size)
    for i in range(x.size):
        step = np.zeros(x.size)
        step[i] = h
        out[i] = (f(x + step.reshape(x.shape)) - f(x - step.reshape(x.shape))) / (2 * h)
    return out.reshape(x.shape)


def assert_gradient(got: np.ndarray, f: Callable[[np.ndarray], float], x: np.ndarray, what: str) -> None:
    np.testing.assert_allclose(got, differences(f, x), rtol=1e-6, atol=DIFFERENCE_C * 1e-10, err_msg=what)


# Each: constructor from parameters, parameters by name, x, names of their gradients, and the output in plain NumPy.
LAYERS = {
    "MatMul": (layers.MatMul, {"W": normal(4, 3)}, normal(5, 4), lambda x, W: x @ W),
    "Affine": (layers.Affine, {"W": normal(4, 3), "b": normal(3)}, normal(5, 4), lambda x, W, b: x @ W + b),
    "Affine of images": (
        layers.Affine,
        {"W": normal(12, 3), "b": normal(3)},
        normal(5, 2, 3, 2),
        lambda x, W, b: x.reshape(5, 12) @ W + b,
    ),
    "Relu": (layers.Relu, {}, normal(4, 5), lambda x: np.maximum(x, 0)),
    "Sigmoid": (layers.Sigmoid, {}, normal(4, 5), lambda x: 1 / (1 + np.exp(-x))),
    "Softmax": (layers.Softmax, {}, normal(4, 5), lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)),
    "Pooling": (
        lambda: layers.Pooling(2, 2, stride=2),
        {},
        normal(2, 3, 4, 6),
        lambda x: x.reshape(2, 3, 2, 2, 3, 2).max(axis=(3, 5)),
    ),
    "Convolution": (
        lambda W, b: layers.Convolution(W, b, stride=2, pad=1),
        {"W": normal(4, 2, 3, 2), "b": normal(4)},
        normal(3, 2, 5, 6),
        lambda x, W, b: convolve(x, W, 2, 1) + b.reshape(1, -1, 1, 1),
    ),
    "BatchNormalization": (
        layers.BatchNormalization,
        {"gamma": normal(4), "beta": normal(4)},
        normal(6, 4) * 2 + 1,
        lambda x, gamma, beta: normalised(x, (0,)) * gamma + beta,
    ),
    "BatchNormalization of channels": (
        layers.BatchNormalization,
        {"gamma": normal(2), "beta": normal(2)},
        normal(3, 2, 3, 2),
        lambda x, gamma, beta: normalised(x, (0, 2, 3)) * gamma.reshape(1, 2, 1, 1) + beta.reshape(1, 2, 1, 1),
    ),
    "BatchNormalization of pixels": (
        layers.BatchNormalization,
        {"gamma": normal(8), "beta": normal(8)},
        normal(5, 2, 2, 2),
        lambda x, gamma, beta: (normalised(x.reshape(5, 8), (0,)) * gamma + beta).reshape(x.shape),
    ),
}


def convolve(x: np.ndarray, w: np.ndarray, stride: int, pad: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("ncyxij,ocij->noyx", windows, w)


def normalised(x: np.ndarray, axes: tuple) -> np.ndarray:
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_forward_and_backward(place: Place, name: str) -> None:
    make, params, x, formula = LAYERS[name]
    expected = formula(x, **params)
    cotangent = normal(*expected.shape)
    held = {key: place.put(value) for key, value in params.items()}
    layer = make(**held)
    x_array, dout = place.put(x), place.put(cotangent)
    assert_close(place.get(layer.forward(x_array)), expected, np.float64, 24)
    dx = place.get(layer.backward(dout))

    def loss(which: str) -> Callable[[np.ndarray], float]:
        return lambda value: float((formula(**{"x": x, **params, which: value}) * cotangent).sum())

    assert_gradient(dx, loss("x"), x, "dx")
    for key, value in params.items():
        assert_gradient(place.get(getattr(layer, f"d{key}")), loss(key), value, f"d{key}")
        np.testing.assert_array_equal(place.get(held[key]), value, err_msg="parameters are only read")
    np.testing.assert_array_equal(place.get(x_array), x, err_msg="the input is only read")
    np.testing.assert_array_equal(place.get(dout), cotangent, err_msg="the incoming gradient is only read")


@pytest.mark.parametrize("hot", [False, True])
def test_softmax_with_loss(place: Place, hot: bool) -> None:
    x, labels = normal(6, 4), np.array([0, 3, 1, 1, 2, 0])
    one_hot = np.eye(4, dtype=np.int64)[labels]
    y = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    layer = layers.SoftmaxWithLoss()
    t = place.put(one_hot if hot else labels)
    loss = layer.forward(place.put(x), t)
    expected = -np.log(y[np.arange(6), labels]).mean()
    assert_close(np.float64(place.backend.item(loss)), expected, np.float64, 24)
    assert_close(place.get(layer.y), y, np.float64, 4)
    assert_close(place.get(layer.backward()), (y - one_hot) / 6, np.float64, 24)
    assert_close(place.get(layer.backward(3.0)), (y - one_hot) / 2, np.float64, 24)


def test_softmax_with_loss_of_one_sample_and_of_probabilities() -> None:
    x, t = normal(4), normal(3, 4) ** 2
    layer = layers.SoftmaxWithLoss()
    one = layer.forward(x, np.array(2))
    assert float(one) == pytest.approx(float(layer.forward(x, np.eye(4)[2])))
    t /= t.sum(axis=1, keepdims=True)
    x = normal(3, 4)
    layer.forward(x, t)
    y = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    assert_close(layer.backward(), (y - t) / 3, np.float64, 12)


def test_large_scores_do_not_overflow() -> None:
    layer = layers.SoftmaxWithLoss()
    assert float(layer.forward(np.array([[1000.0, 0.0]]), np.array([1]))) == 1000.0
    np.testing.assert_array_equal(layer.backward(), [[1.0, -1.0]])
    np.testing.assert_array_equal(layers.Sigmoid().forward(np.array([-1000.0, 1000.0])), [0.0, 1.0])


def test_dropout(place: Place) -> None:
    x, dout = normal(50, 40), normal(50, 40)
    layer = layers.Dropout(0.3, dc.Generator(4))
    x_array = place.put(x)
    y = place.get(layer.forward(x_array))
    kept = y != 0
    assert abs(kept.mean() - 0.7) < 0.05
    assert_close(y, np.where(kept, x / 0.7, 0), np.float64)
    assert_close(place.get(layer.backward(place.put(dout))), np.where(kept, dout / 0.7, 0), np.float64)
    assert layer.forward(x_array, train_flg=False) is x_array
    np.testing.assert_array_equal(place.get(layer.backward(place.put(dout))), dout)
    again = layers.Dropout(0.3, dc.Generator(4)).forward(x)
    np.testing.assert_array_equal(again, y, err_msg="the same mask on every device")


def test_batch_normalisation_running_statistics(place: Place) -> None:
    gamma, beta = normal(3), normal(3)
    layer = layers.BatchNormalization(place.put(gamma), place.put(beta), momentum=0.8)
    mean, var = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = normal(7, 3) * 2 + 1
        layer.forward(place.put(x))
        mean, var = 0.8 * mean + 0.2 * x.mean(axis=0), 0.8 * var + 0.2 * x.var(axis=0, ddof=1)
    x, dout = normal(2, 3), normal(2, 3)
    scale = gamma / np.sqrt(var + 1e-6)
    y = layer.forward(place.put(x), train_flg=False)
    assert_close(place.get(y), (x - mean) * scale + beta, np.float64, 7)
    assert_close(place.get(layer.backward(place.put(dout))), dout * scale, np.float64, 7)
    assert_close(place.get(layer.dbeta), dout.sum(axis=0), np.float64, 7)
    given = layers.BatchNormalization(gamma, beta, running_mean=mean, running_var=var)
    assert_close(given.forward(x, train_flg=False), (x - mean) * scale + beta, np.float64, 7)


def test_pooling_with_a_border() -> None:
    """The border never wins, so that negative inputs keep their maximum."""
    x = -np.ones((1, 1, 2, 2))
    assert (layers.Pooling(2, 2, stride=2, pad=1).forward(x) == -1).all()


# --- bad input --------------------------------------------------------------------------------------------------------


def test_errors() -> None:
    affine = layers.Affine(np.ones((4, 3)), np.zeros(3))
    with pytest.raises(GraphError, match="call forward"):
        affine.backward(np.ones((2, 3)))
    with pytest.raises(GraphError, match="call forward"):
        layers.SoftmaxWithLoss().backward()
    with pytest.raises(ShapeError):
        affine.forward(np.ones((2, 5)))
    with pytest.raises(DTypeError, match="list"):
        layers.Relu().forward([1.0, 2.0])
    with dc.device("strict"), pytest.raises(DeviceError, match="one backend"):
        affine.forward(get_backend("strict").from_host(np.ones((2, 4))))
    with pytest.raises(IndexRangeError, match=r"labels 0\.\.2"):
        layers.SoftmaxWithLoss().forward(np.zeros((2, 3)), np.array([0, 3]))
    with pytest.raises(ShapeError, match="one-hot"):
        layers.SoftmaxWithLoss().forward(np.zeros((2, 3)), np.array([0, 1, 2]))
    with pytest.raises(ShapeError, match="one-hot"):
        layers.SoftmaxWithLoss().forward(np.zeros((2, 3)), np.array([0.0, 1.0]))
    with pytest.raises(ShapeError):
        layers.BatchNormalization(np.ones(3), np.zeros(3)).forward(np.ones((2, 4)))
    with pytest.raises(ShapeError, match="more than one value"):
        layers.BatchNormalization(np.ones(3), np.zeros(3)).forward(np.ones((1, 3)))
    with pytest.raises(ConfigError, match="dropout"):
        layers.Dropout(1.5)
    with pytest.raises(ShapeError, match="Pooling"):
        layers.Pooling(2, 2).forward(np.ones((2, 2)))


# --- the numerical gradient -------------------------------------------------------------------------------------------


def test_numerical_gradient(place: Place) -> None:
    x = normal(3, 2)
    array = place.put(x)
    got = place.get(numerical_gradient(lambda a: (a * a * a).sum(), array))
    np.testing.assert_allclose(got, 3 * x**2, atol=1e-7)
    np.testing.assert_array_equal(place.get(array), x, err_msg="x is put back exactly")


def test_numerical_gradient_through_the_same_memory() -> None:
    """As in the book: f ignores its argument and reads the network's weights."""
    layer = layers.Affine(normal(3, 2), normal(2))
    loss, x, t = layers.SoftmaxWithLoss(), normal(4, 3), np.array([0, 1, 1, 0])

    def f(_: np.ndarray) -> Any:
        return loss.forward(layer.forward(x), t)

    f(None)
    layer.backward(loss.backward())
    np.testing.assert_allclose(numerical_gradient(f, layer.W), layer.dW, atol=1e-8)
    np.testing.assert_allclose(numerical_gradient(f, layer.b), layer.db, atol=1e-8)
    number = np.array(2.0)
    assert float(numerical_gradient(lambda a: float(a) ** 2, number)) == pytest.approx(4.0)


def test_numerical_gradient_errors() -> None:
    with pytest.raises(DTypeError, match=r"astype\(float\)"):
        numerical_gradient(np.sum, np.array([1, 2]))
    x = np.array([1.0, 2.0])
    with pytest.raises(ZeroDivisionError):
        numerical_gradient(lambda _: 1 / 0, x)
    assert x.tolist() == [1.0, 2.0], "x is put back after an error too"


@pytest.mark.parametrize("module", [layers, gradient])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
