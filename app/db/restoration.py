"""Teaching a restored database whom it had forgotten, before anything serves, trains or hands out an epoch.

A database is restored from a backup, or a standby that lags behind takes its place; then it has lost requests that
were answered with 202, and would hand out their epochs once more. The store knows better: its journal holds whom
the service has promised to forget, its newest timeline the one database state that may be worked with.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db import forget_requests
from app.db.audit import AuditLog
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.ledger import lock_ledger, next_epoch
from app.db.models import ForgetRequest, Ledger, Suppression
from app.db.session import Database
from model_store import JournalEntry, Store, StoreError, Timeline

log = structlog.get_logger()

# A worker of before must not hold the fence of one that claims from now on. Nobody claims this often between backups.
_FENCES_LEFT_OUT = 1_000_000
_MOST_RACES = 20


@dataclass(frozen=True)
class _Differences:
    """What the store and this process know, and the database does not."""

    unknown: dict[str, datetime]  # subjects, and when they were accepted
    taken: tuple[int, ...]  # epochs of this database that are somebody else's in the journal
    other_timeline: bool
    behind: bool  # it has not come as far as the journal, a version in the store or this process

    def __bool__(self) -> bool:
        return bool(self.unknown or self.taken or self.other_timeline or self.behind)


def join_timeline(database: Database, audit: AuditLog, store: Store, suppressed: Collection[str] = ()) -> int:
    """Replay the journal where the database does not hold it, and work with what stands then (I10, I15).

    Every process does this before it works, and again when it meets a database older than what it has seen: the
    one that comes first must not be the one that trains on, or serves, somebody who had been forgotten. A database
    that differs starts a new timeline, whose epochs continue after all that was handed out before, so that whoever
    has read the feed of the old one reads it anew.

    Args:
        suppressed: whom this process knows to be suppressed, also where nobody came to write the journal.

    Returns:
        How many requests were accepted again.

    Raises:
        StoreError: the store cannot be read; going on without it could bring somebody back.
        DatabaseUnavailable: nobody answers.
    """
    # Store and memory first: what is in them was in the database before.
    newest, entries = store.newest_timeline(), list(store.journal())
    seen = max(database.timeline.epoch, _greatest_epoch_of_versions(store))
    with database.read() as session:
        ledger = session.get_one(Ledger, 1)
        token, epoch = ledger.timeline, ledger.epoch
        differ = _compare(session, ledger, newest, entries, suppressed, seen)
    if token is not None and not differ:
        database.timeline.join(token, epoch)
        return 0
    with database.unit_of_work(joining=True) as session:
        ledger = lock_ledger(session)
        newest = store.newest_timeline()
        # Entries are never changed: they are not read again while others wait for the lock.
        if store.journal_epochs() != [entry.epoch for entry in entries]:
            entries = list(store.journal())
        differ = _compare(session, ledger, newest, entries, suppressed, seen)
        readopted = 0
        if differ:
            after = _last_epoch(ledger, newest, entries, seen)
            readopted = _start(session, ledger, audit, store, newest, after, differ)
        token, epoch = ledger.timeline, ledger.epoch
    assert token is not None
    database.timeline.join(token, epoch)
    if readopted:
        log.warning("journal.readopted", requests=readopted)
    return readopted


def timeline_stands(database: Database, store: Store) -> bool:
    """Whether this process may go on without replaying anything, as far as a look that reads no entry can tell.

    Raises:
        StoreError: the store cannot be read.
        DatabaseUnavailable: nobody answers.
    """
    newest, epochs = store.newest_timeline(), store.journal_epochs()
    seen = database.timeline.epoch
    with database.read() as session:
        ledger = session.get_one(Ledger, 1)
    return (
        newest is not None
        and newest.token == ledger.timeline
        and (not epochs or epochs[-1] <= ledger.epoch)
        and database.timeline.agrees(ledger.timeline, ledger.epoch, seen=seen)
    )


def _compare(
    session: Session,
    ledger: Ledger,
    newest: Timeline | None,
    entries: Sequence[JournalEntry],
    suppressed: Collection[str],
    seen: int,
) -> _Differences:
    held = {row.epoch: row.subject_hmac for row in session.scalars(select(Suppression))}
    known = set(held.values())
    unknown = {
        entry.subject_hmac: datetime.fromisoformat(entry.suppressed_at)
        for entry in entries
        if entry.subject_hmac not in known
    }
    now = database_now(session)
    unknown |= {subject: now for subject in suppressed if subject not in known and subject not in unknown}
    return _Differences(
        unknown,
        tuple(
            entry.epoch
            for entry in entries
            if held.get(entry.epoch, entry.subject_hmac) != entry.subject_hmac
        ),
        other_timeline=newest is None or newest.token != ledger.timeline,
        behind=ledger.epoch < max(seen, entries[-1].epoch if entries else 0),
    )


def _start(
    session: Session,
    ledger: Ledger,
    audit: AuditLog,
    store: Store,
    newest: Timeline | None,
    after: int,
    differ: _Differences,
) -> int:
    """Record a timeline in the store and then here: a crash in between leaves one that is no database's."""
    first = newest is None and ledger.timeline is None
    started = _record(store, newest, after, database_now(session))
    ledger.timeline, ledger.epoch = started.token, after
    if not first:
        ledger.fence += _FENCES_LEFT_OUT
    for epoch in differ.taken:
        _number_anew(session, ledger, epoch)
    readopted = sum(
        forget_requests.readopt(session, audit, subject, accepted_at)
        for subject, accepted_at in differ.unknown.items()
    )
    audit.append(
        session,
        ledger,
        actor="erasure-journal",
        action="timeline.started",
        data={
            "timeline": started.number,
            "after_epoch": after,
            "readopted": readopted,
            "numbered_anew": len(differ.taken),
        },
    )
    log.info("timeline.started", timeline=started.number, after_epoch=after, readopted=readopted)
    return readopted


def _record(store: Store, newest: Timeline | None, after: int, now: datetime) -> Timeline:
    number = newest.number if newest else 0
    for _ in range(_MOST_RACES):
        number += 1
        timeline = Timeline(number, uuid.uuid4().hex, after, now.isoformat())
        if store.start_timeline(timeline):
            return timeline
    raise DatabaseUnavailable("other databases start timelines in this store; one store serves one database")


def _last_epoch(ledger: Ledger, newest: Timeline | None, entries: Sequence[JournalEntry], seen: int) -> int:
    """The last that was handed out, as far as anything here knows."""
    return max(
        ledger.epoch,
        seen,
        entries[-1].epoch if entries else 0,
        newest.after_epoch if newest else 0,
    )


def _greatest_epoch_of_versions(store: Store) -> int:
    """Epochs also tick without a request: a version from before must not cover one that comes now."""
    greatest = 0
    for digest in store.versions():
        # A damaged one is refused wherever it is read.
        with suppress(StoreError):
            greatest = max(greatest, store.read_manifest(digest).forget_epoch)
    return greatest


def _number_anew(session: Session, ledger: Ledger, epoch: int) -> None:
    """Whoever was accepted while nobody knew that the database had been restored: their epoch is somebody else's."""
    anew = next_epoch(ledger)
    session.flush()
    for table in (ForgetRequest, Suppression):
        session.execute(update(table).where(table.epoch == epoch).values(epoch=anew))
