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

from app.audit.events import RunClaimed, RunHandedBack, RunNeedsAttention
from app.audit.transaction import Transaction
from app.codes import DetailCode
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
from app.forget_requests.states import REQUESTS, RequestEvent
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.runs.queries import next_queued_run, queued_run
from app.runs.states import CREATED, RUNS, RunEvent, is_past_return


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
    run = Run(id=f"ur_{uuid.uuid4().hex}", status=CREATED, created_at=now)
    session.add(run)
    session.flush()
    outbox.put(session, Topic.RUN_WAITING, run.id, now=now)
    return run.id


def claim(
    transaction: Transaction,
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
    session, ledger = transaction.session, transaction.ledger
    run = session.get(Run, run_id, with_for_update=True)
    if run is None or not _claimable(session, run, now):
        return None
    if run.claims >= max_claims and not is_past_return(run):
        give_up(
            transaction,
            run,
            code=DetailCode.CLAIMS_EXHAUSTED,
            detail=f"claimed {run.claims} times without finishing",
        )
        return None
    resumed, held_up_by = is_past_return(run), run.detail_code
    fence = next_fence(ledger)
    changes: dict[str, Any] = {
        "status": RUNS.after(run.status, RunEvent.CLAIMED),
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
        .where(
            Run.id == run_id,
            Run.status.in_(RUNS.before(RunEvent.CLAIMED)),
            or_(Run.status != RunStatus.RUNNING, Run.lease_until < now),
        )
        .values(changes)
        .returning(Run)
        .execution_options(populate_existing=True)
    ).one()
    outbox.told(session, Topic.RUN_WAITING, run_id)
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
    transaction.record(
        RunClaimed(
            run=run_id,
            kind=claimed.kind,
            fence=fence,
            claim=claimed.claims,
            covers_epoch=claimed.covers_epoch,
            policy_hash=claimed.policy_hash,
            parent=claimed.parent_digest,
            requests=[request.id for request in requests],
        )
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
        request.run_id = run.id
        request.status = REQUESTS.after(request.status, RequestEvent.TAKEN)
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


def give_up(transaction: Transaction, run: Run, *, code: str, detail: str) -> None:
    """The run ends without a result; its requests need a person. Suppression stays and the clock runs on."""
    session = transaction.session
    # Replicas need not keep a candidate that will never serve.
    session.get_one(ServingPointer, 1).candidate_digest = None
    run.status = RUNS.after(run.status, RunEvent.GIVEN_UP)
    run.detail_code, run.detail, run.lease_until = code, detail[:500], None
    unfinished = select(ForgetRequest).where(
        ForgetRequest.run_id == run.id, ForgetRequest.status.in_(REQUESTS.before(RequestEvent.GIVEN_UP))
    )
    for request in session.scalars(unfinished):
        request.status = REQUESTS.after(request.status, RequestEvent.GIVEN_UP)
        request.detail_code = code
    transaction.record(RunNeedsAttention(run=run.id, code=code))


def hand_back(
    transaction: Transaction, claim: Claim, now: datetime, *, first_step: int | None = None
) -> None:
    """Whoever works on the run stops before it is done: it may be claimed again at once, and this claim does not count.

    Args:
        first_step: the rung that its next claim starts at; where it started, without it.

    Raises:
        FenceLost: another worker holds the run, or it is over.
    """
    session = transaction.session
    run = owned(session, claim.run_id, claim.fence)
    run.claims -= 1
    # It stays the worker's own, only that its lease has lapsed: what it had taken up goes on from where it stood.
    run.lease_until, run.dispatched_at = now, None
    if first_step is not None:
        session.execute(
            update(ForgetRequest).where(ForgetRequest.run_id == run.id).values(first_step=first_step)
        )
    transaction.record(RunHandedBack(run=run.id, fence=claim.fence))


def due_for_dispatch(session: Session, *, now: datetime, redispatch_after: timedelta) -> Sequence[str]:
    """Runs a worker should look at now: it was never told of them, or too long ago, or has left them behind and died.

    Marks them as dispatched, so that only one of several sweepers sends the message.
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
    """A message about this run is on its way to the workers."""
    # The run's row before the outbox's, as a claim takes them: nothing else keeps these two in order.
    session.execute(update(Run).where(Run.id == run_id).values(dispatched_at=now))
    outbox.told(session, Topic.RUN_WAITING, run_id)


def heal_queue(session: Session, now: datetime) -> str | None:
    """Give queued requests a run if they have none; the id of the run if one had to be made."""
    lock_ledger(session)
    waiting = session.scalar(select(func.count()).where(ForgetRequest.status == RequestStatus.QUEUED))
    if not waiting or queued_run(session) is not None:
        return None
    return ensure_queued_run(session, now)
