"""Which op made the NaN: the steps before it are run again from a copy of the state, under an observer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepcore.autograd.finite import Finder, Made, is_finite
from deepcore.autograd.observer import observe
from deepcore.errors import ConfigError, RunError
from deepcore.nn import Module
from deepcore.tensor import Tensor
from deepcore.train import checkpoint
from deepcore.train.callbacks.base import Callback
from deepcore.train.run import RunFolder

if TYPE_CHECKING:
    from deepcore.train.trainer import Batch, Trainer

LOSS, TRANSFORM, MODEL = "the loss", "the change of the batch before the model", "the model itself"


class NanGuard(Callback):
    """Where a loss, a gradient or a weight becomes NaN or infinite, names the op that made the first one.

    folder: where the state from before that step is saved (`checkpoints/before-nan.safetensors`); None for nowhere.
    every: how often the weights are looked at and a copy of the state is kept in memory, in steps. As long as all is
    well that is all it costs. When something is wrong, the steps since that copy are run once more, while every op is
    looked at. Raises RunError that names the step, the op, its module, forward or backward, and a line of user code.
    """

    order = 95  # after all whose state it keeps, before a checkpoint is written

    def __init__(self, folder: str | Path | RunFolder | None = None, every: int = 100):
        if every < 1:
            raise ConfigError(f"NanGuard: expected every >= 1; got {every!r}.")
        self.run = folder if isinstance(folder, RunFolder | None) else RunFolder(folder)
        self.every = every
        self._good: Any = None
        self._replaying = False

    def on_start(self, trainer: Trainer) -> None:
        self._keep(trainer)

    def on_step(self, trainer: Trainer) -> None:
        if trainer.step % self.every == 0 and trainer.position != trainer.steps_per_epoch:
            self._keep(trainer)

    def on_epoch(self, trainer: Trainer) -> None:
        self._keep(trainer)

    def _keep(self, trainer: Trainer) -> None:
        trainer.check_finite()
        self._good = checkpoint.snapshot(trainer.state_dict())

    def on_nonfinite(self, trainer: Trainer, what: str) -> None:
        if self._replaying or self._good is None:
            return
        self._replaying = True
        try:
            found = self._replay(trainer, trainer.step)
        finally:
            self._replaying = False
        if found is None:
            raise RunError(f"{what}; when the steps before it were run again, all went well.")
        before, words = found
        kept = ""
        if self.run is not None:
            self.run.checkpoints.mkdir(parents=True, exist_ok=True)
            checkpoint.save(self.run.before_nan, before)
            kept = f" The state from before that step is in {self.run.before_nan}."
        raise RunError(f"{what}: {words}.{kept} Hint: use a smaller learning rate (it is {trainer.lr:g}).")

    def _replay(self, trainer: Trainer, last: int) -> tuple[Any, str] | None:
        """The state before the step that went wrong, and words for what happened in it."""
        trainer.load_state_dict(self._good)
        trainer.model.train()
        for batch in trainer.batches():
            before = checkpoint.snapshot(trainer.state_dict())
            words = self._step(trainer, batch)
            if words:
                return before, words
            if trainer.step >= last:
                break
        return None

    def _step(self, trainer: Trainer, batch: Batch) -> str:
        """Runs a step and says what went wrong in it; "" for nothing."""
        bad = [i for i, b in enumerate(trainer.prepared(batch, None)) if not _finite(b)]
        if bad:
            return f"part {bad[0]} of the batch of step {trainer.step + 1} holds one already"
        place = _Place()
        finder = Finder(lambda: place.name)
        with observe(finder), place.followed(trainer):
            loss_is_fine = _is_fine(lambda: trainer.train_step(batch)) and _is_fine(trainer.read_meter)
        step = f"step {trainer.step}"
        if not loss_is_fine or not all(p.grad is None or _finite(p.grad) for p in trainer.model.parameters()):
            return _words(finder, step, loss_is_fine)
        if not _is_fine(trainer.check_finite):
            return f"the update of {step} made it, from finite gradients: the learning rate is too large for them"
        return ""


def _finite(value: Any) -> bool:
    return not isinstance(value, Tensor) or is_finite(value.array, value.backend)


def _is_fine(run: Any) -> bool:
    """Whether `run` raises no RunError, which here is about a loss or a weight."""
    try:
        run()
    except RunError:
        return False
    return True


def _words(finder: Finder, step: str, loss_is_fine: bool) -> str:
    """`the first one was made by log in features.3 in the forward of step 57`."""
    made = finder.nan or finder.inf
    if finder.nan and finder.inf and finder.nan.backward and not loss_is_fine:
        made = finder.inf  # an infinite loss is the forward's doing, though only the backward makes a NaN of it
    if made is None:
        return f"it came up in {step} outside of any op, in a sum of gradients"
    words = f"the first one was made by {_op(made)} in the {'backward' if made.backward else 'forward'} of {step}"
    if made is finder.nan and not made.fresh and finder.inf is not None:
        words += f", after {_op(finder.inf)} had made an infinity"
    return words


def _op(made: Made) -> str:
    return f"{made.op} in {made.module or MODEL}" + (f" ({made.line})" if made.line else "")


class _Place:
    """The dotted name of the module that is running, or a word for where else the step is."""

    def __init__(self) -> None:
        self._stack = [TRANSFORM]

    @property
    def name(self) -> str:
        return self._stack[-1]

    @contextmanager
    def followed(self, trainer: Trainer) -> Iterator[None]:
        """Inside, it follows the model of the trainer."""
        handles = []
        for name, module in trainer.model.named_modules():
            handles.append(module.register_forward_pre_hook(self._enter(name or MODEL)))
            handles.append(module.register_forward_hook(self._leave))
        loss = trainer.loss

        def named_loss(output: Any, target: Any) -> Tensor:
            self._stack.append(LOSS)
            return loss(output, target)

        trainer.loss = named_loss
        try:
            yield
        finally:
            trainer.loss = loss
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> Any:
        def enter(module: Module, args: Any) -> None:
            self._stack.append(name)

        return enter

    def _leave(self, module: Module, args: Any, output: Any) -> None:
        self._stack.pop()
