"""What `deepcore profile` does: some steps of a training, or of a workload of the bench, under the profiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from deepcore import data
from deepcore.errors import ConfigError, nearest
from deepcore.profiler import profile, record_function
from deepcore.train import device as devices
from deepcore.train.callbacks import Callback
from deepcore.train.config import TrainConfig, from_command_line, read_toml
from deepcore.train.recipe import ImageTrainer
from deepcore.train.trainer import Trainer


class Options(NamedTuple):
    """Of the command, beside the settings of the training."""

    steps: int
    warmup: int
    workload: str | None
    rows: int
    sort: str | None
    shapes: bool
    trace: Path | None
    config: Path | None


def profile_command(options: Mapping[str, Any], assignments: Sequence[str], how: Options) -> None:
    """Run the steps, print the tables by op and by module, write the trace where one is asked for."""
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    given = from_command_line(options, assignments)
    if how.workload is not None:
        others = [name for name in given if name not in ("device", "batch_size")] + (["config"] if how.config else [])
        if others:
            raise ConfigError(
                f"--workload has its own {', '.join(others)}; only --device and --batch-size fit beside it."
            )
        found = of_workload(how.workload, given.get("device", "auto"), given.get("batch_size"), how, say)
    else:
        found = of_training(TrainConfig.resolve(read_toml(how.config) | given if how.config else given), how, say)
    rows = found.key_averages(group_by_input_shape=how.shapes)
    say(f"\n{rows.table(how.sort, how.rows)}\n")
    say(found.table(by="module", row_limit=how.rows))
    if how.trace is not None:
        found.export_chrome_trace(how.trace)
        say(f"\ntrace written to {how.trace}; open it in https://ui.perfetto.dev or chrome://tracing")


def of_training(config: TrainConfig, how: Options, say: Callable[[str], None]) -> profile:
    """The profile of steps of what `deepcore train` would run; nothing is written."""
    name, line = devices.choose(config.device)
    say(line)
    splits = data.load(config.data, log=say)
    # As many epochs as it takes: a small set ends before the steps do, and then its evaluation is profiled too.
    trainer = ImageTrainer(
        replace(config, device=name, epochs=max(config.epochs, how.warmup + how.steps)), splits, name
    )
    watch = _Watch(how)
    trainer.use([watch])
    trainer.train_loader = _Loading(trainer.train_loader)
    say(f"{config.model} on {config.data}, batch {config.batch_size}: {how.steps} steps after {how.warmup} not timed")
    with watch.around():
        trainer.train(lambda: watch.done)
    return watch.profile


class _Watch(Callback):
    """Begins the profile after the warm-up, ends it after the steps."""

    def __init__(self, how: Options) -> None:
        self.how, self.seen, self.done = how, 0, False
        self.profile = profile(record_shapes=how.shapes)

    @contextmanager
    def around(self) -> Iterator[None]:
        """Ends the profile whatever happens."""
        if not self.how.warmup:
            self.profile.start()
        try:
            yield
        finally:
            if self.profile.running:
                self.profile.stop()

    def on_step(self, trainer: Trainer) -> None:
        self.seen += 1
        steps = self.seen - self.how.warmup
        if steps > 0:
            self.profile.step()
        if steps == self.how.steps:
            self.profile.stop()
            self.done = True
        elif steps == 0:
            self.profile.start()


class _Loading:
    """A loader whose waiting is a block of the profile."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        while True:
            with record_function("DataLoader.next"):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def of_workload(name: str, device: str, batch_size: int | None, how: Options, say: Callable[[str], None]) -> profile:
    """The profile of training steps of a workload of `deepcore bench`, on the same batch each time."""
    from deepcore.bench.framework import Device
    from deepcore.bench.initial import draw
    from deepcore.bench.programs import Training
    from deepcore.bench.workloads import WORKLOADS

    if name not in WORKLOADS:
        raise ConfigError(f"unknown workload {name!r}; there are {', '.join(WORKLOADS)}.{nearest(name, WORKLOADS)}")
    device, line = devices.choose(device)
    say(line)
    work = WORKLOADS[name]
    batch = batch_size or work.size
    framework = Device(device)
    framework.start(0)
    training = Training(framework, {"workload": name, "batch": batch, "extent": work.extent}, 0, draw(name, 0))
    say(f"workload {name} ({work.about}), batch {batch}: {how.steps} steps after {how.warmup} not timed")
    for _ in range(how.warmup):
        training.step()
    with profile(record_shapes=how.shapes) as found:
        for _ in range(how.steps):
            training.step()
            found.step()
    return found
