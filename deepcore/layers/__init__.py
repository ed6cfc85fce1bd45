"""The book's layers: ``forward(x)`` and ``backward(dout)`` on plain arrays, without a tape.

They are thin: each runs one Function of `deepcore.functions`, the same that tensors run, on arrays of any backend
(NumPy arrays: the default device if it takes them, else "cpu"). Neither input nor incoming gradient is written to.

A two-layer network in the book's style, learning XOR:

>>> import numpy as np
>>> from deepcore import layers
>>> rng = np.random.default_rng(1)
>>> class TwoLayerNet:
...     def __init__(self, inputs, hidden, outputs):
...         self.affine1 = layers.Affine(rng.standard_normal((inputs, hidden)), np.zeros(hidden))
...         self.affine2 = layers.Affine(rng.standard_normal((hidden, outputs)), np.zeros(outputs))
...         self.layers = [self.affine1, layers.Sigmoid(), self.affine2]
...         self.last = layers.SoftmaxWithLoss()
...     def predict(self, x):
...         for layer in self.layers:
...             x = layer.forward(x)
...         return x
...     def loss(self, x, t):
...         return self.last.forward(self.predict(x), t)
...     def gradient(self, x, t):
...         self.loss(x, t)
...         dout = self.last.backward()
...         for layer in reversed(self.layers):
...             dout = layer.backward(dout)
>>> x, t = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
>>> net = TwoLayerNet(2, 8, 2)
>>> for _ in range(300):
...     net.gradient(x, t)
...     for layer in (net.affine1, net.affine2):
...         layer.W -= 1.0 * layer.dW
...         layer.b -= 1.0 * layer.db
>>> net.predict(x).argmax(axis=1).tolist()
[0, 1, 1, 0]

And the check of its backward, against `numerical_gradient`:

>>> from deepcore.gradient import numerical_gradient
>>> net.gradient(x, t)
>>> numerical = numerical_gradient(lambda _: net.loss(x, t), net.affine1.W)
>>> bool(abs(numerical - net.affine1.dW).max() < 1e-6)
True
"""

from __future__ import annotations

from deepcore.layers.feedforward import (
    Affine,
    BatchNormalization,
    Convolution,
    Dropout,
    MatMul,
    Pooling,
    Relu,
    Sigmoid,
    Softmax,
    SoftmaxWithLoss,
)
from deepcore.layers.recurrent import GRU, LSTM, RNN, TimeGRU, TimeLSTM, TimeRNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Affine",
    "BatchNormalization",
    "Convolution",
    "Dropout",
    "MatMul",
    "Pooling",
    "Relu",
    "Sigmoid",
    "Softmax",
    "SoftmaxWithLoss",
    "TimeGRU",
    "TimeLSTM",
    "TimeRNN",
]
