"""The NaN guard: which op, where, forward or backward, and the state from before it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn, optim
from deepcore.errors import RunError
from deepcore.train import EMA, Checkpoints, NanGuard, RunFolder, Trainer, checkpoint

BAD = 37  # the step that goes wrong


class Batches:
    """Fifty batches of which one has zeros where the others have not; its rows then sum to `rows`."""

    def __init__(self, rows: float = 0.0) -> None:
        rng = np.random.default_rng(0)
        self.batches = [
            (rng.uniform(1, 2, (4, 3)).astype(np.float32), rng.normal(size=(4, 1)).astype(np.float32))
            for _ in range(50)
        ]
        self.batches[BAD - 1][0][:] = rows

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Any:
        return iter(self.batches)


class Log(nn.Module):
    """A NaN forward where x < 0, infinite where x is 0."""

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        return x.log()


class Root(nn.Module):
    """Finite forward at 0, with an infinite slope there."""

    def forward(self, x: dc.Tensor) -> dc.Tensor:
        return x.sqrt()


def trained(module: nn.Module, batches: Any, tmp_path: Path, loss: Any = F.mse_loss, **options: Any) -> Trainer:
    dc.manual_seed(0)
    model = nn.Sequential(module, nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    trainer = Trainer(model, loss, optim.Adam(model.parameters(), lr=1e-3), batches, epochs=2, **options)
    trainer.use([NanGuard(tmp_path, every=20)])
    return trainer


def failure(trainer: Trainer) -> str:
    with pytest.raises(RunError) as caught:
        trainer.train()
    return str(caught.value)


def test_forward_is_named_with_module_step_and_line(tmp_path: Path) -> None:
    said = failure(trained(Log(), Batches(-1.0), tmp_path))
    assert f"the loss became nan at step {BAD}: the first one was made by log in 0 (" in said
    assert re.search(rf"test_nan_guard\.py:\d+: return x\.log\(\)\) in the forward of step {BAD}\.", said)
    assert f"The state from before that step is in {RunFolder(tmp_path).before_nan}." in said


def test_infinity_that_led_to_it_is_named_too(tmp_path: Path) -> None:
    said = failure(trained(Log(), Batches(0.0), tmp_path))
    assert f"made by linear in 1 in the forward of step {BAD}, after log in 0 (" in said
    assert "had made an infinity" in said


def test_infinite_loss_is_the_forwards(tmp_path: Path) -> None:
    class Power(nn.Module):
        def forward(self, x: dc.Tensor) -> dc.Tensor:
            return (x * 100).exp()

    batches = Batches(1.0)
    batches.batches = [(x * 0.1, y) for x, y in batches.batches]
    batches.batches[4] = (batches.batches[4][0] * 10, batches.batches[4][1])
    model = nn.Sequential(nn.Linear(3, 3), Power())
    trainer = Trainer(model, lambda output, target: output.mean(), optim.SGD(model.parameters(), lr=1e-35), batches)
    with dc.no_grad():
        model[0].weight.copy_(dc.ones(3, 3))
    trainer.use([NanGuard()])
    said = failure(trainer)
    assert "the loss became inf at step 5: the first one was made by exp in 1 (" in said
    assert "in the forward of step 5." in said


def test_backward_is_named(tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale, self.root = nn.Parameter(dc.ones(3)), Root()

        def forward(self, x: dc.Tensor) -> dc.Tensor:
            return self.root(x * self.scale)

    said = failure(trained(Scaled(), Batches(0.0), tmp_path))
    # The loss of that step is fine; its weights are not, and so is the loss of the next one.
    assert f"the loss became nan at step {BAD + 1}: the first one was made by " in said
    assert f"in the backward of step {BAD}" in said
    assert "sqrt in 0.root" in said


def test_loss_of_the_user_is_named(tmp_path: Path) -> None:
    def loss(output: dc.Tensor, target: dc.Tensor) -> dc.Tensor:
        return (output * 1e30 * 1e30).exp().mean() * 0

    said = failure(trained(nn.Identity(), Batches(1.0), tmp_path, loss))
    assert re.search(r"mul in the loss \(.+1e30 \* 1e30.+\) had made an infinity|by \w+ in the loss", said)
    assert "in the forward of step 1" in said


def test_batch_that_holds_one_is_named(tmp_path: Path) -> None:
    said = failure(trained(nn.Identity(), Batches(np.nan), tmp_path))
    assert f"the loss became nan at step {BAD}: part 0 of the batch of step {BAD} holds one already." in said


def test_update_that_overflows_is_named(tmp_path: Path) -> None:
    dc.manual_seed(0)
    model = nn.Linear(3, 1)
    trainer = Trainer(model, F.mse_loss, optim.SGD(model.parameters(), lr=3e38), Batches(1.0))
    trainer.use([NanGuard()])
    said = failure(trainer)
    assert "step 1" in said
    assert "the learning rate is too large" in said or "made by" in said


def test_weights_are_looked_at_without_a_bad_loss(tmp_path: Path) -> None:
    """The last step of all makes the NaN: no later loss shows it, and no checkpoint may hold it."""
    batches = Batches(1.0).batches[:3]
    batches[-1][0][:] = 0.0

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(dc.ones(3))

        def forward(self, x: dc.Tensor) -> dc.Tensor:
            return (x * self.scale).sqrt()

    model = nn.Sequential(Scaled(), nn.Linear(3, 1))
    trainer = Trainer(model, F.mse_loss, optim.SGD(model.parameters(), lr=1e-3), batches)
    trainer.use([NanGuard(tmp_path), Checkpoints(tmp_path)])
    said = failure(trainer)
    assert "the weight 0.scale holds a NaN or an infinity after step 3: the first one was made by" in said
    assert "in the backward of step 3" in said
    assert RunFolder(tmp_path).saved() == []


def test_state_from_before_is_that_state(tmp_path: Path) -> None:
    failure(trained(Log(), Batches(-1.0), tmp_path, accumulate=2))
    state = checkpoint.load(RunFolder(tmp_path).before_nan)
    assert state["counters"]["step"] == BAD - 1
    undisturbed = trained(Log(), Batches(-1.0), tmp_path / "other", accumulate=2)
    undisturbed.train(lambda: undisturbed.step == BAD - 1)
    for name, value in undisturbed.model.state_dict().items():
        np.testing.assert_array_equal(state["model"][name], value.numpy())


def test_without_a_guard_the_step_is_said() -> None:
    model = nn.Sequential(Log(), nn.Linear(3, 1))
    trainer = Trainer(model, F.mse_loss, optim.SGD(model.parameters(), lr=0.01), Batches(-1.0))
    said = failure(trainer)
    assert said == f"the loss became nan at step {BAD}. Hint: use a smaller learning rate (it is 0.01)."


def test_guard_changes_no_bit() -> None:
    def weights(*guards: NanGuard) -> dict[str, np.ndarray]:
        dc.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        Trainer(model, F.mse_loss, optim.Adam(model.parameters()), Batches(1.0), callbacks=guards).train()
        return {name: value.numpy() for name, value in model.state_dict().items()}

    guarded, bare = weights(NanGuard(every=3)), weights()
    for name, value in bare.items():
        np.testing.assert_array_equal(guarded[name], value)


def test_guard_goes_with_averages_of_the_weights(tmp_path: Path) -> None:
    """The steps that are run again are those of the training, its averages included."""
    trainer = trained(Log(), Batches(-1.0), tmp_path)
    trainer.use([EMA(0.9)])
    assert "was made by log" in failure(trainer)
