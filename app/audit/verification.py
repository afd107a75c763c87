"""Verifies that the audit log is whole, and that the rows it names still agree with it (invariant I12).

It compares three sources: the chain under its key, the store (checkpoints, erasure journal, floor), and the tables of
requests, suppressions and takedowns. Somebody who can change one of them cannot make the other two agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import tree
from app.audit.decision_events import ForgetExtended, ForgetReceived, SelectionLifted, SuppressionLifted
from app.audit.events import (
    ForgetAccepted,
    ForgetCompleted,
    ForgetReopened,
    TimelineConfirmed,
    TimelineStarted,
)
from app.audit.log import AuditLog, LogUnreadable, entries
from app.audit.takedown_checks import LoggedTakedowns, disagreements, moment
from app.audit.takedown_events import ItemErased, ItemTakenDown
from app.db.models import EventSelection, ForgetRequest, Ledger, RequestScope, RequestStatus, Suppression
from app.db.session import Database
from app.restoration.differences import WITHDRAWALS, lost_requests
from app.suppressions.service import Liftable
from app.versions.floor import is_sunk
from app.versions.queries import current
from model_store import Checkpoint, JournalEntry, Store, Timeline


@dataclass(frozen=True)
class Verification:
    """The result. ``broken`` is the first entry that does not verify, ``problems`` are errors, ``notices`` are none."""

    broken: int | None
    problems: tuple[str, ...]
    notices: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.broken is None and not self.problems


@dataclass
class _Log:
    """The content of the entries, not verified."""

    last: int = 0
    macs: dict[int, str] = field(default_factory=dict)  # of the entries that checkpoints name
    accepted: dict[str, dict[str, Any]] = field(default_factory=dict)  # by request
    completed: dict[str, tuple[Any, Any]] = field(default_factory=dict)  # by request: outcome, and when
    started: dict[int, int] = field(default_factory=dict)  # timeline -> the entry that started it
    due: dict[str, Any] = field(default_factory=dict)  # request -> its deadline after an extension
    received: set[str] = field(default_factory=set)  # requests that had to be verified
    lifted: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # request -> how its suppression was lifted
    confirmed: set[int] = field(default_factory=set)  # timelines that an operator has confirmed as restores
    numbered_anew: dict[str, int] = field(default_factory=dict)  # request -> its new epoch
    numbered_anew_unnamed: int = 0
    takedowns: LoggedTakedowns = field(default_factory=LoggedTakedowns)

    def timeline_of(self, sequence: int) -> int:
        return max((number for number, start in self.started.items() if start <= sequence), default=0)


def verify(database: Database, audit: AuditLog, store: Store) -> Verification:
    """Verify the log. Only reads, and may run while the service works.

    Raises:
        StoreError: the store cannot be read, or an object that is needed was damaged.
        DatabaseUnavailable: the database does not answer.
    """
    # Read the store first: everything in it was in the database before.
    timeline = store.newest_timeline()
    checkpoints = list(store.newest_checkpoints().values())
    journaled = list(store.journal())
    floor = store.erasure_floor()
    problems: list[str] = []
    notices: list[str] = []
    with database.read(snapshot=True) as session:
        broken = audit.first_broken(session)
        try:
            log = _read(session, {checkpoint.sequence for checkpoint in checkpoints})
            problems += tree.disagreements(session)
        except LogUnreadable as error:
            return Verification(broken, (str(error),), ())
        problems += _timeline(session, log, timeline)
        for checkpoint in checkpoints:
            _compare(audit, log, checkpoint, timeline, problems, notices)
        if timeline is not None and all(item.timeline != timeline.number for item in checkpoints):
            notices.append(
                f"no checkpoint of timeline {timeline.number} yet: only the database vouches for the log's tail"
            )
        _requests(session, audit, log, problems, notices)
        problems += _suppressions(session, log, journaled)
        problems += disagreements(session, log.takedowns, journaled)
        if is_sunk(session, store, floor):
            problems.append(
                f"the erasure floor of the database is {current(session).erasure_floor}, that of the store {floor}: "
                "the floor, or the version that is live, lies below what must hold"
            )
    return Verification(broken, tuple(problems), tuple(notices))


def _read(session: Session, of_checkpoints: set[int]) -> _Log:
    log = _Log()
    for entry in entries(session):
        # An entry that was tampered with may lack any field. The check of the chain reports that.
        data = defaultdict(lambda: None, entry.data if isinstance(entry.data, dict) else {})
        log.last = entry.sequence
        if entry.sequence in of_checkpoints:
            log.macs[entry.sequence] = entry.mac
        match entry.action:
            case ForgetReceived.action:
                log.received.add(str(data["request"]))
                log.due.setdefault(str(data["request"]), data["due_at"])
            case ForgetAccepted.action:
                log.accepted[str(data["request"])] = data
            case ForgetCompleted.action:
                # Entries of earlier releases have neither `outcomes` nor `completed_at`.
                outcomes = data["outcomes"] or {}
                log.completed.update(
                    (request, (outcomes.get(request), data["completed_at"]))
                    for request in data["requests"] or ()
                )
            case ForgetExtended.action:
                log.due[str(data["request"])] = data["due_at"]
            case SuppressionLifted.action | SelectionLifted.action:
                log.lifted[str(data["request"])] = data
            case ForgetReopened.action:
                log.completed.pop(str(data["request"]), None)
            case TimelineStarted.action:
                log.started[int(data["timeline"] or 0)] = entry.sequence
                # Entries of earlier releases have only the number of these requests.
                epochs = data["epochs"]
                log.numbered_anew.update(epochs or {})
                log.numbered_anew_unnamed += 0 if epochs is not None else int(data["numbered_anew"] or 0)
            case ItemTakenDown.action | ItemErased.action:
                log.takedowns.read(entry.action, data)
            case TimelineConfirmed.action:
                log.confirmed.add(int(data["timeline"] or 0))
    return log


def _timeline(session: Session, log: _Log, timeline: Timeline | None) -> Iterable[str]:
    ledger = session.get_one(Ledger, 1)
    if timeline is None:
        if ledger.timeline is not None or log.last:
            yield "the store at LETHE_STORE_URL knows no timeline: it is not the store of this database, or was emptied"
    elif ledger.timeline != timeline.token:
        yield (
            f"the database does not belong to timeline {timeline.number}, which is in force: it was restored or "
            "replaced, and no process has joined since"
        )
    elif timeline.number not in log.started:
        yield f"no entry says that timeline {timeline.number} was started, which is in force"


def _compare(
    audit: AuditLog,
    log: _Log,
    checkpoint: Checkpoint,
    timeline: Timeline | None,
    problems: list[str],
    notices: list[str],
) -> None:
    number, sequence = checkpoint.timeline, checkpoint.sequence
    mac = log.macs.get(sequence)
    if not audit.has_made(checkpoint):
        problems.append(
            f"the checkpoint of timeline {number} at entry {sequence} was not made under LETHE_AUDIT_KEY"
        )
    elif mac == checkpoint.head:
        return
    elif timeline is not None and number < timeline.number and log.timeline_of(sequence) != number:
        # A later timeline began from an older state. A restore causes that, and so does an attacker who wipes the log
        # and lets the next process start a timeline. Only a person can tell the two apart, so it is always reported.
        later = min((later for later in log.started if later > number), default=timeline.number)
        first = log.started.get(later, 1)
        known = number in log.started
        entries_ = f"entries {first}..{sequence}" if known else f"the entries up to {sequence}"
        lost = f"{entries_} of timeline {number} are not in this database"
        if later in log.confirmed:
            notices.append(f"restored: {lost}")
        else:
            problems.append(
                f"{lost}: it was restored or the log was wiped, and nobody has said which; "
                "if it was restored, lethe recover says so"
            )
    elif mac is None:
        problems.append(
            f"the log ends at entry {log.last}, and the store vouches for entry {sequence} of timeline {number}: "
            f"entries {log.last + 1}..{sequence} are gone"
        )
    else:
        problems.append(f"entry {sequence} is not the one that the store vouches for")


def _requests(session: Session, audit: AuditLog, log: _Log, problems: list[str], notices: list[str]) -> None:
    found = set()
    without_subject = 0
    may_differ = log.numbered_anew_unnamed
    for request in session.scalars(select(ForgetRequest).order_by(ForgetRequest.epoch)):
        found.add(request.id)
        accepted = log.accepted.get(request.id)
        problems += _acceptance(request, log)
        if accepted is None:
            continue
        epoch = log.numbered_anew.get(request.id, accepted["epoch"])
        if request.epoch != epoch:
            if may_differ > 0:
                may_differ -= 1
            else:
                problems.append(f"request {request.id}: its epoch is {request.epoch}, its entry says {epoch}")
        due_at = log.due.get(request.id, accepted["due_at"])
        if request.due_at != moment(due_at):
            problems.append(
                f"request {request.id}: it is due at {request.due_at.isoformat()}, its entry says {due_at}"
            )
        if accepted["subject"] is None:
            without_subject += 1
        elif accepted["subject"] != audit.subject_digest(request.subject_hmac):
            problems.append(f"request {request.id}: its subject is not the one that was accepted")
        completed = request.status == RequestStatus.COMPLETED
        if completed != (request.id in log.completed):
            problems.append(
                f"request {request.id}: it is {request.status}, and "
                + (
                    "no entry says that it was completed"
                    if completed
                    else "its entry says that it was completed"
                )
            )
        problems += _completion(request, *log.completed.get(request.id, (None, None)))
    problems += [
        f"request {request}: it was received, and its row is gone"
        for request in sorted(log.accepted.keys() | log.received)
        if request not in found
    ]
    if without_subject:
        notices.append(f"{without_subject} acceptances of an earlier release do not name their subject")
    if may_differ < log.numbered_anew_unnamed:
        notices.append(
            f"{log.numbered_anew_unnamed - may_differ} requests were numbered anew by an earlier release, which did "
            "not say how"
        )


def _acceptance(request: ForgetRequest, log: _Log) -> Iterable[str]:
    """A row that says of itself that nobody has verified it could hide a suppression that is gone."""
    unverified = request.verify_until is not None
    if request.id not in log.accepted and not (unverified and request.id in log.received):
        yield f"request {request.id}: no entry says that it was accepted"
    if request.id in log.accepted and unverified:
        yield f"request {request.id}: it was accepted, and its row says that nobody has verified it"


def _completion(request: ForgetRequest, outcome: Any, completed_at: Any) -> Iterable[str]:
    if outcome is not None and request.outcome != outcome:
        yield f"request {request.id}: its outcome is {request.outcome}, its entry says {outcome}"
    if completed_at is not None and request.completed_at != moment(completed_at):
        yield f"request {request.id}: it was not completed when its entry says that it was"


def _suppressions(session: Session, log: _Log, journaled: Sequence[JournalEntry]) -> Iterable[str]:
    requests = session.scalars(select(ForgetRequest).where(ForgetRequest.verify_until.is_(None))).all()
    rows: dict[int, Liftable] = {row.epoch: row for row in session.scalars(select(Suppression))}
    selections = session.scalars(select(EventSelection)).all()
    asked = {one.epoch: one.subject_hmac for one in requests if one.scope == RequestScope.USER}
    suppressed = {epoch: row.subject_hmac for epoch, row in rows.items()}
    for epoch in sorted(asked.keys() | suppressed.keys()):
        if epoch not in suppressed:
            yield f"epoch {epoch}: its request has no suppression"
        elif epoch not in asked:
            yield f"epoch {epoch}: its suppression has no request"
        elif asked[epoch] != suppressed[epoch]:
            yield f"epoch {epoch}: its suppression is of another subject than its request"
    lost = lost_requests(session, journaled)
    missing = {*lost.people, *(entry.subject_hmac for entry in lost.selections)}
    held, known = set(suppressed.values()), {one.id for one in requests}
    withdrawn = {entry.request for entry in journaled if entry.lifted in WITHDRAWALS}
    for entry in journaled:
        if (
            entry.item is not None
            or entry.lifted is not None
            or (entry.request is not None and entry.request in withdrawn)
        ):
            continue
        strange = entry.selection is None and entry.subject_hmac not in held
        if strange or (entry.subject_hmac in missing and entry.request not in known):
            what = "suppression" if entry.selection is None else "selection"
            yield f"epoch {entry.epoch}: the journal in the store has a {what} that this database does not"
    rows |= {row.epoch: row for row in selections}
    for request in requests:
        row, lift = rows.get(request.epoch), log.lifted.get(request.id)
        if row is not None:
            yield from _lift(request, row, lift)
        elif request.scope == RequestScope.INTERACTIONS:
            yield f"request {request.id}: the events that it selected are not on record"


def _lift(request: ForgetRequest, row: Liftable, lift: Mapping[str, Any] | None) -> Iterable[str]:
    """A suppression that somebody lifted by hand lets a person be personalised again who asked to be forgotten."""
    if lift is None:
        if row.lifted_epoch is not None:
            yield f"request {request.id}: its suppression was lifted, and no entry says so"
    elif row.lifted_epoch is None:
        yield f"request {request.id}: its suppression is in force, its entry says that it was lifted"
    elif row.lifted_because != lift["because"]:
        yield f"request {request.id}: its suppression was lifted because {row.lifted_because}, its entry says otherwise"
    withdrawn = request.status in (RequestStatus.CANCELLED, RequestStatus.DENIED)
    if withdrawn and (row.lifted_epoch is None or row.lifted_because != request.status):
        yield f"request {request.id}: it is {request.status}, and its suppression does not say so"
