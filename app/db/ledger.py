"""The ledger: one row whose lock puts accepting, claiming, publishing and finishing in order."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.errors import SubjectKeyChanged
from app.db.models import Ledger
from app.db.session import LEDGER, TIMELINE
from app.db.timeline import JoinedTimeline


def lock_ledger(session: Session) -> Ledger:
    """Lock the ledger until the transaction ends.

    A transaction that locks the ledger locks it first. So there is one lock order and no deadlock. Epochs are handed
    out under the lock, so they become visible in order: a reader of epoch n has not missed epoch n - 1.

    Raises:
        DatabaseRewound: the database was restored or replaced since this process joined its timeline.
        DatabaseUnconfirmed: the database may have been restored or replaced.
    """
    ledger = session.execute(select(Ledger).where(Ledger.id == 1).with_for_update()).scalar_one()
    joined: JoinedTimeline | None = session.info.get(TIMELINE)
    # Check once per transaction: later, this session may have moved the epoch itself.
    if joined is not None and LEDGER not in session.info:
        joined.require(ledger.timeline, ledger.epoch)
        session.info[LEDGER] = ledger
    return ledger


def require_subject_key(session: Session, check: str) -> None:
    """Store the key's check value on the first call, and compare it on every later one.

    Raises:
        SubjectKeyChanged: another key named the subjects in this database.
    """
    ledger = lock_ledger(session)
    if ledger.subject_key_check is None:
        ledger.subject_key_check = check
    elif ledger.subject_key_check != check:
        raise SubjectKeyChanged


def next_epoch(ledger: Ledger) -> int:
    ledger.epoch += 1
    return ledger.epoch


def next_fence(ledger: Ledger) -> int:
    ledger.fence += 1
    return ledger.fence
