"""API keys from the command line."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from app.api_keys import queries as key_queries
from app.api_keys import service as api_keys
from app.api_keys.roles import SCOPES_OF, Role
from app.api_keys.service import Scope
from app.audit.key_events import KeyIssued, KeyRevoked, KeyRotated
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.db.models import ApiKey
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.settings import get_settings
from cli.failures import CommandError

# A longer validity would have no practical meaning.
MAX_DAYS = 36_500
_ACTOR = "lethe keys"
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}


def _database() -> Database:
    engine = open_database(get_settings().database_url, pooled=False)
    require_current_schema(engine)
    return Database(engine)


def _transaction() -> AbstractContextManager[Transaction]:
    return Transaction.begin(_database(), AuditLog.of(get_settings()))


def _moment(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()


def issue(
    name: str, roles: list[str], scopes: list[str], days: int | None, *, until_revoked: bool
) -> tuple[str, datetime | None]:
    """Issue a key. Returns it, and until when it is valid.

    Raises:
        CommandError: a role or a scope is unknown, the name is taken, or the number of days is out of range.
    """
    granted = _granted(roles, scopes)
    with _transaction() as transaction:
        session, now = transaction.session, transaction.now()
        if any(key.name == name for key in key_queries.all_keys(session)):
            raise CommandError(
                f"there is a key named {name} already; revoked names are not used again, and 'lethe keys rotate "
                f"{name}' issues another one of a valid key"
            )
        expires_at = _expiry(now, days, until_revoked=until_revoked)
        key = api_keys.issue(session, name=name, scopes=granted, now=now, expires_at=expires_at)
        transaction.record(KeyIssued(name, [*granted], _moment(expires_at)), actor=_ACTOR)
        return key, expires_at


def rotate(name: str, overlap: str, days: int | None, *, until_revoked: bool) -> tuple[str, datetime | None]:
    """Issue another key of this name. Returns it, and until when it is valid.

    Raises:
        CommandError: there is no valid key of that name, or a time is out of range.
    """
    lasting = _duration(overlap)
    with _transaction() as transaction:
        session, now = transaction.session, transaction.now()
        expires_at = _expiry(now, days, until_revoked=until_revoked)
        key = api_keys.rotate(session, name=name, now=now, overlap=lasting, expires_at=expires_at)
        if key is None:
            raise CommandError(f"there is no valid key named {name}")
        rotated = KeyRotated(name, _moment(expires_at), (now + lasting).isoformat())
        transaction.record(rotated, actor=_ACTOR)
        return key, expires_at


def _granted(roles: list[str], scopes: list[str]) -> list[Scope]:
    if not roles and not scopes:
        raise CommandError(f"name a role with --role ({', '.join(Role)}) or scopes with --scope")
    unknown = sorted(set(roles) - {*Role})
    if unknown:
        raise CommandError(f"unknown role {', '.join(unknown)}; choose from {', '.join(Role)}")
    unknown = sorted(set(scopes) - {"all", *Scope})
    if unknown:
        raise CommandError(f"unknown scope {', '.join(unknown)}; choose from all, {', '.join(Scope)}")
    named = {Scope(scope) for scope in scopes if scope != "all"}
    if "all" in scopes:
        named |= {*Scope}
    for role in roles:
        named |= SCOPES_OF[Role(role)]
    return [scope for scope in Scope if scope in named]


def _expiry(now: datetime, days: int | None, *, until_revoked: bool) -> datetime | None:
    if days is not None and until_revoked:
        raise CommandError("--days and --until-revoked contradict each other")
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise CommandError(f"--days must be from 1 to {MAX_DAYS}")
    settings = get_settings()
    if until_revoked or (days is None and settings.environment == "development"):
        return None
    return now + timedelta(days=days or settings.key_days)


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,5})([mhd])", text)
    if found is None:
        raise CommandError(f"--overlap {text!r} is no time; use a number with m, h or d, like 24h")
    return timedelta(minutes=int(found[1]) * _MINUTES[found[2]])


def describe_all() -> list[str]:
    with _database().read() as session:
        return [
            f"{_called(key)}\t{','.join(key.scopes)}\t"
            + (f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else _validity(key.expires_at))
            for key in key_queries.all_keys(session)
        ]


def _called(key: ApiKey) -> str:
    return f"{key.name} (rotation {key.rotation})" if key.rotation else key.name


def _validity(expires_at: object) -> str:
    return f"until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else "until revoked"


def revoke(name: str) -> None:
    """Revoke the key of this name.

    Raises:
        CommandError: there is no active key of that name.
    """
    with _transaction() as transaction:
        if not api_keys.revoke(transaction.session, name=name, now=transaction.now()):
            raise CommandError(f"there is no active key named {name}")
        transaction.record(KeyRevoked(name), actor=_ACTOR)
