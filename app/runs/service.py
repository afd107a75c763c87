"""The life cycle of a run: queued, claimed under a fence, kept by a lease, ended.

The row in the database is the truth; a message from the broker only says which run to look at. Every write of a worker
names the worker's fence, and changes nothing once another worker holds a higher one (invariant I5).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, and_, func, or_, select, update
from sqlalchemy.orm import Session

from app.audit.events import RunClaimed, RunHandedBack, RunNeedsAttention
from app.audit.transaction import Transaction
from app.codes import DetailCode
from app.db.errors import FenceLost
from app.db.ledger import lock_ledger, next_epoch, next_fence
from app.db.models import (
    Attempt,
    ForgetRequest,
    RequestScope,
    RequestStatus,
    Run,
    RunKind,
    RunStage,
    RunStatus,
    ServingPointer,
)
from app.db.session import rows_changed
from app.forget_requests.moves import move_on, moved_on
from app.forget_requests.states import REQUESTS, RequestEvent
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.release import release
from app.runs.queries import next_queued_run, queued_run
from app.runs.states import CREATED, RUN_OF, RUNS, SCOPE_OF, RunEvent, is_past_return


@dataclass(frozen=True)
class ClaimedRequest:
    """One request of a run, as the worker sees it."""

    id: str
    subject: str
    due_at: datetime


@dataclass(frozen=True)
class Claim:
    """A claimed run: its fence, the requests that it must serve (the earliest deadline first), and the rung at which it
    starts.
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
        """The subjects that the run must forget."""
        return tuple(request.subject for request in self.requests)


def ensure_queued_run(session: Session, now: datetime, kind: RunKind = RunKind.FORGET) -> str:
    """The id of the queued run of this kind. It is created if there is none. Call under the ledger's lock."""
    queued = queued_run(session, kind)
    if queued is not None:
        return queued
    run = Run(id=f"ur_{uuid.uuid4().hex}", kind=kind, status=CREATED, created_at=now)
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
    """Claim a run. Returns None if the run is over, if another worker holds it, or if another run is next.

    The claim is counted here, so that claims of killed workers count too. The policy's hash is recorded here, before
    anything is measured (invariant I7). A run that has already published goes on from there; any other starts anew
    under a new epoch.
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
        # Not for a resumed run: its published version was made without the queued requests.
        _take_queued_requests(transaction, claimed, max_subjects, now)
    if held_up_by is not None:
        # The outage that the requests waited for is over.
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
            code=release(),
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


def _urgent_first(session: Session, which: Select[str, int], limit: int) -> list[Row[str, int]]:
    """Up to `limit` of these: expedited ones first, then by their deadline. An index has each half in order."""
    found: list[Row[str, int]] = []
    for expedited in (True, False):
        half = which.where(ForgetRequest.expedited == expedited)
        ordered = half.order_by(ForgetRequest.due_at, ForgetRequest.epoch)
        found += session.execute(ordered.limit(limit - len(found)))
    return found


def _take_queued_requests(transaction: Transaction, run: Run, max_subjects: int, now: datetime) -> None:
    """Take queued requests into this run, expedited ones and then the earliest deadline first, and leave a queued run
    for the rest.

    All requests of a run start at the same rung: that of the most urgent one.
    """
    session, scope = transaction.session, SCOPE_OF.get(RunKind(run.kind))
    if scope is None:
        return
    if (
        run.claims > 1
        or session.scalar(select(Attempt.id).where(Attempt.run_id == run.id).limit(1)) is not None
    ):
        # A run that died before may die again, and new requests must not fail with it. After a run was handed back, new
        # requests must not wait while it repeats its attempts.
        return
    held = session.scalars(select(ForgetRequest.first_step).where(ForgetRequest.run_id == run.id)).all()
    queued = select(ForgetRequest.id, ForgetRequest.first_step).where(
        ForgetRequest.status == RequestStatus.QUEUED, ForgetRequest.scope == scope
    )
    most_urgent = _urgent_first(session, queued, 1)
    if not most_urgent:
        return
    step = held[0] if held else most_urgent[0].first_step
    room = max(0, max_subjects - len(held))
    taken = _urgent_first(session, queued.where(ForgetRequest.first_step == step), room)
    session.execute(
        update(ForgetRequest)
        .where(ForgetRequest.id.in_([request.id for request in taken]))
        .values(run_id=run.id, **moved_on(transaction, RequestStatus.QUEUED, RequestEvent.TAKEN))
    )
    if session.scalar(select(queued.exists())):
        ensure_queued_run(session, now, RunKind(run.kind))


def renew(session: Session, run_id: str, fence: int, *, until: datetime, progress: str | None) -> bool:
    """Extend the lease. Returns False if this worker no longer holds the run."""
    result = session.execute(
        update(Run)
        .where(Run.id == run_id, Run.fence == fence, Run.status == RunStatus.RUNNING)
        .values(lease_until=until, progress=progress)
    )
    return rows_changed(result) > 0


def owned(session: Session, run_id: str, fence: int) -> Run:
    """The run, locked, if this fence still holds it.

    Raises:
        FenceLost: another worker holds the run, or the run is over.
    """
    run = session.get(Run, run_id, with_for_update=True)
    if run is None or run.fence != fence or run.status != RunStatus.RUNNING:
        raise FenceLost
    return run


def give_up(transaction: Transaction, run: Run, *, code: str, detail: str) -> None:
    """End the run without a result. Its requests need a person; their suppression and their deadlines stay."""
    session = transaction.session
    # Replicas need not keep a candidate that will never serve.
    session.get_one(ServingPointer, 1).candidate_digest = None
    run.status = RUNS.after(run.status, RunEvent.GIVEN_UP)
    run.detail_code, run.detail, run.lease_until = code, detail[:500], None
    unfinished = select(ForgetRequest).where(
        ForgetRequest.run_id == run.id, ForgetRequest.status.in_(REQUESTS.before(RequestEvent.GIVEN_UP))
    )
    for request in session.scalars(unfinished):
        move_on(transaction, request, RequestEvent.GIVEN_UP)
        request.detail_code = code
    transaction.record(RunNeedsAttention(run=run.id, code=code))


def hand_back(
    transaction: Transaction, claim: Claim, now: datetime, *, first_step: int | None = None
) -> None:
    """Give the run back before it is done. It may be claimed again at once, and this claim does not count.

    Args:
        first_step: the rung at which the next claim starts; None for the same rung as before.

    Raises:
        FenceLost: another worker holds the run, or the run is over.
    """
    session = transaction.session
    run = owned(session, claim.run_id, claim.fence)
    run.claims -= 1
    # The run stays `running` with a lapsed lease and keeps its requests, so that the next claim goes on with them.
    run.lease_until, run.dispatched_at = now, None
    if first_step is not None:
        session.execute(
            update(ForgetRequest).where(ForgetRequest.run_id == run.id).values(first_step=first_step)
        )
    transaction.record(RunHandedBack(run=run.id, fence=claim.fence))


def due_for_dispatch(session: Session, *, now: datetime, redispatch_after: timedelta) -> Sequence[str]:
    """Runs that a worker should look at now: never dispatched, dispatched too long ago, or left by a dead worker.

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
    """Record that a message about this run was sent to the workers."""
    # Lock the run's row before the outbox's, as a claim does; otherwise the two could deadlock.
    session.execute(update(Run).where(Run.id == run_id).values(dispatched_at=now))
    outbox.told(session, Topic.RUN_WAITING, run_id)


def heal_queue(session: Session, now: datetime) -> str | None:
    """Create runs for queued requests that have none. Returns the id of one; None if none was needed."""
    lock_ledger(session)
    waiting = session.scalars(
        select(ForgetRequest.scope).where(ForgetRequest.status == RequestStatus.QUEUED).distinct()
    )
    kinds = [RUN_OF[RequestScope(scope)] for scope in waiting]
    missing = [kind for kind in kinds if queued_run(session, kind) is None]
    healed = [ensure_queued_run(session, now, kind) for kind in missing]
    return healed[0] if healed else None
