"""Commands and their options. The work behind them is imported only when a command runs, so that `--help` is quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deepcore.cli.exit_codes import USAGE_ERROR
from deepcore.errors import DeepcoreError

app = typer.Typer(
    name="deepcore",
    help="Deep learning in readable Python, on NumPy or on an NVIDIA GPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_debug = False


def _set_debug(value: bool) -> bool:
    global _debug
    _debug = _debug or value
    return value


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"deepcore {version('deepcore')}")
        raise typer.Exit


Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Show the traceback of an error.")]


@app.callback()
def _root(
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Deep learning in readable Python, on NumPy or on an NVIDIA GPU."""


@app.command()
def train(
    model: Annotated[str | None, typer.Option(help="Model (default lenet).")] = None,
    data: Annotated[str | None, typer.Option(help="Data set: digits or mnist (default digits).")] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, numpy (the slow reference), cuda, or auto: a working GPU, else cpu (default auto)."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Rounds over the data (default digits 30, mnist 5).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step (default digits 64, mnist 128).")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate of the one-cycle schedule.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw or sgd (default adam).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and augmentation (default 0).")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder; must be new or empty (default runs/MODEL-DATA-NNN)."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file with settings, such as config.toml of a run; options win over it."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with a run that was stopped. Only --device fits beside it."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Train a model and leave weights, figures and pictures in a run folder."""
    from deepcore.cli.training import train_command

    options = {
        "model": model,
        "data": data,
        "device": device,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": optimizer,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    raise typer.Exit(train_command(given, out, config, resume))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a training.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures (PNG, JPEG, ...).")],
    device: Annotated[str, typer.Option(help="cpu, numpy, cuda or auto.")] = "cpu",
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 3,
    debug: Debug = False,
) -> None:
    """Print the class and the probabilities of pictures.

    A picture is turned to grey and resized to what the model was trained on. Light strokes on a dark ground are
    expected; a picture with a light border is taken for ink on paper and inverted. The object should fill the picture.
    """
    from deepcore.cli.predicting import predict_command

    predict_command(run, images, device, top)


@app.command()
def info(debug: Debug = False) -> None:
    """Show versions, devices, threads, and what is missing for a GPU."""
    from deepcore.cli.info import info_command

    info_command()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line. An error of deepcore's own becomes one message and exit code 2, or 1 while running."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="deepcore")
    except DeepcoreError as error:
        if _debug or os.environ.get("DEEPCORE_DEBUG", "") not in ("", "0"):
            raise
        _print_error(error)
        sys.exit(getattr(error, "exit_code", USAGE_ERROR))


def _print_error(error: DeepcoreError) -> None:
    from rich.console import Console
    from rich.text import Text

    text = Text.assemble(("error: ", "bold red"), str(error))
    Console(stderr=True, soft_wrap=True).print(text, highlight=False)
