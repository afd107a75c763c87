"""What open pages ask again and again: whether anything has changed. The answer costs next to nothing if nothing has.

A page asks for the mark here, and for its own content only when the mark has changed. Whoever replaces the asking by a
stream changes this module and `static/live.js`, and no page.
"""

from __future__ import annotations

import hashlib
import threading
import time
from datetime import timedelta
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.dashboard.access import Viewer, viewer_of
from app.dashboard.pages import PageRoute
from app.db.clock import database_now
from app.db.models import Ledger, Replica, Run, RunStatus
from app.db.session import Database
from app.runs.standing import standing

router = APIRouter(include_in_schema=False, route_class=PageRoute)

# All pages that ask within this time get one answer, however many are open.
_HOLDS_SECONDS = 0.9
# What only the clock changes, like the counters of what is overdue, is at most this late.
_EVERY_SECONDS = 60
# A heartbeat in this time counts as the same as another: it tells a reader of a page nothing new.
_SILENCE_SECONDS = 10


class Pulse:
    """Makes the mark, at most about once a second.

    Args:
        patience: as `app.runs.standing.standing` takes it.
    """

    def __init__(self, database: Database, patience: timedelta) -> None:
        self._database = database
        self._patience = patience
        self._lock = threading.Lock()
        self._mark = ""
        self._made_at = float("-inf")

    @property
    def recent(self) -> str | None:
        """The last mark, if it still holds."""
        return self._mark if time.monotonic() - self._made_at < _HOLDS_SECONDS else None

    def mark(self) -> str:
        """The mark now. Whoever comes while it is made waits for it.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        with self._lock:
            recent = self.recent
            if recent is not None:
                return recent
            with self._database.read() as session:
                self._mark = _mark(session, self._patience)
            self._made_at = time.monotonic()
            return self._mark


def _mark(session: Session, patience: timedelta) -> str:
    """A digest of all that changes what pages show: the log's end, the runs under way, the replicas, and the time."""
    now = database_now(session)
    runs = session.execute(
        select(Run.id, Run.status, Run.stage, Run.progress, Run.claims, Run.detail_code)
        .where(Run.status.in_((RunStatus.QUEUED, RunStatus.RUNNING)))
        .order_by(Run.id)
    ).all()
    replicas = session.execute(
        select(
            Replica.id,
            Replica.generation,
            Replica.live_digest,
            Replica.ready_digest,
            Replica.epoch,
            Replica.error,
            Replica.last_seen_at,
        ).order_by(Replica.id)
    ).all()
    heard_of = [(*row[:-1], (now - row.last_seen_at).total_seconds() < _SILENCE_SECONDS) for row in replicas]
    end = session.execute(select(Ledger.audit_sequence, Ledger.timeline)).one()
    stalled = standing(session, now, patience=patience).stalled_since is not None
    seen = (
        tuple(end),
        [tuple(row) for row in runs],
        stalled,
        heard_of,
        int(now.timestamp()) // _EVERY_SECONDS,
    )
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:20]


@router.get("/dashboard/live")
async def live(request: Request, _viewer: Annotated[Viewer, Depends(viewer_of)]) -> Response:
    """304 if nothing has changed since the mark that the page knows; 204 with the new mark otherwise."""
    pulse: Pulse = request.app.state.pulse
    mark = f'"{pulse.recent or await run_sync(pulse.mark)}"'
    known = request.headers.get("if-none-match")
    return Response(status_code=304 if known == mark else 204, headers={"ETag": mark})
