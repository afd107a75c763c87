"""Which steps a request goes through before a run may take it: the request policy, a validated JSON file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.clock.deadlines import Regime, due_at, started_at
from app.clock.zones import zone_named
from app.db.models import RequestStatus
from app.failures import SettingError
from app.settings import Settings

PACKAGED = ("default", "strict")
# A third of the shortest month: the rest is left for the erasure itself.
_LONGEST_WINDOW_HOURS = 28 * 24 / 3
_SHORTEST_MONTH_HOURS = 28 * 24
_StateHours = Annotated[float, Field(gt=0, le=366 * 24, allow_inf_nan=False)]


@dataclass(frozen=True)
class AskedClock:
    """What a caller says about the clock of a request; None for what the policy says.

    ``requested_at``: when the person asked, if that was before the request was received. It only shortens the time.
    """

    regime: Regime | None = None
    zone: str | None = None
    requested_at: datetime | None = None


@dataclass(frozen=True)
class Clock:
    """The clock of a request: the rules, the instant it counts from, and the deadline."""

    regime: Regime
    zone: str
    started_at: datetime
    due_at: datetime


class LongestHours(BaseModel):
    """How many hours a request may stay in each state before it counts as stalled (R-4). Every state but those that
    end a request has a limit.

    Two states end by themselves, and their hours count from that end: `pending_verification` from ``verify_until``,
    `scheduled` from ``cancel_until``. Beyond it nobody sweeps. A hold is stalled from its ``review_at`` on, and after
    these hours where the review is later. In every other state the hours count from when the request came into it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pending_verification: _StateHours = 1
    pending_approval: _StateHours = 72
    scheduled: _StateHours = 1
    on_hold: _StateHours = _SHORTEST_MONTH_HOURS
    queued: _StateHours = 24
    unlearning: _StateHours = 24
    deploying: _StateHours = 72
    needs_attention: _StateHours = 24

    def of(self, status: RequestStatus) -> timedelta:
        """The limit of a state that is not an end."""
        return timedelta(hours=getattr(self, status))


class RequestPolicy(BaseModel):
    """The steps of a request. The suppression starts once it is verified, whatever else the policy says.

    ``verification_hours``: what an end user sends with a token of their own must be verified within so many hours
    (`app.forget_requests.verification`); 0 takes the token for enough. ``approval``: a second person must approve.
    ``cancel_window_hours``: a request waits so long before it is queued, so that it can be cancelled; it can also be
    cancelled later, until a run takes it. ``regime`` and ``zone`` (an IANA name) set the deadline of requests that name
    none. ``days`` is the deadline of the regime ``policy``, and ``extended_days`` its extension, if it has one.
    ``consolidate_takedowns``: a worker asks for a consolidation as soon as an item was taken down; otherwise the
    takedown is erased by the next one. ``longest_hours``: after how long in one state a request counts as stalled.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verification_hours: float = Field(0, ge=0, le=_LONGEST_WINDOW_HOURS, allow_inf_nan=False)
    approval: bool = False
    cancel_window_hours: float = Field(0, ge=0, le=_LONGEST_WINDOW_HOURS, allow_inf_nan=False)

    regime: Regime = Regime.GDPR
    zone: str = "UTC"
    days: int | None = Field(None, ge=1, le=365)
    extended_days: int | None = Field(None, ge=1, le=365)

    consolidate_takedowns: bool = False

    longest_hours: LongestHours = LongestHours()

    @model_validator(mode="after")
    def _require_a_clock(self) -> Self:
        zone_named(self.zone)
        if self.regime is Regime.POLICY and self.days is None:
            raise ValueError("the regime policy needs days")
        if self.extended_days is not None and (self.days is None or self.extended_days <= self.days):
            raise ValueError("extended_days must exceed days")
        return self

    def clock(self, asked: AskedClock, received_at: datetime) -> Clock:
        """The clock of a request.

        Raises:
            ValueError: the zone is unknown, or the regime is ``policy`` and this policy has no days.
        """
        regime, zone = asked.regime or self.regime, asked.zone or self.zone
        started = started_at(received_at, asked.requested_at)
        days = self.days if regime is Regime.POLICY else None
        return Clock(regime, zone, started, due_at(regime, started, zone, days))

    def window_end(self, now: datetime) -> datetime | None:
        """When a window that opens now ends; None if there is no window."""
        return now + timedelta(hours=self.cancel_window_hours) if self.cancel_window_hours else None


WITHOUT_STEPS = RequestPolicy()
FROM_THE_POLICY = AskedClock()


def load_request_policy(settings: Settings) -> RequestPolicy:
    """The policy that ``LETHE_REQUEST_POLICY`` names: one that is packaged, or a file.

    Raises:
        SettingError: the file cannot be read, or is not a valid policy.
    """
    name = settings.request_policy
    try:
        text = (
            (files(__package__) / "policies" / f"{name}.json").read_text(encoding="utf-8")
            if name in PACKAGED
            else Path(name).read_text(encoding="utf-8")
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingError(f"LETHE_REQUEST_POLICY: cannot read {name}: {reason}") from error
    try:
        return RequestPolicy.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SettingError(f"LETHE_REQUEST_POLICY: {name}: {where}: {first['msg']}") from error
