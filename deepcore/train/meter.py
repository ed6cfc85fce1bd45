"""Running loss and accuracy of an epoch, read from the device only when somebody wants to see them."""

from __future__ import annotations

import math
from typing import Any

from deepcore.autograd import no_grad
from deepcore.functions import stack
from deepcore.tensor import Tensor


class Meter:
    """Collects one loss and one number of right answers per batch, as tensors; `read` fetches them in one copy.

    A copy from a GPU waits for all work that is queued there, so it is not made at every step.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Starts a new epoch."""
        self.count = 0
        self.correct = 0.0
        self.loss_sum = 0.0
        self._pending: list[tuple[Tensor, int]] = []

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Notes a batch: its mean loss (), its logits (N, K), its labels (N,) int64."""
        with no_grad():
            correct = (logits.detach().argmax(dim=1) == labels).sum()
            self._pending.append((stack([loss.detach(), correct.to(loss.dtype)]), len(labels)))

    def __len__(self) -> int:
        """Batches that are noted but not read yet."""
        return len(self._pending)

    def read(self) -> list[float]:
        """Takes in what was noted since the last time; the losses of those batches, in order."""
        if not self._pending:
            return []
        with no_grad():
            values = stack([pair for pair, _ in self._pending]).cpu().numpy().tolist()
        for (loss, correct), (_, n) in zip(values, self._pending, strict=True):
            self.loss_sum += loss * n
            self.correct += correct
            self.count += n
        self._pending.clear()
        return [loss for loss, _ in values]

    @property
    def loss(self) -> float:
        """Mean loss over the images read so far; NaN before the first."""
        return self.loss_sum / self.count if self.count else math.nan

    @property
    def accuracy(self) -> float:
        """Fraction of right answers over the images read so far; NaN before the first."""
        return self.correct / self.count if self.count else math.nan

    def state_dict(self) -> dict[str, Any]:
        """The sums, to go on with later."""
        return {"count": self.count, "correct": self.correct, "loss_sum": self.loss_sum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on with sums that `state_dict` gave."""
        self.reset()
        self.count, self.correct, self.loss_sum = state["count"], state["correct"], state["loss_sum"]
