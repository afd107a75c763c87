"""Queries of suppressed subjects and their epochs."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.chunks import in_chunks
from app.db.models import Suppression


def suppressed_among(session: Session, subjects: Iterable[str]) -> set[str]:
    """Those of the subjects who are suppressed."""
    return {
        subject
        for chunk in in_chunks(subjects)
        for subject in session.scalars(
            select(Suppression.subject_hmac).where(Suppression.subject_hmac.in_(chunk))
        )
    }


def suppressed_subjects(session: Session) -> set[str]:
    return set(suppression_epochs(session))


def suppression_epochs(session: Session) -> dict[str, int]:
    """All suppressed subjects, with the epochs of their suppressions. Suppressions become visible in the order of their
    epochs and this is one statement, so a suppression that is missing here has a higher epoch than all of these.
    """
    rows = session.execute(select(Suppression.subject_hmac, Suppression.epoch))
    return {row.subject_hmac: row.epoch for row in rows}
