"""The options that all benchmark commands share, and the output of their results."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.gate.worlds import Users
from benchmarks.report.canvas import NO_MATPLOTLIB, MissingMatplotlib
from benchmarks.report.plots import draw
from benchmarks.tables import WRITERS, as_json, markdown

DataOption = Annotated[Path, typer.Option("--data", help="MovieLens-100K, RecBole or CSV interactions.")]
WorkOption = Annotated[
    Path, typer.Option("--work", help="Keep fits and finished cells here; a killed run goes on from them.")
]
WORK_FOLDER = Path(".lethe/bench")
ProcessesOption = Annotated[
    int | None, typer.Option("--processes", min=1, help="How many work at once; one per core by default.")
]


def _in_a_folder(file: Path | None) -> Path | None:
    """Refuse a file in no folder now, not after hours of work."""
    if file is not None and not file.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {file.parent}")
    return file


JsonOption = Annotated[
    Path | None, typer.Option("--json", help="Write the result here.", callback=_in_a_folder)
]
MarkdownOption = Annotated[
    Path | None, typer.Option("--markdown", help="Write the tables here.", callback=_in_a_folder)
]
PlotsOption = Annotated[Path | None, typer.Option("--plots", help="Draw the plots into this folder.")]


def require_matplotlib(plots: Path | None) -> None:
    """Say now that plots cannot be drawn, not after hours of work."""
    if plots is not None and find_spec("matplotlib") is None:
        raise typer.BadParameter(NO_MATPLOTLIB, param_hint="--plots")


def publish(
    result: dict[str, Any], json_file: Path | None, markdown_file: Path | None, plots: Path | None = None
) -> None:
    text = as_json(result)
    if json_file is not None:
        json_file.write_text(text)
    # From what the file holds, because a number that is rounded twice may end up as another one.
    write(markdown(json.loads(text)), markdown_file)
    draw_plots(result, plots)


def write(text: str, markdown_file: Path | None) -> None:
    if markdown_file is not None:
        markdown_file.write_text(text)
    Console().print(Markdown(text))


def draw_plots(result: dict[str, Any], plots: Path | None) -> None:
    if plots is None:
        return
    try:
        draw(result, plots)
    except MissingMatplotlib as problem:
        raise typer.BadParameter(str(problem), param_hint="--plots") from problem


def read_result(path: Path) -> dict[str, Any]:
    """A result that an earlier command wrote."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise typer.BadParameter(f"{path} is not a result: {problem}") from problem
    if not isinstance(found, dict) or found.get("benchmark") not in WRITERS:
        raise typer.BadParameter(f"{path} is not a result that a benchmark wrote with --json")
    return found


def kind_of_users(text: str) -> Users:
    """The kind of users that this option names."""
    if text == "development":
        return "development"
    if text == "report":
        return "report"
    raise typer.BadParameter("choose development or report", param_hint="--users")
