"""Queries of runs, and which waiting run is next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from app.db.errors import DatabaseUnavailable
from app.db.models import Run, RunKind, RunStatus
from app.db.session import Database


def queued_run(session: Session, kind: RunKind = RunKind.FORGET) -> str | None:
    """The id of the waiting run of this kind; None if there is none. Runs of other kinds may wait at the same time."""
    return session.scalar(select(Run.id).where(Run.status == RunStatus.QUEUED, Run.kind == kind))


def find(session: Session, run_id: str) -> Run | None:
    return session.get(Run, run_id)


def newest(session: Session, *, limit: int, before: str | None = None) -> Sequence[Run]:
    """Runs, the newest first.

    Args:
        before: the id of a run, to list only those that come after it in this order.
    """
    query = select(Run).order_by(Run.created_at.desc(), Run.id.desc()).limit(limit)
    last = None if before is None else session.get(Run, before)
    if last is not None:
        same = and_(Run.created_at == last.created_at, Run.id < last.id)
        query = query.where(or_(Run.created_at < last.created_at, same))
    return session.scalars(query).all()


def next_queued_run(session: Session, now: datetime) -> str | None:
    """The id of the waiting run to work on next.

    A forget run goes before a consolidation: its subjects are only suppressed, while those of a consolidation are
    attenuated already. But a consolidation yields for a limited time only (`Run.yields_until`), because otherwise a
    steady stream of requests would delay it for ever. Forget runs and runs for selected events go in the order of their
    creation.
    """
    waiting = session.scalars(select(Run).where(Run.status == RunStatus.QUEUED)).all()
    return min(waiting, key=lambda run: (_rank(run, now), run.created_at)).id if waiting else None


def _rank(run: Run, now: datetime) -> int:
    if run.kind != RunKind.CONSOLIDATION:
        return 1
    has_yielded = run.yields_until is not None and run.yields_until <= now
    return 0 if has_yielded else 2


def can_be_read(database: Database) -> bool:
    """Whether the database answers a query."""
    try:
        with database.read() as session:
            newest(session, limit=1)
    except DatabaseUnavailable:
        return False
    return True
