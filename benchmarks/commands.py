"""`lethe bench …`: each command prints a table and, asked to, writes the result as JSON or Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from transformers.utils import logging as transformers_logging

from benchmarks import calibration, ucan_cost, unlearn
from benchmarks.tables import markdown

bench_app = typer.Typer(no_args_is_help=True, help="Measure forgetting, utility and cost.")

DataOption = Annotated[Path, typer.Option("--data", help="MovieLens-100K, RecBole or CSV interactions.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the result here.")]
MarkdownOption = Annotated[Path | None, typer.Option("--markdown", help="Write the tables here.")]
FitsOption = Annotated[
    Path | None, typer.Option("--fits", help="Keep fitted models in this folder and reuse them.")
]


@bench_app.command("unlearn")
def unlearn_command(
    data: DataOption,
    methods: Annotated[
        str, typer.Option(help="Comma-separated: ucan, ucan_strong, uniform_shrink, refit.")
    ] = "ucan,ucan_strong,uniform_shrink,refit",
    forget: Annotated[float, typer.Option(min=0.001, max=0.5, help="Share of the service's users.")] = 0.05,
    seeds: Annotated[
        int, typer.Option(min=1, help="Repetitions, each with its own forget set and fits.")
    ] = 3,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
    fits: FitsOption = None,
) -> None:
    """Compare methods: what they forget, what they cost the others, how long they take."""
    names = [name.strip() for name in methods.split(",") if name.strip()]
    try:
        unlearn.check_methods(names)
    except unlearn.UnknownBenchmarkMethod as problem:
        raise typer.BadParameter(str(problem), param_hint="--methods") from problem
    _quiet()
    _publish(
        unlearn.run(data, methods=names, forget=forget, seeds=seeds, fits_folder=fits),
        json_file,
        markdown_file,
    )


@bench_app.command("ucan-cost")
def ucan_cost_command(
    data: Annotated[
        Path | None, typer.Option("--data", help="Interactions to measure on; synthetic users without it.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=3, help="Alternating repeats of each measurement.")] = 15,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Time and memory of U-CAN beside one plain forward over the same forget set."""
    _quiet()
    _publish(ucan_cost.run(data, repeats=repeats), json_file, markdown_file)


@bench_app.command("calibrate")
def calibrate_command(
    data: DataOption,
    sweep: Annotated[bool, typer.Option(help="Compare configurations of U-CAN too.")] = True,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
    fits: FitsOption = None,
) -> None:
    """Measure the gate's false alarms and power, and U-CAN's configurations, on development users."""
    _quiet()
    _publish(calibration.run(data, fits_folder=fits, with_sweep=sweep), json_file, markdown_file)


@bench_app.command("report")
def report_command(
    result: Annotated[Path, typer.Argument(help="A file that a benchmark wrote with --json.")],
    markdown_file: MarkdownOption = None,
) -> None:
    """Print the tables of an earlier result."""
    _publish(json.loads(result.read_text()), None, markdown_file)


def _publish(result: dict[str, Any], json_file: Path | None, markdown_file: Path | None) -> None:
    text = markdown(result)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    if markdown_file is not None:
        markdown_file.write_text(text)
    Console().print(Markdown(text))


def _quiet() -> None:
    # Loading a base draws a bar of its own into ours.
    transformers_logging.disable_progress_bar()
