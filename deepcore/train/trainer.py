"""The training loop: any model, loss and loader; small enough to read, exact enough to stop and go on bit for bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from deepcore.autograd import no_grad
from deepcore.autograd.finite import is_finite
from deepcore.creation import tensor
from deepcore.errors import ConfigError, DataError, RunError
from deepcore.nn import Module
from deepcore.optim import Optimizer
from deepcore.tensor import Tensor
from deepcore.train import checkpoint, randomness
from deepcore.train.callbacks.base import Callback
from deepcore.train.fitting import FORMAT, check_state
from deepcore.train.meter import Meter, Metric, count_of
from deepcore.train.run import RunFolder

Batch = tuple[Any, ...]

# Steps after which the losses are fetched though nobody asked: what waits to be read stays small.
READ_EVERY = 100

ARRAYS = (np.ndarray, np.generic, int, float, list)  # parts of a batch that become tensors
COUNTERS = ("epoch", "step", "updates", "position", "pending", "done", "seconds")


class Trainer:
    """Trains `model` to make `loss(model(*inputs), target)` small on the batches of `train_loader`.

    train_loader: what gives tuples `(*inputs, target)` of tensors or NumPy arrays, anew each time it is iterated over:
        a DataLoader, a list, an object of yours. Arrays become tensors on the model's device.
    epochs: how often to go through it. test_loader: batches for an evaluation after each epoch.
    metrics: by name, functions of (output, target): one value for each sample, (N,), or the mean over the batch.
    accumulate: batches whose gradients make one update together; `loss` is taken to be a mean over the batch.
    transform, test_transform: what to do to each batch of training or test before the model gets it.
    callbacks: what else happens, see `deepcore.train.callbacks`. unit: what a sample is called.

    After each epoch `rows[-1]` holds its figures. Raises ConfigError for settings that cannot be; RunError where the
    loss is no longer a number.

    >>> import numpy as np
    >>> import deepcore as dc
    >>> from deepcore import functional as F, nn, optim
    >>> dc.manual_seed(0) and None
    >>> x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    >>> batches = [(x[i : i + 16], x[i : i + 16].sum(axis=1, keepdims=True)) for i in range(0, 64, 16)]
    >>> model = nn.Linear(3, 1)
    >>> trainer = Trainer(model, F.mse_loss, optim.Adam(model.parameters(), lr=0.1), batches, epochs=30)
    >>> trainer.train(), trainer.rows[-1]["train_loss"] < 0.01
    (True, True)
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Tensor],
        optimizer: Optimizer,
        train_loader: Iterable[Batch],
        *,
        epochs: int = 1,
        test_loader: Iterable[Batch] | None = None,
        metrics: Mapping[str, Metric] | None = None,
        accumulate: int = 1,
        transform: Callable[[Batch], Batch] | None = None,
        test_transform: Callable[[Batch], Batch] | None = None,
        callbacks: Sequence[Callback] = (),
        unit: str = "samples",
    ):
        for name, value in (("epochs", epochs), ("accumulate", accumulate)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"Trainer: expected {name} to be a whole number of at least 1; got {value!r}.")
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.train_loader, self.test_loader = train_loader, test_loader
        self.epochs, self.accumulate, self.unit = epochs, accumulate, unit
        self.transform, self.test_transform = transform, test_transform
        self.callbacks: list[Callback] = []
        self.use(callbacks)
        self.device: str | None = next((str(value.device) for value in model.parameters()), None)
        self.steps_per_epoch = len(train_loader) if isinstance(train_loader, Sized) else None
        self.epoch = self.step = self.updates = self.position = self.pending = 0
        self.done = False
        self.stopped: str | None = None
        self.saved_step: int | None = None
        self.way_on = ""  # what to do when the disk is full; `Checkpoints` knows
        self.meter = Meter(metrics)
        self._metered = 0  # the last step whose loss the meter has
        self.seconds = 0.0
        self.step_losses: list[float] = []
        self.rows: list[dict[str, Any]] = []

    def use(self, callbacks: Iterable[Callback]) -> None:
        """Adds callbacks, in their order."""
        self.callbacks = sorted([*self.callbacks, *callbacks], key=lambda callback: callback.order)

    # ---- facts -------------------------------------------------------------------------------------------------

    @property
    def total_steps(self) -> int | None:
        """Batches of the whole training; None where the loader has no length."""
        return None if self.steps_per_epoch is None else self.epochs * self.steps_per_epoch

    @property
    def updates_per_epoch(self) -> int | None:
        """Updates of the weights in an epoch; the last one may have fewer batches than the others."""
        return None if self.steps_per_epoch is None else math.ceil(self.steps_per_epoch / self.accumulate)

    @property
    def lr(self) -> float:
        """The learning rate of the first group of parameters."""
        return self.optimizer.param_groups[0]["lr"]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: all epochs are over, or `finish` was called."""
        return self.done or self.epoch >= self.epochs

    # ---- the loop ----------------------------------------------------------------------------------------------

    def train(self, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Runs all epochs that are left; False where `should_stop` or `stop` ended it early, after a step.

        Raises RunError where the loss is no longer a number, or a checkpoint cannot be written.
        """
        self.stopped = None
        try:
            self._tell("on_start")
            while not self.finished:
                self._run_epoch(should_stop)
                if self.stopped is not None:
                    break
            return self.finished
        except RunError as error:
            if self.way_on and isinstance(error.__cause__, OSError):
                raise RunError(f"{error} Hint: {self.way_on}") from error
            raise
        finally:
            self._tell("on_end")

    def stop(self, reason: str = "") -> None:
        """Ends the training after the running step; it can go on later. For callbacks."""
        if self.stopped is None:
            self.stopped = reason

    def finish(self) -> None:
        """Ends the training for good after the running epoch, as if it had been the last one. For callbacks."""
        self.done = True

    def _run_epoch(self, should_stop: Callable[[], bool]) -> None:
        self.model.train()
        started = time.perf_counter() - self.seconds
        for batch in self.batches():
            self.train_step(batch)
            self.seconds = time.perf_counter() - started
            self._tell("on_step")
            if should_stop():
                self.stop()
            # An epoch whose last step is done is finished first: only then does it have its line of figures.
            if self.stopped is not None and self.position != self.steps_per_epoch:
                self._tell("on_stop")
                return
        if not self.position:
            raise DataError(
                f"Trainer: train_loader gave no batch in epoch {self.epoch + 1}. "
                "Hint: give what can be iterated over again and again, not an iterator."
            )
        if self.pending:
            self._update()
        self.read_meter()
        self.seconds = time.perf_counter() - started
        self._finish_epoch()
        if should_stop():
            self.stop()

    def batches(self) -> Iterator[Batch]:
        """What is left of the running epoch, as the loader gives it."""
        if self.position and self.position == self.steps_per_epoch:
            return
        # A loader that can save its place was put there; any other gives from the start what was seen before.
        skip = 0 if hasattr(self.train_loader, "load_state_dict") else self.position
        for i, batch in enumerate(self.train_loader):
            if self.position == self.steps_per_epoch:
                raise DataError(f"Trainer: train_loader gave more batches than its length, {self.steps_per_epoch}.")
            if i >= skip:
                yield batch

    def train_step(self, batch: Batch) -> None:
        """One batch forward and backward, and an update of the weights where its group is complete."""
        batch = self.prepared(batch, self.transform)
        *inputs, target = batch
        if not self.pending:
            self.optimizer.zero_grad()
        output = self.model(*inputs)
        loss = self.loss(output, target)
        group = self._group_size()
        (loss if group == 1 else loss * (1 / group)).backward()
        self.step += 1
        self.position += 1
        self.pending += 1
        if self.pending == group:
            self._update()
        # After the update, not between backward and it: meanwhile the threads of the kernels would fall asleep.
        self.meter.add(loss, output, target, count_of(batch))
        self._metered = self.step
        if len(self.meter) >= READ_EVERY:
            self.read_meter()

    def _group_size(self) -> int:
        """Batches of the running group: the last one of an epoch takes what is left."""
        if self.steps_per_epoch is None:
            return self.accumulate
        start = self.position - self.pending
        return min(self.accumulate, self.steps_per_epoch - start)

    def _update(self) -> None:
        self._tell("on_gradients")
        self.optimizer.step()
        self.updates += 1
        self.pending = 0
        self._tell("on_update")

    def prepared(self, batch: Batch, transform: Callable[[Batch], Batch] | None) -> Batch:
        """The batch as tensors on the model's device, changed by `transform`."""
        if not isinstance(batch, tuple | list) or len(batch) < 2:
            raise DataError(f"Trainer: expected batches (*inputs, target); got {_described(batch)}.")
        batch = tuple([tensor(b, device=self.device) if isinstance(b, ARRAYS) else b for b in batch])
        return batch if transform is None else transform(batch)

    def _finish_epoch(self) -> None:
        row: dict[str, Any] = {"epoch": self.epoch + 1, "step": self.step, "lr": self.lr}
        row |= self.meter.figures("train")
        if self.test_loader is not None:
            row |= self.evaluate()
        row["seconds"] = round(self.seconds, 3)
        row[f"{self.unit}_per_second"] = round(self.meter.count / self.seconds, 1)
        self.rows.append(row)
        self.epoch += 1
        self.position = 0
        self.meter.reset()
        self.seconds = 0.0
        self._tell("on_epoch")

    # ---- evaluation --------------------------------------------------------------------------------------------

    def evaluate(self, loader: Iterable[Batch] | None = None) -> dict[str, float]:
        """`{"test_loss": ..., "test_<metric>": ...}` over the batches of `loader`, by default of `test_loader`."""
        loader = self.test_loader if loader is None else loader
        if loader is None:
            raise ConfigError("Trainer.evaluate: there are no batches. Hint: give a loader, or test_loader= before.")
        meter = Meter(self.meter.metrics)
        with self.evaluating(), no_grad():
            for given in loader:
                batch = self.prepared(given, self.test_transform)
                *inputs, target = batch
                output = self.model(*inputs)
                meter.add(self.loss(output, target), output, target, count_of(batch))
        meter.read()
        return meter.figures("test")

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside, the model is in evaluation mode, with the weights that are meant for use (`EMA` has its own)."""
        training = self.model.training
        self._tell("on_evaluation")
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)
            self._tell("on_evaluated")

    # ---- figures -----------------------------------------------------------------------------------------------

    def read_meter(self) -> Meter:
        """The running figures of this epoch, up to date. Raises RunError where the loss is not finite."""
        first = self._metered - len(self.meter) + 1
        losses = self.meter.read()
        self.step_losses += losses
        for step, loss in enumerate(losses, start=first):
            if not math.isfinite(loss):
                self._fail(f"the loss became {loss} at step {step}")
        return self.meter

    def check_finite(self) -> None:
        """Raises RunError where a loss so far or a weight is not finite."""
        self.read_meter()
        for name, value in self.model.named_parameters():
            if not is_finite(value.array, value.backend):
                self._fail(f"the weight {name} holds a NaN or an infinity after step {self.step}")

    def _fail(self, what: str) -> None:
        self._tell("on_nonfinite", what)
        raise RunError(f"{what}. Hint: use a smaller learning rate (it is {self.lr:g}).")

    def _tell(self, event: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *arguments)

    # ---- saving ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on, and the figures of the epochs so far."""
        from deepcore import __version__

        self.read_meter()
        loader: Any = self.train_loader
        transform: Any = self.transform
        return {
            "about": {"deepcore": __version__, "format": FORMAT},
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "gradients": self._gradients(),
            "random": randomness.get_state(),
            "loader": loader.state_dict() if hasattr(loader, "load_state_dict") else None,
            "transform": transform.state_dict() if hasattr(transform, "state_dict") else None,
            "callbacks": {
                name: state for name, callback in self.named_callbacks().items() if (state := callback.state_dict())
            },
            "meter": self.meter.state_dict(),
            "rows": [dict(row) for row in self.rows],
            "counters": self.counters(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up the state that `state_dict` gave, from a trainer that was made in the same way.

        Raises DataError where a callback has a state and is not there, or the other way round, and for values that are
        of another kind than those of a training.
        """
        check_state(self, state)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._set_gradients(state["gradients"])
        if state["loader"] is not None:
            self.train_loader.load_state_dict(state["loader"])  # type: ignore[attr-defined]
        if state["transform"] is not None:
            self.transform.load_state_dict(state["transform"])  # type: ignore[union-attr]
        callbacks = self.named_callbacks()
        for name, saved in state["callbacks"].items():
            callbacks[name].load_state_dict(saved)
        self.meter.load_state_dict(state["meter"])
        self.rows = [dict(row) for row in state["rows"]]
        for name in COUNTERS:
            setattr(self, name, state["counters"][name])
        self.optimizer.steps_taken = self.updates
        randomness.set_state(state["random"])

    def resume(self, folder: str | Path | RunFolder, say: Callable[[str], None] = print) -> int | None:
        """Goes on where the newest good checkpoint of the folder ends: its step, or None where there is none yet.

        What was made with the same settings, on this device or another, then trains as if it had never stopped. A
        checkpoint that is damaged is said, and the one before it is taken. Raises RunError where all are damaged, and
        where a good one does not fit this trainer.
        """
        run = folder if isinstance(folder, RunFolder) else RunFolder(folder)
        self.saved_step = checkpoint.load_newest(run, self.load_state_dict, say)
        return self.saved_step

    def named_callbacks(self) -> dict[str, Callback]:
        """Every callback by its class; a second one of the same class has a number."""
        named: dict[str, Callback] = {}
        for callback in self.callbacks:
            name, number = type(callback).__name__, 2
            while name in named:
                name, number = f"{type(callback).__name__} {number}", number + 1
            named[name] = callback
        return named

    def counters(self) -> dict[str, Any]:
        """Where the training stands."""
        return {name: getattr(self, name) for name in COUNTERS}

    def _gradients(self) -> dict[str, Tensor]:
        """What a group of batches has accumulated so far, by the parameter's name."""
        if not self.pending:
            return {}
        return {name: value.grad for name, value in self.model.named_parameters() if value.grad is not None}

    def _set_gradients(self, saved: Mapping[str, Any]) -> None:
        for name, value in self.model.named_parameters():
            value.grad = tensor(saved[name], value.dtype, value.device) if name in saved else None
            if value.grad is not None and value.grad.shape != value.shape:
                raise DataError(f"the gradient of {name} has the shape {value.grad.shape}, it is {value.shape}")


def _described(batch: Any) -> str:
    if isinstance(batch, tuple | list):
        return f"a {type(batch).__name__} of {len(batch)}"
    return f"a {type(batch).__name__}"
