"""The life of a forget request, as one table. There is no `failed`: an erasure can only be late.

`docs/reference/states.md` is printed from this table.
"""

from __future__ import annotations

from enum import StrEnum

from app.db.models import RequestStatus
from app.transitions import Transitions


class RequestEvent(StrEnum):
    """What can happen to a request."""

    # People do these.
    VERIFIED = "verified"  # it is known who asks: by who sent the request, or by who has reached the person
    APPROVED = "approved"  # by a second person, or by the policy
    CANCELLED = "cancelled"  # at the person's own wish
    DENIED = "denied"  # by two people
    HELD = "held"  # until a person ends the hold
    RELEASED_TO_APPROVAL = "released_to_approval"  # a hold ends that began before the approval
    RELEASED = "released"  # a hold ends that began after the approval
    READMITTED = "readmitted"  # its subject comes back; what was erased stays erased
    QUEUED_AGAIN = "queued_again"  # by a person, or by a version that has not read the subject
    # The service does these.
    UNVERIFIED = "unverified"  # nobody has verified it in time; nothing had begun
    SUPERSEDED = "superseded"  # another request of the same person was completed before it
    WINDOW_ENDED = "window_ended"  # the cancel window is over, or a person ended it
    TAKEN = "taken"  # a run was claimed and takes it
    RETURNED = "returned"  # its run goes on without it, and another one takes it
    PUBLISHED = "published"  # its run has published a version, or withdrawn one
    AWAITED = "recipients_awaited"  # its run is done, but a mandatory recipient has not acknowledged
    COMPLETED = "completed"  # its run is done, and every mandatory recipient has acknowledged
    KNOWN_TO_BASE = "read_by_base"  # its run is done, but the base has read the subject
    EXHAUSTED = "exhausted"  # no rung of the ladder is left for it
    GIVEN_UP = "given_up"  # its run was given up
    REOPENED = "reopened"  # it turned out that the base had read the subject


_State, _Event = RequestStatus, RequestEvent

# Where every request begins. What a service or a person with a key sends is verified in the same transaction, and so is
# what an end user sends, unless the policy asks for more. Where it asks for no approval, it is approved there too.
CREATED = _State.PENDING_VERIFICATION

# A request that a run has taken can no longer be stopped: the run goes on without its subject's data.
_BEFORE_A_RUN = (_State.PENDING_APPROVAL, _State.SCHEDULED, _State.QUEUED)
_STOPPABLE = (_State.PENDING_VERIFICATION, *_BEFORE_A_RUN, _State.ON_HOLD)

REQUESTS = Transitions(
    RequestStatus,
    {
        (_State.PENDING_VERIFICATION, _Event.VERIFIED): _State.PENDING_APPROVAL,
        (_State.PENDING_VERIFICATION, _Event.UNVERIFIED): _State.CANCELLED,
        (_State.PENDING_VERIFICATION, _Event.SUPERSEDED): _State.CANCELLED,
        (_State.PENDING_APPROVAL, _Event.APPROVED): _State.SCHEDULED,
        (_State.SCHEDULED, _Event.WINDOW_ENDED): _State.QUEUED,
        **{(state, _Event.CANCELLED): _State.CANCELLED for state in _STOPPABLE},
        **{(state, _Event.DENIED): _State.DENIED for state in _STOPPABLE},
        **{(state, _Event.HELD): _State.ON_HOLD for state in _BEFORE_A_RUN},
        (_State.ON_HOLD, _Event.RELEASED_TO_APPROVAL): _State.PENDING_APPROVAL,
        (_State.ON_HOLD, _Event.RELEASED): _State.SCHEDULED,
        (_State.QUEUED, _Event.TAKEN): _State.UNLEARNING,
        (_State.UNLEARNING, _Event.RETURNED): _State.QUEUED,
        (_State.UNLEARNING, _Event.PUBLISHED): _State.DEPLOYING,
        (_State.UNLEARNING, _Event.EXHAUSTED): _State.NEEDS_ATTENTION,
        (_State.UNLEARNING, _Event.GIVEN_UP): _State.NEEDS_ATTENTION,
        (_State.UNLEARNING, _Event.AWAITED): _State.DEPLOYING,
        (_State.DEPLOYING, _Event.AWAITED): _State.DEPLOYING,
        # If nothing has read the subject, there is nothing to publish.
        (_State.UNLEARNING, _Event.COMPLETED): _State.COMPLETED,
        (_State.UNLEARNING, _Event.KNOWN_TO_BASE): _State.NEEDS_ATTENTION,
        (_State.DEPLOYING, _Event.COMPLETED): _State.COMPLETED,
        (_State.DEPLOYING, _Event.KNOWN_TO_BASE): _State.NEEDS_ATTENTION,
        (_State.DEPLOYING, _Event.GIVEN_UP): _State.NEEDS_ATTENTION,
        (_State.NEEDS_ATTENTION, _Event.QUEUED_AGAIN): _State.QUEUED,
        (_State.COMPLETED, _Event.READMITTED): _State.COMPLETED,
        (_State.COMPLETED, _Event.REOPENED): _State.NEEDS_ATTENTION,
    },
)
