"""What `deepcore train` does: a new run or an old one to go on with, its progress, its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from deepcore.cli.exit_codes import INTERRUPTED, RUN_ERROR, STOPPED
from deepcore.errors import ConfigError, DeepcoreError
from deepcore.train import Progress, job
from deepcore.train.config import CHANGEABLE, Settings, TrainConfig, from_command_line, option, read_toml
from deepcore.train.interrupt import stop_on_signals


def train_command(
    options: Mapping[str, Any], assignments: Sequence[str], out: Path | None, config: Path | None, resume: Path | None
) -> int:
    """Trains with the given options and `key=value`s and returns the exit code: 0, 130 after Ctrl-C, 3 at a limit."""
    console = Console()
    say = _sayer(console)
    callbacks = [Progress(console)]
    given = from_command_line(options, assignments)
    if resume is not None:
        _refuse_others(given, out, config)
        prepared = job.resume(resume, given, say, callbacks)
        say(f"going on with {prepared.run} after step {prepared.trainer.step} of {prepared.trainer.total_steps}")
    else:
        settings = TrainConfig.resolve(read_toml(config) | given if config else given)
        prepared = job.start(settings, out, say, callbacks)
    say(_summary(prepared))
    with _exit_code(RUN_ERROR):
        return _run(prepared, say)


def _run(prepared: job.Job, say: Callable[[str], None]) -> int:
    trainer = prepared.trainer
    try:
        with stop_on_signals() as stop_request:
            finished = trainer.train(stop_request)
        if not finished:
            why = f": {trainer.stopped}" if trainer.stopped else ""
            say(f"stopped after step {trainer.step} of {trainer.total_steps}{why}; all is saved. {_way_on(prepared)}")
            return STOPPED if trainer.stopped else INTERRUPTED
        result = job.finish(prepared, say)
    except KeyboardInterrupt:
        say(f"stopped at once. {_way_on(prepared)}")
        return INTERRUPTED
    say(f"saved in {prepared.run}; try it: deepcore predict {prepared.run} IMAGE...")
    say(f"test accuracy {100 * result.accuracy:.2f} %")
    return 0


def _way_on(prepared: job.Job) -> str:
    step = prepared.trainer.saved_step
    if step is None:
        return "There is no checkpoint yet; start again."
    return f"Go on from step {step} with: deepcore train --resume {prepared.run}"


def _summary(prepared: job.Job) -> str:
    trainer = prepared.trainer
    config, splits = trainer.config, trainer.splits
    weights = sum(parameter.numel() for parameter in trainer.model.parameters())
    return (
        f"{config.model} ({weights:,} weights) on {config.data} ({len(splits.train):,} images, "
        f"{len(splits.test):,} for the test), {config.epochs} epochs, seed {config.seed}, run folder {prepared.run}"
    )


def _refuse_others(given: Settings, out: Path | None, config: Path | None) -> None:
    changed = [name for name in given if name not in CHANGEABLE]
    names = [f"{given.places[name]} {name}" if name in given.places else option(name) for name in changed]
    names += [name for name, value in (("--out", out), ("--config", config)) if value is not None]
    if names:
        raise ConfigError(f"--resume goes on with the settings of the run; leave out {', '.join(names)}.")


def _sayer(console: Console) -> Callable[[str], None]:
    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    return say


@contextmanager
def _exit_code(code: int) -> Iterator[None]:
    """Gives errors from inside this exit code, where they would have the one of a wrong usage."""
    try:
        yield
    except DeepcoreError as error:
        error.exit_code = code  # type: ignore[attr-defined]
        raise
