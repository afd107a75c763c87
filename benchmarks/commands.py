"""`lethe bench …`: each command prints a table and, asked to, writes the result as JSON or Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from transformers.utils import logging as transformers_logging

from benchmarks import basis, calibration, catalogue, early_stop, scale, tuning, ucan_cost, unlearn
from benchmarks.gate import level_schemes
from benchmarks.gate import run as gate
from benchmarks.gate.trials import Plan
from benchmarks.gate.worlds import MOST_PARTS, MOST_WORLDS, Users
from benchmarks.population import TooFewUsers
from benchmarks.publishing import (
    JsonOption,
    MarkdownOption,
    PlotsOption,
    check_places,
    draw_plots,
    publish,
    write,
)
from benchmarks.sequence import run as sequence
from benchmarks.service_commands import (
    accept_command,
    chaos_command,
    everybody_command,
    forget_command,
    overload_command,
)
from benchmarks.study.scenarios import SCENARIOS, Scenario, user_share
from benchmarks.study.variants import UnknownBenchmarkMethod, check_methods
from benchmarks.tables import WRITERS, markdown
from unlearning import METHODS

bench_app = typer.Typer(no_args_is_help=True, help="Measure forgetting, utility and cost.")

DataOption = Annotated[Path, typer.Option("--data", help="MovieLens-100K, RecBole or CSV interactions.")]
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
        publish(catalogue.listing(), json_file, markdown_file, None)
        return
    if data is None:
        raise typer.BadParameter("give the interactions to measure on", param_hint="--data")
    if forget is not None and scenarios:
        raise typer.BadParameter("give either scenarios or a share to forget", param_hint="--forget")
    names = _methods(methods)
    chosen = _scenarios(scenarios or "users-5") if forget is None else [user_share(forget)]
    check_places(json_file, markdown_file, plots)
    _quiet()
    result = unlearn.run(data, scenarios=chosen, methods=names, seeds=seeds, folder=work, processes=processes)
    publish(result, json_file, markdown_file, plots)


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
    publish(tuning.run(data, methods=names, folder=work, processes=processes), json_file, markdown_file, None)


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
    publish(ucan_cost.run(data, repeats=repeats), json_file, markdown_file, None)


@bench_app.command("early-stop")
def early_stop_command(
    data: Annotated[
        Path | None, typer.Option("--data", help="Interactions to measure on; synthetic users without it.")
    ] = None,
    users: Annotated[
        str, typer.Option(help="Whom to fit on: report, or development to choose a rule on.")
    ] = "report",
    seeds: Annotated[int, typer.Option(min=2, help="How many fits.")] = 4,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Compare rules by which a fit chooses its epoch: how much what is kept depends on the seed."""
    kind = _kind_of_users(users)
    check_places(json_file, markdown_file, None)
    _quiet()
    with TemporaryDirectory() as folder:
        result = early_stop.run(data, users=kind, seeds=seeds, folder=Path(folder))
    publish(result, json_file, markdown_file, None)


@bench_app.command("scale")
def scale_command(
    most: Annotated[
        int, typer.Option(min=scale.SIZES[0], help="Leave out services with more users than this.")
    ] = scale.SIZES[-1],
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Time one forget request in ever larger services, stage by stage."""
    check_places(json_file, markdown_file, None)
    _quiet()
    with TemporaryDirectory() as folder:
        result = scale.run([size for size in scale.SIZES if size <= most], folder=Path(folder) / "base")
    publish(result, json_file, markdown_file, None)


@bench_app.command("basis")
def basis_command(
    data: Annotated[
        Path | None, typer.Option("--data", help="Interactions to measure on; generated users without it.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions, each with its own users and fits.")] = 3,
    work: WorkOption = WORK_FOLDER,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """U-CAN in each basis beside the uniform shrink, chosen on development users, measured on report users."""
    check_places(json_file, markdown_file, None)
    _quiet()
    publish(basis.run(data, seeds=seeds, folder=work), json_file, markdown_file, None)


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
    publish(calibration.run(data, fits_folder=fits, with_sweep=sweep), json_file, markdown_file, None)


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
    parts: Annotated[
        int, typer.Option(min=2, max=MOST_PARTS, help="Each service has one of so many parts of the users.")
    ] = gate.DEFAULT.parts,
    batches: Annotated[
        bool, typer.Option(help="Forget users of whom nothing is told alone in batches, too.")
    ] = True,
    joined: Annotated[
        list[Path] | None,
        typer.Option("--join", help="Measure nothing: put results of this command together, one a use."),
    ] = None,
    work: WorkOption = WORK_FOLDER,
    processes: ProcessesOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """How often the gate lets a wrong candidate through and fails a true re-fit."""
    check_places(json_file, markdown_file, None)
    if report:
        try:
            result = gate.committed()
        except FileNotFoundError as problem:
            raise typer.BadParameter(
                "this installation has no packaged result", param_hint="--report"
            ) from problem
        publish(result, json_file, markdown_file, None)
        return
    if joined:
        try:
            result = gate.join([_read(one) for one in joined])
        except gate.CannotJoin as problem:
            raise typer.BadParameter(str(problem), param_hint="--join") from problem
        publish(result, json_file, markdown_file, None)
        return
    if data is None:
        raise typer.BadParameter(
            "give the interactions to measure on, or --report, or --join", param_hint="--data"
        )
    plan = Plan(_kind_of_users(users), worlds, deletions, parts)
    _quiet()
    try:
        result = gate.run(data, plan=plan, with_batches=batches, folder=work, processes=processes)
    except TooFewUsers as problem:
        raise typer.BadParameter(str(problem), param_hint="--deletions") from problem
    publish(result, json_file, markdown_file, None)


@bench_app.command("levels")
def levels_command(
    data: DataOption,
    users: Annotated[
        str, typer.Option(help="Which services: report, or development to choose a scheme on.")
    ] = "report",
    worlds: Annotated[int, typer.Option(min=1, max=MOST_WORLDS, help="How many small services.")] = 4,
    work: WorkOption = WORK_FOLDER,
    processes: ProcessesOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """What each way of making levels costs, and how far it errs."""
    check_places(json_file, markdown_file, None)
    kind = _kind_of_users(users)
    _quiet()
    result = level_schemes.run(data, users=kind, worlds=worlds, folder=work, processes=processes)
    publish(result, json_file, markdown_file, None)


@bench_app.command("sequence")
def sequence_command(
    data: DataOption,
    walks: Annotated[
        list[str] | None, typer.Option("--walk", help=f"All of them by default: {'; '.join(sequence.WALKS)}.")
    ] = None,
    requests: Annotated[int, typer.Option(min=2, help="How many users ask, one after the other.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the parent's fit and of who asks.")] = 0,
    work: WorkOption = WORK_FOLDER,
    processes: ProcessesOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """What becomes of an adapter, and of those it forgot, after many requests in a row."""
    check_places(json_file, markdown_file, None)
    unknown = [walk for walk in walks or () if walk not in sequence.WALKS]
    if unknown:
        raise typer.BadParameter(f"choose from {'; '.join(sequence.WALKS)}", param_hint="--walk")
    _quiet()
    try:
        result = sequence.run(
            data,
            walks=walks or tuple(sequence.WALKS),
            requests=requests,
            seed=seed,
            folder=work,
            processes=processes,
        )
    except TooFewUsers as problem:
        raise typer.BadParameter(str(problem), param_hint="--requests") from problem
    publish(result, json_file, markdown_file, None)


bench_app.command("forget")(forget_command)
bench_app.command("accept")(accept_command)
bench_app.command("everybody")(everybody_command)
bench_app.command("chaos")(chaos_command)
bench_app.command("overload")(overload_command)


@bench_app.command("report")
def report_command(
    results: Annotated[list[Path], typer.Argument(help="Files that benchmarks wrote with --json.")],
    markdown_file: MarkdownOption = None,
    plots: PlotsOption = None,
) -> None:
    """Print the tables of earlier results, and draw their plots."""
    found = [_read(result) for result in results]
    write("\n".join(markdown(result) for result in found), markdown_file)
    for result in found:
        draw_plots(result, plots)


def _kind_of_users(text: str) -> Users:
    if text == "development":
        return "development"
    if text == "report":
        return "report"
    raise typer.BadParameter("choose development or report", param_hint="--users")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise typer.BadParameter(f"{path} is not a result: {problem}") from problem
    if not isinstance(found, dict) or found.get("benchmark") not in WRITERS:
        raise typer.BadParameter(f"{path} is not a result that a benchmark wrote with --json")
    return found


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


def _quiet() -> None:
    # Loading a base draws a bar of its own into ours.
    transformers_logging.disable_progress_bar()
