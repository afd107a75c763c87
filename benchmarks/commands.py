"""`lethe bench …`: each command prints a table and, asked to, writes the result as JSON or Markdown."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from benchmarks import (
    basis,
    catalogue,
    early_stop,
    scale,
    semantic_ids,
    tuning,
    ucan_cost,
    unlearn,
)
from benchmarks.gate_commands import gate_command, levels_command
from benchmarks.population import TooFewUsers
from benchmarks.publishing import (
    WORK_FOLDER,
    DataOption,
    JsonOption,
    MarkdownOption,
    PlotsOption,
    ProcessesOption,
    WorkOption,
    draw_plots,
    kind_of_users,
    publish,
    read_result,
    require_matplotlib,
    write,
)
from benchmarks.sequence import run as sequence
from benchmarks.service_commands import (
    accept_command,
    chaos_command,
    dashboard_command,
    everybody_command,
    forget_command,
    load_command,
    overload_command,
    serve_command,
    worklist_command,
)
from benchmarks.study.kolmogorov_smirnov import NO_SCIPY, has_scipy
from benchmarks.study.scenarios import SCENARIOS, Scenario, user_share
from benchmarks.study.variants import UnknownBenchmarkMethod, check_methods
from benchmarks.style_commands import papers_command, regime_command, regime_named
from benchmarks.styles.by_name import REGIMES
from benchmarks.styles.smollm2 import MissingTextBase
from benchmarks.tables import markdown
from recommender import ItemTokenStyle
from unlearning import METHODS

MaybeDataOption = Annotated[
    Path | None, typer.Option("--data", help="Interactions to measure on; generated users without it.")
]

_LADDER = "ucan,least_change,refit"

bench_app = typer.Typer(no_args_is_help=True, help="Measure forgetting, utility and cost.")


@bench_app.command("unlearn")
def unlearn_command(
    data: Annotated[
        Path | None, typer.Option("--data", help="MovieLens-100K, RecBole or CSV interactions.")
    ] = None,
    list_methods: Annotated[
        bool, typer.Option("--list-methods", help="Describe every method instead of measuring.")
    ] = False,
    style: Annotated[
        str,
        typer.Option(help=f"Prompt style: {', '.join(REGIMES)}. Those that read text take part of the data."),
    ] = ItemTokenStyle.name,
    scenarios: Annotated[str, typer.Option(help=f"Comma-separated, or 'all': {', '.join(SCENARIOS)}.")] = "",
    forget: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.5, help="Instead of scenarios: this share of the users."),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            help="Comma-separated, or 'all'; see --list-methods. By default all of item tokens; on other styles the "
            "ladder's and a re-fit."
        ),
    ] = "",
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
        publish(catalogue.listing(), json_file, markdown_file)
        return
    if data is None:
        raise typer.BadParameter("give the interactions to measure on", param_hint="--data")
    if forget is not None and scenarios:
        raise typer.BadParameter("give either scenarios or a share to forget", param_hint="--forget")
    regime = regime_named(style)
    names = _methods(methods or ("all" if style == ItemTokenStyle.name else _LADDER))
    if not has_scipy():
        raise typer.BadParameter(NO_SCIPY, param_hint="--data")
    chosen = _scenarios(scenarios or "users-5") if forget is None else [user_share(forget)]
    require_matplotlib(plots)
    try:
        result = unlearn.run(
            data,
            scenarios=chosen,
            methods=names,
            seeds=seeds,
            folder=work,
            processes=processes,
            regime=regime,
        )
    except MissingTextBase as problem:
        raise typer.BadParameter(str(problem), param_hint="--style") from problem
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
    publish(tuning.run(data, methods=names, folder=work, processes=processes), json_file, markdown_file)


@bench_app.command("ucan-cost")
def ucan_cost_command(
    data: MaybeDataOption = None,
    repeats: Annotated[int, typer.Option(min=3, help="Alternating repeats of each measurement.")] = 15,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Time and memory of U-CAN beside one plain forward over the same forget set."""
    publish(ucan_cost.run(data, repeats=repeats), json_file, markdown_file)


@bench_app.command("early-stop")
def early_stop_command(
    data: MaybeDataOption = None,
    users: Annotated[
        str, typer.Option(help="Whom to fit on: report, or development to choose a rule on.")
    ] = "report",
    seeds: Annotated[int, typer.Option(min=2, help="How many fits.")] = 4,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Compare rules by which a fit chooses its epoch: how much what is kept depends on the seed."""
    kind = kind_of_users(users)
    with TemporaryDirectory() as folder:
        result = early_stop.run(data, users=kind, seeds=seeds, folder=Path(folder))
    publish(result, json_file, markdown_file)


@bench_app.command("scale")
def scale_command(
    most: Annotated[
        int, typer.Option(min=scale.SIZES[0], help="Leave out services with more users than this.")
    ] = scale.SIZES[-1],
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Time one forget request in ever larger services, stage by stage."""
    with TemporaryDirectory() as folder:
        result = scale.run([size for size in scale.SIZES if size <= most], folder=Path(folder) / "base")
    publish(result, json_file, markdown_file)


@bench_app.command("semantic-ids")
def semantic_ids_command(json_file: JsonOption = None, markdown_file: MarkdownOption = None) -> None:
    """Score and search a trie of 3,700 items exactly, beside the least forwards and beam search."""
    publish(semantic_ids.run(), json_file, markdown_file)


@bench_app.command("basis")
def basis_command(
    data: MaybeDataOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions, each with its own users and fits.")] = 3,
    work: WorkOption = WORK_FOLDER,
    processes: ProcessesOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """U-CAN in each basis beside the uniform shrink, chosen on development users, measured on report users."""
    publish(basis.run(data, seeds=seeds, folder=work, processes=processes), json_file, markdown_file)


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
    unknown = [walk for walk in walks or () if walk not in sequence.WALKS]
    if unknown:
        raise typer.BadParameter(f"choose from {'; '.join(sequence.WALKS)}", param_hint="--walk")
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
    publish(result, json_file, markdown_file)


bench_app.command("regime")(regime_command)
bench_app.command("papers")(papers_command)
bench_app.command("gate")(gate_command)
bench_app.command("levels")(levels_command)
bench_app.command("forget")(forget_command)
bench_app.command("accept")(accept_command)
bench_app.command("everybody")(everybody_command)
bench_app.command("chaos")(chaos_command)
bench_app.command("load")(load_command)
bench_app.command("overload")(overload_command)
bench_app.command("serve")(serve_command)
bench_app.command("worklist")(worklist_command)
bench_app.command("dashboard")(dashboard_command)


@bench_app.command("report")
def report_command(
    results: Annotated[list[Path], typer.Argument(help="Files that benchmarks wrote with --json.")],
    markdown_file: MarkdownOption = None,
    plots: PlotsOption = None,
) -> None:
    """Print the tables of earlier results, and draw their plots."""
    found = [read_result(result) for result in results]
    write("\n".join(markdown(result) for result in found), markdown_file)
    for result in found:
        draw_plots(result, plots)


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
