"""The one clock that several processes go by: the database's.

Leases, heartbeats, deadlines and expiries are written by one process and read by others, whose machines' clocks may be
minutes or hours apart.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Select, func, literal_column, select
from sqlalchemy.orm import Session

# PostgreSQL's now() is the beginning of the transaction, which may lie before a long wait for a lock.
_POSTGRESQL = select(func.clock_timestamp(type_=DateTime(timezone=True)))
# SQLite has no machine of its own: its clock is that of the one that all of its processes run on.
_SQLITE: Select[str] = select(literal_column("strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"))


def database_now(session: Session) -> datetime:
    """What the database's clock shows at this moment; to a millisecond on SQLite."""
    # By way of the connection: asking for the time must not flush what the session is about to write.
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        moment: datetime = connection.execute(_POSTGRESQL).scalar_one()
    else:
        moment = datetime.fromisoformat(connection.execute(_SQLITE).scalar_one())
    return moment.astimezone(UTC)
