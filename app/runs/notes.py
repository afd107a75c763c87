"""Notes of runs: what a worker said, and what it measured on the way, for people who watch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.models import RunNote

_KEPT = timedelta(days=90)
# A run says some dozens of things. More than these are of no use to a reader.
MOST_LINES = 200
_MOST_POINTS = 4000


class NoteKind(StrEnum):
    """What a note is, and what its data hold."""

    SAID = "said"  # event, level, and the fields of a line of the log
    LOSS = "loss"  # method, stage, step, steps, loss: a training loss
    TRIAL = "trial"  # method, field, value, z: a strength that a search tried
    MEMORY = "memory"  # process, accelerator: bytes in use; None where there is none


@dataclass(frozen=True)
class Note:
    kind: NoteKind
    noted_at: datetime
    data: dict[str, Any]


def write(session: Session, run_id: str, fence: int, notes: Iterable[Note]) -> None:
    session.add_all(
        RunNote(run_id=run_id, fence=fence, kind=note.kind, noted_at=note.noted_at, data=note.data)
        for note in notes
    )


def lines(session: Session, run_id: str) -> Sequence[RunNote]:
    """The newest lines of the run's log, over all its claims, in order."""
    query = select(RunNote).where(RunNote.run_id == run_id, RunNote.kind == NoteKind.SAID)
    return session.scalars(query.order_by(RunNote.id.desc()).limit(MOST_LINES)).all()[::-1]


def figures(session: Session, run_id: str) -> Sequence[RunNote]:
    """What was measured under the run's latest claim, in order."""
    latest = select(func.max(RunNote.fence)).where(RunNote.run_id == run_id).scalar_subquery()
    query = select(RunNote).where(
        RunNote.run_id == run_id, RunNote.kind != NoteKind.SAID, RunNote.fence == latest
    )
    return session.scalars(query.order_by(RunNote.id).limit(_MOST_POINTS)).all()


def drop_old(session: Session, now: datetime) -> None:
    """Delete notes that have been kept long enough."""
    session.execute(
        delete(RunNote).where(RunNote.noted_at < now - _KEPT).execution_options(synchronize_session=False)
    )
