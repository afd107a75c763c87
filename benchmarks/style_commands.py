"""`lethe bench regime` and `lethe bench papers`: what is measured on one prompt style by its own regime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import papers
from benchmarks import regime as regimes
from benchmarks.fits import Regime
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
from benchmarks.study.kolmogorov_smirnov import NO_SCIPY, has_scipy
from benchmarks.styles.by_name import PRETRAINED_LETTERS, REGIMES, UnknownStyle, regime_of_style
from benchmarks.styles.smollm2 import MissingTextBase
from recommender.styles.letters import LettersStyle


def regime_named(style: str) -> Regime:
    """The regime of the option `--style`.

    Raises:
        BadParameter: there is none of this name.
    """
    try:
        return regime_of_style(style)
    except UnknownStyle as problem:
        raise typer.BadParameter(str(problem), param_hint="--style") from problem


def regime_command(
    data: DataOption,
    style: Annotated[str, typer.Option(help=f"Prompt style: {', '.join(REGIMES)}.")] = LettersStyle.name,
    users: Annotated[
        str, typer.Option(help="Who is asked and forgotten: report, or development to choose a training on.")
    ] = "report",
    seed: Annotated[int, typer.Option(help="Of the fits and of who is forgotten.")] = 0,
    work: WorkOption = WORK_FOLDER,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """Is there anything to forget on a prompt style? One adapter and one re-fit, before a study of methods."""
    regime, kind = regime_named(style), kind_of_users(users)
    try:
        result = regimes.run(data, regime=regime, users=kind, seed=seed, folder=work)
    except MissingTextBase as problem:
        raise typer.BadParameter(str(problem), param_hint="--style") from problem
    publish(result, json_file, markdown_file)


def papers_command(
    data: Annotated[
        Path | None, typer.Option("--data", help="MovieLens-100K, RecBole or CSV interactions.")
    ] = None,
    style: Annotated[
        str,
        typer.Option(help=f"Measure U-CAN's on this style, E2URec's on yes_no: {', '.join(REGIMES)}."),
    ] = PRETRAINED_LETTERS,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            "--result",
            help="A finished result of `lethe bench unlearn` that fills further tables; one a use.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Deletions, each with its own fits.")] = 1,
    work: WorkOption = WORK_FOLDER,
    processes: ProcessesOption = None,
    json_file: JsonOption = None,
    markdown_file: MarkdownOption = None,
) -> None:
    """The papers' own tables beside ours: one is measured, the others come from finished results."""
    regime = regime_named(style)
    if data is not None and not has_scipy():
        raise typer.BadParameter(NO_SCIPY, param_hint="--data")
    try:
        result = papers.run(
            data,
            regime=None if data is None else regime,
            results=[read_result(one) for one in results or ()],
            seeds=seeds,
            folder=work,
            processes=processes,
        )
    except MissingTextBase as problem:
        raise typer.BadParameter(str(problem), param_hint="--data") from problem
    except papers.NothingToShow as problem:
        raise typer.BadParameter(str(problem), param_hint="--result") from problem
    publish(result, json_file, markdown_file)
