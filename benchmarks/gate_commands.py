"""The benchmarks that measure the gate and its levels against a known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.gate import calibration, level_schemes
from benchmarks.gate import run as gate
from benchmarks.gate.trials import Plan
from benchmarks.gate.worlds import MOST_PARTS, MOST_WORLDS
from benchmarks.population import TooFewUsers
from benchmarks.publishing import (
    WORK_FOLDER,
    DataOption,
    JsonOption,
    MarkdownOption,
    ProcessesOption,
    WorkOption,
    kind_of_users,
    publish,
    read_result,
)


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
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Instead, in one service and on development users: the band without levels, the reference error, "
            "and U-CAN's configurations.",
        ),
    ] = False,
    sweep: Annotated[
        bool, typer.Option(help="With --calibrate: compare configurations of U-CAN, too.")
    ] = True,
    work: WorkOption = WORK_FOLDER,
    processes: ProcessesOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """How often the gate lets a wrong candidate through and fails a true re-fit."""
    if report:
        result = _packaged()
    elif joined:
        try:
            result = gate.join([read_result(one) for one in joined])
        except gate.CannotJoin as problem:
            raise typer.BadParameter(str(problem), param_hint="--join") from problem
    elif data is None:
        raise typer.BadParameter(
            "give the interactions to measure on, or --report, or --join", param_hint="--data"
        )
    elif calibrate:
        result = calibration.run(data, with_sweep=sweep, folder=work, processes=processes)
    else:
        plan = Plan(kind_of_users(users), worlds, deletions, parts)
        try:
            result = gate.run(data, plan=plan, with_batches=batches, folder=work, processes=processes)
        except TooFewUsers as problem:
            raise typer.BadParameter(str(problem), param_hint="--deletions") from problem
    publish(result, json_file, markdown_file)


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
    kind = kind_of_users(users)
    result = level_schemes.run(data, users=kind, worlds=worlds, folder=work, processes=processes)
    publish(result, json_file, markdown_file)


def _packaged() -> dict[str, Any]:
    try:
        return gate.committed()
    except FileNotFoundError as problem:
        raise typer.BadParameter(
            "this installation has no packaged result", param_hint="--report"
        ) from problem
