"""Keeping what a run tried, and what it did without: both are its record."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audit.log import AuditLog
from app.db.ledger import lock_ledger
from app.db.models import Attempt, SkippedRung
from app.runs.service import Claim, owned


def record(session: Session, audit: AuditLog, claim: Claim, attempt: Attempt) -> None:
    """Keep one attempt at a rung of the ladder, whatever came of it; gives it its number.

    Raises:
        FenceLost: a zombie's attempt is not recorded.
    """
    ledger = lock_ledger(session)
    owned(session, claim.run_id, claim.fence)
    attempt.number = session.scalar(
        select(func.count()).where(Attempt.run_id == claim.run_id, Attempt.fence == claim.fence)
    )
    session.add(attempt)
    audit.append(
        session,
        ledger,
        actor="worker",
        action="run.attempted",
        data={
            "run": claim.run_id,
            "fence": claim.fence,
            "number": attempt.number,
            "step": attempt.step,
            "method": attempt.method,
            "decision": attempt.decision,
            "accepted": attempt.accepted,
            "policy_hash": attempt.policy_hash,
        },
    )


def record_skipped(
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
