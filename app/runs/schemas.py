"""Runs as the API and the dashboard show them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel

from app.attempts.schemas import AttemptView, SkippedView
from app.db.models import Attempt, ConsolidationReason, ForgetRequest, Run, RunKind, SkippedRung
from app.links import Links


class RunView(BaseModel):
    """One run on the worker. ``reason`` says why a consolidation was requested."""

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
    def of(cls, run: Run) -> RunView:
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


class RunDetail(RunView):
    """A run with the requests that it serves, all its attempts, and the rungs that it skipped."""

    requests: list[str]
    attempts: list[AttemptView]
    skipped: list[SkippedView]

    @classmethod
    def with_attempts(
        cls,
        run: Run,
        requests: Sequence[ForgetRequest],
        attempts: Sequence[Attempt],
        skipped: Sequence[SkippedRung],
        links: Links,
    ) -> RunDetail:
        return cls(
            **RunView.of(run).model_dump(),
            requests=[links.request(request.id) for request in requests],
            attempts=[AttemptView.of(attempt, links) for attempt in attempts],
            skipped=[SkippedView.of(one, links) for one in skipped],
        )
