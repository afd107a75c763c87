"""Whether work goes on: what waits, what works, and whether anything has been heard of it lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.models import Run, RunStatus


@dataclass(frozen=True)
class Standing:
    """What is queued and running.

    ``unheard_since``: since when nothing has been heard although there is work; None if all is well.
    ``why`` says what was not heard of, and ``held_up_by`` is the code of an outage that is waited out.
    """

    queued: int
    running: int
    unheard_since: datetime | None
    why: str
    held_up_by: str | None


def standing(session: Session, now: datetime, *, patience: timedelta) -> Standing:
    """How the work stands.

    Args:
        patience: how long a lease may be over, or a run may wait while none works, before nobody seems to be there.
    """
    runs = session.scalars(
        select(Run).where(Run.status.in_((RunStatus.QUEUED, RunStatus.RUNNING))).order_by(Run.created_at)
    ).all()
    running = [run for run in runs if run.status == RunStatus.RUNNING]
    waiting = [run for run in runs if run.status == RunStatus.QUEUED]
    since, why = None, ""
    if running:
        silent = [run.lease_until for run in running if run.lease_until and run.lease_until < now - patience]
        if silent:
            since, why = (
                min(silent),
                "the run that works has sent no heartbeat, and no worker has taken it over",
            )
    elif waiting:
        ended = session.scalar(select(func.max(Run.finished_at)))
        waits_since = max(waiting[0].created_at, ended or waiting[0].created_at)
        if waits_since < now - patience:
            since, why = waits_since, "a run waits, and no worker has claimed it"
    held = [run.detail_code for run in (*running, *waiting) if run.detail_code]
    return Standing(len(waiting), len(running), since, why, held[0] if held else None)
