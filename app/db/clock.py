"""The clock that all processes share: the database's.

One process writes leases, heartbeats, deadlines and expiries, and others read them. The clocks of their machines may be
minutes or hours apart.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Select, func, literal_column, select
from sqlalchemy.orm import Session

# PostgreSQL's now() is the start of the transaction, which may be long before the end of a wait for a lock.
_POSTGRESQL = select(func.clock_timestamp(type_=DateTime(timezone=True)))
# SQLite has no server: it uses the clock of the machine, on which all its processes run.
_SQLITE: Select[str] = select(literal_column("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"))


def database_now(session: Session) -> datetime:
    """The present time by the database's clock; on SQLite to a millisecond."""
    # Use the connection and not the session, because a query of the session would flush pending changes.
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        moment: datetime = connection.execute(_POSTGRESQL).scalar_one()
    else:
        moment = datetime.fromisoformat(connection.execute(_SQLITE).scalar_one())
    return moment.astimezone(UTC)
