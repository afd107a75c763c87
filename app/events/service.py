"""Writing public events, in the transaction of what they tell, and dropping old ones.

The ledger's lock is held while an event gets its number and until the transaction ends. So the events become visible in
the order of their numbers: a reader of event n has not missed event n - 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.audit import events as audit
from app.audit.events import Event
from app.db.chunks import in_chunks
from app.db.models import ForgetRequest, Ledger, PublicEvent, RequestStatus
from app.events.names import OF_GIVEN_UP_RUNS, OF_REQUESTS, OF_VERSIONS, EventName

# A restored database would use numbers again that its readers have seen. So each timeline after a restore starts at a
# multiple of this. The numbers stay exact as JavaScript's numbers for two million timelines.
_NUMBERS_OF_A_TIMELINE = 2**32


def tell(session: Session, ledger: Ledger, event: Event, now: datetime) -> None:
    """Write the public events that follow from an entry of the audit log. Call under the ledger's lock."""
    if isinstance(event, audit.TimelineStarted) and event.timeline > 1:
        ledger.event_sequence = max(ledger.event_sequence, event.timeline * _NUMBERS_OF_A_TIMELINE)
    for name, about in _public(session, event):
        ledger.event_sequence += 1
        session.add(PublicEvent(sequence=ledger.event_sequence, name=name, recorded_at=now, **about))


def drop_old(session: Session, *, before: datetime) -> None:
    """Delete the events that were recorded before this time."""
    session.execute(
        delete(PublicEvent)
        .where(PublicEvent.recorded_at < before)
        .execution_options(synchronize_session=False)
    )


def _public(session: Session, event: Event) -> Iterator[tuple[EventName, dict[str, Any]]]:
    """Names of public events, and the columns that say what each is about."""
    kind, data = type(event), event.data()
    for request in _requests(session, event, data):
        for name in (*OF_REQUESTS.get(kind, ()), *OF_GIVEN_UP_RUNS.get(kind, ())):
            yield name, request
    for name in OF_VERSIONS.get(kind, ()):
        yield name, {"version": data["version"]}
    if isinstance(event, audit.TimelineStarted) and event.timeline > 1:
        yield EventName.SERVICE_RESTORED, {}


def _requests(session: Session, event: Event, data: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """The requests that the entry is about, with their present status, in the entry's order."""
    columns = select(ForgetRequest.id, ForgetRequest.client_reference, ForgetRequest.status)
    if type(event) in OF_GIVEN_UP_RUNS:
        attention = ForgetRequest.status == RequestStatus.NEEDS_ATTENTION
        query = columns.where(ForgetRequest.run_id == data["run"], attention).order_by(ForgetRequest.epoch)
        found = session.execute(query).all()
    elif type(event) in OF_REQUESTS:
        named = [data["request"]] if "request" in data else list(data["requests"])
        found = [
            row
            for ids in in_chunks(named)
            for row in session.execute(columns.where(ForgetRequest.id.in_(ids))).all()
        ]
        place = {request: number for number, request in enumerate(named)}
        found.sort(key=lambda row: place[row.id])
    else:
        found = []
    return [
        {"request_id": row.id, "client_reference": row.client_reference, "status": row.status}
        for row in found
    ]
