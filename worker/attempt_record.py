"""The record of one attempt, whether on the ladder or a re-fit alone. Only this module stores attempts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.attempts import service as attempts
from app.db.base import utc_now
from app.db.models import Attempt
from app.runs.service import Claim
from worker.process import WorkerProcess


def record_attempt(
    process: WorkerProcess,
    claim: Claim,
    *,
    rung_index: int,
    requests: Sequence[str],
    method: str,
    config: dict[str, Any],
    started_at: datetime,
    decision: str,
    accepted: bool,
    report: dict[str, Any],
    verdict: dict[str, Any],
    search: dict[str, Any] | None = None,
    rung_digest: str | None = None,
    watermark: int | None = None,
) -> None:
    """Store what was tried and its result. The present moment is recorded as the end of the attempt.

    Args:
        requests: ids of the requests that it was tried for; a consolidation has none.
        report: empty if there is no candidate; the verdict then holds the error.
        search: every strength that was tried, if the rung searched for one.
        rung_digest: names the track record that this attempt belongs to; None if it says nothing about the rung.
        watermark: of the fit that was edited; None for a re-fit, which edits no fit.

    Raises:
        FenceLost: the run was taken over meanwhile.
    """
    attempt = Attempt(
        run_id=claim.run_id,
        fence=claim.fence,
        step=rung_index,
        requests=list(requests) or None,
        method=method,
        config=config,
        search=search,
        policy_hash=process.policy.hash,
        started_at=started_at,
        finished_at=utc_now(),
        decision=decision,
        accepted=accepted,
        report=report,
        verdict=verdict,
        rung_digest=rung_digest,
        watermark=watermark,
    )
    with process.transaction() as transaction:
        attempts.record(transaction, claim, attempt)
