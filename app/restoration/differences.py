"""What store and process know, and a restored database does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.clock import database_now
from app.db.models import (
    AuditEntry,
    EventSelection,
    ForgetRequest,
    ItemTakedown,
    Ledger,
    RequestStatus,
    Suppression,
)
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
    taken_down: dict[str, tuple[datetime, str | None]]  # item id -> time and id of its takedown
    overtaken: tuple[str, ...]  # completed requests whose subjects came back, and have asked again
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
    taken_down: Mapping[str, int],
    seen: int,
    floor: int,
    checkpoint: Checkpoint | None,
) -> Differences:
    """Compare a database with the store and the process.

    Args:
        suppressed: subjects whom the process knows to be suppressed, with their epochs.
        taken_down: items that the process knows to be taken down, with their epochs.
        seen: the greatest epoch that store and process know.
        floor: the floor in the store.
        checkpoint: the store's checkpoint of the audit log; None if the log must not be compared.
    """
    liftable: list[Liftable] = [
        *session.scalars(select(Suppression)).all(),
        *session.scalars(select(EventSelection)).all(),
    ]
    requests = {row.epoch: row.id for row in session.execute(select(ForgetRequest.epoch, ForgetRequest.id))}
    held: dict[int, Said] = {}
    for one in liftable:
        request = requests.get(one.epoch)
        held[one.epoch] = Said(one.subject_hmac, None, request, isinstance(one, EventSelection))
        if one.lifted_epoch:
            held[one.lifted_epoch] = Said(one.subject_hmac, one.lifted_because, request, False)
    for row in session.scalars(select(ItemTakedown)):
        held[row.epoch] = Said("", None, row.id, selects=False, item=row.item_id)
    lifted = _lifts_to_repeat(session, entries)
    lost = lost_requests(session, entries, lifted)
    return Differences(
        lost.people | _remembered(session, entries, suppressed, lost),
        lost.selections,
        lifted,
        _lost_takedowns(session, entries, taken_down),
        lost.overtaken,
        tuple(
            entry.epoch
            for entry in entries
            if entry.epoch in held and not held[entry.epoch].says_the_same(entry)
        ),
        other_timeline=newest is None or newest.token != ledger.timeline or _lacks(session, checkpoint),
        behind=ledger.epoch < max(seen, entries[-1].epoch if entries else 0),
        sunk=is_sunk(session, store, floor),
    )


class Said(NamedTuple):
    """What the row with an epoch says, as the journal would say it."""

    subject_hmac: str
    lifted: str | None
    request: str | None
    selects: bool
    item: str | None = None

    @classmethod
    def of(cls, entry: JournalEntry) -> Said:
        """What the entry of a row says."""
        return cls(entry.subject_hmac, entry.lifted, entry.request, entry.selection is not None, entry.item)

    def says_the_same(self, entry: JournalEntry) -> bool:
        """Whether the entry is about the same. Entries of an earlier release do not name their request."""
        return (
            (self.subject_hmac, self.lifted, self.item) == (entry.subject_hmac, entry.lifted, entry.item)
            and (entry.request is None or self.request in (None, entry.request))
            and (entry.lifted is not None or self.selects == (entry.selection is not None))
        )


@dataclass(frozen=True)
class Lost:
    """Requests that the journal holds and the database does not.

    ``people`` maps subjects to time and id of their last request. ``overtaken`` are completed requests whose subjects
    came back since, and have asked again. ``in_force`` and ``last`` are of the database: the subjects who stay
    suppressed in it, and the last epoch at which it has suppressed or lifted anybody.
    """

    people: dict[str, tuple[datetime, str | None]]
    selections: tuple[JournalEntry, ...]
    overtaken: tuple[str, ...]
    in_force: frozenset[str]
    last: Mapping[str, int]


def lost_requests(
    session: Session, entries: Sequence[JournalEntry], lifted: Sequence[JournalEntry] = ()
) -> Lost:
    """Compare the journal's requests with those of the database.

    Args:
        lifted: lifts that will be repeated. What they end does not count as in force.
    """
    repeated = {entry.request for entry in lifted}
    withdrawn = {entry.request for entry in entries if entry.lifted in WITHDRAWALS}
    rows = session.execute(
        select(Suppression, ForgetRequest.id, ForgetRequest.status).outerjoin(
            ForgetRequest, ForgetRequest.epoch == Suppression.epoch
        )
    ).all()
    last: dict[str, int] = {}
    in_force: dict[str, tuple[str | None, str | None]] = {}
    for row, own_id, own_status in rows:
        last[row.subject_hmac] = max(last.get(row.subject_hmac, 0), row.lifted_epoch or row.epoch)
        if row.lifted_epoch is None and own_id not in repeated:
            in_force[row.subject_hmac] = (own_id, own_status)
    people: dict[str, tuple[datetime, str | None]] = {}
    overtaken: set[str] = set()
    for entry in entries:
        subject = entry.subject_hmac
        if (
            entry.item is not None
            or entry.lifted is not None
            or entry.selection is not None
            or entry.epoch <= last.get(subject, 0)
            or (entry.request is not None and entry.request in withdrawn)
        ):
            continue
        own, status = in_force.get(subject, (None, None))
        if subject in in_force and (status != RequestStatus.COMPLETED or entry.request in (None, own)):
            # An open request of the same person covers what the lost one asked for.
            continue
        # Whoever was forgotten has come back, or could not have asked again.
        overtaken |= {own} if own is not None else set()
        people[subject] = (datetime.fromisoformat(entry.suppressed_at), entry.request)
    chosen = set(session.scalars(select(EventSelection.request_id)))
    return Lost(
        people,
        tuple(
            entry
            for entry in entries
            if entry.selection is not None and entry.request not in withdrawn and entry.request not in chosen
        ),
        tuple(sorted(overtaken)),
        frozenset(in_force),
        last,
    )


def _remembered(
    session: Session, entries: Sequence[JournalEntry], suppressed: Mapping[str, int], lost: Lost
) -> dict[str, tuple[datetime, str | None]]:
    """Those whom the process knows to be suppressed, and neither database nor journal does.

    The process may not have heard yet that their request was withdrawn.
    """
    now = database_now(session)
    withdrawn = {entry.request for entry in entries if entry.lifted in WITHDRAWALS}
    over = {(entry.subject_hmac, entry.epoch) for entry in entries if entry.request in withdrawn}
    return {
        subject: (now, None)
        for subject, epoch in suppressed.items()
        if subject not in lost.in_force
        and epoch > lost.last.get(subject, 0)
        and subject not in lost.people
        and (subject, epoch) not in over
    }


def lost_takedowns(session: Session, entries: Sequence[JournalEntry]) -> tuple[JournalEntry, ...]:
    """The journal's entries about items that are not taken down in this database."""
    held = set(session.scalars(select(ItemTakedown.item_id)))
    return tuple(entry for entry in entries if entry.item is not None and entry.item not in held)


def _lost_takedowns(
    session: Session, entries: Sequence[JournalEntry], known: Mapping[str, int]
) -> dict[str, tuple[datetime, str | None]]:
    """Items that the journal or this process knows to be taken down, and the database does not."""
    held, now = set(session.scalars(select(ItemTakedown.item_id))), database_now(session)
    lost = lost_takedowns(session, entries)
    return {item: (now, None) for item in known if item not in held} | {
        str(entry.item): (datetime.fromisoformat(entry.suppressed_at), entry.request) for entry in lost
    }


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
