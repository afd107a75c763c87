"""Queries of suppressed subjects and their epochs. A suppression that was lifted counts only where its name says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.db.chunks import in_chunks
from app.db.models import EventSelection, ForgetRequest, Suppression
from app.suppressions.service import LiftedBecause, journal_entry
from model_store import JournalEntry

IN_FORCE: ColumnElement[bool] = Suppression.lifted_epoch.is_(None)


def suppressed_among(session: Session, subjects: Iterable[str]) -> set[str]:
    """Those of the subjects who are suppressed."""
    return {
        subject
        for chunk in in_chunks(subjects)
        for subject in session.scalars(
            select(Suppression.subject_hmac).where(Suppression.subject_hmac.in_(chunk), IN_FORCE)
        )
    }


def suppressed_subjects(session: Session) -> set[str]:
    return set(suppression_epochs(session))


def suppression_epochs(session: Session) -> dict[str, int]:
    """All suppressed subjects, with the epochs of their suppressions. Suppressions become visible in the order of their
    epochs and this is one statement, so a suppression that is missing here has a higher epoch than all of these.
    """
    rows = session.execute(select(Suppression.subject_hmac, Suppression.epoch).where(IN_FORCE))
    return {row.subject_hmac: row.epoch for row in rows}


def readmissions_among(session: Session, subjects: Iterable[str]) -> dict[str, int]:
    """Those of the subjects who came back after they had been forgotten, with the second in which they did, in Unix
    time. Only later events of theirs may be stored.
    """
    found: dict[str, int] = {}
    for chunk in in_chunks(subjects):
        rows = session.execute(
            select(Suppression.subject_hmac, Suppression.lifted_at).where(
                Suppression.subject_hmac.in_(chunk), Suppression.lifted_because == LiftedBecause.READMITTED
            )
        )
        for subject, lifted_at in rows:
            assert lifted_at is not None
            found[subject] = max(found.get(subject, 0), int(lifted_at.timestamp()))
    return found


def return_epochs(session: Session) -> dict[str, int]:
    """Everybody who came back after they had been forgotten, with the epoch of their latest return."""
    rows = session.execute(
        select(Suppression.subject_hmac, Suppression.lifted_epoch)
        .where(Suppression.lifted_because == LiftedBecause.READMITTED)
        .order_by(Suppression.lifted_epoch)
    )
    return {subject: epoch for subject, epoch in rows if epoch is not None}


def lift_of(session: Session, epoch: int) -> JournalEntry | None:
    """The journal's entry about the lift with this epoch; None if no lift has it any more."""
    return next((entry for entry in lifts(session) if entry.epoch == epoch), None)


def lifts(session: Session) -> list[JournalEntry]:
    """The journal's entries about all lifts, of suppressions and of selections."""
    found: list[JournalEntry] = []
    tables: tuple[Any, ...] = (Suppression, EventSelection)
    for table in tables:
        rows = session.execute(
            select(table, ForgetRequest.id)
            .join(ForgetRequest, ForgetRequest.epoch == table.epoch)
            .where(table.lifted_epoch.is_not(None))
        )
        found += [journal_entry(row, request_id) for row, request_id in rows]
    return sorted(found, key=lambda entry: entry.epoch)
