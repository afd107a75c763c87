"""Runs as the API and the dashboard show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from app.db.models import Attempt, ConsolidationReason, ForgetRequest, Run, RunKind


class JobView(BaseModel):
    """One run on the worker; ``reason`` says why a consolidation was requested."""

    id: str
    kind: RunKind
    reason: ConsolidationReason | None
    status: str
    stage: str
    progress: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    claims: int
    parent: str | None
    version: str | None
    covers_epoch: int | None
    policy_hash: str | None
    detail_code: str | None
    detail: str | None

    @classmethod
    def of(cls, run: Run) -> JobView:
        return cls(
            id=run.id,
            kind=RunKind(run.kind),
            reason=ConsolidationReason(run.reason) if run.reason else None,
            status=run.status,
            stage=run.stage,
            progress=run.progress,
            created_at=run.created_at,
            started_at=run.started_at,
            finished_at=run.finished_at,
            claims=run.claims,
            parent=run.parent_digest,
            version=run.version_digest,
            covers_epoch=run.covers_epoch,
            policy_hash=run.policy_hash,
            detail_code=run.detail_code,
            detail=run.detail,
        )


class AttemptView(BaseModel):
    """One rung of the ladder: what ran, what was measured, what the gate said."""

    step: int
    fence: int
    method: str
    config: dict[str, Any]
    started_at: datetime
    finished_at: datetime
    seconds: float
    decision: str
    accepted: bool
    verdict: dict[str, Any]
    report: dict[str, Any]

    @classmethod
    def of(cls, attempt: Attempt) -> AttemptView:
        return cls(
            step=attempt.step,
            fence=attempt.fence,
            method=attempt.method,
            config=attempt.config,
            started_at=attempt.started_at,
            finished_at=attempt.finished_at,
            seconds=round((attempt.finished_at - attempt.started_at).total_seconds(), 3),
            decision=attempt.decision,
            accepted=attempt.accepted,
            verdict=attempt.verdict,
            report=attempt.report,
        )


class JobDetail(JobView):
    """A run with the requests it serves and every attempt it made."""

    requests: list[str]
    attempts: list[AttemptView]

    @classmethod
    def with_attempts(cls, run: Run, requests: list[ForgetRequest], attempts: list[Attempt]) -> JobDetail:
        return cls(
            **JobView.of(run).model_dump(),
            requests=[f"/forget-requests/{request.id}" for request in requests],
            attempts=[AttemptView.of(attempt) for attempt in attempts],
        )
