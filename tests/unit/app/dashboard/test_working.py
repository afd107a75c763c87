"""What a run's notes show."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from app.dashboard.working import log_lines, memory, searching, trainings
from app.runs.notes import NoteKind

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
GIGA = 1024**3


@dataclass(frozen=True)
class Noted:
    kind: str
    data: dict[str, Any]
    noted_at: datetime = field(default=NOON)


def loss(step: int, value: float, *, method: str = "refit", steps: int = 4) -> Noted:
    return Noted(
        NoteKind.LOSS, {"method": method, "stage": "re-fit", "step": step, "steps": steps, "loss": value}
    )


def trial(value: float, z: float | None, *, minute: int = 0, method: str = "ucan") -> Noted:
    data = {"method": method, "field": "gamma", "value": value, "z": z}
    return Noted(NoteKind.TRIAL, data, NOON + timedelta(minutes=minute))


def test_a_training_ends_where_the_steps_begin_anew_and_the_latest_is_first() -> None:
    found = trainings([loss(1, 3.0), loss(4, 1.0), loss(1, 2.5), loss(2, 2.0), loss(3, 1.5, method="npo")])
    assert [(one.method, one.last_step, one.first, one.last) for one in found] == [
        ("npo", 3, 1.5, 1.5),
        ("refit", 2, 2.5, 2.0),
        ("refit", 4, 3.0, 1.0),
    ]
    # From the first to the last step and from the highest to the lowest loss: the corners of the box.
    assert found[2].line.pieces == ["0.0,0.0 320.0,90.0"]


def test_a_loss_that_is_no_number_is_left_out() -> None:
    assert trainings([loss(1, float("nan"))]) == []


def test_a_search_is_shown_until_its_attempt_has_it() -> None:
    notes = [trial(1.0, 4.0, method="npo"), trial(2.0, 3.0, minute=1), trial(4.0, None, minute=2)]
    found = searching(notes, since=None)
    assert found is not None
    assert (found.method, found.trials) == ("ucan", [(2.0, 3.0), (4.0, None)])
    assert searching(notes, since=NOON + timedelta(minutes=2)) is None


def test_memory_is_told_of_what_there_is() -> None:
    notes = [
        Noted(NoteKind.MEMORY, {"process": GIGA, "accelerator": None}),
        Noted(NoteKind.MEMORY, {"process": 3 * GIGA, "accelerator": None}, NOON + timedelta(minutes=1)),
        Noted(NoteKind.MEMORY, {"process": 2 * GIGA, "accelerator": None}, NOON + timedelta(minutes=2)),
    ]
    (found,) = memory(notes)
    assert (found.of, found.now, found.most) == ("process", 2.0, 3.0)
    # A third, all and two thirds of a box of 40.
    assert found.line.pieces == ["0.0,26.67 160.0,0.0 320.0,13.33"]


def test_the_log_is_read_from_its_end() -> None:
    notes = [
        Noted(NoteKind.SAID, {"event": name, "level": "info", "step": 1}) for name in ("run.claimed", "b")
    ]
    first, second = log_lines(notes)
    assert (first.event, second.event, second.fields) == ("b", "run.claimed", [("step", "1")])
