"""Small models, batches and broken backends for the tests of `deepcore.compare`."""

from __future__ import annotations

import numpy as np

import deepcore as dc
from deepcore import functional as F
from deepcore import nn
from deepcore.backends import Backend
from deepcore.backends.cpu import CpuBackend


def images(n: int, channels: int, size: int):
    """batch_fn of images whose brightness depends on the class."""

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng([step, n, size])
        targets = random.integers(0, 4, n)
        noise = random.normal(size=(n, channels, size, size))
        return (0.5 * noise + 0.2 * targets[:, None, None, None]).astype(np.float32), targets

    return batch


def rows(n: int, features: int):
    """batch_fn of vectors."""

    def batch(step: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng([step, n])
        x = random.normal(size=(n, features)).astype(np.float32)
        return x, (x[:, 0] > 0) + 2 * (x[:, 1] > 0)

    return batch


def sequences(step: int) -> tuple[np.ndarray, np.ndarray]:
    """batch_fn of sequences (N, T, D) whose class is the sign of their sum."""
    random = np.random.default_rng(step)
    x = random.normal(size=(6, 7, 5)).astype(np.float32)
    return x, (x.sum((1, 2)) > 0).astype(np.int64)


def lenet() -> nn.Module:
    """LeNet's order of layers, small: images (N, 1, 12, 12)."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 16),
        nn.ReLU(),
        nn.Linear(16, 4),
    )


def mlp() -> nn.Module:
    """Linear layers with batch normalisation and dropout: rows (N, 10)."""
    return nn.Sequential(
        nn.Linear(10, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(16, 12),
        nn.Tanh(),
        nn.Linear(12, 4),
    )


class Lstm(nn.Module):
    """An LSTM and a classifier of its last output: sequences (N, T, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 8, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        y, _ = self.lstm(x)
        return self.head(y[:, -1])


class Block(nn.Module):
    """A residual block: (N, C, H, W) -> (N, O, H // stride, W // stride)."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, out, 3, stride=stride, padding=1), nn.BatchNorm2d(out)
        self.conv2, self.norm2 = nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)
        self.short = nn.Conv2d(channels, out, 1, stride=stride) if stride > 1 else nn.Identity()

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.short(x))


class Residual(nn.Module):
    """Two residual blocks; the stem's bias stands before a batch norm: its gradient is zero but for rounding."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.block1, self.block2 = Block(4, 4, 1), Block(4, 8, 2)
        self.head = nn.Linear(8, 4)

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        x = F.relu(self.norm(self.stem(x)))
        return self.head(self.block2(self.block1(x)).mean(dim=(2, 3)))


MODELS = {
    "lenet": (lenet, images(4, 1, 12)),
    "mlp": (mlp, rows(16, 10)),
    "lstm": (Lstm, sequences),
    "residual": (Residual, images(4, 1, 8)),
}


# --- broken versions of the cpu backend -------------------------------------------------------------------------------


class BorderStride(CpuBackend):
    """Convolution reads the column before the last one wherever the kernel hangs over the right border."""

    def conv2d(self, x, w, b, stride, padding, dilation, groups):
        y = super().conv2d(x, w, b, stride, padding, dilation, groups)
        if padding[1]:
            shifted = np.concatenate([x[..., :-1], x[..., -2:-1]], axis=3)
            y[..., -1] = super().conv2d(shifted, w, b, stride, padding, dilation, groups)[..., -1]
        return y


class EarlyRead(CpuBackend):
    """The sums of batch norm's gradient are read when the last block's part is there only every other time."""

    launches = 0

    def batch_norm_grad(self, gy, x, mean, rstd, w):
        gx, gw, gb = super().batch_norm_grad(gy, x, mean, rstd, w)
        self.launches += 1
        if self.launches % 2:
            part = gy[-1:].sum(axis=(0, *range(2, gy.ndim)))
            gb = gb - part.astype(gb.dtype)
        return gx, gw, gb


class ScaledPool(CpuBackend):
    """The gradient of max-pooling is 1.001 times as large as it should be."""

    def max_pool2d_grad(self, gy, indices, x_shape, kernel_size, stride, padding, dilation):
        gx = super().max_pool2d_grad(gy, indices, x_shape, kernel_size, stride, padding, dilation)
        return gx * gx.dtype.type(1.001)


class WrongMomentum(CpuBackend):
    """The velocity forgets a little too fast."""

    def sgd_update(
        self, params, grads, buffers, lr, momentum, dampening, weight_decay, nesterov, maximize, first, scaling=None
    ):
        rest = (momentum * 0.999, dampening, weight_decay, nesterov, maximize, first, scaling)
        super().sgd_update(params, grads, buffers, lr, *rest)


class NoAdamCorrection(CpuBackend):
    """Adam without the correction of its second moment."""

    def adam_update(
        self, params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, step, lr, beta1, beta2, eps, weight_decay,
        decoupled, maximize, scaling=None,
    ):  # fmt: skip
        rest = (lr * (1 - beta2**step) ** 0.5, beta1, beta2, eps, weight_decay, decoupled, maximize, scaling)
        super().adam_update(params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, step, *rest)


class BiasedVariance(CpuBackend):
    """The variance of a batch is divided by one less than its number of elements."""

    batch_norm_train = Backend.batch_norm_train  # in steps

    def batch_norm_stats(self, x):
        mean, var = super().batch_norm_stats(x)
        n = x.size // x.shape[1]
        return mean, var * var.dtype.type(n / (n - 1))


class ShiftedDropout(CpuBackend):
    """The mask of dropout is drawn from one block further on."""

    def dropout(self, x, seed, offset, p):
        return super().dropout(x, seed, offset + 1, p)


class LastTie(CpuBackend):
    """Of equal maxima in a window the last one wins."""

    def max_pool2d(self, x, kernel_size, stride, padding, dilation, output_size):
        flipped = np.ascontiguousarray(x[..., ::-1, ::-1])
        y, places = super().max_pool2d(flipped, kernel_size, stride, padding, dilation, output_size)
        return y[..., ::-1, ::-1].copy(), (x[0, 0].size - 1 - places)[..., ::-1, ::-1].copy()


class FromStepSeven(CpuBackend):
    """Linear layers are right in the first seven steps of a training and a thousandth too large from then on."""

    updates = 0

    def linear(self, x, w, b):
        y = super().linear(x, w, b)
        return y * y.dtype.type(1.001) if self.updates >= 7 else y

    def sgd_update(
        self, params, grads, buffers, lr, momentum, dampening, weight_decay, nesterov, maximize, first, scaling=None
    ):
        rest = (momentum, dampening, weight_decay, nesterov, maximize, first, scaling)
        super().sgd_update(params, grads, buffers, lr, *rest)
        self.updates += 1


class LostStep(CpuBackend):
    """The gradient of an LSTM loses its first time step."""

    def lstm_grad(self, dy, dh_n, dc_n, gates, cells, c0, w_hh, peephole, steps, reverse):
        dgx, dh0, dc0 = super().lstm_grad(dy, dh_n, dc_n, gates, cells, c0, w_hh, peephole, steps, reverse)
        dgx = dgx.copy()
        dgx[: steps[0]] = 0
        return dgx, dh0, dc0


class NaNLoss(CpuBackend):
    """log_softmax and cross-entropy overflow: exp without the maximum taken off."""

    def softmax_cross_entropy(self, logits, target, weight, ignore_index, label_smoothing):
        losses, lse = super().softmax_cross_entropy(logits, target, weight, ignore_index, label_smoothing)
        return losses * np.float32("nan"), lse
