"""Queries of the version that serves, of all that have served, and of those that are destroyed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.models import ServingPointer, Version


def current(session: Session) -> ServingPointer:
    return session.get_one(ServingPointer, 1)


def versions(session: Session, *, limit: int) -> Sequence[Version]:
    return session.scalars(select(Version).order_by(Version.published_at.desc()).limit(limit)).all()


def find(session: Session, digest: str) -> Version | None:
    return session.get(Version, digest)


def of_run(session: Session, run_id: str) -> Version | None:
    """The version that this run has published; None if it has published none."""
    return session.scalar(select(Version).where(Version.run_id == run_id))


def published(session: Session) -> frozenset[str]:
    """The digests of all versions that are or were live."""
    digests = session.scalars(select(Version.digest)).all()
    return frozenset(digest for digest in (*digests, current(session).digest) if digest is not None)


def destroyed(session: Session) -> frozenset[str]:
    """The versions whose destruction is on record."""
    return frozenset(session.scalars(select(Version.digest).where(Version.destroyed_at.is_not(None))))


def published_since(session: Session, since: datetime) -> Sequence[Version]:
    """The versions that became live after this time, in order."""
    query = select(Version).where(Version.published_at >= since)
    return session.scalars(query.order_by(Version.published_at)).all()
