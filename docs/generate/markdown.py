"""Pieces of Markdown that the generated pages share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table, one line each; a bar inside a cell is escaped."""
    return [_row(head), _row(["---"] * len(head)), *map(_row, rows)]


def paragraph(text: str) -> str:
    """A docstring as Markdown: RST's double backticks become single ones, and lines are joined."""
    parts = [" ".join(part.split()) for part in text.replace("``", "`").split("\n\n")]
    return "\n\n".join(part for part in parts if part)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
