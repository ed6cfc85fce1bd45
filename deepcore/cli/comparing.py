"""What `deepcore compare` does: the training of `deepcore train` on several devices in lockstep, then the reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from deepcore import data, models
from deepcore import functional as F
from deepcore.cli.exit_codes import DIFFERENT, INTERRUPTED
from deepcore.errors import ConfigError
from deepcore.lockstep import Comparison, compare, report
from deepcore.nn import Module
from deepcore.tensor import Tensor
from deepcore.train.batches import Batches
from deepcore.train.config import TrainConfig
from deepcore.train.interrupt import stop_on_signals
from deepcore.train.recipe import WEIGHTS, make_optimizer

# A training begins with this part of its learning rate (OneCycleLR). The whole of it from the first step on would soon
# amplify rounding so far that it explains any difference.
START_OF_TRAINING = 25
LINES = 10  # of progress, where the output is no terminal


class Options(NamedTuple):
    """What `deepcore compare` takes beside the settings of a training."""

    devices: str
    steps: int
    shadows: int
    resync: int
    stop_at_first: bool
    json: Path | None
    html: Path | None


def compare_command(given: Mapping[str, Any], options: Options, command: str) -> int:
    """Compares, prints and writes the reports; `command` is how it was called, for the reports.

    Returns 0 where rounding explains every difference, 1 where it does not, 130 after Ctrl-C.
    Raises ConfigError, DeviceError and DataError before anything is begun; RunError where a run cannot go on.
    """
    console = Console()
    config = TrainConfig.resolve(given)
    if "lr" not in given:
        config = replace(config, lr=config.lr / START_OF_TRAINING)
    for path in (options.json, options.html):
        _check_writable(path)
    splits = data.load(config.data, log=lambda line: _say(console, line))
    _say(console, _summary(config, options))
    comparison, interrupted = _run(config, splits, options, console)
    _trim(comparison)
    report.print_summary(comparison, console)
    if options.json is not None:
        report.write_json(comparison, options.json, command)
        _say(console, f"wrote {options.json}")
    if options.html is not None:
        report.write_html(comparison, options.html, command)
        _say(console, f"wrote {options.html}")
    if not comparison.ok:
        return DIFFERENT
    return INTERRUPTED if interrupted else 0


def _run(config: TrainConfig, splits: data.Splits, options: Options, console: Console) -> tuple[Comparison, bool]:
    """The comparison, and whether Ctrl-C ended it: the first after the running step, a second one at once."""
    _, channels, height, _ = splits.train.images.shape

    def build() -> Module:
        return models.create(
            config.model, num_classes=len(splits.train.classes), in_channels=channels, image_size=height
        )

    def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)

    seen: list[Comparison] = []
    with stop_on_signals() as stop, _progress(console, options.steps) as show:

        def on_step(step: int, comparison: Comparison) -> bool:
            seen[:] = [comparison]
            show(comparison)
            return stop.asked

        try:
            comparison = compare(
                build,
                Batches(config, splits),
                options.devices,
                options.steps,
                loss_fn=cross_entropy,
                optimizer_fn=lambda parameters: make_optimizer(config, parameters),
                seed=WEIGHTS + config.seed,
                shadows=options.shadows,
                resync=options.resync,
                stop_at_first=options.stop_at_first,
                on_step=on_step,
            )
        except KeyboardInterrupt:
            if not seen:
                raise
            comparison = seen[0]
            stop.asked = True
        if stop.asked:
            comparison.stopped = f"Ctrl-C after step {comparison.steps - 1}"
    return comparison, stop.asked


def _summary(config: TrainConfig, options: Options) -> str:
    return (
        f"{config.model} on {config.data}, {options.devices} in lockstep beside float64 and {options.shadows} noisy "
        f"copies of it; batches of {config.batch_size}, {config.optimizer} with lr {config.lr:g}, seed {config.seed}"
    )


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _check_writable(path: Path | None) -> None:
    """Raises ConfigError where a report could not be written: found out now, not after the run."""
    if path is None:
        return
    if path.is_dir():
        raise ConfigError(f"{path} is a folder. Hint: name a file in it, such as {path / 'report.html'}.")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}. Hint: make it first.")


def _trim(comparison: Comparison) -> None:
    """Takes off what a step that Ctrl-C broke off has left behind."""
    for track in comparison.tracks:
        for values in (track.norm, track.noise, track.bound, *track.to_exact.values(), *track.between.values()):
            del values[comparison.steps :]
    for losses in comparison.losses.values():
        del losses[comparison.steps :]


Show = Callable[[Comparison], None]


@contextmanager
def _progress(console: Console, steps: int) -> Iterator[Show]:
    """What shows the progress after each step: a bar in a terminal, a line now and then anywhere else."""
    if not console.is_terminal:
        every = max(1, steps // LINES)

        def line(comparison: Comparison) -> None:
            if comparison.steps % every == 0 or comparison.steps == steps:
                _say(console, f"step {comparison.steps}/{steps}  {_figures(comparison)}")

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, expand=True, transient=True) as progress:
        # Named, because the first step is slow where kernels must be compiled, and nothing moves meanwhile.
        task = progress.add_task("first step", total=steps, figures="")

        def bar(comparison: Comparison) -> None:
            last = comparison.steps == steps
            what = "looking at the worst step" if last else "step"
            progress.update(task, completed=comparison.steps, description=what, figures=_figures(comparison))

        yield bar


def _figures(comparison: Comparison) -> str:
    """The loss on the first device, and the largest distance of this step as a multiple of its bound."""
    loss = next(iter(comparison.losses.values()))
    largest = report.largest_ratio(comparison, comparison.steps - 1)
    return f"loss {loss[-1]:.4f}  largest difference {report.number(largest)} x the bound"
