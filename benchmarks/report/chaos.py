"""The tables of `lethe bench chaos`."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.report.cells import MISSING, number, section, table


def chaos(result: Mapping[str, Any]) -> list[str]:
    """The violated promises, fault by fault."""
    rows = result["rows"]
    left_out = ", ".join(result["left_out"])
    return [
        (
            f"{result['runs']} runs (seed {result['seed']}) over {result['faults']} faults of {result['kinds']} kinds "
            f"in {result['wall_seconds'] / 60:.0f} minutes: {result['requests']} requests that had their 202, "
            f"{result['recommendations']} recommendations. In {result['runs_with_violations']} runs something that is "
            "promised was not kept." + (f" Not possible on this machine: {left_out}." if left_out else "")
        ),
        "",
        *section(
            "What was not kept",
            table(["", "runs"], [[name, count] for name, count in result["violations"].items()])
            if result["violations"]
            else ["Nothing."],
        ),
        *section(
            "Every fault",
            table(
                ["fault", "database", "runs", "requests", "runs with violations", "seconds, median", "max"],
                [
                    _line(
                        fault,
                        database,
                        [row for row in rows if (row["fault"], row["database"]) == (fault, database)],
                    )
                    for fault, database in sorted({(row["fault"], row["database"]) for row in rows})
                ],
            ),
        ),
    ]


def _line(fault: str, database: str, rows: list[Mapping[str, Any]]) -> list[Any]:
    seconds = [row["seconds"] for row in rows]
    return [
        fault,
        database,
        len(rows),
        sum(row["requests"] for row in rows),
        sum(bool(row["violations"]) for row in rows),
        number(median(seconds), 1) if seconds else MISSING,
        number(max(seconds), 1) if seconds else MISSING,
    ]
