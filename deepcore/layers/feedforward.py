"""The book's feed-forward layers."""

from __future__ import annotations

import math
from typing import Any

from deepcore.arrays import backend_of
from deepcore.errors import ConfigError, IndexRangeError, ShapeError, got, message
from deepcore.functions.activation import basic as activation
from deepcore.functions.conv import conv2d as conv
from deepcore.functions.dropout import Dropout as DropoutFunction
from deepcore.functions.linalg import products as linalg
from deepcore.functions.loss.classification import SoftmaxCrossEntropy
from deepcore.functions.norm.batch_norm import BatchNorm, BatchNormEval
from deepcore.functions.pool.pool2d import MaxPool2d, Windows
from deepcore.layers.base import Layer
from deepcore.random import Generator, default_generator


class MatMul(Layer):
    """x W: x (N, D), W (D, M). dW is the gradient of W after backward."""

    def __init__(self, W: Any) -> None:
        self.W = W
        self.dW: Any = None

    def forward(self, x: Any) -> Any:
        return self._forward(linalg.Matmul(), x, self.W)

    def backward(self, dout: Any) -> Any:
        dx, self.dW = self._backward(dout)
        return dx


class Affine(Layer):
    """x W + b: x (N, ...) is flattened to (N, D), W (D, M), b (M,). dW and db are their gradients after backward.

    >>> import numpy as np
    >>> layer = Affine(np.ones((6, 4)), np.zeros(4))
    >>> layer.forward(np.ones((5, 2, 3))).shape
    (5, 4)
    >>> layer.backward(np.ones((5, 4))).shape, layer.dW.shape, layer.db.shape
    ((5, 2, 3), (6, 4), (4,))
    """

    def __init__(self, W: Any, b: Any) -> None:
        self.W, self.b = W, b
        self.dW: Any = None
        self.db: Any = None
        self._x_shape: tuple[int, ...] = ()

    def forward(self, x: Any) -> Any:
        self._x_shape = x.shape
        flat = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        return self._forward(linalg.Linear(), flat, self.W.T, self.b)

    def backward(self, dout: Any) -> Any:
        dx, transposed, self.db = self._backward(dout)
        self.dW = transposed.T
        return dx.reshape(self._x_shape)


class Relu(Layer):
    """max(0, x)."""

    def forward(self, x: Any) -> Any:
        return self._forward(activation.Relu(), x)

    def backward(self, dout: Any) -> Any:
        return self._backward(dout)


class Sigmoid(Layer):
    """1 / (1 + exp(-x)); its gradient is dout * y * (1 - y)."""

    def forward(self, x: Any) -> Any:
        return self._forward(activation.Sigmoid(), x)

    def backward(self, dout: Any) -> Any:
        return self._backward(dout)


class Softmax(Layer):
    """exp(x) / sum(exp(x)) along the last axis, after subtracting the maximum."""

    def forward(self, x: Any) -> Any:
        return self._forward(activation.Softmax(-1), x)

    def backward(self, dout: Any) -> Any:
        return self._backward(dout)


class SoftmaxWithLoss(Layer):
    """The mean over the batch of -log softmax(x)[t]: x (N, C), t one-hot (N, C) or class labels (N,).

    loss is what the sum of an array of x's library is (a NumPy number, a CuPy array without axes): nothing is copied to
    the host. y are the probabilities. backward gives (y - t) / N.

    >>> import numpy as np
    >>> layer = SoftmaxWithLoss()
    >>> print(layer.forward(np.zeros((2, 4)), np.array([0, 3])).round(4))
    1.3863
    >>> layer.backward()
    array([[-0.375,  0.125,  0.125,  0.125],
           [ 0.125,  0.125,  0.125, -0.375]])
    """

    def __init__(self) -> None:
        self.loss: Any = None
        self.t: Any = None
        self._x: Any = None

    @property
    def y(self) -> Any:
        """The probabilities softmax(x), (N, C)."""
        return None if self._x is None else self._backend.softmax(self._x, 1)

    def forward(self, x: Any, t: Any) -> Any:
        if x.ndim == 1:  # one sample, as in the book
            x, t = x.reshape(1, -1), t.reshape(1, *t.shape)
        self._x, self.t = x, t
        self._hot = t.shape == x.shape
        self.loss = self._of_probabilities(x, t) if self._hot else self._of_classes(x, t)
        return self.loss

    def _of_probabilities(self, x: Any, t: Any) -> Any:
        log_y = self._forward(activation.LogSoftmax(1), x)
        return -(t.astype(x.dtype) * log_y).sum() / x.shape[0]

    def _of_classes(self, x: Any, t: Any) -> Any:
        if x.ndim != 2 or t.shape != x.shape[:1] or t.dtype.kind not in "iu":
            expected = "x (N, C), t one-hot (N, C) or integer class labels (N,)"
            raise ShapeError(message("SoftmaxWithLoss", expected, got(x=x, t=t)))
        backend = backend_of(x)
        if backend.on_host and t.size and not 0 <= int(t.min()) <= int(t.max()) < x.shape[1]:
            found = f"labels from {int(t.min())} to {int(t.max())}"
            raise IndexRangeError(message("SoftmaxWithLoss", f"class labels 0..{x.shape[1] - 1}", found))
        return self._forward(SoftmaxCrossEntropy(t, None, -100, 0.0), x).sum() / x.shape[0]

    def backward(self, dout: Any = 1) -> Any:
        if self._x is None:
            return self._backward(dout)  # says what is missing
        x = self._x
        share = dout / x.shape[0]
        if self._hot:
            return self._backward(self.t.astype(x.dtype) * -share)
        return self._backward(self._backend.xp.ones(x.shape[:1], dtype=x.dtype) * share)


class Convolution(Layer):
    """Cross-correlation: x (N, C, H, W), W (FN, C, FH, FW), b (FN,) -> (N, FN, OH, OW).

    OH = (H + 2 pad - FH) // stride + 1, and OW likewise; stride and pad are numbers or pairs.
    dW and db are the gradients after backward.
    """

    def __init__(self, W: Any, b: Any, stride: int = 1, pad: int = 0) -> None:
        self.W, self.b = W, b
        self.stride, self.pad = stride, pad
        self.dW: Any = None
        self.db: Any = None

    def forward(self, x: Any) -> Any:
        stride = conv.pair("Convolution", "stride", self.stride, 1)
        padding = conv.pair("Convolution", "pad", self.pad, 0)
        return self._forward(conv.Conv2d(conv.Window(stride, padding, (1, 1))), x, self.W, self.b)

    def backward(self, dout: Any) -> Any:
        dx, self.dW, self.db = self._backward(dout)
        return dx


class Pooling(Layer):
    """The maximum of every window: x (N, C, H, W) -> (N, C, OH, OW). The border counts as minus infinity, not as 0."""

    def __init__(self, pool_h: int, pool_w: int, stride: int = 1, pad: int = 0) -> None:
        self.pool_h, self.pool_w = pool_h, pool_w
        self.stride, self.pad = stride, pad

    def forward(self, x: Any) -> Any:
        windows = Windows("Pooling", (self.pool_h, self.pool_w), self.stride, self.pad, 1, False)
        y, _ = self._forward(MaxPool2d(windows), x)
        return y

    def backward(self, dout: Any) -> Any:
        return self._backward(dout)


class Dropout(Layer):
    """Zeroes each element with probability dropout_ratio and scales the others by 1 / (1 - dropout_ratio).

    The book scales at test time instead; this way a test (train_flg=False) hands x on as it is.
    """

    def __init__(self, dropout_ratio: float = 0.5, generator: Generator | None = None) -> None:
        if not 0 <= dropout_ratio <= 1:
            raise ConfigError(message("Dropout", "0 <= dropout_ratio <= 1", f"dropout_ratio={dropout_ratio}"))
        self.dropout_ratio = dropout_ratio
        self._training = True
        self.generator = generator

    def forward(self, x: Any, train_flg: bool = True) -> Any:
        self._training = train_flg
        if not train_flg:
            return x
        stream = default_generator if self.generator is None else self.generator
        seed, offset = stream.reserve(math.prod(x.shape))
        return self._forward(DropoutFunction(self.dropout_ratio, seed, offset), x)

    def backward(self, dout: Any) -> Any:
        return self._backward(dout) if self._training else dout


class BatchNormalization(Layer):
    """(x - mean) / sqrt(var + eps) * gamma + beta (Ioffe and Szegedy 2015), with the batch's statistics in training.

    x (N, D) with gamma, beta (D,), or images (N, C, H, W) with gamma, beta (C,): one mean per channel, or as in the
    book (C*H*W,): one per pixel. Running statistics, used with train_flg=False, start at 0 and 1 and become
    momentum * old + (1 - momentum) * new, with the unbiased variance (`nn.BatchNorm2d` calls 1 - momentum momentum).
    dgamma and dbeta are the gradients after backward.
    """

    def __init__(
        self,
        gamma: Any,
        beta: Any,
        momentum: float = 0.9,
        running_mean: Any = None,
        running_var: Any = None,
        eps: float = 1e-6,
    ) -> None:
        self.gamma, self.beta = gamma, beta
        self.momentum, self.eps = momentum, eps
        self.running_mean, self.running_var = running_mean, running_var
        self.dgamma: Any = None
        self.dbeta: Any = None
        self._x_shape: tuple[int, ...] = ()

    def forward(self, x: Any, train_flg: bool = True) -> Any:
        self._x_shape = x.shape
        if x.ndim > 2 and self.gamma.shape != x.shape[1:2]:
            x = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        if x.ndim < 2 or not self.gamma.shape == self.beta.shape == x.shape[1:2]:
            expected = "gamma and beta with one element per channel of x"
            raise ShapeError(message("BatchNormalization", expected, got(x=x, gamma=self.gamma, beta=self.beta)))
        if self.running_mean is None or self.running_var is None:
            self.running_mean, self.running_var = self.gamma * 0, self.gamma * 0 + 1
        y = self._train(x) if train_flg else self._test(x)
        return y.reshape(self._x_shape)

    def _train(self, x: Any) -> Any:
        count = math.prod(x.shape) // x.shape[1]
        if count < 2:
            raise ShapeError(message("BatchNormalization", "more than one value per channel in training", got(x=x)))
        fn = BatchNorm(self.eps)
        y = self._forward(fn, x, self.gamma, self.beta)
        new = 1 - self.momentum
        self.running_mean = self.momentum * self.running_mean + new * fn.batch_mean
        self.running_var = self.momentum * self.running_var + new * (fn.batch_var * (count / (count - 1)))
        return y

    def _test(self, x: Any) -> Any:
        fn = BatchNormEval(self.eps)
        return self._forward(fn, x, self.running_mean, self.running_var, self.gamma, self.beta)

    def backward(self, dout: Any) -> Any:
        flat = self._x_shape if self.gamma.shape == self._x_shape[1:2] else (self._x_shape[0], *self.gamma.shape)
        dx, *_, self.dgamma, self.dbeta = self._backward(dout.reshape(flat))
        return dx.reshape(self._x_shape)
