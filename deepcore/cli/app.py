"""Commands and their options. The work behind them is imported only when a command runs, so that `--help` is quick."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from deepcore.cli.bench_app import bench_app
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
app.add_typer(bench_app, name="bench")
_debug = False
_arguments: list[str] = []  # of the running command, for its reports


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
    data: Annotated[str | None, typer.Option(help="Data set: digits, mnist or cifar10 (default digits).")] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, numpy (the slow reference), cuda, or auto: a working GPU, else cpu (default auto)."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Rounds over the data (default 30; mnist 5).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step (default 64; mnist and cifar10 128).")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate, the highest of the schedule.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw or sgd (default adam).")] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="How strongly weights are pulled towards zero (default 0; adamw 0.01).")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="one_cycle, cosine, step, plateau or constant (default one_cycle).")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without a better test accuracy after which it stops (default: never).")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="Minutes after which it stops and saves (default: never).")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare batches (default 0).")] = None,
    tensorboard: Annotated[
        bool | None, typer.Option("--tensorboard/--no-tensorboard", help="Also write the figures for TensorBoard.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and augmentation (default 0).")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other setting, such as --set momentum=0.8; may be repeated. docs/config.md lists all.",
        ),
    ] = None,
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
        typer.Option(
            metavar="RUN",
            help="Go on with a run that was stopped. Beside it fit --device and settings that change no weight: "
            "max_minutes, max_memory, save_every, keep, tensorboard.",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Train a model and leave weights, figures and pictures in a run folder.

    The settings that are changed most often have options here; --set takes all of them, and so does a --config file.
    """
    from deepcore.cli.training import train_command

    options = {
        "model": model,
        "data": data,
        "device": device,
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": optimizer,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "patience": patience,
        "max_minutes": max_minutes,
        "workers": workers,
        "tensorboard": tensorboard,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    raise typer.Exit(train_command(given, assignments or [], out, config, resume))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a training.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures (PNG, JPEG, ...).")],
    device: Annotated[str, typer.Option(help="cpu, numpy, cuda or auto.")] = "cpu",
    top: Annotated[int, typer.Option(min=1, help="How many classes to show.")] = 3,
    debug: Debug = False,
) -> None:
    """Print the class and the probabilities of pictures.

    A picture is resized to what the model was trained on; the object should fill it. For a model that was trained on
    grey digits it is turned to grey, light strokes on a dark ground are expected, and a picture with a light border is
    taken for ink on paper and inverted.
    """
    from deepcore.cli.predicting import predict_command

    predict_command(run, images, device, top)


@app.command()
def compare(
    model: Annotated[str | None, typer.Option(help="Model, as for train (default lenet).")] = None,
    data: Annotated[str | None, typer.Option(help="Data set: digits, mnist or cifar10 (default digits).")] = None,
    devices: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Two or more, such as numpy,cpu or cpu,cuda; cpu@float16 is a device in another precision (also "
            "float32, float64, tf32), file.py:Class a Backend class in a file.",
        ),
    ] = "numpy,cpu",
    steps: Annotated[int, typer.Option(min=1, help="Steps of training.")] = 100,
    batch_size: Annotated[int | None, typer.Option(help="Images per step (default as for train).")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate, the same at every step (default: what train begins with).")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw or sgd (default adam).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order and augmentation (default 0).")] = None,
    shadows: Annotated[
        int, typer.Option(min=1, help="Noisy float64 copies, which measure what rounding explains.")
    ] = 2,
    resync: Annotated[
        int, typer.Option(min=0, metavar="N", help="Give all copies the first device's state every N steps (0: never).")
    ] = 0,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all numbers as JSON.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report with pictures.")] = None,
    stop_at_first: Annotated[
        bool, typer.Option("--stop-at-first", help="Stop at the first difference beyond what rounding explains.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Train on several devices in lockstep, and name the first place where they differ by more than rounding.

    Exit code 0: rounding explains every difference. 1: it does not. 2: it could not be compared.
    """
    from deepcore.cli.comparing import Options, compare_command

    settings = {
        "model": model,
        "data": data,
        "batch_size": batch_size,
        "lr": lr,
        "optimizer": optimizer,
        "seed": seed,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    options = Options(devices, steps, shadows, resync, stop_at_first, json, html)
    raise typer.Exit(compare_command(given, options, _called()))


@app.command()
def check(
    op: Annotated[list[str] | None, typer.Option(help="An op, such as conv2d; may be repeated (default all).")] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(help="A device; may be repeated (default every one that works here)."),
    ] = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="A dtype, such as float32; may be repeated (default all).")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the strict device and, for ops with CUDA kernels, their simulator.")
    ] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the results for programs.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as a page with pictures.")
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Other numbers in the samples, the same for the same seed.")] = 0,
    processes: Annotated[
        int | None, typer.Option(min=1, help="How many processes share the work (default: one per core).")
    ] = None,
    debug: Debug = False,
) -> None:
    """Prove that every op computes on every device what it should.

    Values, gradients and second gradients of each op are compared with an oracle in float64, and the devices with each
    other. What fails is shown in its smallest form, with a program that shows it again. Exit status 1 where something
    failed.
    """
    from deepcore.cli.checking import check_command

    options = {"everything": everything, "fail_fast": fail_fast, "seed": seed, "processes": processes}
    code = check_command(op or [], device or [], dtype or [], json=json, html=html, **options)  # type: ignore[arg-type]
    raise typer.Exit(code)


@app.command()
def summary(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's name, FILE.py:CLASS of your own, or a run folder.")
    ],
    input: Annotated[
        str | None,
        typer.Option(metavar="C,H,W", help="Shape of one input, such as 1,28,28 (default what the model is made for)."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Inputs in a batch.")] = 1,
    classes: Annotated[int | None, typer.Option(min=1, help="Classes that it tells apart (default its own).")] = None,
    dtype: Annotated[str | None, typer.Option(help="Of the input, such as int64 (default the weights').")] = None,
    device: Annotated[str, typer.Option(help="cpu, numpy, cuda or auto.")] = "cpu",
    depth: Annotated[int | None, typer.Option(min=0, help="Levels of the tree that are shown (default all).")] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all figures as JSON; - prints them instead.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Print a model's layers with output shapes, parameters, multiply-adds and memory of activations.

    A multiply-add is a product that is added to a sum of products: of convolutions, linear and recurrent layers,
    matrix products and attention. Kept is what the tape holds until backward.
    """
    from deepcore.cli.summarising import Options, summary_command

    summary_command(model, Options(input, batch_size, classes, dtype, device, depth, json))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a training.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page (default report.html in the run folder).")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a run folder as one HTML page: curves, confusion matrix, filters, layers, settings.

    The page loads nothing from anywhere, and can be sent as it is.
    """
    from deepcore.cli.reporting import report_command

    report_command(run, out, _called())


@app.command()
def profile(
    model: Annotated[str | None, typer.Option(help="Model, as for train (default lenet).")] = None,
    data: Annotated[str | None, typer.Option(help="Data set: digits, mnist or cifar10 (default digits).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, numpy, cuda or auto (default auto).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images per step (default as for train).")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw or sgd (default adam).")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting of train; may be repeated."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings; options win over it.")] = None,
    workload: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A workload of the bench, such as resnet20, instead of a training."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps that are timed.")] = 10,
    warmup: Annotated[int, typer.Option(min=0, help="Steps before them, in which kernels are compiled.")] = 3,
    rows: Annotated[int, typer.Option(min=1, help="Rows of each table.")] = 30,
    sort: Annotated[
        str | None, typer.Option(help="Order of the ops, by PyTorch's names, such as self_cpu_time_total or count.")
    ] = None,
    shapes: Annotated[
        bool, typer.Option("--shapes", help="A row for each op with arguments of the same shapes.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a trace for Perfetto or chrome://tracing.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Show where the time of a training step goes: by op and by module, forward and backward, CPU and GPU apart.

    Runs some steps of what train would run with the same settings; nothing is written but the trace.
    """
    from deepcore.cli.profiling import Options, profile_command

    settings = {"model": model, "data": data, "device": device, "batch_size": batch_size, "optimizer": optimizer}
    given = {name: value for name, value in settings.items() if value is not None}
    profile_command(given, assignments or [], Options(steps, warmup, workload, rows, sort, shapes, trace, config))


@app.command()
def warmup(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Models (default all).")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto: a working GPU, else cpu.")] = "auto",
    arch: Annotated[
        str | None,
        typer.Option(metavar="SM", help="Compile CUDA kernels for this GPU, such as sm_90, which need not be here."),
    ] = None,
    data: Annotated[str, typer.Option(help="The data set whose shapes are meant; its files are not read.")] = "digits",
    optimizer: Annotated[str, typer.Option(help="adam, adamw or sgd.")] = "adam",
    debug: Debug = False,
) -> None:
    """Compile the kernels that models need, forward, backward and optimizer, so that no later run waits for them."""
    from deepcore.cli.warming import warmup_command

    warmup_command(models or [], device, arch, data, optimizer)


@app.command()
def info(debug: Debug = False) -> None:
    """Show versions, devices, threads, and what is missing for a GPU."""
    from deepcore.cli.info import info_command

    info_command()


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a training.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The ONNX file to write, such as model.onnx.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave normalisation and softmax to the caller: inputs as the model has them.")
    ] = False,
    opset: Annotated[int, typer.Option(help="The opset of ONNX, 18 to 22.")] = 20,
    external_data: Annotated[
        bool, typer.Option("--external-data", help="Write the weights to FILE.data beside it.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write the model of a run as an ONNX file, for any number of images.

    Its input are images (N, C, H, W) in float32 from 0 to 1, its output the probabilities of the classes, whose names
    are in the file's metadata. It needs the extra: pip install "deepcore[onnx]".
    """
    from deepcore.cli.exporting import export_command

    export_command(run, file, raw, opset, external_data)


def _called() -> str:
    """How the running command was called, as one would type it."""
    return " ".join(["deepcore", *map(shlex.quote, _arguments)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line. An error of deepcore's own becomes one message and exit code 2, or 1 while running."""
    _arguments[:] = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=list(_arguments), prog_name="deepcore")
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
