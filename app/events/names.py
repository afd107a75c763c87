"""Which public events follow from an entry of the audit log. A new event is one line in one of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from app.audit import events as audit
from app.audit.events import Event


class EventName(StrEnum):
    """The names of the public events."""

    FORGET_ACCEPTED = "forget.accepted"
    FORGET_STARTED = "forget.started"
    FORGET_QUEUED = "forget.queued"
    FORGET_NEEDS_ATTENTION = "forget.needs_attention"
    FORGET_COMPLETED = "forget.completed"
    FORGET_REOPENED = "forget.reopened"
    SUPPRESSION_ACTIVE = "suppression.active"
    VERSION_PUBLISHED = "version.published"
    VERSION_WITHDRAWN = "version.withdrawn"
    VERSION_DESTROYED = "version.destroyed"
    SERVICE_RESTORED = "service.restored"


_Name = EventName

# About each request that the entry names in its field ``request`` or ``requests``.
OF_REQUESTS: Mapping[type[Event], Sequence[EventName]] = {
    audit.ForgetAccepted: (_Name.FORGET_ACCEPTED, _Name.SUPPRESSION_ACTIVE),
    audit.RunClaimed: (_Name.FORGET_STARTED,),
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
    audit.VersionPublished: (_Name.VERSION_PUBLISHED,),
    audit.VersionWithdrawn: (_Name.VERSION_WITHDRAWN,),
    audit.VersionDestroyed: (_Name.VERSION_DESTROYED,),
}
