"""Running loss and metrics of an epoch, read from the device only when somebody wants to see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from deepcore.autograd import no_grad
from deepcore.errors import ConfigError
from deepcore.tensor import Tensor

Metric = Callable[[Any, Any], Any]


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Which samples are right, (N,) bool, for logits (N, K) and labels (N,), or soft labels (N, K).

    >>> import deepcore as dc
    >>> accuracy(dc.tensor([[0.1, 2.0], [3.0, 0.2]]), dc.tensor([1, 1])).numpy().tolist()
    [True, False]
    """
    if target.dtype.kind in "fV":
        target = target.argmax(dim=1)
    return output.argmax(dim=1) == target


class _Noted(NamedTuple):
    """A batch that is not read yet: its mean loss (), a value of each metric, and how many samples it has."""

    loss: Tensor
    values: list[Any]
    samples: int


class Meter:
    """Means over the samples of the batches that are added.

    `metrics` are functions of the model's output and the target, by name. Each returns one value for each sample, (N,),
    or the mean over the batch, a tensor () or a number. `read` fetches what was noted in one copy each for the loss and
    the metrics: a copy from a GPU waits for all work that is queued there, so it is not made at every step.
    """

    def __init__(self, metrics: Mapping[str, Metric] | None = None) -> None:
        self.metrics = dict(metrics or {})
        self.reset()

    def reset(self) -> None:
        """Starts a new epoch."""
        self.count = 0
        self.loss_sum = 0.0
        self.sums = dict.fromkeys(self.metrics, 0.0)
        self._pending: list[_Noted] = []

    def add(self, loss: Tensor, output: Any, target: Any, count: int) -> None:
        """Notes a batch of `count` samples: its mean loss (), and what the metrics say of its output and target."""
        with no_grad():
            output = detached(output)
            values = [_as_sum(name, metric(output, target), count) for name, metric in self.metrics.items()]
        self._pending.append(_Noted(loss.detach(), values, count))

    def __len__(self) -> int:
        """Batches that are noted but not read yet."""
        return len(self._pending)

    def read(self) -> list[float]:
        """Takes in what was noted since the last time; the losses of those batches, in order."""
        if not self._pending:
            return []
        losses = _fetch([noted.loss for noted in self._pending])
        for noted, loss in zip(self._pending, losses, strict=True):
            self.loss_sum += loss * noted.samples
            self.count += noted.samples
        for i, name in enumerate(self.sums):
            for value in _fetch([noted.values[i] for noted in self._pending]):
                self.sums[name] += value
        self._pending.clear()
        return losses

    @property
    def loss(self) -> float:
        """Mean loss over the samples read so far; NaN before the first."""
        return self.loss_sum / self.count if self.count else math.nan

    @property
    def values(self) -> dict[str, float]:
        """The mean of each metric over the samples read so far; NaN before the first."""
        return {name: total / self.count if self.count else math.nan for name, total in self.sums.items()}

    def figures(self, prefix: str) -> dict[str, float]:
        """`{"train_loss": ..., "train_accuracy": ...}` for the prefix "train"."""
        return {f"{prefix}_loss": self.loss} | {f"{prefix}_{name}": value for name, value in self.values.items()}

    def state_dict(self) -> dict[str, Any]:
        """The sums, to go on with later."""
        return {"count": self.count, "loss_sum": self.loss_sum, "sums": dict(self.sums)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on with sums that `state_dict` gave."""
        self.reset()
        self.count, self.loss_sum = state["count"], state["loss_sum"]
        self.sums = {name: state["sums"][name] for name in self.sums}


def count_of(batch: Sequence[Any]) -> int:
    """How many samples a batch has."""
    return next((int(value.shape[0]) for value in batch[::-1] if getattr(value, "ndim", 0)), 1)


def detached(value: Any) -> Any:
    """The tensors in a model's output (in tuples, lists and dictionaries too), cut off from the graph."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, tuple | list):
        return type(value)(detached(v) for v in value) if type(value) in (tuple, list) else value
    return {k: detached(v) for k, v in value.items()} if type(value) is dict else value


def _as_sum(name: str, value: Any, count: int) -> Any:
    """The sum over the samples, as a tensor () or a number."""
    if isinstance(value, Tensor):
        if value.ndim == 0:
            return value * count
        if value.shape == (count,):
            return value.sum()
    elif isinstance(value, int | float) or getattr(value, "shape", None) == ():
        return float(value) * count
    found = tuple(value.shape) if hasattr(value, "shape") else type(value).__name__
    raise ConfigError(f"metric {name}: expected a number, or one value for each of the {count} samples; got {found}.")


def _fetch(values: Sequence[Any]) -> list[float]:
    """The numbers of tensors (), in one copy to the host; what are numbers already stays."""
    if not isinstance(values[0], Tensor):
        return list(values)
    backend = values[0].backend
    return [float(v) for v in backend.to_host(backend.xp.stack([value.array for value in values]))]
