"""Replays the erasure journal into a restored database, before anything serves, trains or hands out an epoch.

A database that was restored from a backup, or a standby that lagged behind, has lost requests that were answered with
202, and would hand out their epochs again. The store has what is needed: its journal names everybody whom the service
has promised to forget, and its newest timeline names the only database state that may be used.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.audit.decision_events import ForgetCancelled, ForgetDenied
from app.audit.events import TimelineConfirmed, TimelineStarted
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.ledger import next_epoch
from app.db.models import (
    AuditEntry,
    EventSelection,
    ForgetRequest,
    Interaction,
    ItemTakedown,
    Ledger,
    Run,
    RunStatus,
    Suppression,
)
from app.db.session import Database
from app.forget_requests import readoption
from app.forget_requests.moves import move_on
from app.forget_requests.policy import WITHOUT_STEPS, RequestPolicy
from app.outbox import service as outbox
from app.outbox.service import Topic
from app.restoration.differences import WITHDRAWALS, Differences, compare
from app.restoration.survivors import replace_unservable
from app.selections.criteria import Criteria
from app.suppressions import service as suppressions
from app.suppressions.service import LiftedBecause
from app.takedowns import queries as takedown_queries
from app.takedowns import service as takedowns
from app.versions.floor import lift
from model_store import JournalEntry, Store, StoreEmptied, StoreError, Timeline

log = structlog.get_logger()

# Fences skipped by a new timeline, so that no new claim gets the fence of a worker from before the restore. There are
# never that many claims between two backups.
_FENCES_LEFT_OUT = 1_000_000
_MOST_RACES = 20


def join_timeline(
    database: Database,
    audit: AuditLog,
    store: Store,
    suppressed: Mapping[str, int] = MappingProxyType({}),
    taken_down: Mapping[str, int] = MappingProxyType({}),
    *,
    policy: RequestPolicy = WITHOUT_STEPS,
    restored: bool = False,
) -> int:
    """Replay the journal entries that the database lacks, and join the timeline that is in force then (I10, I15).

    Every process does this before it works, and again when it meets a database older than it has seen. Otherwise the
    first process after a restore could train on, or serve, somebody who had been forgotten. If the database differs, a
    new timeline starts. Its epochs continue after all that were handed out before, and every reader of the old
    timeline's feed reads the feed anew.

    Args:
        suppressed: subjects whom this process knows to be suppressed, with their epochs, even if the journal does not
            have them.
        taken_down: items that this process knows to be taken down, with their epochs, likewise.
        policy: says whether requests that are accepted again must be approved again.
        restored: an operator says that the database was restored. Then a timeline also starts if the database only
            lacks entries of the audit log that the store's checkpoint names; without the operator, a restore cannot be
            told from a log that was cut. It also starts in an empty store, which would otherwise count as not mounted.

    Returns:
        How many requests and takedowns were accepted again.

    Raises:
        StoreError: the store cannot be read; without it, forgotten users could come back.
        StoreEmptied: the store is empty, and the database has a timeline.
        DatabaseUnavailable: the database does not answer.
    """
    # Read store and memory first: everything in them was in the database before.
    newest, entries, floor = store.newest_timeline(), list(store.journal()), store.erasure_floor()
    checkpoint = store.newest_checkpoints().get(newest.number) if restored and newest else None
    seen = max(database.timeline.epoch, _greatest_epoch_of_versions(store), floor)
    with database.read() as session:
        ledger = session.get_one(Ledger, 1)
        token, epoch = ledger.timeline, ledger.epoch
        differ = compare(
            session, ledger, store, newest, entries, suppressed, taken_down, seen, floor, checkpoint
        )
    if token is not None and newest is None and not restored:
        raise StoreEmptied(
            "the store at LETHE_STORE_URL knows no timeline, and the database has one: it is not mounted, not the "
            "store of this database, or was emptied; if it is lost for good: lethe recover --store-lost"
        )
    if token is not None and not differ:
        database.timeline.join(token, epoch)
        return 0
    with Transaction.begin(database, audit, joining=True) as transaction:
        session, ledger = transaction.session, transaction.ledger
        newest = store.newest_timeline()
        # Entries never change, so read only new ones: others wait for the lock.
        entries += store.journal(known={entry.epoch for entry in entries})
        entries.sort(key=lambda entry: entry.epoch)
        differ = compare(
            session, ledger, store, newest, entries, suppressed, taken_down, seen, floor, checkpoint
        )
        readopted = 0
        if differ:
            after = _last_epoch(ledger, newest, entries, seen)
            readopted = _start(transaction, store, newest, after, differ, floor, policy)
        token, epoch = ledger.timeline, ledger.epoch
    assert token is not None
    database.timeline.join(token, epoch)
    if readopted:
        log.warning("journal.readopted", requests=readopted)
    return readopted


def confirm_timeline(database: Database, audit: AuditLog, store: Store) -> bool:
    """Record an operator's statement that the timeline in force began with a restore or a fail-over.

    Without it, `verify` reports the missing log entries as wiped: any process starts a timeline by itself, and somebody
    with write access to the database can make it do so.

    Returns:
        Whether a statement was recorded: none is for the first timeline, nor a second one for the same timeline.

    Raises:
        StoreError: the store cannot be read.
        DatabaseUnavailable: the database does not answer, or it does not belong to the timeline in force.
    """
    newest = store.newest_timeline()
    with Transaction.begin(database, audit) as transaction:
        if newest is None or newest.token != transaction.ledger.timeline:
            raise DatabaseUnavailable("another timeline started meanwhile; try again")
        confirmed = TimelineConfirmed(timeline=newest.number)
        said = transaction.session.scalars(select(AuditEntry).where(AuditEntry.action == confirmed.action))
        if newest.number == 1 or any(entry.data == confirmed.data() for entry in said):
            return False
        transaction.record(confirmed, actor="operator")
    return True


def _start(
    transaction: Transaction,
    store: Store,
    newest: Timeline | None,
    after: int,
    differ: Differences,
    floor: int,
    policy: RequestPolicy,
) -> int:
    """Record a timeline in the store, then in the database. A crash in between leaves a timeline without a database."""
    session, ledger = transaction.session, transaction.ledger
    first = newest is None and ledger.timeline is None
    started = _record(store, newest, after, database_now(session))
    ledger.timeline, ledger.epoch = started.token, after
    if not first:
        ledger.fence += _FENCES_LEFT_OUT
        # A run that was working when the backup was taken has not killed its worker. So do not count that claim.
        working = Run.status == RunStatus.RUNNING
        session.execute(update(Run).where(working, Run.claims > 0).values(claims=Run.claims - 1))
    survived = (
        None
        if first
        else replace_unservable(
            session, store, floor=floor, store_lost=newest is None, now=database_now(session)
        )
    )
    lifted = lift(session, store, floor)
    epochs: dict[str, int] = {}
    for epoch in differ.taken:
        epochs |= _number_anew(session, ledger, epoch)
    # Record this event before any other: all later entries belong to the new timeline.
    transaction.record(
        TimelineStarted(
            timeline=started.number,
            after_epoch=after,
            readopted=len(differ.unknown) + len(differ.selected) + len(differ.taken_down),
            epochs=epochs,
            floor_before=lifted.floor_before,
            floor=max(lifted.floor_before, floor),
            withdrawn=lifted.withdrawn,
        ),
        actor="erasure-journal",
    )
    if survived is not None:
        transaction.record(survived, actor="erasure-journal")
    for entry in differ.lifted:
        _repeat_lift(transaction, entry)
    for request_id in differ.overtaken:
        request = session.get_one(ForgetRequest, request_id)
        request.readmitted_at = database_now(session)
        suppressions.lift(
            transaction,
            request,
            LiftedBecause.READMITTED,
            actor="erasure-journal",
            now=request.readmitted_at,
        )
    readopted = 0
    # Selections first: whoever is suppressed needs none of theirs that still waits for its verification.
    for entry in differ.selected:
        accepted_at, criteria = (
            datetime.fromisoformat(entry.suppressed_at),
            Criteria.from_plain(entry.selection or {}),
        )
        readopted += readoption.readopt(
            transaction, entry.subject_hmac, accepted_at, entry.request, policy, criteria
        )
    for item_id, (taken_at, takedown_id) in differ.taken_down.items():
        takedowns.take_down(
            transaction,
            item_id,
            spellings=takedown_queries.stored_spellings(session, item_id),
            requested_by="erasure-journal",
            now=taken_at,
            takedown_id=takedown_id,
            restored=True,
        )
        readopted += 1
    readopted += sum(
        readoption.readopt(transaction, subject, accepted_at, request_id, policy)
        for subject, (accepted_at, request_id) in differ.unknown.items()
    )
    log.info("timeline.started", timeline=started.number, after_epoch=after, readopted=readopted)
    if differ.sunk:
        log.error("floor.lifted", floor_before=lifted.floor_before, floor=floor, withdrawn=lifted.withdrawn)
    return readopted


def _repeat_lift(transaction: Transaction, entry: JournalEntry) -> None:
    """Withdraw a request again, whose withdrawal the restored database has lost."""
    session = transaction.session
    request = session.get_one(ForgetRequest, entry.request)
    because = LiftedBecause(str(entry.lifted))
    move_on(transaction, request, WITHDRAWALS[because])
    now = database_now(session)
    request.withdrawn_at, request.held_from, request.review_at = now, None, None
    # The backup may be older than the request's verification. Then there is nothing to lift.
    if request.verify_until is None:
        suppressions.lift(transaction, request, because, actor="erasure-journal", now=now)
    recorded = ForgetCancelled if because is LiftedBecause.CANCELLED else ForgetDenied
    transaction.record(recorded(request=request.id, reason="restored"), actor="erasure-journal")


def _record(store: Store, newest: Timeline | None, after: int, now: datetime) -> Timeline:
    number = newest.number if newest else 0
    for _ in range(_MOST_RACES):
        number += 1
        timeline = Timeline(number, uuid.uuid4().hex, after, now.isoformat())
        if store.start_timeline(timeline):
            return timeline
    raise DatabaseUnavailable("other databases start timelines in this store; one store serves one database")


def _last_epoch(ledger: Ledger, newest: Timeline | None, entries: Sequence[JournalEntry], seen: int) -> int:
    """The greatest epoch that may have been handed out, according to database, store and process."""
    return max(
        ledger.epoch,
        seen,
        entries[-1].epoch if entries else 0,
        newest.after_epoch if newest else 0,
    )


def _greatest_epoch_of_versions(store: Store) -> int:
    """The greatest forget epoch in the store. Claims use epochs too; an old version must not cover a new request."""
    greatest = 0
    for digest in store.versions():
        # Skip a damaged manifest: it is refused wherever it is read.
        with suppress(StoreError):
            greatest = max(greatest, store.read_manifest(digest).forget_epoch)
    return greatest


def _number_anew(session: Session, ledger: Ledger, epoch: int) -> dict[str, int]:
    """Give a new epoch to a request accepted after an unnoticed restore, whose epoch belongs to another subject.

    Returns:
        Request id -> new epoch.
    """
    anew = next_epoch(ledger)
    session.flush()
    requests = session.scalars(select(ForgetRequest.id).where(ForgetRequest.epoch == epoch)).all()
    for table in (ForgetRequest, Suppression, EventSelection):
        session.execute(update(table).where(table.epoch == epoch).values(epoch=anew))
    hidden = update(Interaction).where(Interaction.selected_epoch == epoch)
    session.execute(hidden.values(selected_epoch=anew))
    for liftable in (Suppression, EventSelection):
        lifted = update(liftable).where(liftable.lifted_epoch == epoch).values(lifted_epoch=anew)
        if session.execute(lifted.returning(liftable.epoch)).all():
            outbox.put(session, Topic.LIFTED, str(anew), now=database_now(session))
    takedown = update(ItemTakedown).where(ItemTakedown.epoch == epoch).values(epoch=anew)
    for takedown_id in session.scalars(takedown.returning(ItemTakedown.id)):
        outbox.put(session, Topic.TAKEN_DOWN, takedown_id, now=database_now(session))
    return dict.fromkeys(requests, anew)
