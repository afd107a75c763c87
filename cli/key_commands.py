"""API keys from the command line."""

from __future__ import annotations

from datetime import timedelta

from app.api_keys import queries as key_queries
from app.api_keys import service as api_keys
from app.api_keys.service import Scope
from app.db.clock import database_now
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.settings import get_settings
from cli.failures import CommandError

# A longer validity would have no practical meaning.
MAX_DAYS = 36_500


def _database() -> Database:
    engine = open_database(get_settings().database_url, pooled=False)
    require_current_schema(engine)
    return Database(engine)


def issue(name: str, scopes: list[str], days: int | None) -> str:
    """Issue a key and return it.

    Raises:
        CommandError: a scope is unknown, the name is taken, or the number of days is out of range.
    """
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise CommandError(f"--days must be from 1 to {MAX_DAYS}; without it, the key is valid until revoked")
    unknown = sorted(set(scopes) - {"all", *Scope})
    if unknown:
        raise CommandError(f"unknown scope {', '.join(unknown)}; choose from all, {', '.join(Scope)}")
    granted = list(Scope) if "all" in scopes else [Scope(scope) for scope in scopes]
    with _database().unit_of_work() as session:
        now = database_now(session)
        if any(key.name == name for key in key_queries.all_keys(session)):
            raise CommandError(f"there is a key named {name} already; revoked names are not used again")
        expires_at = now + timedelta(days=days) if days else None
        return api_keys.issue(session, name=name, scopes=granted, now=now, expires_at=expires_at)


def describe_all() -> list[str]:
    with _database().read() as session:
        return [
            f"{key.name}\t{','.join(key.scopes)}\t"
            + (f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else _validity(key.expires_at))
            for key in key_queries.all_keys(session)
        ]


def _validity(expires_at: object) -> str:
    return f"until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else "until revoked"


def revoke(name: str) -> None:
    """Revoke the key of this name.

    Raises:
        CommandError: there is no active key of that name.
    """
    with _database().unit_of_work() as session:
        if not api_keys.revoke(session, name=name, now=database_now(session)):
            raise CommandError(f"there is no active key named {name}")
