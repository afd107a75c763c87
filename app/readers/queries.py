"""Queries of whom a base, or a replaced version, has read."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audit.events import BaseReadersStated
from app.db.chunks import in_chunks
from app.db.models import AuditEntry, BaseReader, PastReader


def base_readers_among(session: Session, base_digest: str, subjects: Collection[str]) -> frozenset[str]:
    """Those of the subjects whom the base has read."""
    return frozenset(
        subject
        for chunk in in_chunks(subjects)
        for subject in session.scalars(
            select(BaseReader.subject_hmac).where(
                BaseReader.base_digest == base_digest, BaseReader.subject_hmac.in_(chunk)
            )
        )
    )


def count_base_readers(session: Session, base_digest: str) -> int:
    """How many users are on record as read by this base."""
    counted = select(func.count()).select_from(BaseReader).where(BaseReader.base_digest == base_digest)
    return session.scalar(counted) or 0


def is_stated(session: Session, base_digest: str) -> bool:
    """Whether an operator has stated whom this base has read. The statement may be that it has read nobody."""
    stated = session.scalars(select(AuditEntry.data).where(AuditEntry.action == BaseReadersStated.action))
    return any(data.get("base") == base_digest for data in stated)


def past_readers_among(session: Session, subjects: Collection[str]) -> frozenset[str]:
    """Those of the subjects whom a version had read that has been replaced since."""
    return frozenset(
        subject
        for chunk in in_chunks(subjects)
        for subject in session.scalars(
            select(PastReader.subject_hmac).where(PastReader.subject_hmac.in_(chunk))
        )
    )
