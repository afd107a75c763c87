"""Requests that leave a run so that the others can go on: back into the queue, or to a person.

Nobody leaves a run in a transaction of its own: whoever calls this decides at once what becomes of those who stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.log import AuditLog
from app.codes import DetailCode
from app.db.models import ForgetRequest, Ledger, RequestStatus, Run
from app.runs.service import ensure_queued_run

LADDER_EXHAUSTED = DetailCode.LADDER_EXHAUSTED


@dataclass(frozen=True)
class SplitOut:
    """Who leaves a run, by request id.

    `returned` wait for another run, which starts at the rung given; `exhausted` have failed the last rung and need a
    person.
    """

    returned: Mapping[str, int] = field(default_factory=dict)
    exhausted: tuple[str, ...] = ()


NOBODY = SplitOut()


def queue_again(
    session: Session,
    audit: AuditLog,
    ledger: Ledger,
    requests: Sequence[ForgetRequest],
    *,
    action: str,
    actor: str,
    now: datetime,
) -> None:
    """Put requests that need a person back into the queue, from the first rung on, their clocks untouched."""
    for request in requests:
        request.status, request.detail_code, request.run_id = RequestStatus.QUEUED, None, None
        request.first_step = 0
        audit.append(session, ledger, actor=actor, action=action, data={"request": request.id})
    if requests:
        session.flush()
        ensure_queued_run(session, now)


def split_out(
    session: Session, audit: AuditLog, ledger: Ledger, run: Run, split: SplitOut, *, now: datetime
) -> None:
    """Take these requests out of the run. Their clocks run on untouched (invariant I11).

    Call under the ledger's lock, with the run owned.
    """
    leaving = session.scalars(
        select(ForgetRequest).where(
            ForgetRequest.run_id == run.id, ForgetRequest.id.in_([*split.returned, *split.exhausted])
        )
    ).all()
    for request in leaving:
        request.run_id = None
        if request.id in split.returned:
            request.status, request.first_step = RequestStatus.QUEUED, split.returned[request.id]
        else:
            request.status, request.detail_code = RequestStatus.NEEDS_ATTENTION, LADDER_EXHAUSTED
    session.flush()
    if split.returned:
        ensure_queued_run(session, now)
    for step in sorted(set(split.returned.values())):
        requests = [request for request, first_step in split.returned.items() if first_step == step]
        audit.append(
            session,
            ledger,
            actor="worker",
            action="forget.split_out",
            data={"run": run.id, "requests": requests, "step": step},
        )
    if split.exhausted:
        audit.append(
            session,
            ledger,
            actor="worker",
            action="forget.needs_attention",
            data={"run": run.id, "requests": list(split.exhausted), "code": LADDER_EXHAUSTED},
        )
