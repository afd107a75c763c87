"""Splits many values over several statements, because databases limit the number of parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Value = TypeVar("Value", str, int)

_ROWS_PER_STATEMENT = 1000


def in_chunks(values: Iterable[Value]) -> list[list[Value]]:
    """The distinct values, in order, in lists that are short enough for one statement."""
    ordered = sorted(set(values))
    return [
        ordered[start : start + _ROWS_PER_STATEMENT] for start in range(0, len(ordered), _ROWS_PER_STATEMENT)
    ]
