"""Recording which rungs a run tried and which it skipped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from sqlalchemy import func, select

from app.audit.events import RunAttempted, RungsSkipped
from app.audit.transaction import Transaction
from app.db.models import Attempt, AttemptRequest, SkippedRung, SkippedRungRequest
from app.runs.service import Claim, owned


def record(transaction: Transaction, claim: Claim, attempt: Attempt) -> None:
    """Record one attempt at a rung of the ladder, whatever its result, and number it.

    Raises:
        FenceLost: this worker no longer holds the run; its attempt is not recorded.
    """
    session = transaction.session
    owned(session, claim.run_id, claim.fence)
    attempt.number = session.scalar(
        select(func.count()).where(Attempt.run_id == claim.run_id, Attempt.fence == claim.fence)
    )
    session.add(attempt)
    session.flush()
    session.add_all(
        AttemptRequest(attempt_id=attempt.id, request_id=request)
        for request in dict.fromkeys(attempt.requests or ())
    )
    transaction.record(
        RunAttempted(
            run=claim.run_id,
            fence=claim.fence,
            number=attempt.number,
            step=attempt.step,
            method=attempt.method,
            decision=attempt.decision,
            accepted=attempt.accepted,
            policy_hash=attempt.policy_hash,
            record=record_digest(attempt),
        )
    )


def record_digest(attempt: Attempt) -> str:
    """SHA-256 of the attempt's configuration, measures and verdict, so that the audit log vouches for them too."""
    content = {
        "requests": attempt.requests,
        "config": attempt.config,
        "search": attempt.search,
        "report": attempt.report,
        "verdict": attempt.verdict,
    }
    # Not `inputs.canonical_json`: whatever a database takes, and be it a NaN, has a digest.
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def record_skipped(
    transaction: Transaction, claim: Claim, skipped: Sequence[SkippedRung], *, up_to: int
) -> None:
    """Record which rungs the run skips, before it goes on with `up_to`.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    session = transaction.session
    owned(session, claim.run_id, claim.fence)
    session.add_all(skipped)
    session.flush()
    session.add_all(
        SkippedRungRequest(skipped_rung_id=one.id, request_id=request)
        for one in skipped
        for request in dict.fromkeys(one.requests)
    )
    transaction.record(
        RungsSkipped(
            run=claim.run_id,
            fence=claim.fence,
            first=skipped[0].step,
            up_to=up_to,
            rungs=[
                {"step": one.step, "method": one.method, "reason": one.code, "detail": one.detail}
                for one in skipped
            ],
        )
    )
