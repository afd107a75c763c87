"""Reading runs, and whose turn it is among those that wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import Run, RunKind, RunStatus


def queued_run(session: Session) -> str | None:
    """The id of the forget run that waits, if one does; a consolidation may wait beside it."""
    return session.scalar(select(Run.id).where(Run.status == RunStatus.QUEUED, Run.kind == RunKind.FORGET))


def find(session: Session, run_id: str) -> Run | None:
    return session.get(Run, run_id)


def newest(session: Session, *, limit: int) -> Sequence[Run]:
    return session.scalars(select(Run).order_by(Run.created_at.desc()).limit(limit)).all()


def next_queued_run(session: Session, now: datetime) -> str | None:
    """The id of the waiting run to work on next.

    A forget run goes before a consolidation, because its subjects are only suppressed and not yet forgotten, while
    those of a consolidation are attenuated already. But a consolidation yields for so long only (`Run.yields_until`):
    a steady stream of requests would put it off for ever.
    """
    waiting = session.scalars(select(Run).where(Run.status == RunStatus.QUEUED)).all()
    return min(waiting, key=lambda run: _rank(run, now)).id if waiting else None


def _rank(run: Run, now: datetime) -> int:
    if run.kind == RunKind.FORGET:
        return 1
    has_yielded = run.yields_until is not None and run.yields_until <= now
    return 0 if has_yielded else 2
