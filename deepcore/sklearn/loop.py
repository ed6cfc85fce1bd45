"""The training loop of the estimators: arrays of the host in, batches on the device."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from deepcore import nn
from deepcore.autograd import enable_grad, no_grad
from deepcore.creation import tensor
from deepcore.errors import ShapeError, message
from deepcore.optim import Optimizer
from deepcore.random import Generator, get_rng_state, set_rng_state
from deepcore.tensor import Tensor

ROWS = 512  # of a batch in predictions: fewer where a module needs smaller batches anyway

_turn = threading.RLock()


class Samples(NamedTuple):
    """Inputs (N, ...), targets (N,) int64 or (N, K), and weights (N,) with mean 1 or None; one floating dtype."""

    x: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None


class Streams:
    """The random numbers of one estimator: one stream for weights and dropout, one for the order of the samples.

    Each is a (seed, offset), which pickles. Whoever asks for the stream of the order gets the same one, however much
    dropout draws meanwhile.
    """

    def __init__(self, seed: int) -> None:
        self.layers = (seed, 0)
        self.order = (1 << 32 | seed, 0)

    @contextlib.contextmanager
    def used(self) -> Iterator[Generator]:
        """Inside, layers draw from this estimator's stream, and the stream of the order is at hand.

        The default generator is put back as it was. It belongs to the whole process, so estimators that train in
        several threads take turns.
        """
        order = Generator()
        order.set_state(self.order)
        with _turn:
            outside = get_rng_state()
            set_rng_state(self.layers)
            try:
                yield order
            finally:
                self.layers, self.order = get_rng_state(), order.get_state()
                set_rng_state(outside)


class Learner(NamedTuple):
    """What takes part in a step; `columns` is K of the module's output (N, K)."""

    module: nn.Module
    criterion: Any
    optimizer: Optimizer
    columns: int

    def epoch(self, samples: Samples, batch_size: int, order: Generator) -> float:
        """One step for each batch, in a new order: the mean loss.

        The batches are of nearly equal size, so that none is left with a single sample, which batch normalisation
        could not use.
        """
        self.module.train()
        total: Any = 0.0
        n = len(samples.x)
        with enable_grad():
            for rows in np.array_split(order.permutation(n), math.ceil(n / batch_size)):
                self.optimizer.zero_grad()
                loss = self._loss(samples, rows)
                loss.backward()
                self.optimizer.step()
                total = total + loss.detach() * len(rows)
        return float(total.item()) / n

    def loss(self, samples: Samples, batch_size: int) -> float:
        """The mean loss in evaluation mode."""
        self.module.eval()
        n = len(samples.x)
        with no_grad():
            parts: list[Any] = [
                self._loss(samples, np.arange(start, min(start + batch_size, n))) * min(batch_size, n - start)
                for start in range(0, n, batch_size)
            ]
            return float(sum(parts).item()) / n

    def _loss(self, samples: Samples, rows: np.ndarray) -> Tensor:
        device = device_of(self.module)
        x, target = (tensor(array[rows], device=device) for array in (samples.x, samples.target))
        loss = self.criterion(columns(self.module(x), len(rows), self.columns), target)
        if samples.weight is None:
            return loss
        weight = tensor(samples.weight[rows], device=device)
        return (loss.reshape(len(rows), -1).mean(dim=1) * weight).mean()


def outputs(module: nn.Module, x: np.ndarray, k: int, batch_size: int = ROWS) -> np.ndarray:
    """The module's outputs (N, K) on the host, in evaluation mode."""
    module.eval()
    device = device_of(module)
    with no_grad():
        parts = [
            columns(module(tensor(x[start : start + batch_size], device=device)), len(x[start : start + batch_size]), k)
            for start in range(0, len(x), batch_size)
        ]
    return np.concatenate([part.cpu().numpy() for part in parts])


def columns(output: Any, n: int, k: int) -> Tensor:
    """The output of a module as (n, k); one of shape (n,) will do for k = 1. Raises ShapeError for another shape."""
    shape = tuple(getattr(output, "shape", ()))
    if shape == (n,) and k == 1:
        return output.reshape(n, 1)
    if shape != (n, k):
        received = f"{shape}" if shape else f"a {type(output).__name__}"
        hint = "num_classes or out_features in the module's constructor is filled in with the right number"
        raise ShapeError(
            message("module", f"an output of shape ({n}, {k}), samples by classes or targets", received, hint)
        )
    return output


def device_of(module: nn.Module) -> str | None:
    """Where the module's parameters are; None, the default device, where it has none."""
    return next((parameter.device for parameter in module.parameters()), None)
