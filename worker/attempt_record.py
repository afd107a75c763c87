"""The record of one attempt, on the ladder or of a re-fit alone: put together and stored here only."""

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
    """Store what was tried and what came of it; the attempt ends now.

    Args:
        requests: those it was tried for; a consolidation has none.
        report: empty where there is no candidate; the verdict then holds the error.
        search: every strength tried, where one was searched.
        rung_digest: names the rung's track record that this belongs to; None where it says nothing about the rung.
        watermark: of the fit that was edited; None for a re-fit that edits none.

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
