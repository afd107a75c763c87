"""Many values in one statement: databases take only so many parameters."""

from __future__ import annotations

from collections.abc import Iterable

_ROWS_PER_STATEMENT = 1000


def in_chunks(values: Iterable[str]) -> list[list[str]]:
    """Each of them once, in order, in lists that one statement can take."""
    ordered = sorted(set(values))
    return [
        ordered[start : start + _ROWS_PER_STATEMENT] for start in range(0, len(ordered), _ROWS_PER_STATEMENT)
    ]
