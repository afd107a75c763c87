"""Who has been read by what no longer shows it: a base, and versions that have been replaced.

Personal data, by HMAC. Whom the versions in the store have read is recorded with each version.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from app.db.ledger import lock_ledger
from app.db.models import BaseReader, PastReader
from app.db.session import insert_ignoring_duplicates

_ROWS_PER_STATEMENT = 1000


def record_base_readers(session: Session, base_digest: str, subjects: Collection[str]) -> None:
    """Replace what was recorded of this base. Kept while it may serve: no edit of an adapter reaches what it knows."""
    lock_ledger(session)
    session.execute(delete(BaseReader).where(BaseReader.base_digest == base_digest))
    for chunk in _chunks(subjects):
        session.execute(
            insert(BaseReader), [{"base_digest": base_digest, "subject_hmac": subject} for subject in chunk]
        )


def base_readers_among(session: Session, base_digest: str, subjects: Collection[str]) -> frozenset[str]:
    """Those of these subjects whom the base has read."""
    return frozenset(
        session.scalars(
            select(BaseReader.subject_hmac).where(
                BaseReader.base_digest == base_digest, BaseReader.subject_hmac.in_(subjects)
            )
        )
    )


def count_base_readers(session: Session, base_digest: str) -> int:
    """How many people are on record as read by this base."""
    counted = select(func.count()).select_from(BaseReader).where(BaseReader.base_digest == base_digest)
    return session.scalar(counted) or 0


def forget_other_bases(session: Session, base_digest: str) -> None:
    """Drop the records of bases that no longer serve."""
    session.execute(delete(BaseReader).where(BaseReader.base_digest != base_digest))


def add_past_readers(session: Session, subjects: Collection[str]) -> None:
    """Remember that a version had read them which is about to go. Repeating it changes nothing."""
    for chunk in _chunks(subjects):
        session.execute(
            insert_ignoring_duplicates(session, PastReader).values([{"subject_hmac": one} for one in chunk])
        )


def past_readers_among(session: Session, subjects: Collection[str]) -> frozenset[str]:
    """Those of these subjects whom a version had read that has been replaced since."""
    found = select(PastReader.subject_hmac).where(PastReader.subject_hmac.in_(subjects))
    return frozenset(session.scalars(found))


def drop_past_readers(session: Session, subjects: Collection[str]) -> None:
    """Their requests are settled: nobody asks for it again."""
    session.execute(delete(PastReader).where(PastReader.subject_hmac.in_(subjects)))


def _chunks(subjects: Collection[str]) -> list[list[str]]:
    ordered = sorted(set(subjects))
    return [
        ordered[start : start + _ROWS_PER_STATEMENT] for start in range(0, len(ordered), _ROWS_PER_STATEMENT)
    ]
