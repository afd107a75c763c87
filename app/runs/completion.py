"""The end of a run: its subjects' data are deleted, and its requests are settled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.audit.events import (
    ConsolidationCompleted,
    ForgetCompleted,
    ForgetNeedsAttention,
    InteractionsErased,
    ReplicasAcknowledged,
    RowsReclaimed,
)
from app.audit.transaction import Transaction
from app.codes import DetailCode
from app.db.errors import PointerMoved
from app.db.models import (
    ForgetRequest,
    Interaction,
    RequestScope,
    RequestStatus,
    Run,
    RunKind,
    RunStage,
    RunStatus,
)
from app.db.reclaiming import Reclaimed
from app.db.session import rows_changed
from app.forget_requests.moves import move_on
from app.forget_requests.states import RequestEvent
from app.forget_requests.unverified import supersede
from app.levels import makings
from app.levels import service as levels
from app.readers import queries as reader_queries
from app.readers import service as records
from app.readers.service import KNOWN_TO_BASE
from app.runs.service import Claim, owned
from app.runs.states import RUNS, RunEvent, is_past_return
from app.selections import service as selections
from app.targets import service as targets
from app.versions.parts import Part, Surroundings, of_version
from app.versions.queries import current, of_run

_COMPLETED = {
    RunKind.FORGET: ForgetCompleted,
    RunKind.SELECTION: ForgetCompleted,
    RunKind.CONSOLIDATION: ConsolidationCompleted,
}


def erase_subjects(
    transaction: Transaction,
    claim: Claim,
    *,
    unread: frozenset[str],
    base_digest: str,
) -> int:
    """Delete the subjects' interactions, or those that the requests select, with the subjects' levels, settle each
    request's outcome, and tell the recipients to do the same. Safe to repeat.

    Returns:
        How many interactions were deleted.

    Args:
        unread: the subjects whom nothing has read. Their outcome is settled in the transaction of the deletion, because
            afterwards nothing shows it any more.
        base_digest: digest of the base that serves. Its readers are looked up here, because they may have been stated
            since the claim. All other data of these readers are erased, and then their requests need a person.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    session = transaction.session
    run = owned(session, claim.run_id, claim.fence)
    if not is_past_return(run):
        _settle_without_version(session, claim)
    run.stage = RunStage.ERASING
    # Read the subjects from the requests and not from the claim: a split may have changed them since.
    requests = session.scalars(select(ForgetRequest).where(ForgetRequest.run_id == run.id)).all()
    subjects = [request.subject_hmac for request in requests]
    if run.kind == RunKind.SELECTION:
        rows = selections.erase(session, [request.id for request in requests])
        # Levels that are being made have read the events.
        makings.drop(session)
    else:
        erased = session.execute(delete(Interaction).where(Interaction.subject_hmac.in_(subjects)))
        rows = rows_changed(erased)
    # A level was measured with events that a selection has removed since, so it goes with them.
    levels.drop_of_subjects(session, subjects)
    of_base = reader_queries.base_readers_among(session, base_digest, subjects)
    for request in requests:
        request.erased_at = request.erased_at or transaction.now()
        if request.subject_hmac in of_base:
            request.detail_code, request.outcome = KNOWN_TO_BASE, None
        elif request.outcome is None:
            request.outcome = "no_data" if request.subject_hmac in unread else "erased"
    # Readers of the base must still be erased later, and the outcome must not be `no_data` then.
    records.add_past_readers(session, of_base)
    if run.kind == RunKind.FORGET:
        records.drop_past_readers(session, [subject for subject in subjects if subject not in of_base])
    transaction.record(InteractionsErased(run=run.id, rows=rows))
    if run.kind == RunKind.FORGET:
        # A notice cannot say which events of a person are meant: recipients would erase the whole person.
        targets.notify(transaction, [request.id for request in requests], now=transaction.now())
    return rows


def record_acknowledged(transaction: Transaction, claim: Claim, *, generation: int, replicas: int) -> None:
    """Record that every live replica has acknowledged the generation.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    run = owned(transaction.session, claim.run_id, claim.fence)
    transaction.record(
        ReplicasAcknowledged(
            run=run.id,
            fence=claim.fence,
            generation=generation,
            version=current(transaction.session).digest,
            replicas=replicas,
        )
    )


def record_reclaimed(transaction: Transaction, claim: Claim, reclaimed: Reclaimed) -> None:
    """Record whether bytes of the erased rows are left in the database's files.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    owned(transaction.session, claim.run_id, claim.fence)
    transaction.record(RowsReclaimed(run=claim.run_id, result=reclaimed))


def _settle_without_version(session: Session, claim: Claim) -> None:
    """Check that what was found about the subjects still holds: the same version must be live.

    Raises:
        PointerMoved: another version became live since the claim.
    """
    pointer = current(session)
    if pointer.digest != claim.parent_digest:
        raise PointerMoved
    if claim.parent_digest is None:
        # A first fit that is under way may still read these subjects. The raised floor refuses its version.
        pointer.erasure_floor = max(pointer.erasure_floor, claim.covers_epoch)


def complete(transaction: Transaction, claim: Claim, parts: Sequence[Part], *, now: datetime) -> None:
    """Complete the run and its requests, once: the fence is checked in the same transaction.

    A request whose subject the base has read is not completed, because no run changes what a base knows. Nor is one
    that a mandatory recipient has not acknowledged: `complete_acknowledged` does that.

    Args:
        parts: the parts of the service, for the record.

    Raises:
        FenceLost: this worker no longer holds the run.
    """
    session = transaction.session
    run = owned(session, claim.run_id, claim.fence)
    run.status = RUNS.after(run.status, RunEvent.COMPLETED)
    run.stage, run.finished_at, run.lease_until = RunStage.DONE, now, None
    run.detail_code, run.detail = None, None
    requests = session.scalars(select(ForgetRequest).where(ForgetRequest.run_id == run.id)).all()
    known = [request for request in requests if request.detail_code == KNOWN_TO_BASE]
    awaited = targets.waiting(session, [request.id for request in requests if request not in known])
    completed = [request for request in requests if request not in known and request.id not in awaited]
    for request in requests:
        if request in known:
            move_on(transaction, request, RequestEvent.KNOWN_TO_BASE)
        elif request.id in awaited:
            move_on(transaction, request, RequestEvent.AWAITED)
            request.detail_code = DetailCode.RECIPIENTS_SILENT
    _complete(transaction, run, completed, parts, now=now)
    if known:
        transaction.record(
            ForgetNeedsAttention(run=run.id, requests=[request.id for request in known], code=KNOWN_TO_BASE)
        )


def complete_acknowledged(
    transaction: Transaction, request_id: str, around: Surroundings, *, now: datetime
) -> None:
    """Complete a request that has waited for recipients only, if all mandatory ones have acknowledged."""
    session = transaction.session
    request = session.get_one(ForgetRequest, request_id, with_for_update=True)
    run = None if request.run_id is None else session.get_one(Run, request.run_id)
    if (
        run is None
        or run.status != RunStatus.COMPLETED
        or request.status != RequestStatus.DEPLOYING
        or targets.waiting(session, [request_id])
    ):
        return
    # The readers of the base may have been stated while the request waited.
    if reader_queries.base_readers_among(session, around.base_digest, [request.subject_hmac]):
        move_on(transaction, request, RequestEvent.KNOWN_TO_BASE)
        request.detail_code, request.outcome = KNOWN_TO_BASE, None
        transaction.record(ForgetNeedsAttention(run=run.id, requests=[request_id], code=KNOWN_TO_BASE))
        return
    request.detail_code = None
    _complete(transaction, run, [request], of_version(session, of_run(session, run.id), around), now=now)


def _complete(
    transaction: Transaction,
    run: Run,
    requests: Sequence[ForgetRequest],
    parts: Sequence[Part],
    *,
    now: datetime,
) -> None:
    for request in requests:
        move_on(transaction, request, RequestEvent.COMPLETED)
        request.completed_at = now
    transaction.record(
        _COMPLETED[RunKind(run.kind)](
            run=run.id,
            version=run.version_digest,
            requests=[request.id for request in requests],
            outcomes={request.id: request.outcome for request in requests},
            parts={part.name: part.state for part in parts},
            completed_at=now.isoformat(),
        )
    )
    for request in requests:
        if request.scope == RequestScope.USER:
            supersede(transaction, request, now)
