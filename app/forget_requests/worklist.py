"""The worklist: forget requests by the time that is left, filtered, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import Session

from app.db.models import ForgetBatchItem, ForgetRequest, RequestStatus, Run
from app.db.models.statuses import SETTLED
from app.forget_requests.dwelling import stalled
from app.forget_requests.policy import WITHOUT_STEPS, LongestHours
from app.subjects import SUBJECT_PREFIX

# A request is at risk in the last week of its month.
AT_RISK = timedelta(days=7)
# The place of a request in the list: the deadline, and the epoch among those due at the same instant.
Place = tuple[datetime, int]


class Due(StrEnum):
    """How an unfinished request stands against its deadline."""

    OVERDUE = "overdue"
    AT_RISK = "at_risk"
    ON_TRACK = "on_track"


@dataclass(frozen=True)
class Filter:
    """Which requests are listed. Without a status: all that are not done.

    ``reason`` is a `detail_code`. ``reference`` is the beginning of the caller's reference, ``subject`` the short name
    of a subject. ``stage`` is that of the request's run, ``version`` what that run has published, ``batch`` the batch
    that it came with. ``due_from`` is the first instant of the deadlines that are listed, ``due_until`` the first one
    after them. ``stalled``: only those that have stayed in their state for longer than ``longest`` allows.
    """

    statuses: tuple[RequestStatus, ...] = ()
    due: Due | None = None
    reason: str = ""
    reference: str = ""
    subject: str = ""
    stage: str = ""
    regime: str = ""
    batch: str = ""
    run: str = ""
    version: str = ""
    due_from: datetime | None = None
    due_until: datetime | None = None
    stalled: bool = False
    longest: LongestHours = WITHOUT_STEPS.longest_hours

    @property
    def newest_first(self) -> bool:
        """Whether all listed requests are done. Then nobody waits for the one that was due first."""
        return bool(self.statuses) and set(self.statuses) <= SETTLED

    def apply(self, query: Select, now: datetime) -> Select:
        """The query with these conditions."""
        row, conditions = ForgetRequest, list[ColumnElement[bool]]()
        conditions.append(row.status.in_(self.statuses) if self.statuses else row.status.not_in(SETTLED))
        if self.due is not None:
            conditions += [row.status.not_in(SETTLED), _due(self.due, now)]
        if self.reason:
            conditions.append(row.detail_code == self.reason)
        if self.reference:
            conditions.append(row.client_reference.startswith(self.reference, autoescape=True))
        if self.subject:
            digits = self.subject.removeprefix(SUBJECT_PREFIX)
            # A range, unlike a pattern, is read from the index. No hexadecimal digit sorts after g.
            conditions += [row.subject_hmac >= digits, row.subject_hmac < f"{digits}g"]
        if self.stalled:
            conditions.append(stalled(self.longest, now))
        return query.where(and_(*conditions, *self._further()))

    def _further(self) -> Iterator[ColumnElement[bool]]:
        row = ForgetRequest
        if self.regime:
            yield row.regime == self.regime
        if self.run:
            yield row.run_id == self.run
        if self.due_from is not None:
            yield row.due_at >= self.due_from
        if self.due_until is not None:
            yield row.due_at < self.due_until
        if self.stage:
            yield row.run_id.in_(select(Run.id).where(Run.stage == self.stage))
        if self.version:
            yield row.run_id.in_(select(Run.id).where(Run.version_digest == self.version))
        if self.batch:
            of_batch = select(ForgetBatchItem.request_id).where(ForgetBatchItem.batch_id == self.batch)
            yield row.id.in_(of_batch)


@dataclass(frozen=True)
class Counts:
    """Unfinished requests by deadline, and those among them that need a person."""

    on_track: int
    at_risk: int
    overdue: int
    needs_attention: int


def page(
    session: Session, filter_: Filter, now: datetime, *, limit: int, after: Place | None = None
) -> Sequence[ForgetRequest]:
    """Up to `limit` requests, the least time left first; of those that are done, the newest first."""
    row = ForgetRequest
    query = filter_.apply(select(row), now)
    if filter_.newest_first:
        query = query.order_by(row.due_at.desc(), row.epoch.desc())
    else:
        query = query.order_by(row.due_at, row.epoch)
    if after is not None:
        due_at, epoch = after
        beyond = row.due_at < due_at if filter_.newest_first else row.due_at > due_at
        further = row.epoch < epoch if filter_.newest_first else row.epoch > epoch
        query = query.where(or_(beyond, and_(row.due_at == due_at, further)))
    return session.scalars(query.limit(limit)).all()


def matching(session: Session, filter_: Filter, now: datetime) -> int:
    return session.scalar(filter_.apply(select(func.count()).select_from(ForgetRequest), now)) or 0


def counts(session: Session, now: datetime) -> Counts:
    row = ForgetRequest

    def of(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    found = session.execute(
        select(
            of(_due(Due.ON_TRACK, now)),
            of(_due(Due.AT_RISK, now)),
            of(_due(Due.OVERDUE, now)),
            of(row.status == RequestStatus.NEEDS_ATTENTION),
        ).where(row.status.not_in(SETTLED))
    ).one()
    return Counts(*found)


def reasons(session: Session) -> Sequence[str]:
    """Every `detail_code` of an unfinished request."""
    row = ForgetRequest
    return session.scalars(
        select(row.detail_code)
        .where(row.status.not_in(SETTLED), row.detail_code.is_not(None))
        .distinct()
        .order_by(row.detail_code)
    ).all()  # type: ignore[return-value]  # none is null


def named(session: Session, name: str, subject_hmac: str, *, limit: int) -> Sequence[ForgetRequest]:
    """The requests of this id, of this client reference, or of this subject, the newest first."""
    row = ForgetRequest
    return session.scalars(
        select(row)
        .where(or_(row.id == name, row.client_reference == name, row.subject_hmac == subject_hmac))
        .order_by(row.epoch.desc())
        .limit(limit)
    ).all()


def _due(due: Due, now: datetime) -> ColumnElement[bool]:
    at = ForgetRequest.due_at
    return {
        Due.OVERDUE: at < now,
        Due.AT_RISK: and_(at >= now, at < now + AT_RISK),
        Due.ON_TRACK: at >= now + AT_RISK,
    }[due]
