"""The states of a forget request. The only final state is `completed`; there is no `failed`."""

from __future__ import annotations

from enum import StrEnum

from app.db.models import RequestStatus
from app.transitions import Transitions

_QUEUED, _UNLEARNING, _DEPLOYING, _COMPLETED, _NEEDS_ATTENTION = RequestStatus

ACCEPTED = _QUEUED


class RequestEvent(StrEnum):
    """What can happen to an accepted request."""

    TAKEN = "taken"  # a run was claimed and takes it
    RETURNED = "returned"  # its run goes on without it, and another one takes it
    PUBLISHED = "published"  # its run has published a version, or withdrawn one
    COMPLETED = "completed"
    KNOWN_TO_BASE = "read_by_base"  # its run is done, but the base has read the subject
    EXHAUSTED = "exhausted"  # no rung of the ladder is left for it
    GIVEN_UP = "given_up"  # its run was given up
    QUEUED_AGAIN = "queued_again"  # by a person, or by a version that has not read the subject
    REOPENED = "reopened"  # it turned out that the base had read the subject


_Event = RequestEvent

REQUESTS = Transitions(
    RequestStatus,
    {
        (_QUEUED, _Event.TAKEN): _UNLEARNING,
        (_UNLEARNING, _Event.RETURNED): _QUEUED,
        (_UNLEARNING, _Event.PUBLISHED): _DEPLOYING,
        (_UNLEARNING, _Event.EXHAUSTED): _NEEDS_ATTENTION,
        (_UNLEARNING, _Event.GIVEN_UP): _NEEDS_ATTENTION,
        # If nothing has read the subject, there is nothing to publish.
        (_UNLEARNING, _Event.COMPLETED): _COMPLETED,
        (_UNLEARNING, _Event.KNOWN_TO_BASE): _NEEDS_ATTENTION,
        (_DEPLOYING, _Event.COMPLETED): _COMPLETED,
        (_DEPLOYING, _Event.KNOWN_TO_BASE): _NEEDS_ATTENTION,
        (_DEPLOYING, _Event.GIVEN_UP): _NEEDS_ATTENTION,
        (_NEEDS_ATTENTION, _Event.QUEUED_AGAIN): _QUEUED,
        (_COMPLETED, _Event.REOPENED): _NEEDS_ATTENTION,
    },
)
