"""How far a running run is, and how much longer its present rung may take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.attempts import queries as attempts
from app.db.models import Run, RunStatus

# What a worker notes: the method, perhaps its stage, perhaps step/steps.
_NOTE = re.compile(r"(?P<method>[a-z0-9_]+)(?:: (?P<stage>[^/]*?))?(?: (?P<done>\d+)/(?P<all>\d+))?")


@dataclass(frozen=True)
class Progress:
    """The worker's note in parts.

    ``left`` is what the slowest of the method's last attempts would still take from now on; None if there was none, or
    if this one takes longer already.
    """

    method: str
    stage: str
    done: int
    of_all: int
    left: timedelta | None


def progress_of(session: Session, run: Run, now: datetime) -> Progress | None:
    """The progress of a run; None unless its worker has said something."""
    found = _NOTE.fullmatch(run.progress or "") if run.status == RunStatus.RUNNING else None
    if found is None:
        return None
    slowest = attempts.slowest(session, found["method"])
    tried = attempts.of_run(session, run.id)
    began = max([one.finished_at for one in tried], default=run.started_at) or now
    left = None if slowest is None else slowest - (now - began)
    return Progress(
        method=found["method"],
        stage=found["stage"] or "",
        done=int(found["done"] or 0),
        of_all=int(found["all"] or 0),
        left=left if left is not None and left > timedelta(0) else None,
    )
