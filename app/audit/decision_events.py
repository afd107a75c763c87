"""Events of the audit log: what people decided about requests, and what that did. See `app.audit.events`."""

from __future__ import annotations

from dataclasses import dataclass

from app.audit.events import Event


@dataclass(frozen=True)
class ForgetReceived(Event):
    """An end user's request waits until somebody verifies it. Nothing has begun."""

    action = "forget.received"
    request: str
    due_at: str
    verify_until: str


@dataclass(frozen=True)
class ForgetVerified(Event):
    """Somebody has made sure who asks. The acceptance follows in an entry of its own. ``method`` says how."""

    action = "forget.verified"
    request: str
    method: str


@dataclass(frozen=True)
class ForgetUnverified(Event):
    """Nobody has verified a request in time."""

    action = "forget.unverified"
    request: str


@dataclass(frozen=True)
class ForgetSuperseded(Event):
    """A request that waited for its verification is not needed: ``by`` is about the same person."""

    action = "forget.superseded"
    request: str
    by: str


@dataclass(frozen=True)
class ForgetApproved(Event):
    action = "forget.approved"
    request: str


@dataclass(frozen=True)
class ForgetWindowEnded(Event):
    """The cancel window of a request is over, and the request is queued."""

    action = "forget.window_ended"
    request: str


@dataclass(frozen=True)
class ForgetExpedited(Event):
    """A request goes before the others; its cancel window, if it has one, ends now."""

    action = "forget.expedited"
    request: str
    reason: str


@dataclass(frozen=True)
class ForgetHeld(Event):
    action = "forget.held"
    request: str
    reason: str
    review_at: str


@dataclass(frozen=True)
class ForgetReleased(Event):
    action = "forget.released"
    request: str


@dataclass(frozen=True)
class ForgetExtended(Event):
    """The deadline of a request was moved, once and within the legal limit. ``before`` and ``due_at`` are instants."""

    action = "forget.extended"
    request: str
    reason: str
    before: str
    due_at: str


@dataclass(frozen=True)
class ForgetCancelled(Event):
    action = "forget.cancelled"
    request: str
    reason: str


@dataclass(frozen=True)
class ForgetDenialProposed(Event):
    """The first of two people has denied a request. Nothing changes before the second one does."""

    action = "forget.denial_proposed"
    request: str
    reason: str


@dataclass(frozen=True)
class ForgetDenied(Event):
    action = "forget.denied"
    request: str
    reason: str


@dataclass(frozen=True)
class ReadmissionProposed(Event):
    """The first of two people wants to readmit somebody who was forgotten."""

    action = "suppression.readmission_proposed"
    request: str
    reason: str


@dataclass(frozen=True)
class SuppressionLifted(Event):
    """A suppression was lifted. ``epoch`` is that of the lift, ``subject`` a value of `AuditLog.subject_digest`."""

    action = "suppression.lifted"
    request: str
    epoch: int
    because: str
    subject: str


@dataclass(frozen=True)
class SelectionLifted(Event):
    """A selection was lifted; its events are shown again. The fields are those of `SuppressionLifted`."""

    action = "selection.lifted"
    request: str
    epoch: int
    because: str
    subject: str


@dataclass(frozen=True)
class ForgetDeadlineNears(Event):
    """``percent`` of the time until the deadline have passed: 50, 75, 90 or 100."""

    action = "forget.deadline_nears"
    request: str
    percent: int
    due_at: str


@dataclass(frozen=True)
class ForgetStalled(Event):
    """A request has stayed in the state ``status`` for longer than the request policy allows.

    ``longest_hours`` is the limit, which counts from ``since``: when the request came into the state, or when the state
    should have ended by itself. After the review of a hold, the limit is 0 and ``since`` is the review.
    """

    action = "forget.stalled"
    request: str
    status: str
    since: str
    longest_hours: float
