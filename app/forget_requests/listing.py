"""Forget requests in the order of a worklist, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from sqlalchemy import ColumnElement, and_, false, func, literal, or_, select, tuple_, union_all
from sqlalchemy.orm import Session

from app.db.models import ForgetRequest, RequestStatus
from app.db.models.statuses import SETTLED
from app.forget_requests.dwelling import stalled
from app.forget_requests.policy import WITHOUT_STEPS, LongestHours

# Whatever has this form is a place in the order: deadlines from 1970 on, epochs below 2**63.
CURSOR = r"^[01][0-2][0-9a-f]{14}[0-7][0-9a-f]{15}$"
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Cursor(NamedTuple):
    """The place of a request in the order: unfinished ones first, then the nearest deadline, then the epoch."""

    settled: bool
    due_at: datetime
    epoch: int

    def encoded(self) -> str:
        """As text of the form `CURSOR`. Callers only send it back."""
        return f"{self.settled:d}{(self.due_at - _UNIX_EPOCH) // _MICROSECOND:015x}{self.epoch:016x}"

    @classmethod
    def decoded(cls, text: str) -> Self:
        """The place that a text of the form `CURSOR` stands for."""
        due_at = _UNIX_EPOCH + int(text[1:16], 16) * _MICROSECOND
        return cls(text[0] == "1", due_at, int(text[16:], 16))


@dataclass(frozen=True)
class Wanted:
    """Which requests to list. None and an empty set leave nothing out. ``longest`` says which are stalled."""

    statuses: frozenset[RequestStatus] = frozenset()
    overdue: bool | None = None
    stalled: bool | None = None
    longest: LongestHours = WITHOUT_STEPS.longest_hours
    client_reference: str | None = None
    received_from: datetime | None = None
    received_before: datetime | None = None

    def conditions(self, now: datetime) -> list[ColumnElement[bool]]:
        """The conditions beside the status."""
        found: list[ColumnElement[bool]] = []
        if self.client_reference is not None:
            found.append(ForgetRequest.client_reference == self.client_reference)
        if self.received_from is not None:
            found.append(ForgetRequest.received_at >= self.received_from)
        if self.received_before is not None:
            found.append(ForgetRequest.received_at < self.received_before)
        if self.overdue is not None:
            found.append(_overdue(now) if self.overdue else ~_overdue(now))
        if self.stalled is not None:
            # What has no time yet is not stalled.
            is_stalled = func.coalesce(stalled(self.longest, now), false())
            found.append(is_stalled if self.stalled else ~is_stalled)
        return found


class Page(NamedTuple):
    """Some requests in order, and the cursor of the last one if there are more."""

    requests: Sequence[ForgetRequest]
    next: Cursor | None


def page(session: Session, wanted: Wanted, *, after: Cursor | None, limit: int, now: datetime) -> Page:
    """The requests that follow ``after``, at most ``limit``.

    Each status is read by itself, because an index has the requests of one status in order. So no more than a page of
    each status is read, however many requests there are.
    """
    conditions = wanted.conditions(now)
    # Only what the order needs: with all columns, to write this statement would take longer than to run it.
    heads = [
        select(
            ForgetRequest.id,
            ForgetRequest.due_at,
            ForgetRequest.epoch,
            literal(status in SETTLED).label("settled"),
        )
        .where(ForgetRequest.status == status, *_following(status, after), *conditions)
        .order_by(ForgetRequest.due_at, ForgetRequest.epoch)
        .limit(limit + 1)
        .subquery()
        for status in RequestStatus
        if (not wanted.statuses or status in wanted.statuses)
        and (after is None or not after.settled or status in SETTLED)
        # None of them would be found among all that were ever settled.
        and (not wanted.stalled or status not in SETTLED)
    ]
    if not heads:
        return Page((), None)
    among = union_all(*(select(head) for head in heads)).subquery().c
    places = session.execute(
        select(among.id, among.settled, among.due_at, among.epoch)
        .order_by(among.settled, among.due_at, among.epoch)
        .limit(limit + 1)
    ).all()
    ids = [place.id for place in places[:limit]]
    rows = session.scalars(select(ForgetRequest).where(ForgetRequest.id.in_(ids)))
    request = {row.id: row for row in rows}
    # Where the next page begins is said by the order that was read, even if a request has got further since.
    last = places[limit - 1] if len(places) > limit else None
    following = None if last is None else Cursor(bool(last.settled), last.due_at, last.epoch)
    return Page([request[id_] for id_ in ids], following)


def _following(status: RequestStatus, after: Cursor | None) -> list[ColumnElement[bool]]:
    if after is None or after.settled != (status in SETTLED):
        return []
    place = tuple_(ForgetRequest.due_at, ForgetRequest.epoch)
    return [place > (after.due_at, after.epoch)]


def _overdue(now: datetime) -> ColumnElement[bool]:
    """Whether the deadline passed before the request was over, or has passed by now."""
    over = func.coalesce(ForgetRequest.completed_at, ForgetRequest.withdrawn_at)
    return and_(ForgetRequest.due_at < now, or_(over.is_(None), ForgetRequest.due_at < over))
