"""The worklist's filter as an address has it: whoever keeps the address keeps the view."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Query

from app.clock.deadlines import Regime
from app.dashboard import cursors
from app.dashboard.pages import addressed
from app.db.models import RequestStatus, RunStage
from app.dependencies import GatewayDependency
from app.forget_requests import worklist
from app.forget_requests.worklist import Due, Filter


@dataclass(frozen=True)
class Asked:
    """The filter and the place in the list, as the address has them."""

    filter: Filter
    after: worklist.Place | None = None

    def address(self, path: str, **changed: Any) -> str:
        """The same filter in an address; without a place, so from the beginning."""
        wanted = replace(self.filter, **changed)
        return addressed(
            path,
            status=[str(status) for status in wanted.statuses],
            due=str(wanted.due or ""),
            reason=wanted.reason,
            reference=wanted.reference,
            subject=wanted.subject,
            stage=wanted.stage,
            regime=wanted.regime,
            batch=wanted.batch,
            run=wanted.run,
            version=wanted.version,
            due_from=self.first_day if wanted.due_from else "",
            due_until=self.last_day if wanted.due_until else "",
            stalled="yes" if wanted.stalled else "",
        )

    @property
    def first_day(self) -> str:
        return "" if self.filter.due_from is None else self.filter.due_from.date().isoformat()

    @property
    def last_day(self) -> str:
        """The last day that is included."""
        end = self.filter.due_until
        return "" if end is None else (end - timedelta(days=1)).date().isoformat()

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out by a filter."""
        return any(
            getattr(self.filter, one.name) != one.default for one in fields(Filter) if one.name != "longest"
        )

    @property
    def further(self) -> bool:
        """Whether a filter is set that the page shows only when it is asked for more of them."""
        filter_ = self.filter
        return bool(filter_.stage or filter_.regime or filter_.batch or filter_.due_from or filter_.due_until)


def asked(
    gateway: GatewayDependency,
    status: Annotated[list[RequestStatus | Literal[""]] | None, Query()] = None,
    due: Due | Literal[""] = "",
    reason: Annotated[str, Query(pattern=r"^[A-Za-z0-9_]{0,40}$")] = "",
    reference: Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = "",
    subject: Annotated[str, Query(pattern=r"^(s_[0-9a-f]{1,12})?$")] = "",
    stage: RunStage | Literal[""] = "",
    regime: Regime | Literal[""] = "",
    batch: Annotated[str, Query(pattern=r"^([a-z]{2}_[0-9a-f]{32})?$")] = "",
    run: Annotated[str, Query(pattern=r"^(ur_[0-9a-f]{32})?$")] = "",
    version: Annotated[str, Query(pattern=r"^([0-9a-f]{64})?$")] = "",
    due_from: Annotated[str, Query(max_length=10)] = "",
    due_until: Annotated[str, Query(max_length=10)] = "",
    stalled: Literal["yes", ""] = "",
    after: Annotated[str, Query(max_length=40)] = "",
) -> Asked:
    """The filter of an address. A form sends what is not chosen as an empty value."""
    last_day = _midnight(due_until)
    return Asked(
        Filter(
            statuses=tuple(one for one in status or () if isinstance(one, RequestStatus)),
            due=due or None,
            reason=reason,
            reference=reference,
            subject=subject,
            stage=str(stage),
            regime=str(regime),
            batch=batch,
            run=run,
            version=version,
            due_from=_midnight(due_from),
            due_until=None if last_day is None else last_day + timedelta(days=1),
            stalled=stalled == "yes",
            longest=gateway.request_policy.longest_hours,
        ),
        cursors.decode(after),
    )


def _midnight(day: str) -> datetime | None:
    """When this day begins, UTC; None for what is no day."""
    try:
        found = date.fromisoformat(day)
    except ValueError:
        return None
    # No deadline lies beyond these, and no sum of days overflows.
    return datetime(found.year, found.month, found.day, tzinfo=UTC) if 2000 <= found.year < 9000 else None
