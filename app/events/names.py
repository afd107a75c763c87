"""Which public events follow from an entry of the audit log. A new event is one line in one of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from app.audit import decision_events as decided
from app.audit import events as audit
from app.audit import takedown_events, target_events, version_events
from app.audit.events import Event


class EventName(StrEnum):
    """The names of the public events."""

    FORGET_RECEIVED = "forget.received"
    FORGET_ACCEPTED = "forget.accepted"
    FORGET_SCHEDULED = "forget.scheduled"
    FORGET_HELD = "forget.held"
    FORGET_RELEASED = "forget.released"
    FORGET_EXPEDITED = "forget.expedited"
    FORGET_EXTENDED = "forget.extended"
    FORGET_CANCELLED = "forget.cancelled"
    FORGET_DENIED = "forget.denied"
    FORGET_STARTED = "forget.started"
    FORGET_RECIPIENT_NOTICE = "forget.recipient_notice"
    FORGET_QUEUED = "forget.queued"
    FORGET_NEEDS_ATTENTION = "forget.needs_attention"
    FORGET_COMPLETED = "forget.completed"
    FORGET_REOPENED = "forget.reopened"
    FORGET_STALLED = "forget.stalled"
    FORGET_DEADLINE_WARNING = "forget.deadline.warning"
    FORGET_DEADLINE_BREACHED = "forget.deadline.breached"
    SUPPRESSION_ACTIVE = "suppression.active"
    SUPPRESSION_LIFTED = "suppression.lifted"
    SELECTION_ACTIVE = "selection.active"
    SELECTION_LIFTED = "selection.lifted"
    ITEM_TAKEN_DOWN = "item.taken_down"
    ITEM_ERASED = "item.erased"
    VERSION_PUBLISHED = "version.published"
    VERSION_WITHDRAWN = "version.withdrawn"
    VERSION_DESTROYED = "version.destroyed"
    SERVICE_RESTORED = "service.restored"


_Name = EventName

# About each request that the entry names in its field ``request`` or ``requests``.
OF_REQUESTS: Mapping[type[Event], Sequence[EventName]] = {
    audit.ForgetAccepted: (_Name.FORGET_ACCEPTED, _Name.SUPPRESSION_ACTIVE),
    decided.ForgetReceived: (_Name.FORGET_RECEIVED,),
    decided.ForgetUnverified: (_Name.FORGET_CANCELLED,),
    decided.ForgetSuperseded: (_Name.FORGET_CANCELLED,),
    decided.ForgetApproved: (_Name.FORGET_SCHEDULED,),
    decided.ForgetWindowEnded: (_Name.FORGET_QUEUED,),
    decided.ForgetHeld: (_Name.FORGET_HELD,),
    decided.ForgetReleased: (_Name.FORGET_RELEASED,),
    decided.ForgetExpedited: (_Name.FORGET_EXPEDITED,),
    decided.ForgetExtended: (_Name.FORGET_EXTENDED,),
    decided.ForgetCancelled: (_Name.FORGET_CANCELLED,),
    decided.ForgetDenied: (_Name.FORGET_DENIED,),
    decided.SuppressionLifted: (_Name.SUPPRESSION_LIFTED,),
    decided.SelectionLifted: (_Name.SELECTION_LIFTED,),
    decided.ForgetStalled: (_Name.FORGET_STALLED,),
    decided.ForgetDeadlineNears: (_Name.FORGET_DEADLINE_WARNING,),
    audit.RunClaimed: (_Name.FORGET_STARTED,),
    target_events.RecipientsNotified: (_Name.FORGET_RECIPIENT_NOTICE,),
    audit.ForgetRetried: (_Name.FORGET_QUEUED,),
    audit.ForgetLeftOut: (_Name.FORGET_QUEUED,),
    audit.ForgetSplitOut: (_Name.FORGET_QUEUED,),
    audit.ForgetNeedsAttention: (_Name.FORGET_NEEDS_ATTENTION,),
    audit.ForgetCompleted: (_Name.FORGET_COMPLETED,),
    audit.ForgetReopened: (_Name.FORGET_REOPENED,),
}
# About each request of the run that the entry names, if the request needs attention now.
OF_GIVEN_UP_RUNS: Mapping[type[Event], Sequence[EventName]] = {
    audit.RunNeedsAttention: (_Name.FORGET_NEEDS_ATTENTION,),
}
# About the version that the entry names in its field ``version``.
OF_VERSIONS: Mapping[type[Event], Sequence[EventName]] = {
    audit.VersionInstalled: (_Name.VERSION_PUBLISHED,),
    audit.VersionRolledBack: (_Name.VERSION_PUBLISHED,),
    audit.VersionPublished: (_Name.VERSION_PUBLISHED,),
    audit.VersionWithdrawn: (_Name.VERSION_WITHDRAWN,),
    audit.VersionDestroyed: (_Name.VERSION_DESTROYED,),
    version_events.VersionDestructionFinished: (_Name.VERSION_DESTROYED,),
}

# About the takedown that the entry names in its field ``takedown``.
OF_TAKEDOWNS: Mapping[type[Event], Sequence[EventName]] = {
    takedown_events.ItemTakenDown: (_Name.ITEM_TAKEN_DOWN,),
    takedown_events.ItemErased: (_Name.ITEM_ERASED,),
}


def about_requests(event: Event) -> Sequence[EventName]:
    """What follows for each request that the entry names in its field ``request`` or ``requests``."""
    if isinstance(event, decided.ForgetDeadlineNears) and event.percent >= 100:
        return (EventName.FORGET_DEADLINE_BREACHED,)
    return OF_REQUESTS.get(type(event), ())
