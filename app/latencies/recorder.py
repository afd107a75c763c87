"""Writes what the metrics of this process have counted since the last time into the database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.session import Database
from app.latencies import history
from app.latencies.history import Timed

log = structlog.get_logger()

_EVERY_SECONDS = 30.0


class LatencyRecorder:
    """A thread that adds the new counts of this replica to its hour. What the database does not take waits.

    Args:
        counters: for each thing that is timed, what says the counts of each step since the process began.
    """

    def __init__(
        self, database: Database, replica_id: str, counters: Mapping[Timed, Callable[[], Sequence[int]]]
    ) -> None:
        self._database = database
        self._replica_id = replica_id
        self._counters = counters
        self._written: dict[Timed, Sequence[int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="latencies", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after it has written once more."""
        self._stop.set()
        self._thread.join()

    def record(self) -> None:
        """Write what is new.

        Raises:
            DatabaseUnavailable: nothing was written.
        """
        now_counted = {what: counter() for what, counter in self._counters.items()}
        new = {
            what: [
                one - other
                for one, other in zip(counts, self._written.get(what, [0] * len(counts)), strict=True)
            ]
            for what, counts in now_counted.items()
        }
        if any(any(counts) for counts in new.values()):
            with self._database.unit_of_work() as session:
                now = database_now(session)
                for what, counts in new.items():
                    if any(counts):
                        history.add(session, self._replica_id, what, counts, now)
        self._written = now_counted

    def _loop(self) -> None:
        while True:
            stopping = self._stop.wait(_EVERY_SECONDS)
            try:
                self.record()
            except DatabaseUnavailable:
                log.warning("latencies.not_written")
            if stopping:
                return
