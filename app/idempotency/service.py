"""Keeping answers, in the transaction of what they answer, and finding them again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.audit.group_commit import NothingWritten
from app.db.models import KeptAnswer
from app.db.session import insert_ignoring_duplicates, rows_changed

KEPT_FOR = timedelta(days=7)


@dataclass(frozen=True)
class Answer:
    """An answer as it was sent, and the fingerprint of the request that it was sent to."""

    fingerprint: str
    status: int
    headers: dict[str, str]
    body: str


class KeyInUse(NothingWritten):
    """Another process works on a request with this key."""


def claim(session: Session, key_mac: str) -> None:
    """Claim the key until the transaction ends. Call it before anything is locked: it never waits.

    PostgreSQL drops the claim with the connection, so a process that dies leaves nothing behind. SQLite has one writer
    at a time: a second request waits for the first and then finds its answer.

    Raises:
        KeyInUse: another transaction has claimed it.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    number = int.from_bytes(bytes.fromhex(key_mac[:16]), signed=True)
    if not session.scalar(select(func.pg_try_advisory_xact_lock(number))):
        raise KeyInUse


def find(session: Session, key_mac: str, now: datetime) -> Answer | None:
    found = session.get(KeptAnswer, key_mac)
    if found is None or found.expires_at <= now:
        return None
    return Answer(found.fingerprint, found.status, found.headers, found.body)


def keep(session: Session, key_mac: str, answer: Answer, now: datetime) -> bool:
    """Store the answer. Returns False if there is one for this key already, which is left as it is."""
    session.execute(delete(KeptAnswer).where(KeptAnswer.key_mac == key_mac, KeptAnswer.expires_at <= now))
    values = {"key_mac": key_mac, "expires_at": now + KEPT_FOR, **asdict(answer)}
    insert = insert_ignoring_duplicates(session, KeptAnswer).values(values)
    stored = session.execute(insert.execution_options(preserve_rowcount=True))
    return rows_changed(stored) > 0


def delete_expired(session: Session, now: datetime) -> None:
    session.execute(delete(KeptAnswer).where(KeptAnswer.expires_at <= now))
