"""What store and process know, and a restored database does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.clock import database_now
from app.db.models import AuditEntry, EventSelection, ForgetRequest, Ledger, Suppression
from app.forget_requests.states import REQUESTS, RequestEvent
from app.suppressions.service import Liftable, LiftedBecause
from app.versions.floor import is_sunk
from model_store import Checkpoint, JournalEntry, Store, Timeline

# Why a request was withdrawn, and the event that withdraws it.
WITHDRAWALS = {
    LiftedBecause.CANCELLED: RequestEvent.CANCELLED,
    LiftedBecause.DENIED: RequestEvent.DENIED,
}


@dataclass(frozen=True)
class Differences:
    """What the store and this process know, and the database does not."""

    unknown: dict[str, tuple[datetime, str | None]]  # subject -> time and id of the accepted request
    selected: tuple[JournalEntry, ...]  # selections of events that this database lacks
    lifted: tuple[JournalEntry, ...]  # lifts of suppressions that are still in force in this database
    taken: tuple[int, ...]  # epochs of this database that belong to other entries of the journal
    other_timeline: bool
    behind: bool  # its epoch is lower than in the journal, in a version of the store or in this process
    sunk: bool  # its floor, or the live version, lies below the store's floor

    def __bool__(self) -> bool:
        return any(vars(self).values())


def compare(
    session: Session,
    ledger: Ledger,
    store: Store,
    newest: Timeline | None,
    entries: Sequence[JournalEntry],
    suppressed: Mapping[str, int],
    seen: int,
    floor: int,
    checkpoint: Checkpoint | None,
) -> Differences:
    """Compare a database with the store and the process.

    Args:
        suppressed: subjects whom the process knows to be suppressed, with their epochs.
        seen: the greatest epoch that store and process know.
        floor: the floor in the store.
        checkpoint: the store's checkpoint of the audit log; None if the log must not be compared.
    """
    rows = session.scalars(select(Suppression)).all()
    chosen = session.scalars(select(EventSelection)).all()
    held: dict[int, tuple[str, str | None]] = {}
    liftable: list[Liftable] = [*rows, *chosen]
    for row in liftable:
        held[row.epoch] = (row.subject_hmac, None)
        if row.lifted_epoch:
            held[row.lifted_epoch] = (row.subject_hmac, row.lifted_because)
    lifts = _lifts_to_repeat(session, entries)
    ending = set(
        session.scalars(
            select(ForgetRequest.epoch).where(ForgetRequest.id.in_([entry.request for entry in lifts]))
        )
    )
    # A suppression that is about to be lifted again does not stand for a later request of the same person.
    in_force = {row.subject_hmac for row in rows if row.lifted_epoch is None and row.epoch not in ending}
    last: dict[
        str, int
    ] = {}  # subject -> the last epoch at which this database has suppressed or lifted them
    for row in rows:
        last[row.subject_hmac] = max(last.get(row.subject_hmac, 0), row.lifted_epoch or row.epoch)
    # Whoever came back after having been forgotten is suppressed again, because the restored data are the old ones.
    withdrawn = {entry.request for entry in entries if entry.lifted in WITHDRAWALS}
    unknown: dict[str, tuple[datetime, str | None]] = {
        entry.subject_hmac: (datetime.fromisoformat(entry.suppressed_at), entry.request)
        for entry in entries
        if entry.lifted is None
        and entry.selection is None
        and entry.subject_hmac not in in_force
        and entry.epoch > last.get(entry.subject_hmac, 0)
        and (entry.request is None or entry.request not in withdrawn)
    }
    now = database_now(session)
    over = {(entry.subject_hmac, entry.epoch) for entry in entries if entry.request in withdrawn}
    unknown |= {
        subject: (now, None)
        for subject, epoch in suppressed.items()
        if subject not in in_force
        and epoch > last.get(subject, 0)
        and subject not in unknown
        and (subject, epoch) not in over
    }
    return Differences(
        unknown,
        tuple(
            entry
            for entry in entries
            if entry.selection is not None
            and entry.request not in withdrawn
            and entry.request not in {row.request_id for row in chosen}
        ),
        lifts,
        tuple(
            entry.epoch
            for entry in entries
            if held.get(entry.epoch, (entry.subject_hmac, entry.lifted)) != (entry.subject_hmac, entry.lifted)
        ),
        other_timeline=newest is None or newest.token != ledger.timeline or _lacks(session, checkpoint),
        behind=ledger.epoch < max(seen, entries[-1].epoch if entries else 0),
        sunk=is_sunk(session, store, floor),
    )


def _lifts_to_repeat(session: Session, entries: Sequence[JournalEntry]) -> tuple[JournalEntry, ...]:
    """The lifts of requests that this database holds as open and could still withdraw."""
    withdrawn = {entry.request: entry for entry in entries if entry.lifted in WITHDRAWALS}
    if not withdrawn:
        return ()
    # What a run has taken by now is past withdrawing.
    open_ = session.scalars(
        select(ForgetRequest.id).where(ForgetRequest.status.in_(REQUESTS.before(RequestEvent.CANCELLED)))
    )
    return tuple(withdrawn[request] for request in open_ if request in withdrawn)


def _lacks(session: Session, checkpoint: Checkpoint | None) -> bool:
    if checkpoint is None:
        return False
    mac = session.scalar(select(AuditEntry.mac).where(AuditEntry.sequence == checkpoint.sequence))
    return mac != checkpoint.head
