"""Moves the serving pointer: only by compare-and-swap, in the transaction that records why (invariants I3, I6)."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app.audit.events import (
    ForgetLeftOut,
    VersionDestroyed,
    VersionInstalled,
    VersionPublished,
    VersionRolledBack,
    VersionWithdrawn,
)
from app.audit.transaction import Transaction
from app.db.errors import BelowErasureFloor, PointerMoved
from app.db.ledger import lock_ledger
from app.db.models import (
    BaseReader,
    ForgetRequest,
    RequestScope,
    Run,
    RunStage,
    ServingPointer,
    Version,
)
from app.forget_requests.moves import move_on
from app.forget_requests.states import REQUESTS, RequestEvent
from app.levels import service as levels
from app.readers.service import KNOWN_TO_BASE, reopen_base_readers
from app.runs.service import Claim, owned
from app.runs.splitting import NOBODY, SplitOut, queue_again, split_out
from app.suppressions import queries as suppressions
from app.versions.queries import current


def install(
    transaction: Transaction,
    version: Version,
    *,
    parent: str | None,
    readers: Container[str],
    base_digest: str,
    actor: str,
    now: datetime,
    unread_up_to: int | None = None,
    served_before: bool = False,
) -> int:
    """Make a version live that no run makes: a first fit, the operator's own adapter, or one that comes back.

    Returns the new generation.

    Args:
        parent: the version that was live when the version's training data were read.
        readers: the subjects whom the version has read.
        base_digest: digest of the base that the version belongs to.
        unread_up_to: up to this epoch, of nobody who came back has the version read what they had forgotten before; the
            version's own epoch unless it is told.
        served_before: whether it comes back (`app.versions.rollback`), so that the audit log says so.

    Raises:
        BelowErasureFloor: the version has read somebody who has been forgotten.
        PointerMoved: another version became live since then.
    """
    session = transaction.session
    compared = version.forget_epoch if unread_up_to is None else unread_up_to
    _require_nobody_settled(session, readers, version.forget_epoch, compared)
    session.merge(version)
    # The levels belong to the fit that was live before, even if this version was fitted on the same events.
    levels.drop_all(session)
    # Requests of subjects that this version has not read may complete without another version. So raise the floor: no
    # older version may serve again.
    floor = max(current(session).erasure_floor, version.forget_epoch)
    generation = move(
        session, parent, version.digest, covers=version.forget_epoch, floor=floor, actor=actor, now=now
    )
    _queue_left_out(transaction, up_to=version.forget_epoch, base_digest=base_digest, actor=actor, now=now)
    reopen_base_readers(transaction, base_digest, actor=actor)
    digest, epoch = version.digest, version.forget_epoch
    transaction.record(
        VersionRolledBack(digest, parent, generation, epoch)
        if served_before
        else VersionInstalled(digest, generation, epoch),
        actor=actor,
    )
    return generation


def announce_candidate(session: Session, claim: Claim, digest: str) -> None:
    """Ask the replicas to prepare a version off the request path. It does not serve yet.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    lock_ledger(session)
    run = owned(session, claim.run_id, claim.fence)
    run.stage = RunStage.PREPARING
    current(session).candidate_digest = digest


def publish(
    transaction: Transaction,
    claim: Claim,
    version: Version,
    *,
    watermark: int | None,
    base_digest: str,
    now: datetime,
    split: SplitOut = NOBODY,
) -> int:
    """Make a run's version live: check the fence, swap the pointer from the run's parent, raise the floor, and move the
    requests on. All of it happens, or nothing.

    The floor rises to the version's own epoch. The epoch of an exact fit may be higher than the claim's, because the
    fit also leaves out everybody who was suppressed between the claim and the reading of its training data.

    Args:
        watermark: the watermark of the version's fit. Levels of other watermarks are deleted: they were measured with
            adapters that had read people who have been forgotten since, and nobody needs them any more. None deletes
            all levels, because the version was fitted on these events with a larger catalogue.
        base_digest: digest of the base that the version belongs to.
        split: requests that the version does not serve. They leave the run in this transaction, so that a later claim
            of the published run finds only requests that are served.

    Returns:
        The generation that every replica must reach.

    Raises:
        FenceLost: this worker no longer holds the run.
        PointerMoved: another version became live since the run started; the run must rebase.
        BelowErasureFloor: the version's forget epoch is below the floor.
    """
    session = transaction.session
    run = owned(session, claim.run_id, claim.fence)
    session.add(version)
    floor = max(claim.covers_epoch, version.forget_epoch)
    generation = move(
        session,
        claim.parent_digest,
        version.digest,
        covers=version.forget_epoch,
        floor=floor,
        actor=claim.run_id,
        now=now,
    )
    if watermark is None:
        levels.drop_all(session)
    else:
        levels.drop_others(session, watermark=watermark)
    run.stage, run.version_digest = RunStage.PUBLISHED, version.digest
    split_out(transaction, run, split, now=now)
    if version.exact:
        _queue_left_out(
            transaction,
            up_to=version.forget_epoch,
            base_digest=base_digest,
            actor="worker",
            now=now,
        )
    _deploy(transaction, run)
    transaction.record(
        VersionPublished(
            run=run.id,
            version=version.digest,
            parent=claim.parent_digest,
            generation=generation,
            forget_epoch=version.forget_epoch,
            erasure_floor=floor,
        )
    )
    return generation


def withdraw(transaction: Transaction, claim: Claim, *, base_digest: str, now: datetime) -> int:
    """Take the live version out of service without a successor: everybody gets the fallback from now on.

    Returns:
        The generation that every replica must reach.

    Raises:
        FenceLost: this worker no longer holds the run.
        PointerMoved: another version became live since the run started.
    """
    session = transaction.session
    run = owned(session, claim.run_id, claim.fence)
    generation = move(
        session,
        claim.parent_digest,
        None,
        covers=claim.covers_epoch,
        floor=claim.covers_epoch,
        actor=claim.run_id,
        now=now,
    )
    levels.drop_all(session)
    run.stage, run.version_digest = RunStage.PUBLISHED, None
    _queue_left_out(
        transaction,
        up_to=claim.covers_epoch,
        base_digest=base_digest,
        actor="worker",
        now=now,
    )
    _deploy(transaction, run)
    transaction.record(
        VersionWithdrawn(
            run=run.id,
            version=claim.parent_digest,
            generation=generation,
            erasure_floor=claim.covers_epoch,
        )
    )
    return generation


def _deploy(transaction: Transaction, run: Run) -> None:
    for request in transaction.session.scalars(select(ForgetRequest).where(ForgetRequest.run_id == run.id)):
        move_on(transaction, request, RequestEvent.PUBLISHED)


def _require_nobody_settled(
    session: Session, readers: Container[str], forget_epoch: int, unread_up_to: int
) -> None:
    """Refuse a version that has read somebody whose request is settled, or events that a settled request has selected.

    The floor is not enough for that: a run that edits nothing settles requests without raising the floor. Nor is the
    version's epoch: data cached with the version may contain somebody whose request waited when the fit began. Of
    events that were selected the epoch tells: a fit that covers it has not read them (`worker.first_fit`). Of
    whoever came back `unread_up_to` tells.

    Raises:
        BelowErasureFloor: the version has read somebody, or something, that is settled.
    """
    for subject, epoch in suppressions.return_epochs(session).items():
        if epoch > unread_up_to and subject in readers:
            raise BelowErasureFloor
    settled = session.execute(
        select(ForgetRequest.subject_hmac, ForgetRequest.scope, ForgetRequest.epoch).where(
            ForgetRequest.outcome.is_not(None), ForgetRequest.readmitted_at.is_(None)
        )
    )
    for subject, scope, epoch in settled:
        known = scope == RequestScope.USER or epoch > forget_epoch
        if known and subject in readers:
            raise BelowErasureFloor


def _queue_left_out(
    transaction: Transaction,
    *,
    up_to: int,
    base_digest: str,
    actor: str,
    now: datetime,
) -> None:
    """Queue requests that need a person again, if neither the version that is live now nor its base has read them.

    Their run finds nothing to edit, and completes.
    """
    of_base = select(BaseReader).where(
        BaseReader.subject_hmac == ForgetRequest.subject_hmac, BaseReader.base_digest == base_digest
    )
    waiting = transaction.session.scalars(
        select(ForgetRequest)
        .where(
            ForgetRequest.status.in_(REQUESTS.before(RequestEvent.QUEUED_AGAIN)),
            # A request that needed a person only because another base had read its subject, whatever its epoch.
            or_(ForgetRequest.epoch <= up_to, ForgetRequest.detail_code == KNOWN_TO_BASE),
            ~of_base.exists(),
        )
        .order_by(ForgetRequest.epoch)
    ).all()
    queue_again(transaction, waiting, ForgetLeftOut, actor=actor, now=now)


def move(
    session: Session,
    parent: str | None,
    digest: str | None,
    *,
    covers: int,
    floor: int,
    actor: str,
    now: datetime,
) -> int:
    """Swap the pointer from ``parent`` to ``digest``, and raise the floor. Returns the new generation.

    Raises:
        BelowErasureFloor: what the version covers lies below the floor.
        PointerMoved: ``parent`` is not live any more.
    """
    session.flush()
    lowest = max(floor, current(session).erasure_floor)
    if covers < lowest:
        raise BelowErasureFloor
    generation = session.scalar(
        update(ServingPointer)
        .where(ServingPointer.id == 1, ServingPointer.digest.is_not_distinct_from(parent))
        .values(
            generation=ServingPointer.generation + 1,
            digest=digest,
            previous_digest=parent,
            candidate_digest=None,
            erasure_floor=lowest,
            moved_by=actor,
            moved_at=now,
        )
        .returning(ServingPointer.generation)
        .execution_options(synchronize_session=False)
    )
    if generation is None:
        raise PointerMoved
    session.expire(current(session))
    return generation


def rebase(session: Session, claim: Claim) -> Claim:
    """The same claim, with the version that is live now as its parent.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    lock_ledger(session)
    run = owned(session, claim.run_id, claim.fence)
    pointer = current(session)
    run.parent_digest, run.stage = pointer.digest, RunStage.LADDER
    pointer.candidate_digest = None
    return replace(claim, stage=RunStage.LADDER, parent_digest=pointer.digest)


def mark_destroyed(transaction: Transaction, claim: Claim, digest: str, *, now: datetime) -> None:
    """Record the destruction of a version.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    session = transaction.session
    owned(session, claim.run_id, claim.fence)
    version = session.get(Version, digest)
    if version is None or version.destroyed_at is not None:
        # A candidate that never served has no row, and a destruction is recorded once only.
        return
    version.destroyed_at = now
    transaction.record(VersionDestroyed(run=claim.run_id, version=digest))
