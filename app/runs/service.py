"""The life of a run: queued, claimed under a fence, kept alive by its lease, ended.

The row is the truth; a broker message only says "look at this run". Every write of a worker names the fence it holds
and changes nothing once another worker holds a higher one (invariant I5).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session

from app.audit.log import AuditLog
from app.db.errors import FenceLost
from app.db.ledger import lock_ledger, next_epoch, next_fence
from app.db.models import (
    Attempt,
    ForgetRequest,
    RequestStatus,
    Run,
    RunKind,
    RunStage,
    RunStatus,
    ServingPointer,
)
from app.runs.scheduling import next_queued_run

_PAST_POINT_OF_NO_RETURN = (RunStage.PUBLISHED, RunStage.ERASING)


@dataclass(frozen=True)
class ClaimedRequest:
    """One request of a run, as the worker sees it."""

    id: str
    subject: str
    due_at: datetime


@dataclass(frozen=True)
class Claim:
    """What a worker got: the run, its fence, the requests it must serve (the earliest deadline first), and the rung
    that it starts at.
    """

    run_id: str
    fence: int
    stage: RunStage
    covers_epoch: int
    parent_digest: str | None
    requests: tuple[ClaimedRequest, ...]
    first_step: int
    kind: RunKind = RunKind.FORGET

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom it must forget."""
        return tuple(request.subject for request in self.requests)


def ensure_queued_run(session: Session, now: datetime) -> str:
    """The id of the one queued forget run, created if there is none. Call under the ledger's lock."""
    queued = queued_run(session)
    if queued is not None:
        return queued
    run = Run(id=f"ur_{uuid.uuid4().hex}", status=RunStatus.QUEUED, created_at=now)
    session.add(run)
    session.flush()
    return run.id


def queued_run(session: Session) -> str | None:
    """The id of the forget run that waits, if one does; a consolidation may wait beside it."""
    return session.scalar(select(Run.id).where(Run.status == RunStatus.QUEUED, Run.kind == RunKind.FORGET))


def claim(
    session: Session,
    audit: AuditLog,
    run_id: str,
    *,
    now: datetime,
    lease: timedelta,
    max_claims: int,
    max_subjects: int,
    policy: dict[str, Any],
    policy_hash: str,
) -> Claim | None:
    """Take a run, or None where there is nothing to take: it is over, alive elsewhere, or it is another run's turn.

    The claim is counted here, so that a worker killed without a word counts too. The policy's hash is on record from
    here on, before anything is measured (invariant I7). A run that had already published goes on from there; any
    other starts again under a new epoch.
    """
    ledger = lock_ledger(session)
    run = session.get(Run, run_id, with_for_update=True)
    if run is None or not _claimable(session, run, now):
        return None
    if run.claims >= max_claims and not is_past_return(run):
        give_up(
            session,
            audit,
            run,
            code="claims_exhausted",
            detail=f"claimed {run.claims} times without finishing",
        )
        return None
    resumed, held_up_by = is_past_return(run), run.detail_code
    fence = next_fence(ledger)
    changes: dict[str, Any] = {
        "status": RunStatus.RUNNING,
        "claims": Run.claims + 1,
        "fence": fence,
        "lease_until": now + lease,
        "started_at": func.coalesce(Run.started_at, now),
        "dispatched_at": now,
        "detail_code": None,
        "detail": None,
    }
    if not resumed:
        pointer = session.get_one(ServingPointer, 1)
        pointer.candidate_digest = None
        changes |= {
            "stage": RunStage.LADDER,
            "covers_epoch": next_epoch(ledger),
            "parent_digest": pointer.digest,
            "policy": policy,
            "policy_hash": policy_hash,
            "progress": None,
        }
    claimed = session.scalars(
        update(Run)
        .where(Run.id == run_id, or_(Run.status == RunStatus.QUEUED, _expired(now)))
        .values(changes)
        .returning(Run)
        .execution_options(populate_existing=True)
    ).one()
    if not resumed:
        # What is published already was made without them.
        _take_queued_requests(session, claimed, max_subjects, now)
    # What they waited for until now is over.
    session.execute(
        update(ForgetRequest)
        .where(
            or_(ForgetRequest.run_id == run_id, ForgetRequest.status == RequestStatus.QUEUED),
            ForgetRequest.detail_code == held_up_by,
        )
        .values(detail_code=None)
    )
    requests = session.scalars(
        select(ForgetRequest)
        .where(ForgetRequest.run_id == run_id)
        .order_by(ForgetRequest.due_at, ForgetRequest.epoch)
    ).all()
    assert claimed.covers_epoch is not None
    audit.append(
        session,
        ledger,
        actor="worker",
        action="run.claimed",
        data={
            "run": run_id,
            "kind": claimed.kind,
            "fence": fence,
            "claim": claimed.claims,
            "covers_epoch": claimed.covers_epoch,
            "policy_hash": claimed.policy_hash,
            "parent": claimed.parent_digest,
            "requests": [request.id for request in requests],
        },
    )
    return Claim(
        run_id=run_id,
        fence=fence,
        stage=RunStage(claimed.stage),
        covers_epoch=claimed.covers_epoch,
        parent_digest=claimed.parent_digest,
        requests=tuple(
            ClaimedRequest(request.id, request.subject_hmac, request.due_at) for request in requests
        ),
        first_step=max((request.first_step for request in requests), default=0),
        kind=RunKind(claimed.kind),
    )


def is_past_return(run: Run) -> bool:
    """Whether the run has published: from then on it can only be finished."""
    return run.stage in _PAST_POINT_OF_NO_RETURN


def _expired(now: datetime) -> Any:
    return and_(Run.status == RunStatus.RUNNING, Run.lease_until < now)


def _claimable(session: Session, run: Run, now: datetime) -> bool:
    if run.status == RunStatus.RUNNING:
        return run.lease_until is not None and run.lease_until < now
    if run.status != RunStatus.QUEUED:
        return False
    working = session.scalar(select(Run.id).where(Run.status == RunStatus.RUNNING))
    return working is None and next_queued_run(session, now) == run.id


def _take_queued_requests(session: Session, run: Run, max_subjects: int, now: datetime) -> None:
    """Coalesce what waits into this run, the earliest deadline first; leave a queued run for the rest.

    Only requests that start at the same rung share a run: the rung of the most urgent one.
    """
    if run.kind != RunKind.FORGET:
        return
    if (
        run.claims > 1
        or session.scalar(select(Attempt.id).where(Attempt.run_id == run.id).limit(1)) is not None
    ):
        # A run that died before may die again; whoever came later must not go down with it. Nor must they wait for what
        # a run tries over again that was handed back.
        return
    held = session.scalars(select(ForgetRequest.first_step).where(ForgetRequest.run_id == run.id)).all()
    queued = select(ForgetRequest).where(ForgetRequest.status == RequestStatus.QUEUED)
    urgent_first = queued.order_by(ForgetRequest.due_at, ForgetRequest.epoch)
    most_urgent = session.scalars(urgent_first.limit(1)).first()
    if most_urgent is None:
        return
    step = held[0] if held else most_urgent.first_step
    room = max(0, max_subjects - len(held))
    fitting = urgent_first.where(ForgetRequest.first_step == step).limit(room)
    for request in session.scalars(fitting).all():
        request.run_id, request.status = run.id, RequestStatus.UNLEARNING
    session.flush()
    if session.scalar(select(queued.exists())):
        ensure_queued_run(session, now)


def renew(session: Session, run_id: str, fence: int, *, until: datetime, progress: str | None) -> bool:
    """Extend the lease; False means that the run is no longer this worker's."""
    result = session.execute(
        update(Run)
        .where(Run.id == run_id, Run.fence == fence, Run.status == RunStatus.RUNNING)
        .values(lease_until=until, progress=progress)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def owned(session: Session, run_id: str, fence: int) -> Run:
    """The run, locked, if this fence still holds it.

    Raises:
        FenceLost: it does not.
    """
    run = session.get(Run, run_id, with_for_update=True)
    if run is None or run.fence != fence or run.status != RunStatus.RUNNING:
        raise FenceLost
    return run


def record_attempt(session: Session, audit: AuditLog, claim: Claim, attempt: Attempt) -> None:
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


def give_up(session: Session, audit: AuditLog, run: Run, *, code: str, detail: str) -> None:
    """The run ends without a result; its requests need a person. Suppression stays and the clock runs on."""
    ledger = lock_ledger(session)
    # Replicas need not keep a candidate that will never serve.
    session.get_one(ServingPointer, 1).candidate_digest = None
    run.status, run.detail_code, run.detail, run.lease_until = (
        RunStatus.NEEDS_ATTENTION,
        code,
        detail[:500],
        None,
    )
    for request in session.scalars(select(ForgetRequest).where(ForgetRequest.run_id == run.id)):
        if request.status != RequestStatus.COMPLETED:
            request.status, request.detail_code = RequestStatus.NEEDS_ATTENTION, code
    audit.append(
        session, ledger, actor="worker", action="run.needs_attention", data={"run": run.id, "code": code}
    )


def hand_back(
    session: Session, audit: AuditLog, claim: Claim, now: datetime, *, first_step: int | None = None
) -> None:
    """Whoever works on the run stops before it is done: it may be claimed again at once, and this claim does not count.

    Args:
        first_step: the rung that its next claim starts at; where it started, without it.

    Raises:
        FenceLost: another worker holds the run, or it is over.
    """
    ledger = lock_ledger(session)
    run = owned(session, claim.run_id, claim.fence)
    run.claims -= 1
    # It stays the worker's own, only that its lease has lapsed: what it had taken up goes on from where it stood.
    run.lease_until, run.dispatched_at = now, None
    if first_step is not None:
        session.execute(
            update(ForgetRequest).where(ForgetRequest.run_id == run.id).values(first_step=first_step)
        )
    audit.append(
        session,
        ledger,
        actor="worker",
        action="run.handed_back",
        data={"run": run.id, "fence": claim.fence},
    )


def due_for_dispatch(session: Session, *, now: datetime, redispatch_after: timedelta) -> Sequence[str]:
    """Runs a worker should look at now: never rung, rung too long ago, or left behind by a dead worker.

    Marks them as rung, so that several sweepers do not all ring.
    """
    working = select(Run.id).where(Run.status == RunStatus.RUNNING).exists()
    silent = or_(Run.dispatched_at.is_(None), Run.dispatched_at < now - redispatch_after)
    return session.scalars(
        update(Run)
        .where(silent, or_(and_(Run.id == next_queued_run(session, now), ~working), _expired(now)))
        .values(dispatched_at=now)
        .returning(Run.id)
        .execution_options(synchronize_session=False)
    ).all()


def mark_dispatched(session: Session, run_id: str, now: datetime) -> None:
    session.execute(update(Run).where(Run.id == run_id).values(dispatched_at=now))


def heal_queue(session: Session, now: datetime) -> str | None:
    """Give queued requests a run if they have none; the id of the run if one had to be made."""
    lock_ledger(session)
    waiting = session.scalar(select(func.count()).where(ForgetRequest.status == RequestStatus.QUEUED))
    if not waiting or queued_run(session) is not None:
        return None
    return ensure_queued_run(session, now)


def find(session: Session, run_id: str) -> Run | None:
    return session.get(Run, run_id)


def newest(session: Session, *, limit: int) -> Sequence[Run]:
    return session.scalars(select(Run).order_by(Run.created_at.desc()).limit(limit)).all()


def attempts(session: Session, run_id: str) -> Sequence[Attempt]:
    return session.scalars(select(Attempt).where(Attempt.run_id == run_id).order_by(Attempt.id)).all()
