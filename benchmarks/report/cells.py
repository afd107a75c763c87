"""Markdown tables and the text of their cells. A dash stands for what was not measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

MISSING = "–"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


def filled(head: Sequence[str], rows: Sequence[Sequence[Any]], labels: int = 1) -> list[str]:
    """A table without empty columns, and without rows that have nothing but their labels."""
    rows = [row for row in rows if any(cell != MISSING for cell in row[labels:])]
    kept = [place for place in range(len(head)) if any(row[place] != MISSING for row in rows)]
    return table([head[place] for place in kept], [[row[place] for place in kept] for row in rows])


def section(title: str, lines: Sequence[str], *notes: str) -> list[str]:
    """A heading, a table and the notes under it."""
    return [f"### {title}", "", *lines, "", *(line for note in notes for line in (note, ""))]


def number(value: float | None, digits: int) -> str:
    """The value with a fixed number of decimals."""
    return MISSING if value is None else f"{value:.{digits}f}"


def significant(value: float | None, digits: int = 2) -> str:
    """The value with a fixed number of significant digits, for figures that span orders of magnitude."""
    if value is None:
        return MISSING
    return f"{value:.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def percent(value: float | None) -> str:
    """The share as a percentage."""
    return MISSING if value is None else f"{value:.1%}"


def spread(values: Sequence[float], digits: int) -> str:
    """Mean ± standard deviation; for a single value only the mean."""
    if not values:
        return MISSING
    return number(fmean(values), digits) + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def significant_spread(values: Sequence[float], digits: int = 2) -> str:
    """As `spread`, in significant digits."""
    if not values:
        return MISSING
    return significant(fmean(values), digits) + (
        f" ± {significant(stdev(values), digits)}" if len(values) > 1 else ""
    )


def moments(values: Mapping[str, float | None]) -> str:
    """Mean, standard deviation and range of a distribution, in words."""
    mean, deviation = number(values["mean"], 2), number(values["deviation"], 2)
    return f"{mean} ± {deviation}, from {number(values['lowest'], 1)} to {number(values['highest'], 1)}"


def plain(text: str | None) -> str:
    """Text that cannot break a Markdown table."""
    return text.replace("|", "\\|") if text else MISSING


def is_number(value: Any) -> bool:
    """Whether a figure can be averaged: null, lists and truth values cannot."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
