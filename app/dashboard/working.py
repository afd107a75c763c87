"""What a run's notes show: curves of losses, a search that goes on, memory, and the log. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.dashboard.charts import Curve, Line, curve, line
from app.runs.notes import NoteKind

# The trainings that are drawn: the newest ones.
_CURVES = 4
_GIGA = 1024.0**3
_WIDTH, _HEIGHT = 320.0, 90.0


class Noted(Protocol):
    """The part of a note that is read here."""

    @property
    def kind(self) -> str: ...
    @property
    def noted_at(self) -> datetime: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Training:
    """One training: its losses by step."""

    method: str
    stage: str
    steps: int
    last_step: int
    first: float
    last: float
    line: Line


@dataclass(frozen=True)
class Searching:
    """A search that no attempt has on record yet."""

    method: str
    field: str
    trials: list[tuple[float, float | None]]
    curve: Curve | None


@dataclass(frozen=True)
class Memory:
    """The memory of the worker's process, or of its accelerator, in GiB."""

    of: str
    now: float
    most: float
    line: Line


@dataclass(frozen=True)
class LogLine:
    at: datetime
    level: str
    event: str
    fields: list[tuple[str, str]]


def trainings(notes: Iterable[Noted]) -> list[Training]:
    """The newest trainings, the latest first. A training ends where the steps begin anew."""
    groups: list[list[Mapping[str, Any]]] = []
    for note in notes:
        if note.kind != NoteKind.LOSS or not math.isfinite(note.data["loss"]):
            continue
        before = groups[-1][-1] if groups else None
        if before is None or _of(before) != _of(note.data) or note.data["step"] <= before["step"]:
            groups.append([])
        groups[-1].append(note.data)
    found = []
    for group in reversed(groups[-_CURVES:]):
        steps = max(group[-1]["steps"], 2)
        drawn = line(
            [(one["step"], one["loss"]) for one in group],
            across=(1, steps),
            width=_WIDTH,
            height=_HEIGHT,
        )
        assert drawn is not None
        found.append(
            Training(
                method=group[0]["method"],
                stage=group[0]["stage"],
                steps=group[-1]["steps"],
                last_step=group[-1]["step"],
                first=group[0]["loss"],
                last=group[-1]["loss"],
                line=drawn,
            )
        )
    return found


def searching(notes: Iterable[Noted], *, since: datetime | None) -> Searching | None:
    """The values that the present rung has tried so far.

    Args:
        since: when the last attempt ended, whose own search is on record; None if there was none.
    """
    trials = [
        note.data
        for note in notes
        if note.kind == NoteKind.TRIAL and (since is None or note.noted_at > since)
    ]
    if not trials:
        return None
    latest = [one for one in trials if one["method"] == trials[-1]["method"]]
    found = [(one["value"], one["z"]) for one in latest]
    return Searching(trials[-1]["method"], trials[-1]["field"], found, curve(found, target=0.0))


def memory(notes: Iterable[Noted]) -> list[Memory]:
    """Of the process and of the accelerator, where they are known."""
    noted = [note for note in notes if note.kind == NoteKind.MEMORY]
    found = []
    for of in ("process", "accelerator"):
        points = [
            (note.noted_at.timestamp(), note.data[of] / _GIGA) for note in noted if note.data[of] is not None
        ]
        if not points:
            continue
        most = max(used for _, used in points)
        drawn = line(
            points, across=(points[0][0], points[-1][0]), range_=(0.0, most or 1.0), width=_WIDTH, height=40.0
        )
        assert drawn is not None
        found.append(Memory(of, points[-1][1], most, drawn))
    return found


def log_lines(notes: Sequence[Noted]) -> list[LogLine]:
    """The lines, the newest first."""
    return [
        LogLine(
            note.noted_at,
            str(note.data.get("level", "")),
            str(note.data.get("event", "")),
            [(name, str(value)) for name, value in note.data.items() if name not in ("event", "level")],
        )
        for note in reversed(notes)
    ]


def _of(data: Mapping[str, Any]) -> tuple[str, str]:
    return data["method"], data["stage"]
