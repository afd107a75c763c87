"""`lethe bench …`: each command prints a table and, asked to, writes the result as JSON or Markdown."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from transformers.utils import logging as transformers_logging

from benchmarks import calibration, catalogue, tuning, ucan_cost, unlearn
from benchmarks.gate import run as gate
from benchmarks.gate.trials import Plan
from benchmarks.gate.worlds import MOST_WORLDS
from benchmarks.population import TooFewUsers
from benchmarks.report.canvas import NO_MATPLOTLIB, MissingMatplotlib
from benchmarks.report.plots import draw
from benchmarks.sequence import run as sequence
from benchmarks.study.scenarios import SCENARIOS, Scenario, user_share
from benchmarks.study.variants import UnknownBenchmarkMethod, check_methods
from benchmarks.tables import WRITERS, as_json, markdown
from unlearning import METHODS

if TYPE_CHECKING:
    from benchmarks.service.errors import ServiceUnmeasurable

bench_app = typer.Typer(no_args_is_help=True, help="Measure forgetting, utility and cost.")

DataOption = Annotated[Path, typer.Option("--data", help="MovieLens-100K, RecBole or CSV interactions.")]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the result here.")]
MarkdownOption = Annotated[Path | None, typer.Option("--markdown", help="Write the tables here.")]
PlotsOption = Annotated[Path | None, typer.Option("--plots", help="Draw the plots into this folder.")]
WorkOption = Annotated[
    Path, typer.Option("--work", help="Keep fits and finished cells here; a killed run goes on from them.")
]
WORK_FOLDER = Path(".lethe/bench")
ProcessesOption = Annotated[
    int | None, typer.Option("--processes", min=1, help="How many work at once; one per core by default.")
]
FitsOption = Annotated[
    Path | None, typer.Option("--fits", help="Keep fitted models in this folder and reuse them.")
]


@bench_app.command("unlearn")
def unlearn_command(
    data: Annotated[
        Path | None, typer.Option("--data", help="MovieLens-100K, RecBole or CSV interactions.")
    ] = None,
    list_methods: Annotated[
        bool, typer.Option("--list-methods", help="Describe every method instead of measuring.")
    ] = False,
    scenarios: Annotated[str, typer.Option(help=f"Comma-separated, or 'all': {', '.join(SCENARIOS)}.")] = "",
    forget: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.5, help="Instead of scenarios: this share of the users."),
    ] = None,
    methods: Annotated[str, typer.Option(help="Comma-separated, or 'all'; see --list-methods.")] = "all",
    seeds: Annotated[
        int, typer.Option(min=1, help="Repetitions of batch scenarios, each with its own users and fits.")
    ] = 3,
    work: WorkOption = WORK_FOLDER,
    processes: ProcessesOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
    plots: PlotsOption = None,
) -> None:
    """Compare methods: what they forget, what they cost the others, how long they take."""
    if list_methods:
        _publish(catalogue.listing(), json_file, markdown_file, None)
        return
    if data is None:
        raise typer.BadParameter("give the interactions to measure on", param_hint="--data")
    if forget is not None and scenarios:
        raise typer.BadParameter("give either scenarios or a share to forget", param_hint="--forget")
    names = _methods(methods)
    chosen = _scenarios(scenarios or "users-5") if forget is None else [user_share(forget)]
    _check_places(json_file, markdown_file, plots)
    _quiet()
    result = unlearn.run(data, scenarios=chosen, methods=names, seeds=seeds, folder=work, processes=processes)
    _publish(result, json_file, markdown_file, plots)


@bench_app.command("tune")
def tune_command(
    data: DataOption,
    methods: Annotated[str, typer.Option(help="Comma-separated, or 'all'.")] = "all",
    work: WorkOption = WORK_FOLDER,
    processes: ProcessesOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Search every method's configuration on development users, by distance to re-fits."""
    names = _methods(methods)
    _quiet()
    _publish(
        tuning.run(data, methods=names, folder=work, processes=processes), json_file, markdown_file, None
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
    _publish(ucan_cost.run(data, repeats=repeats), json_file, markdown_file, None)


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
    _publish(calibration.run(data, fits_folder=fits, with_sweep=sweep), json_file, markdown_file, None)


@bench_app.command("gate")
def gate_command(
    report: Annotated[
        bool, typer.Option("--report", help="Print the packaged result, measure nothing.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="MovieLens-100K, RecBole or CSV interactions.")
    ] = None,
    users: Annotated[
        str, typer.Option(help="Whom to forget: report, or development to choose thresholds on.")
    ] = "report",
    worlds: Annotated[
        int, typer.Option(min=1, max=MOST_WORLDS, help="How many small services.")
    ] = gate.DEFAULT.worlds,
    deletions: Annotated[int, typer.Option(min=1, help="Users forgotten in each.")] = gate.DEFAULT.deletions,
    work: WorkOption = WORK_FOLDER,
    processes: ProcessesOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """How often the gate lets a wrong candidate through and fails a true re-fit."""
    _check_places(json_file, markdown_file, None)
    if report:
        try:
            result = gate.committed()
        except FileNotFoundError as problem:
            raise typer.BadParameter(
                "this installation has no packaged result", param_hint="--report"
            ) from problem
        _publish(result, json_file, markdown_file, None)
        return
    if data is None:
        raise typer.BadParameter("give the interactions to measure on, or --report", param_hint="--data")
    if users not in ("development", "report"):
        raise typer.BadParameter("choose development or report", param_hint="--users")
    _quiet()
    plan = Plan("development" if users == "development" else "report", worlds, deletions)
    try:
        result = gate.run(data, plan=plan, folder=work, processes=processes)
    except TooFewUsers as problem:
        raise typer.BadParameter(str(problem), param_hint="--deletions") from problem
    _publish(result, json_file, markdown_file, None)


@bench_app.command("sequence")
def sequence_command(
    data: DataOption,
    requests: Annotated[int, typer.Option(min=2, help="How many users ask, one after the other.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the parent's fit and of who asks.")] = 0,
    work: WorkOption = WORK_FOLDER,
    processes: ProcessesOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """What becomes of an adapter, and of those it forgot, after many requests in a row."""
    _check_places(json_file, markdown_file, None)
    _quiet()
    try:
        result = sequence.run(data, requests=requests, seed=seed, folder=work, processes=processes)
    except TooFewUsers as problem:
        raise typer.BadParameter(str(problem), param_hint="--requests") from problem
    _publish(result, json_file, markdown_file, None)


@bench_app.command("forget")
def forget_command(
    requests: Annotated[int, typer.Option(min=1, help="How many users, one after the other.")] = 20,
    seed: Annotated[int, typer.Option(help="Draws whom to forget.")] = 0,
    data: Annotated[
        Path | None, typer.Option("--data", help="Interactions; the demo's generated users without it.")
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home",
            help="Folder of a stopped installation made from --data; a copy is measured. Without it, a fresh one.",
        ),
    ] = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Start what `lethe up` starts, in a temporary folder, and time forget requests through HTTP."""
    # The service's libraries are not installed where only learning is measured.
    from benchmarks import forget
    from benchmarks.service.errors import ServiceUnmeasurable

    _check_places(json_file, markdown_file, None)
    _check_folders(data, home)
    try:
        result = forget.run(data, requests=requests, seed=seed, home=home)
    except ServiceUnmeasurable as problem:
        raise _unmeasurable(problem) from problem
    _publish(result, json_file, markdown_file, None)


@bench_app.command("accept")
def accept_command(
    beside: Annotated[
        list[str], typer.Option("--beside", help="import or hanging-broker; may be given twice.")
    ],
    database: Annotated[
        list[str] | None,
        typer.Option(
            help="sqlite (unless told otherwise), postgresql, or a PostgreSQL server's URL; repeatable."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws who asks for recommendations.")] = 0,
    forgets: Annotated[int, typer.Option(min=1, help="How many forget requests beside imports.")] = 200,
    data: Annotated[
        Path | None, typer.Option("--data", help="Interactions; the demo's generated users without it.")
    ] = None,
    home: Annotated[
        Path | None,
        typer.Option("--home", help="Folder of an installation made from --data, whose base is used again."),
    ] = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Start a gateway in a temporary folder, and time how forget requests are accepted beside trouble."""
    # The service's libraries are not installed where only learning is measured.
    from benchmarks import accept
    from benchmarks.service.errors import ServiceUnmeasurable

    _check_places(json_file, markdown_file, None)
    unknown = [name for name in beside if name not in accept.BESIDE]
    if unknown:
        raise typer.BadParameter(f"choose from {', '.join(accept.BESIDE)}", param_hint="--beside")
    _check_folders(data, home)
    try:
        result = accept.run(beside, database or ["sqlite"], data=data, home=home, seed=seed, forgets=forgets)
    except ServiceUnmeasurable as problem:
        raise _unmeasurable(problem) from problem
    _publish(result, json_file, markdown_file, None)


@bench_app.command("report")
def report_command(
    results: Annotated[list[Path], typer.Argument(help="Files that benchmarks wrote with --json.")],
    markdown_file: MarkdownOption = None,
    plots: PlotsOption = None,
) -> None:
    """Print the tables of earlier results, and draw their plots."""
    found = [_read(result) for result in results]
    _write("\n".join(markdown(result) for result in found), markdown_file)
    for result in found:
        _draw(result, plots)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise typer.BadParameter(f"{path} is not a result: {problem}") from problem
    if not isinstance(found, dict) or found.get("benchmark") not in WRITERS:
        raise typer.BadParameter(f"{path} is not a result that a benchmark wrote with --json")
    return found


def _check_places(json_file: Path | None, markdown_file: Path | None, plots: Path | None) -> None:
    """Complain before hours of work, not after."""
    for path in (json_file, markdown_file):
        if path is not None and not path.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.parent}")
    if plots is not None and find_spec("matplotlib") is None:
        raise typer.BadParameter(NO_MATPLOTLIB, param_hint="--plots")


def _check_folders(data: Path | None, home: Path | None) -> None:
    for given, option in ((data, "--data"), (home, "--home")):
        if given is not None and not given.exists():
            raise typer.BadParameter(f"there is no {given}", param_hint=option)


def _unmeasurable(problem: ServiceUnmeasurable) -> typer.Exit:
    """Say why; the exit to raise."""
    if problem.log_tail:
        typer.echo(problem.log_tail, err=True)
    typer.echo(f"lethe: {problem}", err=True)
    return typer.Exit(2)


def _methods(text: str) -> list[str]:
    names = list(METHODS) if text == "all" else _names(text)
    try:
        check_methods(names)
    except UnknownBenchmarkMethod as problem:
        raise typer.BadParameter(str(problem), param_hint="--methods") from problem
    return names


def _scenarios(text: str) -> list[Scenario]:
    names = list(SCENARIOS) if text == "all" else _names(text)
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown or not names:
        raise typer.BadParameter(
            f"unknown scenarios: {', '.join(unknown) or 'none given'}; choose from {', '.join(SCENARIOS)}",
            param_hint="--scenarios",
        )
    return [SCENARIOS[name] for name in names]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _publish(
    result: dict[str, Any], json_file: Path | None, markdown_file: Path | None, plots: Path | None
) -> None:
    if json_file is not None:
        json_file.write_text(as_json(result))
    _write(markdown(result), markdown_file)
    _draw(result, plots)


def _write(text: str, markdown_file: Path | None) -> None:
    if markdown_file is not None:
        markdown_file.write_text(text)
    Console().print(Markdown(text))


def _draw(result: dict[str, Any], plots: Path | None) -> None:
    if plots is None:
        return
    try:
        draw(result, plots)
    except MissingMatplotlib as problem:
        raise typer.BadParameter(str(problem), param_hint="--plots") from problem


def _quiet() -> None:
    # Loading a base draws a bar of its own into ours.
    transformers_logging.disable_progress_bar()
