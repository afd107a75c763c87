"""Writing public events, in the transaction of what they tell, and dropping old ones.

The ledger's lock is held while an event gets its number and until the transaction ends. So the events become visible in
the order of their numbers: a reader of event n has not missed event n - 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.event import listen
from sqlalchemy.orm import Session

from app.audit import events as audit
from app.audit.events import Event
from app.db.chunks import in_chunks
from app.db.models import ForgetRequest, ItemTakedown, Ledger, PublicEvent, RequestScope, RequestStatus
from app.events.names import OF_GIVEN_UP_RUNS, OF_TAKEDOWNS, OF_VERSIONS, EventName, about_requests

# A restored database would use numbers again that its readers have seen. So each timeline after a restore starts at a
# multiple of this. The numbers stay exact as JavaScript's numbers for two million timelines.
_NUMBERS_OF_A_TIMELINE = 2**32
# The key in `Session.info` of the events that this transaction has not written yet.
_TOLD = "told"


def tell(session: Session, ledger: Ledger, event: Event, now: datetime) -> None:
    """Note the public events that follow from an entry of the audit log. Call under the ledger's lock.

    They are numbered and written when the transaction is committed, with the status that each request has by then.
    """
    if isinstance(event, audit.TimelineStarted) and event.timeline > 1:
        ledger.event_sequence = max(ledger.event_sequence, event.timeline * _NUMBERS_OF_A_TIMELINE)
    told: list[PublicEvent] = session.info.setdefault(_TOLD, [])
    for name, about in _public(session, event):
        if not told:
            listen(session, "before_commit", partial(_write, ledger), once=True)
        told.append(PublicEvent(name=name, recorded_at=now, **about))


def drop_old(session: Session, *, before: datetime) -> None:
    """Delete the events that were recorded before this time."""
    session.execute(
        delete(PublicEvent)
        .where(PublicEvent.recorded_at < before)
        .execution_options(synchronize_session=False)
    )


def _public(session: Session, event: Event) -> Iterator[tuple[EventName, dict[str, str | None]]]:
    """Names of public events, and the column that says what each is about."""
    kind, data = type(event), event.data()
    if names := about_requests(event):
        for request in [data["request"]] if "request" in data else data["requests"]:
            for name in names:
                yield name, {"request_id": request}
    if kind in OF_GIVEN_UP_RUNS:
        for request in _given_up(session, data["run"]):
            for name in OF_GIVEN_UP_RUNS[kind]:
                yield name, {"request_id": request}
    for name in OF_VERSIONS.get(kind, ()):
        yield name, {"version": data["version"]}
    for name in OF_TAKEDOWNS.get(kind, ()):
        yield name, {"takedown_id": data["takedown"], "item_id": data["item"], "version": data.get("version")}
    if isinstance(event, audit.TimelineStarted) and event.timeline > 1:
        yield EventName.SERVICE_RESTORED, {}


def _given_up(session: Session, run_id: str) -> Sequence[str]:
    attention = ForgetRequest.status == RequestStatus.NEEDS_ATTENTION
    query = select(ForgetRequest.id).where(ForgetRequest.run_id == run_id, attention)
    return session.scalars(query.order_by(ForgetRequest.epoch)).all()


def _write(ledger: Ledger, session: Session) -> None:
    """Add the events of this transaction, with what is known of their requests now."""
    told: list[PublicEvent] = session.info.pop(_TOLD)
    requests = _requests(session, {event.request_id for event in told if event.request_id is not None})
    for event in told:
        request = requests.get(event.request_id)
        if request is not None:
            if event.name == EventName.SUPPRESSION_ACTIVE and request.scope != RequestScope.USER:
                # Only some of a person's events are to be forgotten. The person goes on being personalised for.
                event.name = EventName.SELECTION_ACTIVE
            event.describe(request.client_reference, request.status)
        if event.takedown_id is not None:
            takedown = session.get_one(ItemTakedown, event.takedown_id)
            event.describe(takedown.client_reference, takedown.state)
        ledger.event_sequence += 1
        event.sequence = ledger.event_sequence
        session.add(event)


def _requests(session: Session, ids: set[str]) -> dict[str | None, ForgetRequest | Row[Any]]:
    # A request that is accepted now need not be read, which would write the ledger twice. Others may have been changed
    # by statements that their objects do not know of.
    requests: dict[str | None, ForgetRequest | Row[Any]] = {
        request.id: request
        for request in session.new
        if isinstance(request, ForgetRequest) and request.id in ids
    }
    columns = select(
        ForgetRequest.id, ForgetRequest.scope, ForgetRequest.client_reference, ForgetRequest.status
    )
    for some in in_chunks(one for one in ids if one not in requests):
        requests |= {row.id: row for row in session.execute(columns.where(ForgetRequest.id.in_(some)))}
    return requests
