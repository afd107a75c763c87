"""Which of the queued runs is worked on next."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import Run, RunKind, RunStatus


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
