"""Where results go: the options of every command, and what is done with them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.report.canvas import NO_MATPLOTLIB, MissingMatplotlib
from benchmarks.report.plots import draw
from benchmarks.tables import as_json, markdown

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the result here.")]
MarkdownOption = Annotated[Path | None, typer.Option("--markdown", help="Write the tables here.")]
PlotsOption = Annotated[Path | None, typer.Option("--plots", help="Draw the plots into this folder.")]


def check_places(json_file: Path | None, markdown_file: Path | None, plots: Path | None) -> None:
    """Complain before hours of work, not after."""
    for path in (json_file, markdown_file):
        if path is not None and not path.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.parent}")
    if plots is not None and find_spec("matplotlib") is None:
        raise typer.BadParameter(NO_MATPLOTLIB, param_hint="--plots")


def publish(
    result: dict[str, Any], json_file: Path | None, markdown_file: Path | None, plots: Path | None
) -> None:
    if json_file is not None:
        json_file.write_text(as_json(result))
    write(markdown(result), markdown_file)
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
