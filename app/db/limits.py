"""How long a process waits for the database before it goes on without."""

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
    """
    Args:
        connect_seconds: for a new connection, and for a sign of life of one that has been idle; at least 2.
        checkout_seconds: for a connection of the pool where all are in use.
        lock_seconds: for a lock on PostgreSQL.
        statement_seconds: what PostgreSQL gives one statement; None for any time.
        silence_seconds: how long nothing at all may come from PostgreSQL while a statement runs; None for any time. A
            server that hangs keeps its own limits no more than a proxy does that has stopped to forward.
    """

    connect_seconds: int = 3
    checkout_seconds: float = 5.0
    lock_seconds: float = 10.0
    statement_seconds: float | None = None
    silence_seconds: float | None = None

    @property
    def connect_arguments(self) -> dict[str, Any]:
        """For psycopg. A host that vanishes inside a transaction must not hold the ledger until TCP gives up."""
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


# A worker's, and of every command: what they do may take as long as it takes.
PATIENT = Limits()


class WatchedConnection(psycopg.Connection[Any]):
    """Gives a server up that stays silent for too long. The connection is of no use afterwards, and closed."""

    silence_seconds: float | None = None

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        return super().wait(self._watched(gen), *arguments, **named)

    def _watched(self, gen: Any) -> Generator[Any, Any, Any]:
        heard_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                # Nothing is ready several times a second, for as long as the server says nothing.
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
    """Have all connections of a PostgreSQL engine keep to the limits."""

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
        # Whoever takes it next asks it for a sign of life first.
        if connection is not None:
            connection.silence_seconds = limits.connect_seconds


def be_patient(session: Session, seconds: float) -> None:
    """Let the statements of this transaction stay silent for longer than others of this process may."""
    driver = session.connection().connection.driver_connection
    if isinstance(driver, WatchedConnection) and driver.silence_seconds is not None:
        driver.silence_seconds = max(seconds, driver.silence_seconds)
