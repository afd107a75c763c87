"""How long a process waits for the database before it gives up."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Limits:
    """Time limits, in seconds.

    Args:
        connect_seconds: for a new connection, and for the check of an idle one; at least 2.
        checkout_seconds: for a connection from the pool if all are in use.
        lock_seconds: for a lock on PostgreSQL.
        statement_seconds: PostgreSQL's own limit for one statement; None for no limit.
        silence_seconds: how long PostgreSQL may send nothing while a statement runs; None for no limit. A server that
            hangs, or a proxy that forwards nothing, does not enforce ``statement_seconds``.
    """

    connect_seconds: int = 3
    checkout_seconds: float = 5.0
    lock_seconds: float = 10.0
    statement_seconds: float | None = None
    silence_seconds: float | None = None

    @property
    def connect_arguments(self) -> dict[str, Any]:
        """Arguments for psycopg. A host that vanishes inside a transaction must not keep the ledger locked for long."""
        return {
            "connect_timeout": self.connect_seconds,
            "options": f"-c lock_timeout={round(self.lock_seconds * 1e3)} "
            "-c idle_in_transaction_session_timeout=60s "
            f"-c statement_timeout={round((self.statement_seconds or 0) * 1e3)}",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        }


# For workers and commands, whose statements may take any time.
PATIENT = Limits()


class WatchedConnection(psycopg.Connection[Any]):
    """Raises an error if the server stays silent for too long. The connection is closed then."""

    silence_seconds: float | None = None

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        return super().wait(self._watched(gen), *arguments, **named)

    def _watched(self, gen: Any) -> Generator[Any, Any, Any]:
        heard_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                # While the server is silent, psycopg returns several times a second without a ready state.
                ready = yield wanted
                if ready:
                    heard_at = time.monotonic()
                elif self.silence_seconds is not None and time.monotonic() - heard_at > self.silence_seconds:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer within {self.silence_seconds:g} seconds")
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value


def watch(engine: Engine, limits: Limits) -> None:
    """Apply the limits to all connections of a PostgreSQL engine."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, named: Any) -> WatchedConnection:
        connection = WatchedConnection.connect(*arguments, **named)
        connection.silence_seconds = limits.connect_seconds
        return connection

    @event.listens_for(engine, "checkout")
    def in_use(connection: WatchedConnection, _record: Any, _proxy: Any) -> None:
        connection.silence_seconds = limits.silence_seconds

    @event.listens_for(engine, "checkin")
    def idle(connection: WatchedConnection | None, _record: Any) -> None:
        # The next user of the connection first checks that it is alive.
        if connection is not None:
            connection.silence_seconds = limits.connect_seconds


def be_patient(session: Session, seconds: float) -> None:
    """Raise the limit of silence for the statements of this transaction."""
    driver = session.connection().connection.driver_connection
    if isinstance(driver, WatchedConnection) and driver.silence_seconds is not None:
        driver.silence_seconds = max(seconds, driver.silence_seconds)
