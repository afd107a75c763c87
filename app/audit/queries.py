"""Queries of the audit log: filtered, a page at a time or as a whole, and what it says about one request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, Text, and_, cast, or_, select
from sqlalchemy.orm import Session

from app.audit import decision_events, events, key_events, target_events, version_events, webhook_events
from app.audit.events import Event
from app.db.models import AuditEntry, ForgetRequest

_ROWS_AT_A_TIME = 1000
_EVENTS = (events, decision_events, key_events, target_events, version_events, webhook_events)
# What happens to a run and says something about each of its requests.
_OF_RUNS = (
    "run.attempted",
    "run.rungs_skipped",
    "run.held_up",
    "run.handed_back",
    "run.needs_attention",
    "version.published",
    "version.withdrawn",
    "version.destroyed",
    "interactions.erased",
    "rows.reclaimed",
)


@dataclass(frozen=True)
class Filter:
    """Which entries are listed. ``about`` is an id or a digest that the entry's data contain."""

    action: str = ""
    about: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def apply(self, query: Select) -> Select:
        row, conditions = AuditEntry, list[ColumnElement[bool]]()
        if self.action:
            conditions.append(row.action == self.action)
        if self.about:
            conditions.append(_mentions(self.about))
        if self.since is not None:
            conditions.append(row.recorded_at >= self.since)
        if self.until is not None:
            conditions.append(row.recorded_at < self.until)
        return query.where(and_(*conditions)) if conditions else query


def actions() -> list[str]:
    """The names of all events that a log can have."""
    defined = [value for module in _EVENTS for value in vars(module).values() if isinstance(value, type)]
    return sorted({event.action for event in defined if issubclass(event, Event) and "action" in vars(event)})


def page(session: Session, filter_: Filter, *, limit: int, before: int | None = None) -> Sequence[AuditEntry]:
    """Up to `limit` entries, the newest first.

    Args:
        before: the sequence number that all entries must be below.
    """
    query = filter_.apply(select(AuditEntry))
    if before is not None:
        query = query.where(AuditEntry.sequence < before)
    return session.scalars(query.order_by(AuditEntry.sequence.desc()).limit(limit)).all()


def every(session: Session, filter_: Filter) -> Iterator[AuditEntry]:
    """All entries in order, read in blocks: they may not fit into memory."""
    query = filter_.apply(select(AuditEntry)).order_by(AuditEntry.sequence).limit(_ROWS_AT_A_TIME)
    some = session.scalars(query).all()
    while some:
        last = some[-1].sequence
        for entry in some:
            session.expunge(entry)
            yield entry
        some = session.scalars(query.where(AuditEntry.sequence > last)).all()


def of_request(session: Session, request: ForgetRequest) -> list[AuditEntry]:
    """What happened to a request: its own entries, and those of its runs while they had it, in order."""
    since = AuditEntry.recorded_at >= request.received_at
    own = session.scalars(
        select(AuditEntry).where(since, _mentions(request.id)).order_by(AuditEntry.sequence)
    ).all()
    claims = {entry.data["run"]: entry for entry in reversed(own) if entry.action == "run.claimed"}
    if not claims:
        return list(own)
    of_its_runs = session.scalars(
        select(AuditEntry)
        .where(
            AuditEntry.sequence > min(entry.sequence for entry in claims.values()),
            AuditEntry.action.in_(_OF_RUNS),
            or_(*(_mentions(run) for run in claims)),
        )
        .order_by(AuditEntry.sequence)
    ).all()
    left = {
        entry.data["run"]: entry.sequence
        for entry in own
        if entry.action in ("forget.split_out", "forget.needs_attention")
    }
    entries = {entry.sequence: entry for entry in own}
    for entry in of_its_runs:
        run = entry.data["run"]
        if claims[run].sequence < entry.sequence < left.get(run, entry.sequence + 1):
            entries[entry.sequence] = entry
    return [entries[sequence] for sequence in sorted(entries)]


def _mentions(identifier: str) -> ColumnElement[bool]:
    """Whether the entry's data contain this id as a value."""
    return cast(AuditEntry.data, Text).contains(f'"{identifier}"', autoescape=True)
