"""Queries of attempts and skipped rungs: for a request, for a run, and for a rung over many runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from app.attempts.reasons import SkipReason
from app.db.models import Attempt, AttemptRequest, SkippedRung, SkippedRungRequest

_RECENT = 20
# A rung is judged by its latest runs; older ones no longer count.
_RUNS_TOLD = 50


@dataclass(frozen=True)
class RunOfRung:
    """The result of one rung in one claim of a run, over all its attempts.

    `watermark` is that of the edited version. `seconds_after` is the time that the later rungs took in that claim.
    """

    fence: int
    watermark: int | None
    passed: bool
    seconds: float
    seconds_after: float


def of_request(session: Session, request_id: str) -> Sequence[Attempt]:
    """All attempts that were made for this request, in any run, the oldest first."""
    return session.scalars(
        select(Attempt)
        .join(AttemptRequest, AttemptRequest.attempt_id == Attempt.id)
        .where(AttemptRequest.request_id == request_id)
        .order_by(Attempt.id)
    ).all()


def of_run(session: Session, run_id: str) -> Sequence[Attempt]:
    """All attempts of this run, under any fence."""
    return session.scalars(select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.id)).all()


def runs_of_rung(session: Session, rung_digest: str) -> list[RunOfRung]:
    """The results of this very rung in up to 50 runs, the latest first. Halves of one run's requests count as one."""
    claims = (
        select(Attempt.run_id, Attempt.fence)
        .where(Attempt.rung_digest == rung_digest)
        .group_by(Attempt.run_id, Attempt.fence)
        .order_by(Attempt.fence.desc())
        .limit(_RUNS_TOLD)
        .subquery()
    )
    tried = session.execute(
        select(
            Attempt.fence,
            Attempt.step,
            Attempt.rung_digest,
            Attempt.watermark,
            Attempt.accepted,
            Attempt.started_at,
            Attempt.finished_at,
        )
        .where(tuple_(Attempt.run_id, Attempt.fence).in_(select(claims.c.run_id, claims.c.fence)))
        .order_by(Attempt.fence.desc(), Attempt.id)
    ).all()
    found: dict[int, RunOfRung] = {}
    for fence in dict.fromkeys(row.fence for row in tried):
        rows = [row for row in tried if row.fence == fence]
        own = [row for row in rows if row.rung_digest == rung_digest]
        later = [row for row in rows if row.step > max(row.step for row in own)]
        found[fence] = RunOfRung(
            fence=fence,
            watermark=own[-1].watermark,
            passed=any(row.accepted for row in own),
            seconds=sum((row.finished_at - row.started_at).total_seconds() for row in own),
            seconds_after=sum((row.finished_at - row.started_at).total_seconds() for row in later),
        )
    return list(found.values())


def slowest(session: Session, method: str) -> timedelta | None:
    """The longest of the last 20 attempts of this method, measurement included; None if there was none."""
    recent = session.execute(
        select(Attempt.started_at, Attempt.finished_at)
        .where(Attempt.method == method)
        .order_by(Attempt.id.desc())
        .limit(_RECENT)
    ).all()
    return max((row.finished_at - row.started_at for row in recent), default=None)


def skipped_of_run(session: Session, run_id: str) -> Sequence[SkippedRung]:
    """The rungs that this run skipped, in order."""
    return session.scalars(
        select(SkippedRung).where(SkippedRung.run_id == run_id).order_by(SkippedRung.id)
    ).all()


def skipped_for_request(session: Session, request_id: str) -> Sequence[SkippedRung]:
    """The rungs that were skipped for this request, in any run, in order."""
    return session.scalars(
        select(SkippedRung)
        .join(SkippedRungRequest, SkippedRungRequest.skipped_rung_id == SkippedRung.id)
        .where(SkippedRungRequest.request_id == request_id)
        .order_by(SkippedRung.id)
    ).all()


def runs_without(session: Session, rung_digest: str, *, since_fence: int) -> int:
    """How many runs have skipped this rung because of its record, since the claim with this fence."""
    counted = select(func.count(SkippedRung.run_id.distinct())).where(
        SkippedRung.rung_digest == rung_digest,
        SkippedRung.code == SkipReason.BY_RECORD,
        SkippedRung.fence > since_fence,
    )
    return session.scalar(counted) or 0
