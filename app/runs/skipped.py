"""Rungs that a run did without, with the reason: as much a part of its record as what it tried."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import String, func, select
from sqlalchemy.orm import Session

from app.audit.log import AuditLog
from app.db.ledger import lock_ledger
from app.db.models import ForgetRequest, SkippedRung
from app.runs.service import Claim, owned

_CLOCKS_APART = timedelta(days=1)


class SkipReason(StrEnum):
    """Why a rung was not tried."""

    NO_TIME = "no_time"  # the exact rung behind it would come too late
    NO_LEVELS = "no_levels"  # it needs levels, and of somebody there are none
    SHORT_HISTORY = "short_history"  # the policy decides about no history as short as any of these
    UNFIT_ADAPTER = "unfit_adapter"  # its method cannot edit this adapter
    BY_RECORD = "by_record"  # earlier runs say that it is not worth its time


def record(
    session: Session, audit: AuditLog, claim: Claim, skipped: Sequence[SkippedRung], *, up_to: int
) -> None:
    """Keep which rungs the run does without, before it goes on with `up_to`.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    ledger = lock_ledger(session)
    owned(session, claim.run_id, claim.fence)
    session.add_all(skipped)
    audit.append(
        session,
        ledger,
        actor="worker",
        action="run.rungs_skipped",
        data={
            "run": claim.run_id,
            "fence": claim.fence,
            "first": skipped[0].step,
            "up_to": up_to,
            "rungs": [
                {"step": one.step, "method": one.method, "reason": one.code, "detail": one.detail}
                for one in skipped
            ],
        },
    )


def of_run(session: Session, run_id: str) -> Sequence[SkippedRung]:
    """What this run did without, in order."""
    return session.scalars(
        select(SkippedRung).where(SkippedRung.run_id == run_id).order_by(SkippedRung.id)
    ).all()


def of_request(session: Session, request: ForgetRequest) -> Sequence[SkippedRung]:
    """What was left out for this request, in whichever run, in order."""
    # As `attempts.of_request` does.
    named = SkippedRung.requests.cast(String).contains(f'"{request.id}"', autoescape=True)
    earliest = request.received_at - _CLOCKS_APART
    return session.scalars(
        select(SkippedRung).where(SkippedRung.skipped_at >= earliest, named).order_by(SkippedRung.id)
    ).all()


def runs_without(session: Session, rung_digest: str, *, since_fence: int) -> int:
    """How many runs have done without this rung because of its record, since the claim with this fence."""
    counted = select(func.count(SkippedRung.run_id.distinct())).where(
        SkippedRung.rung_digest == rung_digest,
        SkippedRung.code == SkipReason.BY_RECORD,
        SkippedRung.fence > since_fence,
    )
    return session.scalar(counted) or 0
