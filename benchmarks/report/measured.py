"""The rows of a study, selected by scenario and method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from benchmarks.report.cells import MISSING, is_number
from benchmarks.study.variants import CONTROLS

Row = Mapping[str, Any]

REFIT = "refit"
# Row names of U-CAN with one thing changed at a time. These rows have tables of their own.
SWEEP, ABLATION = "ucan_threshold_", "ucan_without_"


@dataclass(frozen=True)
class Rows:
    """Some rows of one scenario; methods in the order in which they first appear."""

    rows: Sequence[Row]

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """All row names."""
        return tuple(dict.fromkeys(row["method"] for row in self.rows))

    @property
    def compared(self) -> tuple[str, ...]:
        """Row names without the sweep and the ablation."""
        return tuple(name for name in self.methods if not name.startswith((SWEEP, ABLATION)))

    def where(self, wanted: Callable[[Row], bool]) -> Rows:
        """The rows for which `wanted` is true."""
        return Rows([row for row in self.rows if wanted(row)])

    def of(self, method: str) -> list[Row]:
        """One method's rows."""
        return [row for row in self.rows if row["method"] == method]

    def values(self, method: str, figure: str) -> list[float]:
        """The values of one figure in all rows of a method that have it."""
        return [row[figure] for row in self.of(method) if is_number(row.get(figure))]

    def figures(self, figure: str) -> list[float]:
        """The values of one figure in all rows that have it."""
        return [row[figure] for row in self.rows if is_number(row.get(figure))]

    def mean(self, method: str, figure: str) -> float | None:
        """The mean of `values`; None if there are none."""
        values = self.values(method, figure)
        return fmean(values) if values else None

    def measured(self, figure: str) -> bool:
        """Whether any row has the figure, as a number or otherwise."""
        return any(row.get(figure) is not None for row in self.rows)

    @property
    def checkpoints(self) -> tuple[int | None, ...]:
        """The numbers of requests after which rows were measured; (None,) if requests do not follow one another."""
        return tuple(sorted({row["requests"] for row in self.rows if "requests" in row})) or (None,)

    def at(self, requests: int | None) -> Rows:
        """The rows of one checkpoint."""
        return self.where(lambda row: row.get("requests") == requests)

    @property
    def label_head(self) -> list[str]:
        """The titles of the columns that identify a row."""
        return ["method"] if self.checkpoints == (None,) else ["requests", "method"]

    def lines(self) -> Iterator[tuple[list[str], Rows, str]]:
        """For each checkpoint and method: the labels, all rows of the checkpoint, and the method."""
        for requests in self.checkpoints:
            own = self.at(requests)
            for method in own.compared:
                yield [*([] if requests is None else [str(requests)]), labelled(method)], own, method


def scenarios(result: Mapping[str, Any]) -> dict[str, Rows]:
    """The rows of a study by scenario, in the order they were asked for."""
    found: dict[str, list[Row]] = {name: [] for name in result["scenarios"]}
    for row in result["rows"]:
        found.setdefault(row["scenario"], []).append(row)
    return {name: Rows(rows) for name, rows in found.items() if rows}


def halves(rows: Rows) -> dict[str, Rows]:
    """The rows of light and of heavy users. In single requests, the first half of the deletions is of light users."""
    count = len({row["deletion"] for row in rows.rows})
    return {
        "light": rows.where(lambda row: _number_of(row) < count // 2),
        "heavy": rows.where(lambda row: _number_of(row) >= count // 2),
    }


def _number_of(row: Row) -> int:
    return int(str(row["deletion"]).rsplit("/", 1)[1])


def labelled(method: str) -> str:
    """A row's name in the tables."""
    return f"{method} (seed-to-seed floor)" if method == REFIT else method


def against_controls(rows: Rows, method: str) -> str:
    """The controls that are as near to the re-fits as the method, or nearer, by mean distance.

    A control that is beaten on average but not in every deletion is named with the share of deletions that it lost.
    """
    if method in CONTROLS:
        return "control"
    own = rows.mean(method, "distance")
    theirs = {name: rows.mean(name, "distance") for name in CONTROLS}
    known = {name: value for name, value in theirs.items() if value is not None}
    if own is None or not known:
        return MISSING
    better = [name for name, value in known.items() if value < own]
    equal = [name for name, value in known.items() if value == own]
    said = [
        f"{verb} {', '.join(names)}" for verb, names in (("loses to", better), ("ties with", equal)) if names
    ]
    close = [
        text for name in known if (text := _not_always(rows, method, name)) and name not in better + equal
    ]
    if close:
        said.append(f"nearer on average only: {', '.join(close)}")
    if said:
        return "; ".join(said)
    return "beats all controls" if len(known) == len(CONTROLS) else f"beats {', '.join(known)}"


def _not_always(rows: Rows, method: str, control: str) -> str | None:
    """In how many deletions the method is nearer than the control, as text; None if in all of them."""
    theirs = {row["deletion"]: row["distance"] for row in rows.of(control) if is_number(row.get("distance"))}
    pairs = [
        (row["distance"], theirs[row["deletion"]])
        for row in rows.of(method)
        if is_number(row.get("distance")) and row["deletion"] in theirs
    ]
    nearer = sum(own < other for own, other in pairs)
    return None if nearer == len(pairs) else f"{control} ({nearer} of {len(pairs)})"
