"""The states of a run. If its worker dies, it stays `running`; its lease lapses, and another worker claims it."""

from __future__ import annotations

from enum import StrEnum

from app.db.models import RequestScope, Run, RunKind, RunStage, RunStatus
from app.transitions import Transitions

_QUEUED, _RUNNING, _COMPLETED, _NEEDS_ATTENTION = RunStatus
_PAST_POINT_OF_NO_RETURN = (RunStage.PUBLISHED, RunStage.ERASING)

CREATED = _QUEUED


class RunEvent(StrEnum):
    """What can happen to a run. A run that is handed back, or paused by an outage, stays `running`."""

    CLAIMED = "claimed"
    COMPLETED = "completed"
    GIVEN_UP = "given_up"


RUNS = Transitions(
    RunStatus,
    {
        (_QUEUED, RunEvent.CLAIMED): _RUNNING,
        # Its worker has died, or has handed it back.
        (_RUNNING, RunEvent.CLAIMED): _RUNNING,
        # It was claimed too often.
        (_QUEUED, RunEvent.GIVEN_UP): _NEEDS_ATTENTION,
        (_RUNNING, RunEvent.GIVEN_UP): _NEEDS_ATTENTION,
        (_RUNNING, RunEvent.COMPLETED): _COMPLETED,
    },
)


# The kind of run that serves requests of each scope.
RUN_OF = {RequestScope.USER: RunKind.FORGET, RequestScope.INTERACTIONS: RunKind.SELECTION}
SCOPE_OF = {kind: scope for scope, kind in RUN_OF.items()}


def is_past_return(run: Run) -> bool:
    """Whether the run is past the point of no return: it has published, and can only be finished."""
    return run.stage in _PAST_POINT_OF_NO_RETURN
