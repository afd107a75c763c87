"""The life of a run. A worker that dies leaves it `running`: its lease lapses, and the next one claims it."""

from __future__ import annotations

from enum import StrEnum

from app.db.models import Run, RunStage, RunStatus
from app.transitions import Transitions

_QUEUED, _RUNNING, _COMPLETED, _NEEDS_ATTENTION = RunStatus
_PAST_POINT_OF_NO_RETURN = (RunStage.PUBLISHED, RunStage.ERASING)

CREATED = _QUEUED


class RunEvent(StrEnum):
    """What can happen to a run. Being handed back, or held up by its surroundings, leaves it `running`."""

    CLAIMED = "claimed"
    COMPLETED = "completed"
    GIVEN_UP = "given_up"


RUNS = Transitions(
    RunStatus,
    {
        (_QUEUED, RunEvent.CLAIMED): _RUNNING,
        # Of a worker that is dead, or that has handed it back.
        (_RUNNING, RunEvent.CLAIMED): _RUNNING,
        # Its claims are used up before another one begins.
        (_QUEUED, RunEvent.GIVEN_UP): _NEEDS_ATTENTION,
        (_RUNNING, RunEvent.GIVEN_UP): _NEEDS_ATTENTION,
        (_RUNNING, RunEvent.COMPLETED): _COMPLETED,
    },
)


def is_past_return(run: Run) -> bool:
    """Whether the run has published: from then on it can only be finished."""
    return run.stage in _PAST_POINT_OF_NO_RETURN
