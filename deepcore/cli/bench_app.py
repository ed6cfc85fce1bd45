"""`deepcore bench` and `deepcore bench compare`: their options. The work is imported when a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

bench_app = typer.Typer(
    invoke_without_command=True, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]}
)


@bench_app.callback()
def bench(
    context: typer.Context,
    suite: Annotated[
        str,
        typer.Option(metavar="A,B", help="models, convs, ops, scaling, startup, memory, loader, or all."),
    ] = "models",
    devices: Annotated[str, typer.Option(metavar="A,B", help="Devices, such as numpy,cpu,cuda.")] = "cpu",
    peers: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Other frameworks: torch, torch-compile, torch-channels-last, onnxruntime, or a file of yours such as "
            "mine.py. Ratios are taken to the first.",
        ),
    ] = "",
    threads: Annotated[
        int | None, typer.Option(min=1, help="For every candidate (default: as many as there are cores).")
    ] = None,
    filter: Annotated[str, typer.Option(metavar="TEXT", help="Only cases whose name contains this text.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Samples of each candidate in each case.")] = 15,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and data.")] = 0,
    list_only: Annotated[
        bool, typer.Option("--list", help="Print the names of the cases and measure nothing.")
    ] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything measured, for programs.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a report with pictures.")] = None,
) -> None:
    """Measure deepcore's devices beside each other and beside other frameworks.

    The same models, weights, data and threads for all; what they compute is compared before anything is timed; rounds
    alternate between the candidates, each in a process of its own. Ctrl-C keeps what was measured (exit status 130).
    Exit status 1 where a candidate's result was refused or it failed.
    """
    if context.invoked_subcommand is not None:
        return
    from deepcore.cli.benching import Options, bench_command

    options = Options(suite, devices, peers, threads, filter, rounds, seed, list_only, json, markdown, html)
    raise typer.Exit(bench_command(options))


@bench_app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Result file of --json.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="A later one.")],
    fail_over: Annotated[
        float, typer.Option(min=1.0, help="How many times slower a case may be: 1.10 allows 10 %.")
    ] = 1.10,
    relative_to: Annotated[
        str, typer.Option(metavar="PEER", help="Divide by this candidate's times: for two different machines.")
    ] = "",
) -> None:
    """Print what got slower beyond noise from OLD to NEW. Exit status 1 where a device of deepcore did."""
    from deepcore.cli.benching import compare_command

    raise typer.Exit(compare_command(old, new, fail_over, relative_to))
