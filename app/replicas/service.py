"""What a replica reads and reports. Replicas poll; a push only tells a replica to poll now."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from app.audit.transaction import Transaction
from app.audit.version_events import EngineEmptied
from app.db.clock import database_now
from app.db.errors import DatabaseUnconfirmed
from app.db.models import Ledger, Replica, ServingPointer, Suppression
from app.db.session import Database
from app.replicas.queries import silent_engines, taken_over
from app.takedowns import queries as takedowns

_FORGET_REPLICA_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class ControlState:
    """The serving pointer and the suppression feed, as one read found them.

    ``lifted`` are the ends of suppressions, each with an epoch of its own. ``taken_down`` are items, by their id. All
    epochs belong to ``timeline``. If ``vouched`` is False, the database is older than this process has seen it, or
    another one, and the journal has not been replayed yet. ``waited_seconds`` says how long ago each of ``suppressed``
    began, but for those from before the first read.
    """

    generation: int
    live_digest: str | None
    erasure_floor: int
    candidate_digest: str | None
    epoch: int
    suppressed: tuple[tuple[int, str], ...]
    timeline: str | None = None
    vouched: bool = True
    lifted: tuple[tuple[int, str], ...] = ()
    taken_down: tuple[tuple[int, str], ...] = ()
    waited_seconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class ReplicaReport:
    """What a replica serves: generation and digest, prepared candidate, the epoch that it enforces, and any error.

    ``outside_engine`` is `RankerLoader.outside_engine`.
    """

    replica_id: str
    generation: int
    live_digest: str | None
    ready_digest: str | None
    epoch: int
    resident_versions: tuple[str, ...] = ()
    error: str | None = None
    outside_engine: str | None = None


class DatabaseControlPlane:
    """The control plane of a replica, kept in the database.

    Args:
        on_rewound: called whenever the database is not, or may not be, the one that was joined; returns at once.
        lease_seconds: after a longer pause between two reads the database is doubted. A copy that lags behind may have
            replaced it, without the requests that were accepted in the pause.
        clock: a clock in seconds that does not stand still while this process is suspended.
    """

    def __init__(
        self,
        database: Database,
        on_rewound: Callable[[], None] = lambda: None,
        *,
        lease_seconds: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._on_rewound = on_rewound
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._read_at = clock()
        self._first_read: datetime | None = None

    def read(self, after_epoch: int) -> ControlState:
        """The pointer, every suppression that began or was lifted at an epoch above ``after_epoch``, and every item
        that was taken down at one.

        Raises:
            DatabaseUnavailable: nothing was read. The caller's lease is not renewed, and personalising must stop when
                it lapses.
        """
        started = self._clock()
        if started - self._read_at > self._lease_seconds:
            self._database.timeline.doubt()
        state = self._read(after_epoch)
        self._read_at = started
        if self._database.timeline.doubted:
            # The caller's lease has lapsed since the last read. Do not renew it.
            self._on_rewound()
            raise DatabaseUnconfirmed
        return state

    def _read(self, after_epoch: int) -> ControlState:
        seen = self._database.timeline.epoch
        with self._database.read() as session:
            # Read the epoch before the feed. Then a suppression that is committed in between is read again next time,
            # instead of being skipped for good.
            epoch, timeline = session.execute(select(Ledger.epoch, Ledger.timeline)).one()
            pointer = session.get_one(ServingPointer, 1)
            rows = session.execute(
                select(
                    Suppression.epoch,
                    Suppression.subject_hmac,
                    Suppression.lifted_epoch,
                    Suppression.suppressed_at,
                )
                .where(or_(Suppression.epoch > after_epoch, Suppression.lifted_epoch > after_epoch))
                .order_by(Suppression.epoch)
            ).all()
            # After the suppressions, so that no takedown below one of them is missing (`SuppressionSet.catch_up`).
            taken_down = takedowns.after(session, after_epoch)
            waited: tuple[float, ...] = ()
            if rows or self._first_read is None:
                now = database_now(session)
                self._first_read = self._first_read or now
                began = [row.suppressed_at for row in rows if row.suppressed_at >= self._first_read]
                waited = tuple(max(0.0, (now - at).total_seconds()) for at in began)
            vouched = self._database.timeline.agrees(timeline, epoch, seen=seen)
            if not vouched:
                self._on_rewound()
            return ControlState(
                generation=pointer.generation,
                live_digest=pointer.digest,
                erasure_floor=pointer.erasure_floor,
                candidate_digest=pointer.candidate_digest,
                epoch=epoch,
                suppressed=tuple((row.epoch, row.subject_hmac) for row in rows),
                timeline=timeline,
                vouched=vouched,
                lifted=tuple((row.lifted_epoch, row.subject_hmac) for row in rows if row.lifted_epoch),
                taken_down=tuple(taken_down),
                waited_seconds=waited,
            )

    def report(self, report: ReplicaReport) -> None:
        """Store the replica's report, which is also its heartbeat."""
        with self._database.unit_of_work() as session:
            session.merge(
                Replica(
                    id=report.replica_id,
                    last_seen_at=database_now(session),
                    generation=report.generation,
                    live_digest=report.live_digest,
                    ready_digest=report.ready_digest,
                    epoch=report.epoch,
                    resident_versions=list(report.resident_versions),
                    error=report.error,
                    outside_engine=report.outside_engine,
                )
            )


class NotSilent(Exception):
    """No silent replica with an engine outside its process has this name."""


def forget_old_replicas(session: Session, now: datetime) -> None:
    """Forget replicas that have been silent for long. One whose engine outlives it stays, until it is taken over or
    `retire` ends it.
    """
    over = or_(Replica.outside_engine.is_(None), taken_over())
    old = select(Replica.id).where(Replica.last_seen_at < now - _FORGET_REPLICA_AFTER, over)
    session.execute(delete(Replica).where(Replica.id.in_(session.scalars(old).all())))


def retire(transaction: Transaction, replica_id: str, *, timeout: timedelta, actor: str) -> None:
    """Take an operator's word that the engine of a silent replica is stopped and its folder emptied.

    Raises:
        NotSilent: nothing was changed.
    """
    session = transaction.session
    silent = silent_engines(session, now=transaction.now(), timeout=timeout)
    replica = next((one for one in silent if one.id == replica_id), None)
    if replica is None:
        raise NotSilent
    transaction.record(EngineEmptied(replica.id, replica.resident_versions), actor=actor)
    session.execute(delete(Replica).where(Replica.outside_engine == replica.outside_engine))
