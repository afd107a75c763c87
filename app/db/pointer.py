"""What serves. The pointer moves only by compare-and-swap, in the transaction that records why (invariants I3, I6)."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from app.db import levels
from app.db import readers as records
from app.db.audit import AuditLog
from app.db.errors import BelowErasureFloor, PointerMoved
from app.db.ledger import lock_ledger
from app.db.models import (
    BaseReader,
    ForgetRequest,
    Interaction,
    Ledger,
    NeverSeenLevel,
    RequestStatus,
    Run,
    RunStage,
    RunStatus,
    ServingPointer,
    Version,
)
from app.db.readers import KNOWN_TO_BASE
from app.db.runs import Claim, is_past_return, owned
from app.db.splitting import NOBODY, SplitOut, queue_again, split_out


def current(session: Session) -> ServingPointer:
    return session.get_one(ServingPointer, 1)


def install(
    session: Session,
    audit: AuditLog,
    version: Version,
    *,
    parent: str | None,
    readers: Container[str],
    base_digest: str,
    actor: str,
    now: datetime,
) -> int:
    """Make a version that no run made (a first fit, the operator's own adapter) live; the new generation.

    Args:
        parent: what was live when the version's training data were read.
        readers: whom the version has read.
        base_digest: of the base that the version belongs to.

    Raises:
        BelowErasureFloor: it was trained with someone who has been forgotten since.
        PointerMoved: another version became live since.
    """
    ledger = lock_ledger(session)
    _require_nobody_settled(session, readers, above=version.forget_epoch)
    session.merge(version)
    # They belong to the fit that was live before, even where this one was fitted on the same events.
    session.execute(delete(NeverSeenLevel))
    # Whoever it left out may complete without another version: what is older must not outlive them.
    floor = max(current(session).erasure_floor, version.forget_epoch)
    generation = _move(
        session, parent, version.digest, covers=version.forget_epoch, floor=floor, actor=actor, now=now
    )
    _queue_left_out(
        session, audit, ledger, up_to=version.forget_epoch, base_digest=base_digest, actor=actor, now=now
    )
    audit.append(
        session,
        ledger,
        actor=actor,
        action="version.installed",
        data={"version": version.digest, "generation": generation, "forget_epoch": version.forget_epoch},
    )
    return generation


def announce_candidate(session: Session, claim: Claim, digest: str) -> None:
    """Ask the replicas to prepare a version off the request path; nothing serves it yet.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    lock_ledger(session)
    run = owned(session, claim.run_id, claim.fence)
    run.stage = RunStage.PREPARING
    current(session).candidate_digest = digest


def publish(
    session: Session,
    audit: AuditLog,
    claim: Claim,
    version: Version,
    *,
    watermark: int,
    base_digest: str,
    now: datetime,
    split: SplitOut = NOBODY,
) -> int:
    """Fence check, pointer swap from the run's own parent, floor raised, requests moved on: all or nothing.

    The floor rises to the version's own epoch. That of an exact fit may lie above the claim's: it also leaves out who
    was suppressed between the claim and the reading of its training data.

    Args:
        watermark: up to which events the version was fitted. Levels of any other go: they are read under adapters of
            people some of whom have been forgotten since, and nobody needs them any more.
        base_digest: of the base that the version belongs to.
        split: requests whom the version does not serve. They leave the run in this very transaction: what claims
            the published run later can find only those who are served.

    Returns:
        The generation that every replica must reach.

    Raises:
        FenceLost: this worker no longer holds the run.
        PointerMoved: another version became live since the run started; rebase, never overwrite.
        BelowErasureFloor: the version covers less than what must be covered.
    """
    ledger = lock_ledger(session)
    run = owned(session, claim.run_id, claim.fence)
    session.add(version)
    floor = max(claim.covers_epoch, version.forget_epoch)
    generation = _move(
        session,
        claim.parent_digest,
        version.digest,
        covers=version.forget_epoch,
        floor=floor,
        actor=claim.run_id,
        now=now,
    )
    levels.drop_others(session, watermark=watermark)
    run.stage, run.version_digest = RunStage.PUBLISHED, version.digest
    split_out(session, audit, ledger, run, split, now=now)
    if version.exact:
        _queue_left_out(
            session,
            audit,
            ledger,
            up_to=version.forget_epoch,
            base_digest=base_digest,
            actor="worker",
            now=now,
        )
    _deploy(session, run)
    audit.append(
        session,
        ledger,
        actor="worker",
        action="version.published",
        data={
            "run": run.id,
            "version": version.digest,
            "parent": claim.parent_digest,
            "generation": generation,
            "forget_epoch": version.forget_epoch,
            "erasure_floor": floor,
        },
    )
    return generation


def withdraw(session: Session, audit: AuditLog, claim: Claim, *, base_digest: str, now: datetime) -> int:
    """Take the live version out of service without a successor: everybody gets the fallback from here on.

    Returns:
        The generation that every replica must reach.

    Raises:
        FenceLost: this worker no longer holds the run.
        PointerMoved: another version became live since the run started.
    """
    ledger = lock_ledger(session)
    run = owned(session, claim.run_id, claim.fence)
    generation = _move(
        session,
        claim.parent_digest,
        None,
        covers=claim.covers_epoch,
        floor=claim.covers_epoch,
        actor=claim.run_id,
        now=now,
    )
    session.execute(delete(NeverSeenLevel))
    run.stage, run.version_digest = RunStage.PUBLISHED, None
    _queue_left_out(
        session,
        audit,
        ledger,
        up_to=claim.covers_epoch,
        base_digest=base_digest,
        actor="worker",
        now=now,
    )
    _deploy(session, run)
    audit.append(
        session,
        ledger,
        actor="worker",
        action="version.withdrawn",
        data={
            "run": run.id,
            "version": claim.parent_digest,
            "generation": generation,
            "erasure_floor": claim.covers_epoch,
        },
    )
    return generation


def _deploy(session: Session, run: Run) -> None:
    for request in session.scalars(select(ForgetRequest).where(ForgetRequest.run_id == run.id)):
        request.status = RequestStatus.DEPLOYING


def _require_nobody_settled(session: Session, readers: Container[str], *, above: int) -> None:
    """A run that edits nothing leaves the floor where it was; what it said of its subjects must stay true.

    Raises:
        BelowErasureFloor: the version has read somebody whose request is settled and whom it does not cover.
    """
    settled = select(ForgetRequest.subject_hmac).where(
        ForgetRequest.epoch > above, ForgetRequest.outcome.is_not(None)
    )
    if any(subject in readers for subject in session.scalars(settled)):
        raise BelowErasureFloor


def _queue_left_out(
    session: Session,
    audit: AuditLog,
    ledger: Ledger,
    *,
    up_to: int,
    base_digest: str,
    actor: str,
    now: datetime,
) -> None:
    """Queue again who needs a person, but whom neither the version that is live now has read nor its base.

    Their run finds nothing left to edit, and completes.
    """
    of_base = select(BaseReader).where(
        BaseReader.subject_hmac == ForgetRequest.subject_hmac, BaseReader.base_digest == base_digest
    )
    waiting = session.scalars(
        select(ForgetRequest)
        .where(
            ForgetRequest.status == RequestStatus.NEEDS_ATTENTION,
            # Who was known to another base only has nothing else to wait for, whenever they asked.
            or_(ForgetRequest.epoch <= up_to, ForgetRequest.detail_code == KNOWN_TO_BASE),
            ~of_base.exists(),
        )
        .order_by(ForgetRequest.epoch)
    ).all()
    queue_again(session, audit, ledger, waiting, action="forget.left_out", actor=actor, now=now)


def _move(
    session: Session,
    parent: str | None,
    digest: str | None,
    *,
    covers: int,
    floor: int,
    actor: str,
    now: datetime,
) -> int:
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
    """The same claim, starting from what is live now.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    lock_ledger(session)
    run = owned(session, claim.run_id, claim.fence)
    pointer = current(session)
    run.parent_digest, run.stage = pointer.digest, RunStage.LADDER
    pointer.candidate_digest = None
    return replace(claim, stage=RunStage.LADDER, parent_digest=pointer.digest)


def erase_subjects(
    session: Session,
    audit: AuditLog,
    claim: Claim,
    *,
    unread: frozenset[str],
    base_digest: str,
) -> int:
    """Delete the subjects' interactions and levels and settle each request's outcome. Safe to repeat.

    Returns:
        How many interactions were deleted.

    Args:
        unread: those whom nothing has read. Settled in the same transaction as the deletion, because afterwards
            nothing shows it any more.
        base_digest: of the base that serves. Whom it has read is looked up here: it may have been said since. All else
            is erased of them, and then they need a person.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    ledger = lock_ledger(session)
    run = owned(session, claim.run_id, claim.fence)
    if not is_past_return(run):
        _settle_without_version(session, claim)
    run.stage = RunStage.ERASING
    # Whose events go is read from the requests, not taken from the claim: a split may have come in between.
    requests = session.scalars(select(ForgetRequest).where(ForgetRequest.run_id == run.id)).all()
    subjects = [request.subject_hmac for request in requests]
    erased = session.execute(delete(Interaction).where(Interaction.subject_hmac.in_(subjects)))
    session.execute(delete(NeverSeenLevel).where(NeverSeenLevel.subject_hmac.in_(subjects)))
    rows = int(erased.rowcount)  # type: ignore[attr-defined]
    of_base = records.base_readers_among(session, base_digest, subjects)
    for request in requests:
        if request.subject_hmac in of_base:
            request.detail_code = KNOWN_TO_BASE
        elif request.outcome is None:
            request.outcome = "no_data" if request.subject_hmac in unread else "erased"
    # Whom the base has read is still to be erased, and must not be unknown then.
    records.add_past_readers(session, of_base)
    records.drop_past_readers(session, [subject for subject in subjects if subject not in of_base])
    audit.append(
        session, ledger, actor="worker", action="interactions.erased", data={"run": run.id, "rows": rows}
    )
    return rows


def _settle_without_version(session: Session, claim: Claim) -> None:
    """What was found about the subjects holds only while the same version is live, and no older one may come.

    Raises:
        PointerMoved: another version became live since.
    """
    pointer = current(session)
    if pointer.digest != claim.parent_digest:
        raise PointerMoved
    if claim.parent_digest is None:
        # A first fit may be under way that still reads these subjects: it comes too late.
        pointer.erasure_floor = max(pointer.erasure_floor, claim.covers_epoch)


def destroyed(session: Session) -> frozenset[str]:
    """The versions whose destruction is on record."""
    return frozenset(session.scalars(select(Version.digest).where(Version.destroyed_at.is_not(None))))


def mark_destroyed(session: Session, audit: AuditLog, claim: Claim, digest: str, *, now: datetime) -> None:
    ledger = lock_ledger(session)
    owned(session, claim.run_id, claim.fence)
    version = session.get(Version, digest)
    if version is None or version.destroyed_at is not None:
        # A candidate that never served has no row, and what is on record is on record once.
        return
    version.destroyed_at = now
    audit.append(
        session,
        ledger,
        actor="worker",
        action="version.destroyed",
        data={"run": claim.run_id, "version": digest},
    )


def complete(session: Session, audit: AuditLog, claim: Claim, *, now: datetime) -> None:
    """The run and its requests are done; counted once, because the fence is checked in the same transaction.

    A request whose subject the base has read is not: what a base knows, no run reaches.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    ledger = lock_ledger(session)
    run = owned(session, claim.run_id, claim.fence)
    run.status, run.stage, run.finished_at, run.lease_until = RunStatus.COMPLETED, RunStage.DONE, now, None
    run.detail_code, run.detail = None, None
    requests = session.scalars(select(ForgetRequest).where(ForgetRequest.run_id == run.id)).all()
    known = [request for request in requests if request.detail_code == KNOWN_TO_BASE]
    for request in requests:
        if request in known:
            request.status = RequestStatus.NEEDS_ATTENTION
        else:
            request.status, request.completed_at = RequestStatus.COMPLETED, now
    audit.append(
        session,
        ledger,
        actor="worker",
        action=f"{run.kind}.completed",
        data={
            "run": run.id,
            "version": run.version_digest,
            "requests": [request.id for request in requests if request not in known],
        },
    )
    if known:
        audit.append(
            session,
            ledger,
            actor="worker",
            action="forget.needs_attention",
            data={"run": run.id, "requests": [request.id for request in known], "code": KNOWN_TO_BASE},
        )


def versions(session: Session, *, limit: int) -> Sequence[Version]:
    return session.scalars(select(Version).order_by(Version.published_at.desc()).limit(limit)).all()
