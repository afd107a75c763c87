"""Parses LETHE_DATABASE_URL, and shows it without secrets."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.db.errors import UnsupportedDatabaseUrl

_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
_CHOICES = "use sqlite:///FILE or postgresql://USER@HOST/DATABASE"


def parse_address(url: str) -> URL:
    """The parsed address, with the driver that is used for this database.

    Raises:
        UnsupportedDatabaseUrl: it cannot be parsed, or names an unsupported database or driver.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # SQLAlchemy's message may quote a part of the password.
        raise UnsupportedDatabaseUrl(f"not the address of a database; {_CHOICES}") from error
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise UnsupportedDatabaseUrl(f"{parsed.drivername}:// is not supported; {_CHOICES}")
    if driver == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UnsupportedDatabaseUrl("a database in memory would be another one in each process; name a file")
    return parsed.set(drivername=driver)


def public_address(url: URL) -> str:
    """Scheme, host, port and database, without user, password and options."""
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{url.host or 'localhost'}{port}/{url.database or ''}"
